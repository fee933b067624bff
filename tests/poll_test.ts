import { assert, assertEquals } from "@std/assert";
import { fills, greet, HELLO, serves, test } from "./server_tests.ts";
import {
  connect,
  deno,
  eventually,
  exchange,
  sleeps,
  start,
} from "./harness.ts";

serves("poll.ts");
fills("poll.ts", greet);

test("poll.ts: more clients than an fd_set holds, coming and going", async () => {
  await using server = await start("poll.ts");
  let conns: Deno.TcpConn[] = [];
  for (let i = 0; i < 1500; i++) conns.push(await connect(server.port));
  const talk = () =>
    Promise.all(
      conns.map((conn) => exchange(conn, `from ${conn.localAddr.port}`)),
    );
  assertEquals(new Set(await talk()), new Set([HELLO]));
  // Every other one leaves, the first and the last among them.
  const leaves = (i: number) => i % 2 === 0 || i === 1499;
  const left = conns.filter((_, i) => leaves(i));
  for (const conn of left) conn.close();
  conns = conns.filter((_, i) => !leaves(i));
  await eventually(
    () => server.output().match(/disconnected/g)?.length === left.length,
    "not all were seen to leave",
  );
  for (let i = 0; i < 10; i++) conns.push(await connect(server.port));
  assertEquals(new Set(await talk()), new Set([HELLO]));
  for (const conn of conns) conn.close();
});

test("poll.ts: where descriptors are taken, nothing else is waited for", async () => {
  await using server = await start(
    "poll.ts",
    [],
    (command) =>
      `exec '${deno}' run -A tests/exec_with.ts descriptors 200 ${command}`,
  );
  await server.end(); // stdin hangs up
  using conn = await connect(server.port);
  assertEquals(await exchange(conn, "hi\n"), HELLO);
  assert(await sleeps(server.pid), "it spins");
});
