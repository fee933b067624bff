/**
 * Multiplexed I/O with epoll(7): the kernel keeps the list of descriptors, and
 * hands back only those that are ready.
 *
 * In the canteen: you leave your name. When it is ready, she calls you, and
 * only you.
 *
 *   deno run -A epoll.ts         and in other terminals: deno run -A client.ts
 *
 * Level-triggered, as here, she calls until nothing of yours is left. With
 * --edge she calls once: who does not take everything then gets the rest with
 * the next message. To see both: --bowl 4 --trace, and --edge with it.
 */
import {
  accept,
  descriptor,
  errno,
  HELLO,
  interrupted,
  libc,
  listen,
  type Peer,
  serverOptions,
  strerror,
} from "./util.ts";

const options = serverOptions("serves many clients with epoll(7)", {
  edge: [
    false,
    "edge-triggered: told once of what comes, not until it is read",
  ],
});

const { epoll_create1, epoll_ctl, epoll_wait } = libc({
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
});

// struct epoll_event: what has happened, and 8 bytes of data that come back as
// they were given, of which the descriptor takes 4. On x86-64 it is packed to 12
// bytes; elsewhere it takes 16, for data begins at a multiple of 8.
//
//   | events: 4 bytes | (4) | data: 4, and 4 |
const EPOLLIN = 1;
const EPOLLOUT = 4;
const EPOLLET = 1 << 31;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_MOD = 3;
const WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
const DATA = WORDS - 2;
const MAX_EVENTS = 256;
const event = new Int32Array(WORDS);
const events = new Int32Array(WORDS * MAX_EVENTS);

const epfd = epoll_create1(0);
function watch(op: number, fd: number, events: number): boolean {
  event[0] = events;
  event[DATA] = fd;
  return epoll_ctl(epfd, op, fd, event) === 0;
}

const edge = options.edge ? EPOLLET : 0;
const listener = descriptor(listen(options));
const peers = new Map<number, Peer>(); // by descriptor

watch(EPOLL_CTL_ADD, listener, EPOLLIN);
while (true) {
  const n = epoll_wait(epfd, events, MAX_EVENTS, -1);
  if (interrupted("epoll_wait", n)) continue;

  for (let i = 0; i < n; i++) {
    const fd = events[i * WORDS + DATA];
    if (fd === listener) {
      for (const peer of accept(listener)) {
        if (watch(EPOLL_CTL_ADD, peer.fd, EPOLLIN | edge)) {
          peers.set(peer.fd, peer);
        } else peer.refuse(strerror(errno()));
      }
      continue;
    }
    const peer = peers.get(fd)!;
    if (peer.unsent) {
      peer.send(); // there is room for more of it
      if (!peer.unsent) watch(EPOLL_CTL_MOD, fd, EPOLLIN | edge);
      continue;
    }
    for (let bowls = 1;; bowls++) {
      const message = peer.recv();
      if (message === null) break; // nothing more
      if (message.length > 0) {
        peer.show(message);
        peer.send(options.echo ? message : HELLO);
        if (peer.unsent) watch(EPOLL_CTL_MOD, fd, EPOLLOUT | edge);
      } else {
        peer.close();
        peers.delete(fd);
        break;
      }
      if (!options.edge || peer.unsent) break; // we shall be called again
      if (bowls === 64) { // the others wait: epoll_ctl has it looked at again
        watch(EPOLL_CTL_MOD, fd, EPOLLIN | edge);
        break;
      }
    }
  }
}
