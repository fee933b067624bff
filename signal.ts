/**
 * Signal-driven I/O: the kernel sends SIGIO when a socket may be ready. Until
 * then the thread is in none of our calls, and free for something else.
 *
 * In the canteen: your phone rings when something is ready; you walk over and
 * look.
 *
 *   deno run -A signal.ts        and in other terminals: deno run -A client.ts
 *
 * Nobody builds TCP servers this way. SIGIO does not say who, nor what for, and
 * TCP sends it for nearly everything: a client, data, room for more, a goodbye.
 * Several may arrive as one. So after each we try every client, until none has
 * anything left. With F_SETSIG a signal would name the descriptor, until the
 * queue of signals is full.
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

const options = flags("serves many clients, whenever SIGIO comes", {
  ...common,
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

/** From now on the kernel rings, and it is this process that it rings for. */
function watch(fd: number) {
  fcntl(fd, F_SETOWN, Deno.pid);
  fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

const listener = descriptor(listen(options));
const peers = new Set<Peer>();

/** Takes all there is: nothing rings again for what is left behind. */
function look() {
  for (let idle = false; !idle;) {
    idle = true;
    for (const peer of accept(listener)) {
      watch(peer.fd);
      peers.add(peer); // what came before watch rang for nobody: recv asks
      idle = false;
    }
    for (const peer of peers) { // once each: none can keep us to itself
      if (peer.unsent) {
        peer.send(); // there may be room for more of it
        if (!peer.unsent) idle = false;
        continue;
      }
      const message = peer.recv();
      if (message === null) continue; // EAGAIN: it was not for this one
      if (message.length > 0) {
        peer.show(message);
        peer.send(options.echo ? message : HELLO);
      } else {
        peer.close();
        peers.delete(peer);
      }
      idle = false;
    }
  }
}

Deno.addSignalListener("SIGIO", look); // first: unhandled, SIGIO kills
watch(listener);
look();

while (true) {
  log("playing");
  await new Promise((back) => setTimeout(back, options.interval * 1000));
  look(); // for whom there was no descriptor when the phone rang
}
