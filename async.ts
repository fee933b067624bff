/**
 * Asynchronous I/O, by the runtime: ask, and be told when it is done. Each
 * client has a function of its own that reads like the blocking server, but an
 * `await` gives the thread back, and all of them share it.
 *
 * In the canteen: you ask Deno to bring it; your promise resolves when it is on
 * the table.
 *
 *   deno run -A async.ts         and in other terminals: deno run -A client.ts
 *
 * Underneath, on Linux, Deno waits in epoll_wait, and copies with recv and send
 * when a socket is ready: readiness, as in epoll.ts, in the clothes of
 * completion. In io_uring.ts the kernel does the copying before it reports.
 */
import {
  authority,
  common,
  flags,
  HELLO,
  listen,
  log,
  Peer,
  reason,
  warn,
} from "./util.ts";

const options = flags("serves many clients with Deno's own promises", {
  ...common,
  bowl: [16384, "bytes of a client's buffer: more is not kept for it"],
});
const listener = listen(options);

async function serve(conn: Deno.TcpConn) {
  const peer = new Peer(-1, authority(conn.remoteAddr));
  log(`got connection from ${peer.name}`);
  const inbox = new Uint8Array(Math.min(Math.ceil(options.bowl), 16384));
  let why = "";
  try {
    for (let n; (n = await conn.read(inbox));) {
      const message = inbox.subarray(0, n);
      peer.show(message);
      let rest = options.echo ? message : HELLO;
      while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
    }
  } catch (error) {
    why = reason(error);
  }
  conn.close();
  peer.close(why);
  descriptorFreed();
}

let descriptorFreed = () => {}; // ends the wait of a loop that had none left
let lastWarned = -Infinity;
while (true) {
  try {
    for await (const conn of listener) serve(conn); // and not: await serve
  } catch (error) {
    if (error instanceof Deno.errors.NotConnected) continue; // already reset
    if (Date.now() - lastWarned > 5000) {
      warn(`cannot accept: ${reason(error)}`);
      lastWarned = Date.now();
    }
    // Clients wait at the door until one of those inside leaves; 1 s at most,
    // for other parts of the process give descriptors back as well.
    const left = Promise.withResolvers<void>();
    descriptorFreed = left.resolve;
    const timer = setTimeout(descriptorFreed, 1000);
    await left.promise;
    clearTimeout(timer);
  }
}
