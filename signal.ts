/**
 * Signal-driven I/O: the kernel sends SIGIO when a socket may be ready. Until
 * then the thread is in none of our calls, and free for something else.
 *
 * In the canteen: your phone rings when something is ready; you walk over and
 * look.
 *
 *   deno run -A signal.ts        and in other terminals: deno run -A client.ts
 *
 * Nobody builds TCP servers this way. SIGIO names no client and no reason, and
 * TCP sends it for nearly everything: a new client, data, room for more, and so
 * on. Several signals may arrive as one. So after each we try every client,
 * until none has anything left. With F_SETSIG a signal would name the
 * descriptor, as long as the queue of signals is not full.
 */
import {
  accept,
  checked,
  compute,
  descriptor,
  errno,
  flags,
  HELLO,
  libc,
  listen,
  log,
  type Peer,
  serverFlags,
  strerror,
} from "./util.ts";

const options = flags("serves many clients, whenever SIGIO comes", {
  ...serverFlags,
  interval: [3, "seconds between two signs of life"],
});

const { fcntl } = libc({
  // int fcntl(int fd, int cmd, int arg);
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
});
const F_SETFL = 4;
const F_SETOWN = 8;
const O_NONBLOCK = 0o4000;
const O_ASYNC = 0o20000;

/**
 * From now on the kernel sends SIGIO to this process for that descriptor; -1 if
 * it has no memory for that.
 */
function watch(fd: number) {
  if (fcntl(fd, F_SETOWN, Deno.pid) === -1) return -1;
  return fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

const listener = descriptor(listen(options));
const buffer = new Uint8Array(options.buffer); // what recv fills
const peers = new Set<Peer>();

// deno run --watch starts this script anew in the same process.
addEventListener("unload", () => peers.forEach((peer) => peer.close()));

/** Serves all there is: no signal comes again for what would be left. */
function look() {
  for (let idle = false; !idle;) {
    idle = true;
    for (const peer of peers) { // once each: no client keeps us from the rest
      if (peer.unsent) {
        peer.send(); // there may be room for more of it
        if (!peer.unsent) idle = false;
        continue;
      }
      const message = peer.recv(buffer);
      if (message === null) continue; // EAGAIN: the signal was for another
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
    for (const peer of accept(listener)) { // last: leaving frees descriptors
      if (watch(peer.fd) === 0) peers.add(peer);
      else peer.refuse(strerror(errno()));
      idle = false; // what came before the watch sent no signal: recv asks
    }
  }
}

Deno.addSignalListener("SIGIO", look); // first: unhandled, SIGIO kills
checked("fcntl", watch(listener));
look();

while (true) {
  log("playing");
  await new Promise((wake) => setTimeout(wake, options.interval * 1000));
  look(); // for a client that had no descriptor when its signal came
}
