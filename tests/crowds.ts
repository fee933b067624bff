/** Tests for servers that are told of many clients at once: is none missed? */
import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import { test } from "./server_tests.ts";
import {
  connect,
  cpuTime,
  eventually,
  exchange,
  memory,
  receive,
  reset,
  send,
  sockets,
  start,
} from "./harness.ts";

/** Tests for a server that is to serve hundreds of clients at once. */
export function servesCrowds(script: string, args: string[] = []) {
  const startEcho = () => start(script, [...args, "--echo", "--quiet"]);

  test(`${script}: five hundred clients at once, and none is missed`, async () => {
    await using server = await startEcho();
    const socketsBefore = sockets(server.pid);
    // Each sends as soon as it is connected, maybe before it is accepted.
    const conns = await Promise.all(
      Array.from({ length: 500 }, async (_, i) => {
        const conn = await connect(server.port);
        assertEquals(await exchange(conn, `${i} is here`), `${i} is here`);
        return conn;
      }),
    );
    for (let round = 0; round < 2; round++) {
      await Promise.all(conns.map(async (conn, i) => {
        const text = `${i} in round ${round}`;
        assertEquals(await exchange(conn, text), text);
      }));
    }
    // Stopped, it finds the messages of all at once, as a busy server does.
    Deno.kill(server.pid, "SIGSTOP");
    for (const conn of conns) await send(conn, "all together");
    Deno.kill(server.pid, "SIGCONT");
    await Promise.all(conns.map(async (conn) => {
      const answer = await receive(conn, 12);
      assertEquals(new TextDecoder().decode(answer), "all together");
    }));
    // Now one client sends at a time, and the others are idle.
    const cpuBefore = cpuTime(server.pid);
    for (let i = 0; i < 100; i++) {
      assertEquals(await exchange(conns[i], "I"), "I");
    }
    assert(
      cpuTime(server.pid) - cpuBefore < 1000,
      "idle clients cost too much",
    );
    conns.forEach((conn, i) => i % 2 ? reset(conn) : conn.close());
    await eventually(
      () => sockets(server.pid) === socketsBefore,
      "not all were seen to leave",
    );
  });

  test(`${script}: a thousand come, half of them leave by reset`, async () => {
    await using server = await startEcho();
    using stays = await connect(server.port);
    await exchange(stays, "first");
    const before = sockets(server.pid);
    const visit = async (i: number) => {
      const conn = await connect(server.port);
      const text = "x".repeat(1 + i);
      if (i % 3) await send(conn, text); // and it leaves before the answer
      else assertEquals(await exchange(conn, "hi"), "hi");
      if (i % 2) reset(conn);
      else conn.close();
    };
    for (let i = 0; i < 1000; i += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, k) => visit(i + k)));
    }
    assertEquals(await exchange(stays, "still there?"), "still there?");
    await eventually(
      () => sockets(server.pid) === before,
      "descriptors are left open",
    );
  });

  test(`${script}: a hundred and fifty never read, the others do not notice`, async () => {
    await using server = await startEcho();
    const neverRead = await Promise.all(
      Array.from({ length: 150 }, () => connect(server.port)),
    );
    const data = new Uint8Array(2 << 20);
    for (const conn of neverRead) send(conn, data).catch(() => {});
    for (let i = 0; i < 50; i++) {
      using conn = await connect(server.port);
      assertEquals(await exchange(conn, `client ${i}`), `client ${i}`);
    }
    assert(memory(server.pid) < 300, `${memory(server.pid)} MB`);
    for (const conn of neverRead) conn.close();
    await eventually(() => sockets(server.pid) < 5, "they are kept");
  });

  test(`${script}: a client that stops sending gets all that is due, in order`, async () => {
    await using server = await startEcho();
    using conn = await connect(server.port);
    const data = new Uint8Array(
      new Uint32Array(2 << 20).map((_, i) => i).buffer,
    );
    const sending = send(conn, data).then(() => conn.closeWrite());
    const back = await receive(conn, data.length + 1);
    await sending;
    assert(Buffer.compare(data, back) === 0, "other bytes came back");
  });
}
