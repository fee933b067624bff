import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { HELLO, talks, test } from "./common.ts";
import { connect, exchange, pause, receive, send, start } from "./harness.ts";

talks("blocking.ts", [], "</dev/null");

test("blocking.ts: one client at a time, by your answers", async () => {
  await using server = await start("blocking.ts");
  using second = await (async () => {
    using first = await connect(server.port);
    await send(first, "食堂开了吗?\n");
    await server.until("client msg: 食堂开了吗?\nyour msg: ");
    const second = await connect(server.port);
    await send(second, "me too\n");
    await server.write("开了\n");
    assertEquals(await receive(first, 7), new TextEncoder().encode("开了\n"));
    await pause(100);
    assertEquals(server.output().includes("me too"), false);
    return second;
  })();
  await server.until("client msg: me too\nyour msg: ");
  await server.write("now you");
  await server.end();
  assertEquals(await receive(second, 8), new TextEncoder().encode("now you\n"));
  const ended = "stdin has ended: from here on the answer is hello sir";
  for (let i = 0; i < 2; i++) {
    assertEquals(await exchange(second, "hi\n"), HELLO);
  }
  assertStringIncludes(server.output(), ended);
  assertEquals(server.output().split(ended).length, 2);
});

/** Where in the kernel a process sleeps; "0" where that is not told. */
const wchan = (pid: number) =>
  Deno.readTextFileSync(`/proc/${pid}/wchan`).trim();

test("blocking.ts: the thread is held by the kernel", async () => {
  await using server = await start(
    "blocking.ts",
    [],
    (c) => `exec ${c} </dev/null`,
  );
  const asleep = async (place: RegExp) => {
    await pause(100);
    const now = wchan(server.pid);
    assert(now === "0" || place.test(now), `it sleeps in ${now}`);
  };
  await asleep(/accept/);
  using conn = await connect(server.port);
  assertEquals(await exchange(conn, "hi\n"), HELLO);
  await asleep(/wait_woken|sk_wait_data/); // for data of a socket
});
