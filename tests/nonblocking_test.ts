import { assert, assertEquals, assertMatch } from "@std/assert";
import { fills, greet, HELLO, serves, test } from "./server_tests.ts";
import {
  connect,
  cpuTime,
  eventually,
  exchange,
  send,
  start,
} from "./harness.ts";

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

test("nonblocking.ts: stays away only when a visit has found nothing", async () => {
  await using server = await start("nonblocking.ts", ["--buffer", "4"]);
  await server.until("waiting");
  Deno.kill(server.pid, "SIGSTOP"); // all this is there at its next visit
  using talker = await connect(server.port);
  await send(talker, "one.two.");
  const silent = [];
  for (let i = 0; i < 100; i++) silent.push(await connect(server.port));
  Deno.kill(server.pid, "SIGCONT");
  const greeted = () => server.output().match(/hello\n/g)?.length;
  await eventually(() => greeted() === 101, "not all are accepted");
  const output = await server.until(/: two\.\n/);
  const visit = output.slice(output.indexOf("got connection"));
  const busy = visit.slice(0, visit.lastIndexOf("got connection"));
  assert(!busy.includes("waiting"), output);
  assertMatch(visit, /: one\.\n(got .*\n|hello\n)*.*: two\.\n/);
  for (const conn of silent) conn.close();
});
