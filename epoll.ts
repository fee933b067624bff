/**
 * Multiplexed I/O with epoll(7): the kernel keeps the list of descriptors, and
 * hands back only those that are ready.
 *
 * In the canteen: you leave your name. When it is ready, she calls you, and
 * only you.
 *
 *   deno run -A epoll.ts         and in other terminals: deno run -A client.ts
 *
 * Level-triggered, she calls again and again until you have taken everything.
 * Edge-triggered (--edge), she calls once for what is new: so the server reads on
 * until EAGAIN, or the rest would come only with the next message. To compare:
 * --bowl 4 --trace, with and without --edge.
 */
import {
  accept,
  common,
  descriptor,
  errno,
  flags,
  HELLO,
  interrupted,
  libc,
  listen,
  type Peer,
  strerror,
} from "./util.ts";

const options = flags("serves many clients with epoll(7)", {
  ...common,
  edge: [false, "be told once of new data, not as long as some is unread"],
});

const { epoll_create1, epoll_ctl, epoll_wait } = libc({
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
});

// struct epoll_event: 12 bytes on x86-64; elsewhere 16, with 4 unused ones before
// data, which comes back as we gave it: the descriptor.
//
//   | events: 4 bytes | (4) | data: 8 |
const EPOLLIN = 1;
const EPOLLOUT = 4;
const EPOLLET = options.edge ? 1 << 31 : 0;
const [EPOLL_CTL_ADD, EPOLL_CTL_MOD] = [1, 3];
const WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
const DATA = WORDS - 2;
const MAX_EVENTS = 256;
const event = new Int32Array(WORDS);
const events = new Int32Array(WORDS * MAX_EVENTS);
const epfd = epoll_create1(0);

function watch(fd: number, events: number) {
  event[0] = fd === listener ? events : events | EPOLLET;
  event[DATA] = fd;
  const op = peers.has(fd) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  return epoll_ctl(epfd, op, fd, event);
}

const listener = descriptor(listen(options));
const peers = new Map<number, Peer>(); // by descriptor

watch(listener, EPOLLIN);
let bowls = 0;
while (true) {
  const n = epoll_wait(epfd, events, MAX_EVENTS, -1);
  if (interrupted("epoll_wait", n)) continue;

  for (let i = 0; i < n; i++) {
    const fd = events[i * WORDS + DATA];
    if (fd === listener) {
      for (const peer of accept(listener)) {
        if (watch(peer.fd, EPOLLIN) === 0) peers.set(peer.fd, peer);
        else peer.refuse(strerror(errno()));
      }
      continue;
    }
    const peer = peers.get(fd)!;
    if (peer.unsent) {
      peer.send(); // there is room for more of it
      if (!peer.unsent) watch(fd, EPOLLIN);
      continue;
    }
    const message = peer.recv(); // null: nothing yet; empty: the client left
    if (message === null) continue;
    if (message.length > 0) {
      peer.show(message);
      peer.send(options.echo ? message : HELLO);
      // Only while something is unsent: most sockets are always writable.
      if (peer.unsent) watch(fd, EPOLLOUT);
      // Edge-triggered, what is left is not told again: the same event once more,
      // until EAGAIN. After 64 the others have a turn, and MOD has it told again.
      else if (options.edge && ++bowls % 64 > 0) i--;
      else if (options.edge) watch(fd, EPOLLIN);
    } else {
      peer.close(); // which takes it off the kernel's list, too
      peers.delete(fd);
    }
  }
}
