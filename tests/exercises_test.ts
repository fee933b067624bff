/** Each exercise fails its checks as it stands, and passes them once repaired. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { exercises } from "../exercises/checks.ts";
import { type Check, failure } from "../exercises/expect.ts";
import { run, scriptCommand, suite } from "./harness.ts";

const folder = new URL("../exercises/", import.meta.url);

/** What a learner changes to pass a check: the texts, and what replaces them. */
interface Repair {
  /** The English title of the check. */
  check: string;
  /** A part of what is shown without the repair. */
  symptom: RegExp;
  changes: [from: string, to: string][];
}

// Checks that several exercises have.
const LEAVE = "lets a client leave";
const PIECES = "prints a character that comes in two pieces";
const cut = /caf\uFFFD/;
const importClose: [string, string] = [
  "import {\n  accept,",
  "import {\n  accept,\n  close,",
];

const repairs: Record<string, Repair[]> = {
  blocking: [{
    check: "turns to the next client when one leaves",
    symptom: /never showed[^]*client msg: \n/,
    changes: [
      ["import { accept,", "import { accept, close,"],
      [
        "    console.log(`client msg",
        "    if (data.length === 0) break;\n    console.log(`client msg",
      ],
      ['"your msg: "));\n  }\n', '"your msg: "));\n  }\n  close(client);\n'],
    ],
  }, {
    check: PIECES,
    symptom: cut,
    changes: [
      [
        "  while (true) {\n    const",
        "  const decoder = new TextDecoder();\n  while (true) {\n    const",
      ],
      [
        "new TextDecoder().decode(data)",
        "decoder.decode(data, { stream: true })",
      ],
    ],
  }],
  nonblocking: [{
    check: "remembers a client that takes its time",
    symptom: /got no answer[^]*waiting/,
    changes: [
      [
        "while (true) {\n  try {",
        `const clients = new Set<number>();

function ready<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof SystemError && error.code === "EAGAIN")) throw error;
  }
}

while (true) {
  {`,
      ],
      [
        "const [client, name] = accept(listener);\n    console.log(`got connection from ${name}`);\n    setNonblocking(client);",
        "const [client, name] = ready(() => accept(listener)) ?? [];\n    if (client) {\n      console.log(`got connection from ${name}`);\n      setNonblocking(client);\n      clients.add(client);\n    }",
      ],
      [
        "    const data = recv(client, 1024);\n",
        "    for (const client of clients) {\n    const data = ready(() => recv(client, 1024));\n    if (!data) continue;\n",
      ],
      [
        '  } catch (error) {\n    if (!(error instanceof SystemError && error.code === "EAGAIN")) throw error;\n    console.log',
        "    }\n    console.log",
      ],
    ],
  }, {
    check: LEAVE,
    symptom: /EPIPE/,
    changes: [
      importClose,
      [
        "if (!data) continue;",
        "if (!data) continue;\n    if (data.length === 0) {\n      clients.delete(client);\n      close(client);\n      continue;\n    }",
      ],
    ],
  }, {
    check: PIECES,
    symptom: cut,
    changes: [
      ["new Set<number>()", "new Map<number, TextDecoder>()"],
      ["clients.add(client)", "clients.set(client, new TextDecoder())"],
      ["const client of clients", "const [client, decoder] of clients"],
      [
        "new TextDecoder().decode(data)",
        "decoder.decode(data, { stream: true })",
      ],
    ],
  }],
  select: [{
    check: LEAVE,
    symptom: /died[^]*send: EPIPE/,
    changes: [
      ["checked, listen", "checked, close, listen"],
      [
        "recv(client, 1024);",
        "recv(client, 1024);\n      if (data.length === 0) {\n        clients.delete(client);\n        close(client);\n        continue;\n      }",
      ],
    ],
  }, {
    check: PIECES,
    symptom: cut,
    changes: [
      ["new Set<number>()", "new Map<number, TextDecoder>()"],
      ["clients.add(client)", "clients.set(client, new TextDecoder())"],
      [
        "(const client of clients) FD_SET",
        "(const client of clients.keys()) FD_SET",
      ],
      ["(const client of clients) {", "(const [client, decoder] of clients) {"],
      [
        "new TextDecoder().decode(data)",
        "decoder.decode(data, { stream: true })",
      ],
    ],
  }],
  poll: [{
    check: "sleeps while nobody says anything",
    symptom:
      /said nothing, but in half a second the server was awake at \d+ of 25/,
    changes: [
      [
        "POLLIN | POLLOUT, true",
        "POLLIN | (answers.has(fd) ? POLLOUT : 0), true",
      ],
    ],
  }, {
    check: PIECES,
    symptom: cut,
    changes: [
      ["new Set<number>()", "new Map<number, TextDecoder>()"],
      ["...clients]", "...clients.keys()]"],
      ["clients.add(client)", "clients.set(client, new TextDecoder())"],
      [
        "new TextDecoder().decode(data)",
        "clients.get(fd)!.decode(data, { stream: true })",
      ],
    ],
  }],
  epoll: [{
    check: LEAVE,
    symptom: /had left, but in half a second the server was awake at 2\d of 25/,
    changes: [
      ["checked, listen", "checked, close, listen"],
      [
        'send(fd, "hello sir\\n");\n    }',
        'send(fd, "hello sir\\n");\n    } else {\n      close(fd);\n    }',
      ],
    ],
  }, {
    check: "survives a client that crashes",
    symptom: /died[^]*recv: ECONNRESET/,
    changes: [
      [
        "    const data = recv(fd, 1024);",
        `    let data = new Uint8Array();
    try {
      data = recv(fd, 1024);
    } catch {
      console.log("crashed");
    }`,
      ],
    ],
  }, {
    check: PIECES,
    symptom: cut,
    changes: [
      [
        "watch(listener);\n",
        "watch(listener);\nconst decoders = new Map<number, TextDecoder>();\n",
      ],
      [
        "watch(client);",
        "watch(client);\n      decoders.set(client, new TextDecoder());",
      ],
      [
        "new TextDecoder().decode(data)",
        "decoders.get(fd)!.decode(data, { stream: true })",
      ],
    ],
  }],
  framing: [{
    check: "answers each of several lines that come at once",
    symptom: /got "hello tea\\nrice\\nsoup" instead of "hello tea\\nhello rice/,
    changes: [
      [
        "const message = new TextDecoder().decode(data).trimEnd();\n",
        `const lines = new TextDecoder().decode(data).trimEnd().split("\\n");
      for (const message of lines) {\n`,
      ],
      ["`hello ${message}\\n`);\n", "`hello ${message}\\n`);\n      }\n"],
    ],
  }, {
    check: "waits for the rest of a line",
    // The two answers may come one by one: then the second one is what is wrong.
    symptom: /got "(hello tea\\n)?hello ri" instead of/,
    changes: [
      [
        "new Set<number>();\n",
        "new Set<number>();\nconst rests = new Map<number, string>();\n",
      ],
      [
        'new TextDecoder().decode(data).trimEnd().split("\\n");',
        `((rests.get(fd) ?? "") + new TextDecoder().decode(data)).split("\\n");
      rests.set(fd, lines.pop()!);`,
      ],
    ],
  }, {
    check: "keeps a character whole that comes in two pieces",
    symptom: /cut within the é, and got "hello caf\uFFFD+" instead of/,
    changes: [
      [
        "const rests",
        "const decoders = new Map<number, TextDecoder>();\nconst rests",
      ],
      [
        "clients.add(client)",
        "clients.add(client);\n      decoders.set(client, new TextDecoder())",
      ],
      [
        "new TextDecoder().decode(data)",
        "decoders.get(fd)!.decode(data, { stream: true })",
      ],
    ],
  }, {
    check: "forgets a client that leaves within a line",
    symptom: /the next client sent "soup\\n", and got "hello risoup" instead/,
    changes: [
      ["clients.delete(fd);", "clients.delete(fd);\n      rests.delete(fd);"],
    ],
  }],
  computing: [{
    check: "answers others while it computes for one",
    symptom: /another waited \d+ ms for an answer/,
    changes: [
      [
        "function primesBelow(limit: number)",
        "async function primesBelow(limit: number)",
      ],
      [": number {\n  let count", ": Promise<number> {\n  let count"],
      [
        "if (isPrime(n)) count++;",
        `if (isPrime(n)) count++;
    if (n % 10000 === 0) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }`,
      ],
      ["= primesBelow(limit)", "= await primesBelow(limit)"],
    ],
  }],
};

