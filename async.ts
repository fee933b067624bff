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
  compute,
  COUNT,
  flags,
  HELLO,
  listen,
  log,
  Peer,
  reason,
  serverFlags,
  warnCannotAccept,
} from "./util.ts";

const options = flags("serves many clients with Deno's own promises", {
  ...serverFlags,
  buffer: [16384, "bytes of the buffer that each client has", COUNT],
});
const listener = listen(options);

async function serve(conn: Deno.TcpConn) {
  const peer = new Peer(-1, authority(conn.remoteAddr));
  log(`got connection from ${peer.name}`);
  const buffer = new Uint8Array(options.buffer);
  let why = "";
  try {
    while (true) {
      const n = await conn.read(buffer);
      if (n === null) break; // the client has left
      const message = buffer.subarray(0, n);
      peer.show(message);
      compute(options.work);
      let unsent = options.echo ? message : HELLO;
      while (unsent.length > 0) {
        unsent = unsent.subarray(await conn.write(unsent));
      }
    }
  } catch (error) {
    why = reason(error);
  }
  conn.close();
  peer.close(why);
  descriptorFreed();
}

let descriptorFreed = () => {}; // ends the wait of a loop that had none left
while (true) {
  try {
    for await (const conn of listener) serve(conn); // and not: await serve
  } catch (error) {
    if (error instanceof Deno.errors.NotConnected) continue; // already reset
    warnCannotAccept(reason(error));
    // Clients wait in the kernel's queue until a connected one leaves; 1 s at
    // most, for other parts of the process give descriptors back as well.
    const freed = Promise.withResolvers<void>();
    descriptorFreed = freed.resolve;
    const timer = setTimeout(descriptorFreed, 1000);
    await freed.promise;
    clearTimeout(timer);
  }
}
