import { assert, assertEquals, assertMatch } from "@std/assert";
import { fills, greet, HELLO, serves, test } from "./server_tests.ts";
import { connect, cpuTime, exchange, start } from "./harness.ts";

serves("nonblocking.ts", ["--interval", "0.02"]);
fills("nonblocking.ts", greet, ["--interval", "0.02"]);

test("nonblocking.ts: answers at its next visit, and waits in between", async () => {
  await using server = await start("nonblocking.ts", ["--interval", "2"]);
  await server.until("waiting"); // for two seconds
  const begin = performance.now();
  const before = cpuTime(server.pid);
  using conn = await connect(server.port);
  assertEquals(await exchange(conn, "hi\n"), HELLO);
  assert(performance.now() - begin > 300, "it did not stay away");
  assert(cpuTime(server.pid) - before < 150, "it does not sleep");
  assertMatch(
    await server.until(/: hi\nwaiting\n/),
    /waiting\ngot connection from [\d.:]+\nhello\n(waiting\n)?127[\d.:]+: hi\nwaiting\n/,
  );
});
