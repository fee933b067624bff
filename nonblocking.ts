/**
 * Non-blocking I/O: no call ever waits. recv says EAGAIN when nothing has come,
 * and we come back later to ask again.
 *
 * In the canteen: you go out to play, and come back every so often to ask: is
 * it ready?
 *
 *   deno run -A nonblocking.ts   and in other terminals: deno run -A client.ts
 *
 * The price: an answer waits for the next visit, and most visits are for
 * nothing. With --interval 0.1 we ask more often: that makes the first better,
 * and the second worse.
 */
import {
  accept,
  common,
  descriptor,
  flags,
  HELLO,
  libc,
  listen,
  log,
  type Peer,
} from "./util.ts";

const options = flags("serves many clients, and never waits for one", {
  ...common,
  interval: [3, "seconds to stay away when nothing happened"],
});

// This model adds no system call, only O_NONBLOCK: Deno's listener has it, and
// accept4 gives it to every peer.
libc({}); // asks for permission, before anybody connects

const listener = descriptor(listen(options));
const peers = new Set<Peer>();

while (true) {
  let idle = true;
  for (const peer of accept(listener)) {
    log("hello");
    peers.add(peer);
    idle = false;
  }
  for (const peer of peers) {
    if (peer.unsent) {
      peer.send(); // there may be room for more of it
      if (!peer.unsent) idle = false; // a part is not worth staying for
      continue;
    }
    const message = peer.recv(); // empty: the client left
    if (message === null) continue; // EAGAIN: nothing yet
    if (message.length > 0) {
      peer.show(message);
      peer.send(options.echo ? message : HELLO);
    } else {
      peer.close();
      peers.delete(peer);
    }
    idle = false;
  }
  if (idle) {
    log("waiting");
    await new Promise((back) => setTimeout(back, options.interval * 1000));
  }
}
