/**
 * The client of the benchmark: keeps many connections busy, one request out on
 * each, and checks every byte that comes back. Given a plan as JSON, prints a
 * line of JSON for each number of idle connections in it.
 *
 * It must cost less than any server it measures. So it calls libc as the models
 * do, and compares a reply with what it has to be in words of 32 bits.
 */
import { fail, libc, say, strerror } from "../util.ts";

export interface Plan {
  protocol: "echo" | "http";
  /** The head of each request over HTTP, and how many are sent at once. */
  head: string;
  pipelined: number;
  port: number;
  /** The server's process: its clock is read where ours is. */
  pid: number;
  /** Connections that always have a request out. */
  connections: number;
  /** Whether each of them is closed after one reply, and made anew. */
  close: boolean;
  /** Beside these, connections that have been answered once, and keep still. */
  idle: number[];
  /** Seconds before measuring: the server's, and ours, to be compiled. */
  warm: number;
  /** Seconds that are measured. */
  seconds: number;
}

/** Said in place of `Measured` when a server takes no more idle connections. */
export interface End {
  /** How many connections it did take. */
  end: number;
  why: string;
}

export interface Measured {
  idle: number;
  requests: number;
  /** Requests since the first connection, those of the warming included. */
  total: number;
  seconds: number;
  /** CPU time of the server process, in seconds. */
  cpu: number;
  /** Of these seconds, the share that the server ran or waited for its core. */
  busy: number;
  /** The share that we waited for ours, because something else ran there. */
  held: number;
  /** Latencies in µs. */
  p50: number;
  p99: number;
  /** Resident memory of the server, in bytes. */
  rss: number;
}

const plan: Plan = JSON.parse(Deno.args[0]);
const sys = libc({
  // int socket(int domain, int type, int protocol);
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *val, socklen_t len);
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  // int bind(int sockfd, const struct sockaddr *addr, socklen_t addrlen);
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int connect(int sockfd, const struct sockaddr *addr, socklen_t addrlen);
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // ssize_t recv(int sockfd, void *buf, size_t len, int flags);
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // ssize_t send(int sockfd, const void *buf, size_t len, int flags);
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  // int clock_gettime(clockid_t clockid, struct timespec *tp);
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
});
const AF_INET = 2;
const SOCK_STREAM = 1;
const MSG_DONTWAIT = 0x40;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;

function check(call: string, result: number): number {
  if (result !== -1) return result;
  const errno = new Deno.UnsafePointerView(sys.__errno_location()!).getInt32();
  lost(`${call}: ${strerror(errno)}`);
}

let answered = 0; // connections, while more and more of them are opened

/** It does not go on: while connections are added, that is a result as well. */
function lost(why: string): never {
  if (!answered) fail(why);
  say(JSON.stringify({ end: answered, why } satisfies End));
  Deno.exit(0);
}

// ------------------------------------------------------------- connections

const most = plan.connections + Math.max(...plan.idle);
const fds = new Int32Array(most); // by slot
const sentAt = new Float64Array(most);
const numbers = new Int32Array(most); // of the request that is out
const pieces: (Uint8Array | undefined)[] = []; // of a reply, by slot

const epfd = check("epoll_create1", sys.epoll_create1(0));
const WORDS = Deno.build.arch === "x86_64" ? 3 : 4; // see epoll_http.ts
const MAX_EVENTS = 64;
const ready = new Uint32Array(MAX_EVENTS * WORDS);
const event = new Uint32Array(WORDS);

// struct sockaddr_in: family 2 bytes, port 2 (big-endian), address 4
const server = new DataView(new ArrayBuffer(16));
server.setUint16(0, AF_INET, true);
server.setUint16(2, plan.port);
server.setUint32(4, 0x7f000001);

// A connection that we close keeps its port for a minute. All of 127.0.0.0/8 is
// this machine, and each address has ports of its own.
const source = new DataView(new ArrayBuffer(16));
source.setUint16(0, AF_INET, true);
const one = new Int32Array([1]);
const IPPROTO_IP = 0;
const IP_BIND_ADDRESS_NO_PORT = 24;
let made = 0;

