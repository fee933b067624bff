/** What servers, the kernel and watch.ts say is translated on the page. */
import { assert, assertEquals } from "@std/assert";
import { models } from "../lib/models/models.ts";
import { translateReason } from "../lib/watch/page/reasons.js";
import {
  describeClient,
  describeIdle,
  describeStatus,
} from "../lib/watch/page/text.js";
import { root } from "./harness.ts";

const read = (path: string) => Deno.readTextFile(new URL(path, root));

/** The texts that a source gives to one of these functions, or returns. */
async function textsIn(path: string, calls: string) {
  const texts: string[] = [];
  const source = (await read(path)).replaceAll(/(["`]) \+\s*["`]/g, "");
  const literal = RegExp(
    `\\b(?:${calls})\\(?\\s*(?:error ===.*?\\? )?(["\`])(.+?)\\1`,
    "g",
  );
  for (const [, , text] of source.matchAll(literal)) {
    // What stands in for a variable depends on what that is.
    texts.push(
      text.replaceAll(/\$\{[^}]*(strerror|reason)\([^}]*\}/g, ERROR)
        .replaceAll(/\$\{[^}]*(authority)\([^}]*\}/g, "127.0.0.1:80")
        .replaceAll(/\$\{[^}]*(hint|why\[)[^}]*\}/g, "")
        .replaceAll(/\$\{script\}/g, "select.ts")
        .replaceAll(/\$\{id\}/g, "A")
        .replaceAll(/\$\{call\}/g, "epoll_wait")
        .replaceAll(/\$\{[^}]*\}/g, "7"),
    );
  }
  return texts;
}

const ERROR = "too many open files (EMFILE)";

/** Fails unless a text is Chinese; names may stand in it as they are. */
function assertChinese(english: string) {
  const chinese = translateReason(english, "zh");
  assert(/\p{Script=Han}/u.test(chinese), `${english} -> ${chinese}`);
  const words = /[a-z]{2,} [a-z]{2,} [a-z]{2,}/.exec(
    chinese.replaceAll(/deno run -A \S+|--allow-\w+/g, ""),
  );
  assertEquals(words, null, `${english} -> ${chinese}`);
  assertEquals(translateReason(english, "en"), english);
}

Deno.test("reasons: whatever a script refuses with, or ends with", async () => {
  const scripts = models.map(({ script }) => script);
  const more = ["util.ts", "lib/libc.ts", "lib/listener.ts", "lib/worker.ts"];
  const files = [...scripts, ...more];
  let count = 0;
  for (const file of files) {
    for (const text of await textsIn(file, "refuse|fail")) {
      assertChinese(text);
      count++;
    }
  }
  assert(count >= 12, `only ${count} are found`);
  for (const [, why] of (await read("io_uring.ts")).matchAll(/\]: "(: .*)"/g)) {
    assertChinese(
      `io_uring_setup: cannot allocate memory (ENOMEM)${why}; ` +
        "async.ts runs here too",
    );
  }
});

Deno.test("reasons: why watch.ts does not execute a command", async () => {
  const texts = await textsIn("lib/watch/server.ts", "return");
  const reasons = texts.filter((text) => !text.startsWith("Deno "));
  assert(reasons.length >= 6, reasons.join("\n"));
  reasons.forEach(assertChinese);
});

Deno.test("reasons: errors of the kernel, as libc and Deno have them", () => {
  for (
    const text of [
      ERROR,
      "connection refused (ECONNREFUSED)",
      "connection reset by peer (ECONNRESET)",
      "cannot allocate memory (ENOMEM)",
      "no space left on device (ENOSPC)",
      "it has ended with SIGKILL",
      "it has ended with status 1",
      "it hung up",
      "the kernel’s queue of connections is full",
      `no more threads: resource temporarily unavailable (EAGAIN)`,
      `cannot listen on 127.0.0.1:80: permission denied (EACCES); try --port 0`,
    ]
  ) assertChinese(text);
});

Deno.test("reasons: in every place where the page shows one", () => {
  const reason = "every thread is taken (32)";
  const chinese = "线程已全部占用（32 个）";
  const client = { status: "ended", since: 0, reason } as const;
  for (
    const text of [
      describeClient(client, 0, "zh"),
      describeStatus("ended", reason, "zh"),
      describeStatus("failed", reason, "zh"),
      describeIdle(
        { connected: 32, reason },
        { wanted: 100, threadPerClient: false },
        "zh",
      ),
    ]
  ) assert(text.endsWith(chinese), text);
  assertEquals(
    describeIdle(
      { connected: 0, reason },
      { wanted: 0, threadPerClient: false },
      "zh",
    ),
    "",
  );
  assertEquals(
    translateReason("something of its own", "zh"),
    "something of its own",
  );
});
