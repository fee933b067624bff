/**
 * Non-blocking I/O: no call ever waits. recv says EAGAIN when nothing has come,
 * and we come back later to ask again.
 *
 * In the canteen: you go out to play, and come back every so often to ask: is
 * it ready?
 *
 *   deno run -A nonblocking.ts   and in other terminals: deno run -A client.ts
 *
 * The price: an answer waits for our next visit, and most visits find nothing.
 * With --interval 0.1 we ask more often: answers come sooner, and more visits
 * find nothing.
 */
import {
  accept,
  compute,
  descriptor,
  flags,
  HELLO,
  libc,
  listen,
  log,
  type Peer,
  serverFlags,
} from "./util.ts";

const options = flags("serves many clients, and never waits for one", {
  ...serverFlags,
  interval: [3, "seconds to stay away when nothing happened"],
});

// This model adds no system call, only O_NONBLOCK: Deno's listener has it, and
// accept4 gives it to every peer.
libc({}); // only what accept and Peer call

const listener = descriptor(listen(options));
const buffer = new Uint8Array(options.buffer); // what recv fills
const peers = new Set<Peer>();

// deno run --watch starts this script anew in the same process.
addEventListener("unload", () => peers.forEach((peer) => peer.close()));

while (true) {
  let idle = true;
  for (const peer of peers) {
    if (peer.unsent) {
      peer.send(); // there may be room for more of it
      if (!peer.unsent) idle = false; // a part is not worth staying for
      continue;
    }
    const message = peer.recv(buffer); // empty: the client left
    if (message === null) continue; // EAGAIN: nothing yet
    if (message.length > 0) {
      peer.show(message);
      compute(options.work);
      peer.send(options.echo ? message : HELLO);
    } else {
      peer.close();
      peers.delete(peer);
    }
    idle = false;
  }
  // Last: leaving frees descriptors.
  for (const peer of accept(listener)) {
    log("hello");
    peers.add(peer);
    idle = false;
  }
  if (idle) {
    log("waiting");
    await new Promise((wake) => setTimeout(wake, options.interval * 1000));
  }
}
