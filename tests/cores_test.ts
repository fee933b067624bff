import { assert, assertEquals, assertMatch } from "@std/assert";
import { HELLO, serves, test } from "./server_tests.ts";
import { servesCrowds } from "./crowds.ts";
import { readProc } from "./inject.ts";
import {
  altered,
  connect,
  eventually,
  exchange,
  rest,
  run,
  type Running,
  send,
  soon,
  start,
} from "./harness.ts";

serves("cores.ts", ["--workers", "2"]);
servesCrowds("cores.ts", ["--workers", "2"]);

/** How many clients each worker has accepted. */
function accepted(server: Running): number[] {
  const counts = new Map<string, number>();
  for (
    const [, worker] of server.output().matchAll(/worker (\d) on \d+ has 127/g)
  ) {
    counts.set(worker, (counts.get(worker) ?? 0) + 1);
  }
  return [...counts.values()].sort((a, b) => b - a);
}

/** How many workers watch the listener by now: Deno's own epolls have EPOLLET. */
function watching({ pid }: Running): number {
  const isOurs = /^tfd: .* events: +19 /m; // EPOLLIN, EPOLLERR, EPOLLHUP
  return [...Deno.readDirSync(`/proc/${pid}/fdinfo`)].filter(({ name }) =>
    isOurs.test(readProc(`/proc/${pid}/fdinfo/${name}`))
  ).length;
}

/** Connects and greets so many clients, one after the other. */
async function come(server: Running, clients: number): Promise<Deno.Conn[]> {
  const conns: Deno.Conn[] = [];
  for (let i = 0; i < clients; i++) {
    const conn = await connect(server.port);
    conns.push(conn);
    assertEquals(await exchange(conn, "hi\n"), HELLO);
  }
  return conns;
}

test("cores.ts: every worker has clients, and wakes for some in vain", async () => {
  await using server = await start("cores.ts", ["--workers", "4", "--trace"]);
  const vain =
    /(worker \d on \d+): epoll_wait\(→ (\d+) EPOLLIN\).*\n(?:(?!\1:).*\n)*.*\1: accept4\(\2 …\n(?:(?!\1:).*\n)*.*\1: accept4\(\2\) EAGAIN/;
  // On a busy machine the first one may be done before the others have a core:
  // then epoll_wait sees that the listener is not ready any more, and sleeps on.
  for (let i = 0; i < 50 && !vain.test(server.output()); i++) {
    for (const conn of await come(server, 20)) conn.close();
  }
  await server.until(vain);
  assert(accepted(server).length > 1, server.output());
});

test("cores.ts: --exclusive wakes one worker, nearly always the same", async () => {
  const flags = ["--workers", "4", "--exclusive"];
  await using server = await start("cores.ts", flags);
  const conns = await come(server, 60);
  const [most] = accepted(server);
  assert(most > 40, `${accepted(server)}`);
  for (const conn of conns) conn.close();
});

test("cores.ts: a worker that fails is reported, its clients are closed, the others go on", async () => {
  const show = "peer.show(message);";
  const fails = `if (message[0] === 0x21) throw new Error("Spilled"); ${show}`;
  await using copy = await altered("cores.ts", show, fails);
  await using server = await start(copy.script, ["--workers", "2"]);
  const fail = async () => {
    using conn = await connect(server.port);
    await send(conn, "!");
    const answer = await soon(rest(conn).catch(() => ""), "it is kept");
    assertEquals(answer, "");
    const name = `127.0.0.1:${conn.localAddr.port}`;
    await server.until(`${name} disconnected: its thread failed\n`);
  };
  await fail();
  await server.until(
    /worker \d on \d+ has ended: .*Spilled; workers left: 1\n/,
  );
  for (const conn of await come(server, 5)) conn.close();
  await fail();
  assertEquals((await soon(server.status, "it goes on")).code, 1);
  assertMatch(
    server.output(),
    /workers left: 0\n(.*\n)*cores\.ts: no worker is left\n/,
  );
});

test("cores.ts: where one worker gets no epoll, the others go on", async () => {
  const create = "epoll_create1(0)";
  const fails = `epoll_create1(self.name.startsWith("worker 2") ? -1 : 0)`;
  await using copy = await altered("cores.ts", `${create});`, `${fails});`);
  await using server = await start(copy.script, ["--workers", "2"]);
  await server.until(
    /worker 2 on \d+ has ended: .*epoll_create1: invalid argument \(EINVAL\); workers left: 1\n/,
  );
  for (const conn of await come(server, 5)) conn.close();
});

test("cores.ts: too few descriptors for its workers are one line", async () => {
  const few = run(
    "cores.ts",
    ["--port", "0", "--workers", "4"],
    (command) => `ulimit -n 40; exec ${command}`,
  );
  assertEquals((await few.status).code, 1);
  assertEquals(
    few.output(),
    "cores.ts: too few descriptors for 4 Workers: try ulimit -n 1024\n",
  );
});

test("cores.ts: out of descriptors, it tells clients that cannot stay, and goes on", async () => {
  await using server = await start(
    "cores.ts",
    ["--workers", "2"],
    (command) => `ulimit -n 50; exec ${command}`,
  );
  // A worker that is still to start needs descriptors, too.
  await eventually(() => watching(server) === 2, "a worker does not watch");
  const conns: Deno.Conn[] = [];
  let refusal = "";
  while (!refusal) {
    assert(conns.length < 50, "more clients than descriptors");
    const conn = await connect(server.port);
    conns.push(conn);
    const answer = await soon(exchange(conn, "hi\n"), "it is left alone");
    if (answer !== HELLO) refusal = answer;
  }
  assertEquals(refusal, "too many open files (EMFILE)\n");
  // Two leave: while a worker accepts in vain, the kernel keeps a descriptor for it.
  for (const conn of conns.splice(0, 2)) conn.close();
  await server.until(/disconnected\n[^]*disconnected\n/);
  const [next] = await come(server, 1);
  next.close();
  for (const conn of conns) conn.close();
});
