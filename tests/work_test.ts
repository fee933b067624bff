/** Computing in a loop: who waits for it? */
import { assert, assertEquals } from "@std/assert";
import { connect, exchange, ioUring, start, suite } from "./harness.ts";

const test = suite("--work");
// ms of work for a message. Where one has to wait for the other, as little will do.
const WORK = 50;
const LONG_WORK = 400;
const HELLO = "hello sir\n";
const REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** How long the slower one of two clients waits that ask at the same time, in ms. */
async function slower(
  script: string,
  work: number,
  args: string[] = [],
): Promise<number> {
  await using server = await start(script, ["--work", `${work}`, ...args]);
  const text = script === "epoll_http.ts" ? REQUEST : "hi\n";
  using first = await connect(server.port);
  using second = await connect(server.port);
  await exchange(first, text); // both are accepted, and all code is loaded
  await exchange(second, text);
  const begin = performance.now();
  const answers = await Promise.all(
    [first, second].map((conn) => exchange(conn, text)),
  );
  for (const answer of answers) {
    if (script !== "epoll_http.ts") assertEquals(answer, HELLO);
  }
  return performance.now() - begin;
}

const ONE_THREAD = [
  "nonblocking.ts",
  "select.ts",
  "poll.ts",
  "epoll.ts",
  "epoll_http.ts",
  "signal.ts",
  "coroutines.ts",
  "async.ts",
  "io_uring.ts",
];
for (const script of ONE_THREAD) {
  test(`${script}: whoever asks second waits for the work for the first`, async () => {
    if (script === "io_uring.ts" && !ioUring) return;
    const often = script === "nonblocking.ts" ? ["--interval", "0.02"] : [];
    const time = await slower(script, WORK, often);
    assert(time >= 2 * WORK, `${time} ms`);
  });
}

test("threads.ts: each client's work is done in a thread of its own", async () => {
  // With two cores, both are done at the same time; where another process has
  // one of them, one waits for a core, but not for the other to be done.
  let time = Infinity;
  for (let i = 0; i < 10 && time >= 2 * LONG_WORK; i++) {
    time = await slower("threads.ts", LONG_WORK);
  }
  if (navigator.hardwareConcurrency > 1) {
    assert(time < 2 * LONG_WORK, `${time} ms`);
  }
});
