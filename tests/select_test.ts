import { assert, assertEquals } from "@std/assert";
import { fills, greet, HELLO, serves, test } from "./server_tests.ts";
import {
  connect,
  eventually,
  exchange,
  rest,
  root,
  run,
  start,
} from "./harness.ts";

serves("select.ts");
fills("select.ts", greet);

test("select.ts: a client that does not fit into the fd_set is told so", async () => {
  await using server = await start("select.ts");
  const conns: Deno.TcpConn[] = [];
  for (let i = 0; i < 1024; i++) conns.push(await connect(server.port));
  const output = await server.until("disconnected: descriptor 1024");
  const refused = /(\d+) disconnected: descriptor 1024 does/.exec(output)![1];
  const first = conns.findIndex((conn) => `${conn.localAddr.port}` === refused);
  assertEquals(
    await rest(conns[first]),
    "descriptor 1024 does not fit into an fd_set\n",
  );
  // Nobody else has noticed, and there is room as soon as somebody leaves.
  assertEquals(await exchange(conns[first - 1], "hi\n"), HELLO);
  assertEquals(await exchange(conns[0], "hi\n"), HELLO);
  conns[1].close();
  await server.until(`${conns[1].localAddr.port} disconnected\n`);
  using next = await connect(server.port);
  assertEquals(await exchange(next, "hi\n"), HELLO);
  for (const conn of conns) if (conn !== conns[1]) conn.close();
  await eventually(
    () => server.output().match(/disconnected/g)?.length === 1024,
    "not all were seen to leave",
  );
});

test("select.ts and util.ts alone serve, and say what is missing", async () => {
  const dir = await Deno.makeTempDir();
  for (const file of ["select.ts", "util.ts", "deno.json"]) {
    await Deno.copyFile(new URL(file, root), `${dir}/${file}`);
  }
  const script = `${dir}/select.ts`;
  {
    await using server = await start(script, ["--echo", "--buffer", "4"]);
    using conn = await connect(server.port);
    assertEquals(await exchange(conn, "hi\n"), "hi\n");
  }
  const lib = (flag: string) => `select.ts: ${flag} needs lib/: copy it, too\n`;
  const wrong = (flag: string, value: string) =>
    `select.ts: --${flag} is unknown, or cannot be "${value}"\n`;
  for (
    const [args, code, line] of [
      [["--help"], 1, lib("--help")],
      [["--trace"], 1, lib("--trace")],
      [["--trace=json"], 1, lib("--trace")],
      [["--prot", "5"], 2, wrong("prot", "5")],
      [["--port", "x"], 2, wrong("port", "x")],
      [["--echo=maybe"], 2, wrong("echo", "maybe")],
    ] as const
  ) {
    const { status, output } = run(script, [...args]);
    assertEquals([(await status).code, output()], [code, line]);
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test("select(2) with three empty sets is a sleep", () => {
  const libc = Deno.dlopen("libc.so.6", {
    select: {
      parameters: ["i32", "buffer", "buffer", "buffer", "buffer"],
      result: "i32",
    },
  });
  const [a, b, c] = [0, 0, 0].map(() => new Uint8Array(128));
  const timeout = new BigInt64Array([0n, 50_000n]); // s, µs
  const begin = performance.now();
  assertEquals(libc.symbols.select(0, a, b, c, timeout), 0);
  assert(performance.now() - begin >= 50);
  assertEquals(timeout[1], 0n); // what was left of it
  libc.close();
});
