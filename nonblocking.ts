/**
 * Non-blocking I/O: no call ever waits. Who has nothing for us says EAGAIN, and
 * we come back later to ask again.
 *
 * In the canteen: you go out to play, and come back every so often to ask: is
 * it ready?
 *
 *   deno run -A nonblocking.ts   and in other terminals: deno run -A client.ts
 *
 * The price: an answer waits for the next visit, and most visits are for
 * nothing. Ask more often, and the first gets better as the second gets worse:
 * --interval 0.1.
 */
import { listen, Listener, Peer, say, serverOptions } from "./util.ts";

// This model adds no system call, only O_NONBLOCK: Deno's listener has it, and
// `accept4` gives it to every peer.
const options = serverOptions("serves many clients, and never waits for one", {
  interval: [3, "seconds to stay away when nothing happened"],
});
const listener = new Listener(listen(options));
const peers = new Set<Peer>();

while (true) {
  let idle = true;
  for (let peer; (peer = listener.accept()); idle = false) {
    if (!options.quiet) say("hello");
    peers.add(peer);
  }
  for (const peer of peers) {
    if (peer.serve()) idle = false;
    if (peer.gone) peers.delete(peer);
  }
  if (idle) {
    if (!options.quiet) say("waiting");
    await new Promise((play) => setTimeout(play, options.interval * 1000));
  }
}
