import { assert, assertEquals } from "@std/assert";
import { fills, greet, serves, test } from "./server_tests.ts";
import { servesCrowds } from "./crowds.ts";
import { connect, cpuTime, exchange, start } from "./harness.ts";

serves("signal.ts", ["--interval", "0.1"]);
fills("signal.ts", greet);
servesCrowds("signal.ts");

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
