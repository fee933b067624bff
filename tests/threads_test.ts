import { assert, assertEquals, assertMatch } from "@std/assert";
import { HELLO, serves, test } from "./server_tests.ts";
import {
  connect,
  eventually,
  exchange,
  rest,
  send,
  soon,
  start,
} from "./harness.ts";

serves("threads.ts");

/** The text of a file in /proc; empty for a thread that has just ended. */
const readProc = (path: string) => {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
};

/** How many Workers a process has that sleep in such a function of the kernel. */
const workers = (pid: number, wchan = /.*/) =>
  [...Deno.readDirSync(`/proc/${pid}/task`)].filter(({ name }) => {
    const task = `/proc/${pid}/task/${name}`;
    return readProc(`${task}/comm`).startsWith("worker-") &&
      wchan.test(readProc(`${task}/wchan`));
  }).length;

test("threads.ts: a thread for each client, held by the kernel, gone with it", async () => {
  await using server = await start("threads.ts");
  const conns = [];
  for (let i = 0; i < 3; i++) {
    const conn = await connect(server.port);
    assertEquals(await exchange(conn, "hi\n"), HELLO);
    conns.push(conn);
  }
  await server.until(/threads: 1\n[^]*threads: 2\n[^]*threads: 3\n/);
  assertEquals(workers(server.pid), 3);
  const recv = /wait_woken|sk_wait_data|^0$/;
  await eventually(() => workers(server.pid, recv) === 3, "not all sleep");
  for (const conn of conns) conn.close();
  await server.until("threads: 0\n");
  await eventually(() => workers(server.pid) === 0, "threads are left");
});

test("threads.ts: no more threads than --threads allows", async () => {
  await using server = await start("threads.ts", ["--threads", "2"]);
  const conns = [];
  for (let i = 0; i < 2; i++) {
    conns.push(await connect(server.port));
    assertEquals(await exchange(conns[i], "hi\n"), HELLO);
  }
  using third = await connect(server.port);
  const refusal = await soon(rest(third), "it is not refused");
  assertMatch(refusal, /^every thread is taken \(2\)\n$/);
  for (const conn of conns) conn.close();
  await server.until("threads: 0\n");
  using next = await connect(server.port);
  assertEquals(await exchange(next, "hi\n"), HELLO);
  assert(server.output().includes("disconnected: every thread is taken (2)"));
});

test("threads.ts: no more threads than there are descriptors for", async () => {
  await using server = await start(
    "threads.ts",
    [],
    (command) => `ulimit -n 64; exec ${command}`,
  );
  const conns: Deno.Conn[] = [];
  let refusal = "";
  while (!refusal) {
    const conn = await connect(server.port);
    conns.push(conn);
    const answer = await soon(exchange(conn, "hi\n"), "it is left alone");
    if (answer !== HELLO) refusal = answer;
    assert(conns.length < 64, "more clients than descriptors");
  }
  assertEquals(refusal, `every thread is taken (${conns.length - 1})\n`);
  conns.pop()!.close();
  for (const conn of conns) {
    assertEquals(await exchange(conn, "still there?"), HELLO);
    conn.close();
  }
  await server.until("threads: 0\n");
});

test("threads.ts: lines of several threads do not mix", async () => {
  await using server = await start("threads.ts", ["--buffer", "3000"]);
  const letters = ["X", "Y", "Z"];
  const conns: Deno.TcpConn[] = [];
  for (const letter of letters) {
    const conn = await connect(server.port);
    await exchange(conn, letter); // its thread runs
    conns.push(conn);
  }
  await Promise.all(conns.map(async (conn, i) => {
    const answers = rest(conn);
    await send(conn, letters[i].repeat(1_000_000));
    await conn.closeWrite();
    await answers;
  }));
  await server.until(/(disconnected[^]*){3}/);
  const lines = server.output().split("\n");
  const shown = lines.filter((line) => /[XYZ]/.test(line));
  const mixed = shown.filter((line) => !/^[\d.:]+: (X+|Y+|Z+)$/.test(line));
  assertEquals(mixed, []);
  assertEquals(shown.join("").match(/[XYZ]/g)?.length, 3_000_003);
  for (const conn of conns) conn.close();
});
