/**
 * Multiplexed I/O with epoll(7), as an HTTP server: the kernel keeps the list
 * of descriptors, and hands back only those that are ready.
 *
 * In the canteen: you leave your name. When it is ready, she calls you, and
 * only you.
 *
 *   deno run -A epoll_http.ts    and elsewhere: curl http://127.0.0.1:8080/
 *   or by hand: deno run -A client.ts --port 8080, GET / HTTP/1.0, Enter twice
 *
 * What a connection waits for: EPOLLIN until a request is whole, EPOLLOUT while
 * a response does not fit into the kernel, EPOLLIN again for the client to hang
 * up. The grammar of requests is not the lesson: it is in http.ts.
 */
import { Exchange, unavailable } from "./lib/http.ts";
import {
  accept,
  descriptor,
  errno,
  interrupted,
  libc,
  listen,
  Peer,
  printable,
  say,
  serverOptions,
  strerror,
} from "./util.ts";

const { epoll_create1, epoll_ctl, epoll_wait, shutdown } = libc({
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  // int shutdown(int sockfd, int how);
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
});

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 1;
const EPOLLOUT = 4;
const EPOLL_CLOEXEC = 0o2000000;
const SHUT_WR = 1;

// struct epoll_event { uint32_t events; epoll_data_t data; }: 64 bits of data
// that come back as we gave them, the descriptor in the lower half. Packed on
// x86-64 (12 bytes), aligned elsewhere (16).
const WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
const MAX_EVENTS = 256;
const ready = new Uint32Array(MAX_EVENTS * WORDS);
const event = new Uint32Array(WORDS);

const options = serverOptions("serves HTTP to many clients with epoll(7)", {
  port: [8080, "port to listen on; 0 lets the system choose"],
  timeout: [10, "seconds a client may take for a request, or be idle"],
  echo: [false, "answer with the body of the request, if it has one"],
});
const listener = descriptor(listen(options, "http://"));
const connections: (Connection | undefined)[] = []; // by descriptor

const epfd = epoll_create1(EPOLL_CLOEXEC);
function watch(op: number, fd: number, events: number): boolean {
  event[0] = events;
  event[WORDS - 2] = fd;
  return epoll_ctl(epfd, op, fd, event) === 0;
}

// All have the same time, so that clocks run out in the order in which they
// were started: nobody but the first needs a look. They tick in steps, for to
// move to the end of a Set of thousands costs as much as a request: who is
// wound up again within a step stays where it is, and may take a step longer.
const LINGER = 2; // seconds
const STEP = Math.min(500, 1000 * options.timeout / 16); // ms
const waiting = new Set<Connection>();
const leaving = new Set<Connection>();
let now = performance.now();

class Connection {
  due = 0;
  #http = new Exchange(options.echo, options.quiet ? undefined : show);
  #steps = 0;
  #events = EPOLLIN;

  constructor(readonly peer: Peer) {
    connections[peer.fd] = this;
    this.#allow(waiting, options.timeout);
    if (!watch(EPOLL_CTL_ADD, peer.fd, EPOLLIN)) this.#end(strerror(errno()));
  }

  /** Ready: reads or writes once, answers what is whole, and waits on. */
  serve() {
    const { peer } = this;
    const http = this.#http;
    let moved = false;
    if (peer.unsent) {
      const before = peer.unsent.length;
      peer.send();
      moved = peer.unsent?.length !== before;
    } else {
      const data = peer.recv();
      if (data === null) return;
      if (data.length === 0) return this.#end();
      http.take(data);
    }
    while (!peer.unsent) {
      const bytes = http.next();
      if (!bytes) break;
      peer.send(bytes);
    }
    http.keep();
    this.#wait(moved);
  }

  /** Its time is over: says so, if it owes us a request, and closes. */
  expire() {
    const { peer } = this;
    const bytes = peer.unsent ? undefined : this.#http.late(options.timeout);
    if (!bytes) return this.#end("timed out");
    peer.send(bytes);
    this.#wait(true);
  }

  #wait(moved: boolean) {
    const { peer } = this;
    const http = this.#http;
    if (!http.last || peer.unsent) {
      if (moved || http.steps !== this.#steps) {
        this.#allow(waiting, options.timeout);
      }
      this.#steps = http.steps;
    } else if (!leaving.has(this)) {
      // Closing with something unread would be a reset, and could take back
      // the response: we stop sending, and read on until the client hangs up.
      // It may have done so already: ENOTCONN is no news, recv will tell.
      shutdown(peer.fd, SHUT_WR);
      this.#allow(leaving, LINGER);
    }
    const events = peer.unsent ? EPOLLOUT : EPOLLIN;
    if (events !== this.#events) watch(EPOLL_CTL_MOD, peer.fd, events);
    this.#events = events;
  }

  #allow(queue: Set<Connection>, seconds: number) {
    const due = Math.ceil((now + 1000 * seconds) / STEP) * STEP;
    if (due === this.due && queue.has(this)) return;
    waiting.delete(this);
    this.due = due;
    queue.add(this);
  }

  #end(why?: string) {
    this.peer.close(why); // epoll forgets what is closed
    waiting.delete(this);
    leaving.delete(this);
    connections[this.peer.fd] = undefined;
  }
}

function show(head: Uint8Array) {
  say("-".repeat(40));
  for (const line of new TextDecoder().decode(head).trimEnd().split("\n")) {
    say(printable(line + "\n"));
  }
}

/** Ends those whose time is over; how long epoll_wait may last, in ms. */
function expire(): number {
  let timeout = Infinity;
  for (const queue of [waiting, leaving]) {
    for (const connection of queue) {
      if (connection.due > now) {
        timeout = Math.min(timeout, connection.due - now);
        break;
      }
      connection.expire();
    }
  }
  return timeout === Infinity ? -1 : Math.ceil(timeout);
}

Peer.farewell = unavailable;
watch(EPOLL_CTL_ADD, listener, EPOLLIN);
while (true) {
  const n = epoll_wait(epfd, ready, MAX_EVENTS, expire());
  now = performance.now();
  if (interrupted("epoll_wait", n)) continue;
  for (let i = 0; i < n; i++) {
    const fd = ready[i * WORDS + WORDS - 2];
    if (fd !== listener) {
      connections[fd]?.serve();
      continue;
    }
    for (const peer of accept(listener)) {
      new Connection(peer);
    }
  }
}
