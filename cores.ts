/**
 * Multiplexed I/O with epoll(7) on every core: each thread (a Worker, 8 MB) has
 * a loop, an epoll and clients of its own; all of them watch one listener. Each
 * client is served by one thread alone.
 *
 * In the canteen: several of you wait at one window under the same name: who
 * gets up when it is called?
 *
 *   deno run -A cores.ts         and in other terminals: deno run -A client.ts
 *
 * A client connects: the kernel wakes all threads that sleep, and one gets the
 * client (the thundering herd). In the others, --trace shows EAGAIN of accept4.
 * With --exclusive the kernel wakes one thread: if clients come slowly, that is
 * always the same. With SO_REUSEPORT, each thread would have its own listener.
 */
import {
  accept,
  checked,
  compute,
  COUNT,
  descriptor,
  errno,
  flags,
  HELLO,
  interrupted,
  libc,
  listen,
  log,
  type Peer,
  prepareWorkers,
  serverFlags,
  startWorker,
  strerror,
} from "./util.ts";

const options = flags("serves many clients with epoll(7) on every core", {
  ...serverFlags,
  workers: [navigator.hardwareConcurrency, "how many threads serve", COUNT],
  exclusive: [false, "wake one thread for a new client, and not all"],
});

const { epoll_create1, epoll_ctl, epoll_wait } = libc({
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
});

// struct epoll_event: see epoll.ts
const EPOLLIN = 1;
const EPOLLOUT = 4;
const EXCLUSIVE = options.exclusive ? 1 << 28 : 0; // EPOLLEXCLUSIVE
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_MOD = 3;
const WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
const DATA = WORDS - 2;
const MAX_EVENTS = 256;

// Every thread runs this file. The main thread has no name. It gives the others
// names with the listener in them: no message reaches a thread in epoll_wait.
declare const self: { name: string };
const peers = new Map<number, Peer>(); // by descriptor: those of this thread
try {
  if (self.name) serve(Number(self.name.split(" ").at(-1)));
  else main();
} finally { // an error: this thread ends, and the others go on
  for (const peer of peers.values()) peer.close("its thread failed");
}

function main() {
  prepareWorkers(import.meta.url, options.workers);
  const listener = descriptor(listen(options));
  for (let i = 1; i <= options.workers; i++) {
    startWorker(import.meta.url, `worker ${i} on ${listener}`);
  }
}

/** A Worker's loop. Of what it watches, only the listener is shared. */
function serve(listener: number) {
  const event = new Int32Array(WORDS);
  const events = new Int32Array(WORDS * MAX_EVENTS);
  const epfd = checked("epoll_create1", epoll_create1(0));
  const watch = (fd: number, mask: number, op = EPOLL_CTL_MOD) => {
    event[0] = mask;
    event[DATA] = fd;
    return epoll_ctl(epfd, op, fd, event);
  };
  const buffer = new Uint8Array(options.buffer); // what recv fills
  checked("epoll_ctl", watch(listener, EPOLLIN | EXCLUSIVE, EPOLL_CTL_ADD));
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
        if (!peer.unsent) watch(fd, EPOLLIN);
        continue;
      }
      const message = peer.recv(buffer); // null: EAGAIN; empty: it left
      if (message === null) continue;
      if (message.length > 0) {
        peer.show(message);
        compute(options.work);
        peer.send(options.echo ? message : HELLO);
        if (peer.unsent) watch(fd, EPOLLOUT);
      } else {
        peer.close();
        peers.delete(fd);
      }
    }
    if (!ready.includes(listener)) continue;
    const [peer] = accept(listener); // one: the next may be another thread's
    if (!peer) continue; // in vain: another thread was faster
    log(`${self.name} has ${peer.name}`);
    const failed = watch(peer.fd, EPOLLIN, EPOLL_CTL_ADD) === -1;
    if (failed) peer.refuse(strerror(errno()));
    else peers.set(peer.fd, peer);
  }
}
