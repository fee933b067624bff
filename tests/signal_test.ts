import { assert, assertEquals } from "@std/assert";
import { fills, greet, HELLO, serves, test } from "./server_tests.ts";
import { servesCrowds } from "./crowds.ts";
import {
  altered,
  connect,
  cpuTime,
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
  const begin = "watch(listener);";
  const held = `Deno.stdin.readSync(new Uint8Array(1)); ${begin}`;
  await using copy = await altered("signal.ts", begin, held);
  await using server = await start(copy.script, never);
  using conn = await connect(server.port);
  await send(conn, "hi\n");
  await server.write("\n"); // it goes on
  const answer = receive(conn, HELLO.length);
  await soon(answer, "the client waits for somebody else to come");
});

Deno.test("signal.ts: plays between the signals, and answers at once", async () => {
  await using server = await start("signal.ts", ["--interval", "0.2"]);
  const rounds = () => server.output().match(/^playing$/gm)?.length ?? 0;
  await server.until(/(playing\n){2}/);
  const begin = performance.now();
  const before = cpuTime(server.pid);
  using conn = await connect(server.port);
  for (let i = 0; i < 100; i++) {
    assertEquals(await exchange(conn, "hi\n"), "hello sir\n");
  }
  assert(performance.now() - begin < 1000, "the answers waited for a round");
  const played = rounds();
  await server.until(new RegExp(`(playing\n[^]*?){${played + 2}}`));
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