/** Another way to repair an exercise, all at once. */
const otherWays: Record<string, Repair["changes"]> = {
  computing: [
    [
      "async function serve",
      `if ("WorkerGlobalScope" in globalThis) {
  addEventListener("message", ({ data }) => {
    (globalThis as unknown as Worker).postMessage(primesBelow(data));
    close();
  });
} else {
  main();
}

function computed(limit: number): Promise<number> {
  const worker = new Worker(import.meta.url, { type: "module" });
  worker.postMessage(limit);
  return new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
  });
}

async function serve`,
    ],
    ["= primesBelow(limit)", "= await computed(limit)"],
    ["const listener", "async function main() {\nconst listener"],
    ["conn.close());\n}", "conn.close());\n}\n}"],
  ],
};

// A learner who is at work on the exercises has changed some: these are left out.
const git = new Deno.Command("git", {
  args: ["diff", "--name-only", "HEAD", "--", "."],
  cwd: folder,
});
const changed = await git.output().then(
  ({ stdout }) => new TextDecoder().decode(stdout),
  () => "", // no git
);
const untouched = (name: string) => !changed.includes(`exercises/${name}.ts`);
for (const name of Object.keys(exercises)) {
  if (untouched(name)) continue;
  console.log(`not tested while it is being changed: exercises/${name}.ts`);
}

