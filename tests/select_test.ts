import { assert, assertEquals } from "@std/assert";
import { fills, greet, HELLO, serves, test } from "./server_tests.ts";
import { connect, eventually, exchange, rest, start } from "./harness.ts";

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
  // The others go on, and there is room as soon as one of them leaves.
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

Deno.test("select(2) with three empty sets is a sleep", () => {
  const libc = Deno.dlopen("libc.so.6", {
    select: {
      parameters: ["i32", "buffer", "buffer", "buffer", "buffer"],
      result: "i32",
    },
  });
  const empty = () => new Uint8Array(128);
  const timeout = new BigInt64Array([0n, 50_000n]); // s, µs
  const begin = performance.now();
  assertEquals(libc.symbols.select(0, empty(), empty(), empty(), timeout), 0);
  assert(performance.now() - begin >= 50);
  assertEquals(timeout[1], 0n); // what was left of it
  libc.close();
});
