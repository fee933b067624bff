/**
 * The client of the benchmark: keeps many connections busy, with one request
 * unanswered on each, and checks every byte of the replies. Takes a plan as JSON,
 * and prints a line of JSON for each number of idle connections in the plan.
 *
 * The client must cost less than any server that it measures. So it calls libc as
 * the models do, and compares replies in words of 32 bits.
 */
import { sleep } from "../lib/output.ts";
import { fail, libc, say, strerror } from "../util.ts";
import type { HttpRequest } from "./requests.ts";

export interface Plan {
  protocol: "echo" | "http";
  /** What is requested over HTTP. */
  request: HttpRequest;
  /** How many requests are sent at once. */
  pipelined: number;
  port: number;
  /** The server's process, whose CPU clock is read. */
  pid: number;
  /** How many connections always have a request unanswered. */
  connections: number;
  /** Whether each of them is closed after one reply, and made anew. */
  close: boolean;
  /**
   * How many further connections flood the server: each always has so many bytes
   * under way that the server finds some to echo.
   */
  floods: number;
  /** How many connections are idle after one reply: measured in this order. */
  idle: number[];
  /** For how many seconds nothing is measured, until all code is compiled. */
  warm: number;
  /** For how many seconds is measured. */
  seconds: number;
}

/** Printed in place of `Measured` when a server takes no more connections. */
export interface End {
  /** How many connections it did take. */
  end: number;
  why: string;
}

export interface Measured {
  idle: number;
  requests: number;
  /** Requests since the first connection, also those that were not measured. */
  total: number;
  seconds: number;
  /** CPU time of the server process, in seconds. */
  cpu: number;
  /** In which share of the seconds the server ran, or waited for its core. */
  busy: number;
  /** In which share this client waited for its core, where something else ran. */
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
  stop(`${call}: ${strerror(errno)}`);
}

/** How many connections were answered, while more are opened; 0 otherwise. */
let answered = 0;

/** Ends the client; while connections are opened, how many there are is printed. */
function stop(why: string): never {
  if (!answered) fail(why);
  say(JSON.stringify({ end: answered, why } satisfies End));
  Deno.exit(0);
}

// ------------------------------------------------------------- connections

const mostAsking = plan.connections + Math.max(...plan.idle);
const most = mostAsking + plan.floods; // the last slots flood
// Each connection has a slot: an index of these four.
const fds = new Int32Array(most);
const sendTimes = new Float64Array(most); // of the last request
const numbers = new Int32Array(most); // of the last request
const pieces: (Uint8Array | undefined)[] = []; // of a reply that is not whole

const epfd = check("epoll_create1", sys.epoll_create1(0));
// struct epoll_event in words of 32 bits: see epoll.ts.
const WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
const MAX_EVENTS = 64;
const ready = new Uint32Array(MAX_EVENTS * WORDS);
const event = new Uint32Array(WORDS);

// struct sockaddr_in: family 2 bytes, port 2 (big-endian), address 4
const server = new DataView(new ArrayBuffer(16));
server.setUint16(0, AF_INET, true);
server.setUint16(2, plan.port);
server.setUint32(4, 0x7f000001);

// A connection that the client closes keeps its port for a minute. All addresses
// of 127.0.0.0/8 are this machine's, and each has ports of its own.
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

// What a reply has to be, and which of its bits are compared: not those of a date,
// and not those after its end. An echo begins with the slot and the number of the
// request.
let expected = new Int32Array(16).map((_, i) => Math.imul(i, 0x9e3779b1));
let compared = new Int32Array(16).fill(-1);
let length = 64;
const outgoing = plan.protocol === "echo"
  ? new Uint8Array(expected.buffer)
  : encode(plan.request.text.repeat(plan.pipelined));
if (plan.protocol === "http") length = 0; // learned from the first reply

function request(slot: number, now: number) {
  sendTimes[slot] = now;
  if (plan.protocol === "echo") {
    expected[0] = slot;
    expected[1] = ++numbers[slot];
  }
  const n = sys.send(fds[slot], outgoing, outgoing.length, MSG_DONTWAIT);
  if (check("send", n) !== outgoing.length) stop("send: cut short");
}

/** Whether the reply is whole, now that `n` bytes came; stops if it is wrong. */
function reply(slot: number, n: number): boolean {
  if (n !== length || pieces[slot]) return piece(slot, n);
  if (plan.protocol === "echo") {
    expected[0] = slot;
    expected[1] = numbers[slot];
  }
  for (let i = 0; i < expected.length; i++) {
    if ((inbox[i] ^ expected[i]) & compared[i]) return piece(slot, n);
  }
  return true;
}

