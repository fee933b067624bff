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
  await using server = await start("nonblocking.ts", [
    "--buffer",
    "4",
    "--interval",
    "1",
  ]);
  using talker = await connect(server.port);
  await server.until(/hello\n[^]*waiting\n/);
  // Stopped, it finds all of this at its next visit.
  Deno.kill(server.pid, "SIGSTOP");
  await send(talker, "one.two.");
  Deno.kill(server.pid, "SIGCONT");
  assertMatch(await server.until(": two.\n"), /: one\.\n.*: two\.\n/);
  Deno.kill(server.pid, "SIGSTOP");
  const conns: Deno.Conn[] = [];
  for (let i = 0; i < 100; i++) conns.push(await connect(server.port));
  Deno.kill(server.pid, "SIGCONT");
  const accepted = () => server.output().match(/hello\n/g)?.length;
  await eventually(() => accepted() === 101, "not all are accepted");
  const visit = server.output().split(": two.\n")[1];
  const begin = visit.indexOf("got connection");
  const end = visit.lastIndexOf("got connection");
  assert(!visit.slice(begin, end).includes("waiting"), visit);
  for (const conn of conns) conn.close();
});
