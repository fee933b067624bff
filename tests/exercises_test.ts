/** Each exercise fails its checks as it stands, and passes them once repaired. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { type Check, exercises, failure } from "../exercises/checks.ts";
import { run, scriptCommand, suite } from "./harness.ts";

const folder = new URL("../exercises/", import.meta.url);

/** What a learner changes to pass a check: the texts, and what replaces them. */
interface Repair {
  /** The title of the check. */
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

for (const [name, checks] of Object.entries(exercises)) {
  if (untouched(name)) {
    test(`${name} is red, and green once mended`, async () => {
      await using dir = await copy();
      const script = `${dir.path}/${name}.ts`;
      const failuresOf = (checks: Check[]) =>
        Promise.all(
          checks.map((check) => failure(script, check, scriptCommand)),
        );
      let text = await Deno.readTextFile(script);
      let next = 0;
      for (const { check, symptom, changes } of repairs[name]) {
        // The checks before this one pass.
        const red = checks.findIndex(({ title }) => title === check);
        const failures = await failuresOf(checks.slice(next, red + 1));
        assertMatch(failures.pop() ?? "green", symptom);
        assertEquals(failures.filter((failed) => failed), []);
        next = red;
        for (const [from, to] of changes) {
          assertStringIncludes(text, from);
          text = text.replace(from, () => to);
        }
        await Deno.writeTextFile(script, text);
      }
      const failures = await failuresOf(checks);
      assertEquals(failures.filter((failed) => failed), []);
    });
  }
}

test("deno task exercise takes names, files and --hint", async () => {
  await using dir = await copy();
  const exercise = async (...args: string[]) => {
    await using process = run("exercises/exercise.ts", args);
    const { code } = await process.status;
    return { code, output: process.output() };
  };
  if (untouched("select")) {
    const first = await exercise(`${dir.path}/select.ts`);
    assertEquals(first.code, 1);
    assertMatch(first.output, /✓ answers two clients[^]*✗ lets a client leave/);
    assertMatch(first.output, /what it did:[^]*EPIPE[^]*what it should do:/);
    assert(!first.output.includes("hint:"));
    const hinted = await exercise(`${dir.path}/select.ts`, "--hint");
    assertStringIncludes(hinted.output, "hint:\n      What does recv return");
  }
  for (const wrong of ["slect", "--hnt", "./nowhere/select.ts"]) {
    const { code, output } = await exercise(wrong);
    assertEquals(code, 2);
    assertMatch(output, /^exercise: .*; try: .*\n$/);
  }
});