function connect(slot: number) {
  const fd = check("socket", sys.socket(AF_INET, SOCK_STREAM, 0));
  source.setUint32(4, 0x7f000002 + Math.floor(made++ / 5000) % 1000);
  sys.setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, one, 4);
  check("bind", sys.bind(fd, source, 16));
  check("connect", sys.connect(fd, server, 16));
  fds[slot] = fd;
  event[0] = EPOLLIN;
  event[WORDS - 2] = slot;
  check("epoll_ctl", sys.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, event));
}

// ----------------------------------------------------- requests and replies

const encode = (text: string) => new TextEncoder().encode(text);
const inbox = new Int32Array(4096);
const bytes = new Uint8Array(inbox.buffer);

// What a reply has to be, and which of its bits count: not those of a date, and
// not those behind its end. To an echo, number and slot are added as we go.
let expected = new Int32Array(16).map((_, i) => Math.imul(i, 0x9e3779b1));
let counts = new Int32Array(16).fill(-1);
let length = 64;
const outgoing = plan.protocol === "echo"
  ? new Uint8Array(expected.buffer)
  : encode(plan.head.repeat(plan.pipelined));
if (plan.protocol === "http") length = 0; // learned from the first reply

function request(slot: number, at: number) {
  sentAt[slot] = at;
  if (plan.protocol === "echo") {
    expected[0] = slot;
    expected[1] = ++numbers[slot];
  }
  const n = sys.send(fds[slot], outgoing, outgoing.length, MSG_DONTWAIT);
  if (check("send", n) !== outgoing.length) lost("send: cut short");
}

/** Whether the reply is whole, when `n` bytes came. A wrong one ends it all. */
function reply(slot: number, n: number): boolean {
  if (n !== length || pieces[slot]) return piece(slot, n);
  if (plan.protocol === "echo") {
    expected[0] = slot;
    expected[1] = numbers[slot];
  }
  for (let i = 0; i < expected.length; i++) {
    if ((inbox[i] ^ expected[i]) & counts[i]) return piece(slot, n);
  }
  return true;
}

function piece(slot: number, n: number): boolean {
  if (n <= 0) {
    // What it said before it left tells more than that it left.
    const said = new TextDecoder().decode(pieces[slot]).trim();
    if (check(said || "recv", n) === 0) lost(said || "the server hung up");
  }
  const before = pieces[slot] ?? new Uint8Array(0);
  const data = new Uint8Array(before.length + n);
  data.set(before);
  data.set(bytes.subarray(0, n), before.length);
  pieces[slot] = data;
  const text = new TextDecoder("latin1").decode(data);
  const wrong = () => lost(`wrong reply: ${JSON.stringify(text)}`);
  if (plan.protocol === "echo") {
    const want = new Uint8Array(expected.buffer);
    expected[0] = slot;
    expected[1] = numbers[slot];
    if (data.length > length || data.some((b, i) => b !== want[i])) wrong();
    if (data.length < length) return false;
  } else {
    const end = text.indexOf("\r\n\r\n") + 4;
    if (end < 4) return text.length < 4096 ? false : wrong();
    const head = text.slice(0, end);
    const field = /\r\ncontent-length: 13\r\n/i.test(head);
    if (!head.startsWith("HTTP/1.1 200 ") || !field) wrong();
    // Pipelined, it has to be the same as often as it was asked for.
    const dates = /(?<=\r\ndate: )[^\r]*/gi;
    const once = (head + "Hello, world!").replace(dates, "");
    const all = once.repeat(plan.pipelined);
    const undated = text.replace(dates, "");
    if (!all.startsWith(undated)) wrong();
    if (undated.length < all.length) return false;
    length = data.length;
    expected = new Int32Array(Math.ceil(length / 4));
    counts = new Int32Array(expected.length);
    new Uint8Array(expected.buffer).set(data);
    const mask = new Uint8Array(counts.buffer).fill(255, 0, length);
    for (const { index, 0: date } of text.matchAll(dates)) {
      mask.fill(0, index, index + date.length);
    }
  }
  pieces[slot] = undefined;
  return true;
}

