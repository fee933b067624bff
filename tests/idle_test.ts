/** idle.ts: many clients that say nothing. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  connect,
  exchange,
  run,
  sockets,
  start,
  suite,
  unused,
} from "./harness.ts";

const test = suite("idle.ts");

const idle = (port: number, ...args: string[]) =>
  run("idle.ts", ["--port", `${port}`, ...args]);

test("connects as many as it is told to, and says so", async () => {
  await using server = await start("poll.ts");
  await using clients = idle(server.port, "--clients", "50");
  await clients.until("Ctrl-C ends them\n");
  assertEquals(
    clients.output(),
    "50 clients are connected, and say nothing; Ctrl-C ends them\n",
  );
  assertEquals(sockets(clients.pid), 50);
  using conn = await connect(server.port);
  assertEquals(await exchange(conn, "hi\n"), "hello sir\n");
  Deno.kill(clients.pid, "SIGINT");
  assertEquals((await clients.status).signal, "SIGINT");
});

test("tells why the server has no room for more", async () => {
  await using server = await start(
    "poll.ts",
    [],
    (command) => `ulimit -n 40; exec ${command}`,
  );
  await using clients = idle(server.port, "--clients", "60");
  const output = await clients.until("Ctrl-C ends them\n");
  assertStringIncludes(
    output,
    "the server has no room for more: too many open files (EMFILE)\n",
  );
  const connected = Number(/^(\d+) clients are connected/m.exec(output)![1]);
  assert(connected > 0 && connected < 40, output);
});

test("tells which client cannot connect, and why", async () => {
  using nothing = await unused();
  await using clients = idle(nothing.port);
  assertEquals((await clients.status).code, 1);
  assertEquals(
    clients.output(),
    `idle.ts: client 1 cannot connect to 127.0.0.1:${nothing.port}: ` +
      "connection refused (ECONNREFUSED)\n",
  );
});
