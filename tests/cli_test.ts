/** What a script does as a command: flags, --help, and errors in one line. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { models } from "../lib/models/models.ts";
import { run, soon, suite } from "./harness.ts";

const test = suite("flags");

/** How a script ends, and what it has written without its own name. */
async function result(
  script: string,
  args: string[],
  shell?: (command: string) => string,
) {
  await using running = run(script, args, shell);
  const { code } = await soon(running.status, `${script} ${args} goes on`);
  return { code, output: running.output().replace(`${script}: `, "") };
}

for (const { script } of models) {
  test(`${script}: an unknown flag and a port in use get one line`, async () => {
    assertEquals(await result(script, ["--bogus"]), {
      code: 2,
      output: 'unknown argument "--bogus"; see --help\n',
    });
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr;
    assertEquals(await result(script, ["--port", `${port}`]), {
      code: 1,
      output: `cannot listen on 127.0.0.1:${port}: ` +
        "address already in use (EADDRINUSE); try --port 0\n",
    });
  });
}

// A flag that is given, and the value that the line names.
const WRONG: Record<string, [flag: string, value: string][]> = {
  "select.ts": [
    ["--port", ""], // and no value
    ["--port=65536", "65536"],
    ["--port=-1", "-1"],
    ["--port=1.5", "1.5"],
    ["--port=http", "http"],
    ["--port=80x", "80x"],
    ["--port= ", " "],
    ["--hostname=", ""],
    ["--echo=maybe", "maybe"],
    ["--trace=xml", "xml"],
    ["--buffer=0", "0"],
    ["--buffer=0.5", "0.5"],
    ["--buffer=1000001", "1000001"],
  ],
  "threads.ts": [["--threads=1.5", "1.5"]],
  "cores.ts": [["--workers=0", "0"]],
  "coroutines.ts": [["--work=-1", "-1"], ["--work=long", "long"]],
  "nonblocking.ts": [
    ["--interval=0", "0"],
    ["--interval=-1", "-1"],
    ["--interval=soon", "soon"],
    ["--interval=", ""],
  ],
};
for (const [script, wrong] of Object.entries(WRONG)) {
  test(`${script}: a value that does not fit gets one line`, async () => {
    for (const [flag, value] of wrong) {
      const [name] = flag.split("=");
      const { code, output } = await result(script, [flag]);
      const [start, end] = output.split(/ \(.*\) /);
      assertEquals([code, start, end], [
        2,
        name,
        `cannot be "${value}"; see --help\n`,
      ]);
    }
  });
}

test("a word that is no flag gets one line", async () => {
  assertEquals(await result("select.ts", ["extra"]), {
    code: 2,
    output: 'unknown argument "extra"; see --help\n',
  });
});

for (
  const [script, permissions, needed] of [
    ["select.ts", "--allow-net", "--allow-net --allow-ffi"],
    ["threads.ts", "--allow-net --allow-ffi", "--allow-read"],
    ["cores.ts", "--allow-net --allow-ffi", "--allow-read"],
  ]
) {
  test(`${script}: a missing permission gets one line`, async () => {
    const some = (command: string) =>
      `exec ${command.replace("'-A'", permissions)}`;
    const { code, output } = await result(script, ["--port=0"], some);
    assertEquals(code, 1);
    assertMatch(output, RegExp(`^[^\n]*run with ${needed}[^\n]*or -A\n$`));
  });
}

test("an argument that is no flag cannot drive the terminal", async () => {
  const { output } = await result("select.ts", ["--\x1b[2J"]);
  assertEquals(output, 'unknown argument "--\\u{1b}[2J"; see --help\n');
});

test("bad usage ends with status 2 also where stderr is full", async () => {
  const full = (command: string) => `exec ${command} 2>/dev/full`;
  const { code } = await result("poll.ts", ["--bogus"], full);
  assertEquals(code, 2);
});

test("--help says what the script does, its flags and their defaults", async () => {
  const { output, status } = run("select.ts", ["--help"]);
  assertEquals((await status).code, 0);
  const help = output();
  assertMatch(help, /^select\.ts: serves many clients with select\(2\)\n\n/);
  assertStringIncludes(help, "\n  --hostname   address to listen on (127.0");
  assertStringIncludes(help, "\n  --echo       answer with what came instea");
  assertMatch(help, /\n {2}--port {7}port to listen on; .* \(5666\)\n/);
});

test("a value may be the least or the most there is", async () => {
  // All fit, but for the last one.
  const args = ["--port=65535", "--port=0", "--buffer=1", "--bogus"];
  const { output } = await result("select.ts", args);
  assertEquals(output, 'unknown argument "--bogus"; see --help\n');
});
