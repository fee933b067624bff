import { assert, assertEquals, assertMatch } from "@std/assert";
import { HELLO, serves, test } from "./common.ts";
import { connect, eventually, exchange, rest, start } from "./harness.ts";

serves("threads.ts");

/** How many threads a process has that are called so. */
const workers = (pid: number) =>
  [...Deno.readDirSync(`/proc/${pid}/task`)].filter(({ name }) =>
    Deno.readTextFileSync(`/proc/${pid}/task/${name}/comm`)
      .startsWith("worker-")
  ).length;

test("threads.ts: a thread for each client, held by the kernel, gone with it", async () => {
  await using server = await start("threads.ts");
  const conns = [];
  for (let i = 0; i < 3; i++) {
    const conn = await connect(server.port);
    assertEquals(await exchange(conn, "hi\n"), HELLO);
    conns.push(conn);
  }
  assertMatch(server.output(), /threads: 1\n[^]*threads: 2\n[^]*threads: 3\n/);
  assertEquals(workers(server.pid), 3);
  const asleep = [...Deno.readDirSync(`/proc/${server.pid}/task`)].filter(
    ({ name }) => {
      const task = `/proc/${server.pid}/task/${name}`;
      const wchan = Deno.readTextFileSync(`${task}/wchan`);
      return /wait_woken|sk_wait_data|^0$/.test(wchan) &&
        Deno.readTextFileSync(`${task}/comm`).startsWith("worker-");
    },
  );
  assertEquals(asleep.length, 3);
  for (const conn of conns) conn.close();
  await server.until("threads: 0\n");
  await eventually(() => workers(server.pid) === 0, "threads are left");
});

test("threads.ts: no more threads than it was told", async () => {
  await using server = await start("threads.ts", ["--threads", "2"]);
  const conns = [];
  for (let i = 0; i < 2; i++) {
    conns.push(await connect(server.port));
    assertEquals(await exchange(conns[i], "hi\n"), HELLO);
  }
  using third = await connect(server.port);
  assertMatch(await rest(third), /^all 2 threads are taken\n$/);
  for (const conn of conns) conn.close();
  await server.until("threads: 0\n");
  using next = await connect(server.port);
  assertEquals(await exchange(next, "hi\n"), HELLO);
  assert(server.output().includes("disconnected: all 2 threads are taken"));
});
