/**
 * Multiplexed I/O with epoll(7), as an HTTP server: the kernel keeps a list of
 * descriptors. One thread sleeps until some are ready and is handed only those.
 *
 * In the canteen: you leave your name. When it is ready, you are called, and
 * only you.
 *
 *   deno run -A epoll_http.ts    and elsewhere: curl http://127.0.0.1:8080/
 *
 * By hand: deno run -A client.ts --port 8080; type GET / HTTP/1.0, Enter twice.
 *
 * This is epoll.ts for clients that send requests, in pieces or many at once,
 * and have a time limit. How requests are read and answered has nothing to do
 * with waiting: that is in lib/http/.
 */
import { Http, HttpPeer } from "./lib/http/peer.ts";
import {
  accept,
  checked,
  descriptor,
  errno,
  flags,
  interrupted,
  libc,
  listen,
  PORT,
  serverFlags,
  strerror,
} from "./util.ts";

const options = flags("serves HTTP to many clients with epoll(7)", {
  ...serverFlags,
  port: [8080, "port to listen on; 0 lets the system choose", PORT],
  timeout: [10, "seconds a client may take for a request, or be idle"],
  echo: [false, "answer with the body of the request, if it has one"],
  bodies: [64, "MiB for the bodies of all clients; with more, some get 503"],
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

const http = new Http(options);
const listener = descriptor(listen(options, "http://"));
const buffer = new Uint8Array(options.buffer); // what recv fills
const peers = new Map<number, HttpPeer>(); // by descriptor

checked("epoll_ctl", watch(listener, EPOLLIN, EPOLL_CTL_ADD));
while (true) {
  const timeout = peers.size > 0 ? http.tick : -1;
  const ready = epoll_wait(epfd, events, MAX_EVENTS, timeout);
  if (interrupted("epoll_wait", ready)) continue; // EINTR: once more

  let clientsWait = false; // to be accepted
  for (let i = 0; i < ready; i++) {
    const fd = events[i * WORDS + DATA];
    if (fd === listener) {
      clientsWait = true; // last: leaving frees descriptors
      continue;
    }
    const peer = peers.get(fd)!;
    if (peer.unsent) {
      peer.send(); // there is room for more of it, or an error
      if (!peer.unsent) watch(fd, EPOLLIN);
    } else {
      const message = peer.recv(buffer); // null: EAGAIN; empty: it left
      if (message === null) continue;
      if (message.length === 0) {
        peer.close();
        peers.delete(fd);
        continue;
      }
      peer.push(message);
    }
    while (!peer.unsent) { // several requests may have come together
      const response = peer.answer();
      if (response === null) break; // null: no further request is complete yet
      peer.send(response); // shuts down after the last one: the client leaves
      // While something is unsent we wait for room, and read nothing. At other
      // times we do not ask for room: there nearly always is some.
      if (peer.unsent) watch(fd, EPOLLOUT);
    }
  }
  if (clientsWait) {
    for (const peer of accept(listener)) { // at most 64
      const failed = watch(peer.fd, EPOLLIN, EPOLL_CTL_ADD) === -1;
      if (failed) peer.refuse(strerror(errno()));
      else peers.set(peer.fd, new HttpPeer(peer, http));
    }
  }
  // After the reading: what came in time counts, even if we read it late.
  for (const peer of http.expired(peers)) {
    if (!peer.expire()) continue; // it was sent 408, and gets time to read that
    peer.close("timed out");
    peers.delete(peer.fd);
  }
}
