/**
 * Multiplexed I/O with epoll(7): the kernel keeps the list of descriptors. One
 * thread sleeps until some are ready, and is handed only those.
 *
 * In the canteen: you leave your name. When it is ready, you are called, and
 * only you.
 *
 *   deno run -A epoll.ts         and in other terminals: deno run -A client.ts
 *
 * Level-triggered, epoll_wait names a client again and again until we have read
 * all of its data. Edge-triggered (--edge), it names a client once for what is
 * new: so we read on until EAGAIN, or the rest would wait for the next message.
 * To compare: --buffer 4 (bytes that one recv takes) --trace, with and without
 * --edge.
 */
import {
  accept,
  checked,
  compute,
  descriptor,
  errno,
  flags,
  HELLO,
  interrupted,
  libc,
  listen,
  type Peer,
  serverFlags,
  strerror,
} from "./util.ts";

const options = flags("serves many clients with epoll(7)", {
  ...serverFlags,
  edge: [false, "be told of new data, and not again of what is left unread"],
});

const { epoll_create1, epoll_ctl, epoll_wait } = libc({
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
});

// struct epoll_event: 12 bytes on x86-64; elsewhere 16, with 4 unused ones
// before data. In data we put the descriptor, and get it back with each event.
//
//   | events: 4 bytes | (4) | data: 8 |
const EPOLLIN = 1;
const EPOLLOUT = 4;
const EPOLLET = options.edge ? 1 << 31 : 0; // 0: level-triggered
const EPOLL_CTL_ADD = 1; // can fail: see fs.epoll.max_user_watches
const EPOLL_CTL_MOD = 3; // cannot fail. There is no DEL: close does that
const WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
const DATA = WORDS - 2;
const MAX_EVENTS = 256;
const event = new Int32Array(WORDS);
const events = new Int32Array(WORDS * MAX_EVENTS);
const epfd = checked("epoll_create1", epoll_create1(0));

function watch(fd: number, mask: number, op = EPOLL_CTL_MOD) {
  event[0] = mask;
  event[DATA] = fd;
  return epoll_ctl(epfd, op, fd, event);
}

const listener = descriptor(listen(options));
const buffer = new Uint8Array(options.buffer); // what recv fills
const peers = new Map<number, Peer>(); // by descriptor

checked("epoll_ctl", watch(listener, EPOLLIN, EPOLL_CTL_ADD));
while (true) {
  const n = epoll_wait(epfd, events, MAX_EVENTS, -1);
  if (interrupted("epoll_wait", n)) continue; // EINTR: once more

  const ready: number[] = []; // descriptors
  for (let i = 0; i < n; i++) ready.push(events[i * WORDS + DATA]);
  for (const fd of ready) {
    if (fd === listener) continue; // last: leaving frees descriptors
    const peer = peers.get(fd)!;
    if (peer.unsent) {
      peer.send(); // there is room for more of it, or an error
      if (!peer.unsent) watch(fd, EPOLLIN | EPOLLET);
      continue;
    }
    const message = peer.recv(buffer); // null: EAGAIN; empty: it left
    if (message === null) continue;
    if (message.length > 0) {
      peer.show(message);
      compute(options.work);
      peer.send(options.echo ? message : HELLO);
      // While something is unsent we wait for room, and read nothing. At other
      // times we do not ask for room: there nearly always is some.
      if (peer.unsent) watch(fd, EPOLLOUT);
      // Until EAGAIN it is read again, last; in a long list, MOD names it anew.
      else if (options.edge && ready.length < n + 64) ready.push(fd);
      else if (options.edge) watch(fd, EPOLLIN | EPOLLET);
    } else {
      peer.close();
      peers.delete(fd);
    }
  }
  if (!ready.includes(listener)) continue; // without EPOLLET: named again
  for (const peer of accept(listener)) { // at most 64
    const failed = watch(peer.fd, EPOLLIN | EPOLLET, EPOLL_CTL_ADD) === -1;
    if (failed) peer.refuse(strerror(errno()));
    else peers.set(peer.fd, peer);
  }
}
