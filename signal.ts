/**
 * Signal-driven I/O: the kernel sends SIGIO when a socket may be ready. Until
 * then the thread is in no call at all, and free for something else.
 *
 * In the canteen: your phone rings when something is ready; you walk over and
 * look.
 *
 *   deno run -A signal.ts        and in other terminals: deno run -A client.ts
 *
 * Nobody builds TCP servers this way. SIGIO does not say who, nor what for, and
 * with TCP nearly everything rings: a client, data, room for more, a goodbye.
 * While one is pending, others are lost in it, so that each means: look after
 * everybody, until nobody has anything left. With F_SETSIG a signal would name
 * the descriptor, until the queue of signals is full.
 */
import { libc, listen, Listener, Peer, say, serverOptions } from "./util.ts";

const { fcntl } = libc({
  // int fcntl(int fd, int cmd, int arg);
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
});
const F_SETFL = 4;
const F_SETOWN = 8;
const O_NONBLOCK = 0o4000;
const O_ASYNC = 0o20000;

const options = serverOptions("serves many clients, whenever SIGIO comes", {
  interval: [3, "seconds between two signs of life"],
});
const listener = new Listener(listen(options));
const peers = new Set<Peer>();

/** Whose phone it is, and from now on: ring. */
function watch(fd: number) {
  fcntl(fd, F_SETOWN, Deno.pid);
  fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

/** Takes all there is: nothing rings again for what is left behind. */
function serve() {
  for (let moved = true; moved;) {
    moved = false;
    for (let peer; (peer = listener.accept());) {
      watch(peer.fd);
      peers.add(peer); // and is served now: what came before rang for nobody
    }
    for (const peer of peers) { // once each: none can keep us to itself
      if (peer.serve()) moved = true;
      if (peer.gone) peers.delete(peer);
    }
  }
}

Deno.addSignalListener("SIGIO", serve); // first: unhandled, SIGIO kills
watch(listener.fd);
serve();

while (true) {
  if (!options.quiet) say("playing");
  await new Promise((play) => setTimeout(play, options.interval * 1000));
  if (listener.full) serve(); // a descriptor given back does not ring
}
