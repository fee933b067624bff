import { assert, assertEquals } from "@std/assert";
import { fills, greet, HELLO, serves, test } from "./server_tests.ts";
import { servesCrowds } from "./crowds.ts";
import {
  altered,
  connect,
  cpuTime,
  eventually,
  exchange,
  receive,
  send,
  soon,
  start,
} from "./harness.ts";

// Between two looks without a signal nobody has the patience to wait.
const never = ["--interval", "100000"];
serves("signal.ts", never);
fills("signal.ts", greet);
servesCrowds("signal.ts", never);

test("signal.ts: a client that comes before the first signal can is served", async () => {
  const begin = `checked("fcntl", watch(listener));`;
  const held = `Deno.stdin.readSync(new Uint8Array(1)); ${begin}`;
  await using copy = await altered("signal.ts", begin, held);
  await using server = await start(copy.script, never);
  using conn = await connect(server.port);
  await send(conn, "hi\n");
  await server.write("\n"); // it goes on
  const answer = receive(conn, HELLO.length);
  await soon(answer, "the client waits for somebody else to come");
});

test("signal.ts: one signal for many clients, and none of them is forgotten", async () => {
  await using server = await start("signal.ts", never);
  await server.until("playing");
  Deno.kill(server.pid, "SIGSTOP");
  const conns = [];
  for (let i = 0; i < 200; i++) conns.push(await connect(server.port));
  Deno.kill(server.pid, "SIGCONT");
  await eventually(
    () => server.output().match(/got connection/g)?.length === 200,
    "not all are accepted",
  );
  for (const conn of conns) conn.close();
});

Deno.test("signal.ts: plays between the signals, and uses little time", async () => {
  await using server = await start("signal.ts", ["--interval", "0.2"]);
  const rounds = () => server.output().match(/^playing$/gm)?.length ?? 0;
  await server.until(/(playing\n){2}/);
  const before = cpuTime(server.pid);
  using conn = await connect(server.port);
  for (let i = 0; i < 100; i++) {
    assertEquals(await exchange(conn, "hi\n"), "hello sir\n");
  }
  const played = rounds();
  await eventually(() => rounds() >= played + 2, "it plays no more");
  assert(cpuTime(server.pid) - before < 300, "it does not sleep");
});

test("signal.ts: thousands of signals without a reason", async () => {
  await using server = await start("signal.ts", ["--echo", "--quiet"]);
  using conn = await connect(server.port);
  assertEquals(await exchange(conn, "hi"), "hi"); // it is ready from now on
  for (let i = 0; i < 100; i++) {
    for (let k = 0; k < 100; k++) Deno.kill(server.pid, "SIGIO");
    assertEquals(await exchange(conn, `${i}`), `${i}`);
  }
});
