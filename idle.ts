/**
 * Many clients that say nothing: what do they cost a server, and for how many
 * does it have room?
 *
 *   deno run -A idle.ts --clients 900       to a server on this machine
 *
 * Then talk to the server with client.ts, and look at `top`. Ctrl-C ends them.
 */
import {
  authority,
  COUNT,
  fail,
  flags,
  PORT,
  printable,
  reason,
  say,
} from "./util.ts";

const { hostname, port, clients } = flags(
  "connects many clients that say nothing",
  {
    hostname: ["127.0.0.1", "address to connect to"],
    port: [5666, "port to connect to", PORT],
    clients: [900, "how many clients to connect", COUNT],
  },
);

let connected = 0;
let refusal = ""; // what the server has sent to a client it has no room for

/** Waits until the server closes the connection; keeps what it said before. */
async function waitForClose(conn: Deno.TcpConn) {
  const buffer = new Uint8Array(1024);
  const n = await conn.read(buffer).catch(() => null);
  const text = new TextDecoder().decode(buffer.subarray(0, n ?? 0));
  refusal ||= printable(text) || "it hangs up";
  connected--;
}

try {
  while (connected < clients && !refusal) {
    const conn = await Deno.connect({ hostname, port });
    connected++;
    waitForClose(conn);
  }
} catch (error) {
  const server = authority({ hostname, port });
  const client = connected + 1;
  fail(`client ${client} cannot connect to ${server}: ${reason(error)}`);
}

// The last of them may be refused a moment after they were connected.
await new Promise((settled) => setTimeout(settled, 500));
if (refusal) say(`the server has no room for more: ${refusal}`);
say(`${connected} clients are connected, and say nothing; Ctrl-C ends them`);
await new Promise(() => {});