// ----------------------------------------------------------------- the loop

const histogram = new Uint32Array(1 << 17); // µs
let requests = 0;
let total = 0;

function drive(seconds: number) {
  const end = performance.now() + 1000 * seconds;
  for (let now = 0; now < end;) {
    const n = check(
      "epoll_wait",
      sys.epoll_wait(epfd, ready, MAX_EVENTS, 5000),
    );
    if (n === 0) fail("no reply within 5 s");
    for (let i = 0; i < n; i++) {
      const slot = ready[i * WORDS + WORDS - 2];
      const got = sys.recv(fds[slot], inbox, inbox.byteLength, MSG_DONTWAIT);
      if (!reply(slot, got)) continue;
      now = performance.now();
      const took = (now - sentAt[slot]) * 1000;
      histogram[took < 131071 ? took | 0 : 131071]++;
      requests += plan.pipelined;
      total += plan.pipelined;
      if (plan.close) {
        sys.close(fds[slot]);
        connect(slot);
      }
      request(slot, now);
    }
  }
}

function percentile(share: number): number {
  let left = histogram.reduce((a, b) => a + b) * share;
  return histogram.findIndex((count) => (left -= count) <= 0);
}

const timespec = new BigInt64Array(2);
/** The process's CPU clock, as clock_getcpuclockid(3) would name it. */
function cpu(): number {
  check("clock_gettime", sys.clock_gettime((~plan.pid << 3) | 2, timespec));
  return Number(timespec[0]) + Number(timespec[1]) / 1e9;
}

/** Seconds that a thread ran, and those that it waited for a core. */
function schedule(pid: number, thread = `${pid}`): [number, number] {
  const [ran, waited] = Deno.readTextFileSync(
    `/proc/${pid}/task/${thread}/schedstat`,
  ).split(" ").map(Number);
  return [ran / 1e9, waited / 1e9];
}

const clocks = () => {
  const threads = [...Deno.readDirSync(`/proc/${plan.pid}/task`)];
  const wanted = threads.map(({ name }) => {
    const [ran, waited] = schedule(plan.pid, name);
    return ran + waited;
  }).reduce((a, b) => a + b);
  return { cpu: cpu(), wanted, held: schedule(Deno.pid)[1] };
};

function rss(): number {
  const rollup = Deno.readTextFileSync(`/proc/${plan.pid}/smaps_rollup`);
  return 1024 * Number(/^Rss: +(\d+)/m.exec(rollup)![1]);
}

let slots = 0;
function open(until: number) {
  for (; slots < until; slots++) {
    connect(slots);
    request(slots, performance.now());
  }
}

/** Waits until each of the newest is answered: it may take long to let them in. */
function settle(from: number) {
  for (let slot = from; slot < slots; slot++) {
    if (from) answered = slot;
    while (!reply(slot, sys.recv(fds[slot], inbox, inbox.byteLength, 0)));
  }
  answered = 0;
}

open(plan.connections);
settle(0);
for (let slot = 0; slot < slots; slot++) request(slot, performance.now());
drive(plan.warm);
for (const idle of plan.idle) {
  while (slots < plan.connections + idle) {
    const from = slots;
    open(Math.min(from + 64, plan.connections + idle));
    settle(from);
  }
  if (idle) drive(plan.warm / 4);
  histogram.fill(0);
  requests = 0;
  const from = performance.now();
  const before = clocks();
  drive(plan.seconds);
  const seconds = (performance.now() - from) / 1000;
  const after = clocks();
  const measured: Measured = {
    idle,
    requests,
    total,
    seconds,
    cpu: after.cpu - before.cpu,
    // Of threads that have ended only the process's clock knows.
    busy: Math.max(after.wanted - before.wanted, after.cpu - before.cpu) /
      seconds,
    held: (after.held - before.held) / seconds,
    p50: percentile(0.5),
    p99: percentile(0.99),
    rss: rss(),
  };
  say(JSON.stringify(measured));
}
Deno.exit(0);
