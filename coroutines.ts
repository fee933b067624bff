/**
 * Multiplexed I/O with a coroutine for each client: a function that stops where
 * it would have to wait, and goes on from there when epoll(7) names its client.
 *
 * In the canteen: each of you keeps a bookmark in the book you read; whoever is
 * called reads on from there.
 *
 *   deno run -A coroutines.ts    and in other terminals: deno run -A client.ts
 *
 * Read serve() beside blocking.ts, and the rest beside epoll.ts. This is what
 * await is made of: yield stops, next() goes on. What await adds is a promise.
 * A promise keeps a result or an error of anything, not only of sockets, and
 * several functions can await the same one. In async.ts the loop is Deno's own.
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
  reason,
  serverFlags,
  strerror,
} from "./util.ts";

const options = flags("serves each client in a coroutine", serverFlags);

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
const coroutines = new Map<number, Generator<void>>(); // by descriptor

/** Serves one client: stops at each yield, goes on when epoll names it. */
function* serve(peer: Peer): Generator<void> {
  try {
    while (true) {
      yield; // until something comes
      const message = peer.recv(buffer); // null: EAGAIN; empty: it left
      if (message === null) continue;
      if (message.length === 0) break;
      peer.show(message);
      compute(options.work);
      peer.send(options.echo ? message : HELLO);
      if (peer.unsent) yield* sendRest(peer);
    }
    peer.close();
  } catch (error) {
    peer.close(reason(error)); // an error here ends this client alone
  }
  coroutines.delete(peer.fd);
}

/** A coroutine calls another one by yield*, and both stop at a yield in it. */
function* sendRest(peer: Peer): Generator<void> {
  watch(peer.fd, EPOLLOUT);
  while (peer.unsent) {
    yield; // until there is room for more of it, or an error
    peer.send();
  }
  watch(peer.fd, EPOLLIN);
}

checked("epoll_ctl", watch(listener, EPOLLIN, EPOLL_CTL_ADD));
while (true) {
  const n = epoll_wait(epfd, events, MAX_EVENTS, -1);
  if (interrupted("epoll_wait", n)) continue; // EINTR: once more

  const ready: number[] = []; // descriptors
  for (let i = 0; i < n; i++) ready.push(events[i * WORDS + DATA]);
  for (const fd of ready) {
    if (fd !== listener) coroutines.get(fd)!.next(); // to its next yield or end
  }
  if (!ready.includes(listener)) continue; // last: leaving frees descriptors
  for (const peer of accept(listener)) { // at most 64
    const failed = watch(peer.fd, EPOLLIN, EPOLL_CTL_ADD) === -1;
    if (failed) peer.refuse(strerror(errno()));
    else coroutines.set(peer.fd, serve(peer));
    coroutines.get(peer.fd)?.next(); // to its first yield, if not refused
  }
}
