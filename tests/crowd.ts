/**
 * For servers that are told of many things at once: is nothing missed?
 *
 * To be run as well, for who wants to see what idle clients cost a server:
 *
 *   deno run -A tests/crowd.ts --clients 900
 */
import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import { authority, fail, flags, printable, reason, say } from "../util.ts";
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

export function crowds(script: string, args: string[] = []) {
  const up = () => start(script, [...args, "--echo", "--quiet"]);

  test(`${script}: five hundred clients at once, and none is missed`, async () => {
    await using server = await up();
    const before = sockets(server.pid);
    // Each says something as soon as it is in, maybe before the server looks.
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
    // Thousands are silent, one speaks.
    const rest = cpuTime(server.pid);
    for (let i = 0; i < 100; i++) {
      assertEquals(await exchange(conns[i], "I"), "I");
    }
    assert(cpuTime(server.pid) - rest < 1000, "idle clients cost too much");
    conns.forEach((conn, i) => i % 2 ? reset(conn) : conn.close());
    await eventually(
      () => sockets(server.pid) === before,
      "not all were seen to leave",
    );
  });

  test(`${script}: a thousand come, half of them leave by reset`, async () => {
    await using server = await up();
    using stays = await connect(server.port);
    await exchange(stays, "first");
    const before = sockets(server.pid);
    const visit = async (i: number) => {
      const conn = await connect(server.port);
      const text = "x".repeat(1 + i);
      if (i % 3) await send(conn, text); // and is gone before the answer
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
    await using server = await up();
    const deaf = await Promise.all(
      Array.from({ length: 150 }, () => connect(server.port)),
    );
    const noise = new Uint8Array(1 << 20);
    let sent = 0;
    for (const conn of deaf) {
      send(conn, noise).then(() => send(conn, noise)).catch(() => {});
      sent++;
    }
    for (let i = 0; i < 50; i++) {
      using conn = await connect(server.port);
      assertEquals(await exchange(conn, `${i} of ${sent}`), `${i} of ${sent}`);
    }
    assert(memory(server.pid) < 300, `${memory(server.pid)} MB`);
    for (const conn of deaf) conn.close();
    await eventually(() => sockets(server.pid) < 5, "they are kept");
  });

  test(`${script}: who stops sending gets all that is due, in order`, async () => {
    await using server = await up();
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

if (import.meta.main) {
  const { hostname, port, clients } = flags(
    "connects many, and lets them be",
    {
      hostname: ["127.0.0.1", "address to connect to"],
      port: [5666, "port to connect to"],
      clients: [900, "how many there are to be"],
    },
  );
  let stay = 0;
  let why = ""; // what the server has said to those it has hung up on
  const wait = async (conn: Deno.TcpConn) => {
    const inbox = new Uint8Array(1024);
    const n = await conn.read(inbox).catch(() => null);
    const text = new TextDecoder().decode(inbox.subarray(0, n ?? 0));
    why ||= printable(text) || "it hangs up";
    stay--;
  };
  try {
    while (stay < clients) {
      const conn = await Deno.connect({ hostname, port });
      stay++;
      wait(conn);
      if (why) break;
    }
  } catch (error) {
    const at = authority({ hostname, port });
    fail(`client ${stay + 1} cannot connect to ${at}: ${reason(error)}`);
  }
  await new Promise((settled) => setTimeout(settled, 500));
  if (why) say(`the server has no room for more: ${why}`);
  say(`${stay} clients are connected, and say nothing; Ctrl-C ends them`);
  await new Promise(() => {});
}