/** The same for a reply that came in pieces, or is the first of all. */
function piece(slot: number, n: number): boolean {
  if (n <= 0) {
    // What the server has sent before it closed the connection may say why.
    const said = new TextDecoder().decode(pieces[slot]).trim();
    if (check(said || "recv", n) === 0) stop(said || "the server hung up");
  }
  const before = pieces[slot] ?? new Uint8Array(0);
  const data = new Uint8Array(before.length + n);
  data.set(before);
  data.set(bytes.subarray(0, n), before.length);
  pieces[slot] = data;
  const text = new TextDecoder("latin1").decode(data);
  const wrong = () => stop(`wrong reply: ${JSON.stringify(text)}`);
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
    const { request } = plan;
    const size = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1]);
    const wantedSize = request.body?.length ?? size;
    // A size that is missing is NaN, which differs from itself.
    if (size !== wantedSize) wrong();
    if (!head.startsWith(`HTTP/1.1 ${request.status} `)) wrong();
    const isHead = request.text.startsWith("HEAD ");
    const body = isHead ? "" : request.body ?? text.slice(end, end + size);
    if (!isHead && body.length < size) return false;
    // Pipelined requests get as many replies, which are all the same.
    const dates = /(?<=\r\ndate: )[^\r]*/gi;
    const once = (head + body).replace(dates, "");
    const all = once.repeat(plan.pipelined);
    const undated = text.replace(dates, "");
    if (!all.startsWith(undated)) wrong();
    if (undated.length < all.length) return false;
    length = data.length;
    expected = new Int32Array(Math.ceil(length / 4));
    compared = new Int32Array(expected.length);
    new Uint8Array(expected.buffer).set(data);
    const mask = new Uint8Array(compared.buffer).fill(255, 0, length);
    for (const { index, 0: date } of text.matchAll(dates)) {
      mask.fill(0, index, index + date.length);
    }
  }
  pieces[slot] = undefined;
  return true;
}

// ------------------------------------------------------------------- floods

const flood = new Uint8Array(65536); // bytes that are sent at once
const MOST_UNDER_WAY = 2 * flood.length;
const underWay = new Int32Array(most); // bytes sent, and not yet back

/** Sends what a slot that floods has room for. */
function pour(slot: number) {
  while (underWay[slot] + flood.length <= MOST_UNDER_WAY) {
    const n = sys.send(fds[slot], flood, flood.length, MSG_DONTWAIT);
    underWay[slot] += check("send", n);
  }
}

/** Takes back what a slot that floods was sent, and sends as much. */
function pourAgain(slot: number) {
  const n = sys.recv(fds[slot], flood, flood.length, MSG_DONTWAIT);
  if (check("recv", n) === 0) stop("the server hung up on a flood");
  underWay[slot] -= n;
  pour(slot);
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
      if (slot >= mostAsking) {
        pourAgain(slot);
        continue;
      }
      const got = sys.recv(fds[slot], inbox, inbox.byteLength, MSG_DONTWAIT);
      if (!reply(slot, got)) continue;
      now = performance.now();
      const took = (now - sendTimes[slot]) * 1000;
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

/** The latency in µs that this share of the requests did not exceed. */
function percentile(share: number): number {
  let left = histogram.reduce((a, b) => a + b) * share;
  return histogram.findIndex((count) => (left -= count) <= 0);
}

const timespec = new BigInt64Array(2);
/** The server's CPU time in seconds. @see clock_getcpuclockid(3) */
function cpu(): number {
  check("clock_gettime", sys.clock_gettime((~plan.pid << 3) | 2, timespec));
  return Number(timespec[0]) + Number(timespec[1]) / 1e9;
}

/** For how many seconds a thread has run, and has waited for a core. */
function schedule(pid: number, thread = `${pid}`): [number, number] {
  const [ran, waited] = Deno.readTextFileSync(
    `/proc/${pid}/task/${thread}/schedstat`,
  ).split(" ").map(Number);
  return [ran / 1e9, waited / 1e9];
}

/** The clocks whose differences are measured, in seconds. */
function clocks() {
  const threads = [...Deno.readDirSync(`/proc/${plan.pid}/task`)];
  const wanted = threads.map(({ name }) => {
    const [ran, waited] = schedule(plan.pid, name);
    return ran + waited;
  }).reduce((a, b) => a + b);
  return { cpu: cpu(), wanted, held: schedule(Deno.pid)[1] };
}

/** The server's resident memory in bytes. */
function rss(): number {
  const rollup = Deno.readTextFileSync(`/proc/${plan.pid}/smaps_rollup`);
  return 1024 * Number(/^Rss: +(\d+)/m.exec(rollup)![1]);
}

let slots = 0; // that are in use
/** Connects until there are so many connections, and sends a request on each. */
function open(connections: number) {
  while (slots < connections) {
    connect(slots);
    request(slots, performance.now());
    slots++;
  }
}

/** Waits until a slot is answered: to accept takes long. */
function settle(slot: number) {
  while (!reply(slot, sys.recv(fds[slot], inbox, inbox.byteLength, 0)));
}

// One after the other: of a burst, one of several threads would accept them all.
for (let slot = 0; slot < plan.connections; slot++) {
  open(slot + 1);
  settle(slot);
  sleep(2); // ms
}
for (let slot = 0; slot < slots; slot++) request(slot, performance.now());
for (let slot = mostAsking; slot < most; slot++) {
  connect(slot);
  pour(slot);
}
drive(plan.warm);
for (const idle of plan.idle) {
  while (slots < plan.connections + idle) {
    answered = slots;
    open(Math.min(slots + 64, plan.connections + idle));
    for (; answered < slots; answered++) settle(answered);
  }
  answered = 0;
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
    // Threads that have ended are only in the CPU clock of the process.
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