/** The text after the changes, each of which must have something to change. */
function replaced(text: string, changes: Repair["changes"]): string {
  for (const [from, to] of changes) {
    assertStringIncludes(text, from);
    text = text.replace(from, () => to);
  }
  return text;
}

/** A copy of the exercises in a folder of its own, removed with the object. */
async function copy() {
  const path = await Deno.makeTempDir();
  for (const name of ["libc", ...Object.keys(exercises)]) {
    await Deno.copyFile(new URL(`${name}.ts`, folder), `${path}/${name}.ts`);
  }
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

const test = suite("exercises");

for (const [name, { checks }] of Object.entries(exercises)) {
  if (untouched(name)) {
    test(`${name} is red, and green once mended`, async () => {
      await using dir = await copy();
      const script = `${dir.path}/${name}.ts`;
      const failuresOf = (checks: Check[]) =>
        Promise.all(
          checks.map((check) => failure(script, check, "en", scriptCommand)),
        );
      let text = await Deno.readTextFile(script);
      let next = 0;
      for (const { check, symptom, changes } of repairs[name]) {
        // The checks before this one pass.
        const red = checks.findIndex(({ title }) => title.en === check);
        const failures = await failuresOf(checks.slice(next, red + 1));
        assertMatch(failures.pop() ?? "green", symptom);
        assertEquals(failures.filter((failed) => failed), []);
        next = red;
        text = replaced(text, changes);
        await Deno.writeTextFile(script, text);
      }
      const failures = await failuresOf(checks);
      assertEquals(failures.filter((failed) => failed), []);
    });
  }
}

for (const [name, changes] of Object.entries(otherWays)) {
  if (untouched(name)) {
    test(`${name} is green in another way`, async () => {
      await using dir = await copy();
      const script = `${dir.path}/${name}.ts`;
      await Deno.writeTextFile(
        script,
        replaced(await Deno.readTextFile(script), changes),
      );
      for (const check of exercises[name].checks) {
        const failed = await failure(script, check, "zh", scriptCommand);
        assertEquals(failed, undefined);
      }
    });
  }
}

test("deno task exercise takes names, files, --hint and --lang", async () => {
  await using dir = await copy();
  const exercise = async (LANG: string, ...args: string[]) => {
    const env = `env LC_ALL= LC_MESSAGES= LANG=${LANG} `;
    await using process = run(
      "exercises/exercise.ts",
      args,
      (command) => `exec ${env}${command}`,
    );
    const { code } = await process.status;
    return { code, output: process.output() };
  };
  if (untouched("select")) {
    const script = `${dir.path}/select.ts`;
    const [first, hinted, byLang, chosen] = await Promise.all([
      exercise("C", script),
      exercise("zh_CN.UTF-8", script, "--lang", "en", "--hint"),
      exercise("zh_CN.UTF-8", script, "--hint"),
      exercise("C", "--lang=zh", script),
    ]);
    assertEquals(first.code, 1);
    assertMatch(first.output, /^select: the article's select server/);
    assertMatch(first.output, /✓ answers two clients[^]*✗ lets a client leave/);
    assertMatch(first.output, /what it did:[^]*EPIPE[^]*what it should do:/);
    assert(!first.output.includes("hint:"));
    assertStringIncludes(hinted.output, "hint:\n      What does recv return");
    const chinese =
      /^select: 出自原文的 select 服务器[^]*✓ 响应两个客户端[^]*EPIPE/;
    assertMatch(byLang.output, chinese);
    assertMatch(byLang.output, /提示：\n {6}对方不会再发来/);
    assertMatch(chosen.output, chinese);
    assert(!chosen.output.includes("提示："));
  }
  for (const wrong of ["slect", "--hnt", "./nowhere/select.ts", "toString"]) {
    const { code, output } = await exercise("C", wrong);
    assertEquals(code, 2);
    assertMatch(output, /^exercise: .*; try: .*\n$/);
  }
  const { code, output } = await exercise("C", "--lang", "fr");
  assertEquals(code, 2);
  assertMatch(output, /^exercise: --lang takes en or zh, not "fr"\n$/);
});
