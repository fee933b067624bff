// What the servers share: output, flags, libc, the listener, and its peers.
// What is named like a system call makes it, and handles what can go wrong.
import { parseArgs } from "jsr:@std/cli@^1/parse-args";

const script = decodeURI(Deno.mainModule ?? location.href).replace(/.*\//, "");
const quiet = Deno.args.includes("--quiet");
const never = new Int32Array(new SharedArrayBuffer(4)); // what to sleep on

/** Writes all bytes to stdout; once nobody reads it, ends as SIGPIPE would. */
export function print(bytes: Uint8Array) {
  let [from, to] = [0, 0]; // a line, or of a long one what Deno's buffer takes
  while (true) {
    try {
      Deno.stdout.writeSync(bytes.subarray(from, to));
      if (to === bytes.length) return;
      const line = bytes.subarray(to, to + 4096).indexOf(10) + 1; // PIPE_BUF
      [from, to] = [to, Math.min(to + (line || 1023), bytes.length)];
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) Deno.exit(128 + 13);
      if (!(error instanceof Deno.errors.WouldBlock)) fail(reason(error));
      // Non-blocking, and full: a line was not taken, part of one is buffered.
      if (bytes[to - 1] !== 10) from = to;
      Atomics.wait(never, 0, 0, 10);
    }
  }
}
/** Prints a line. */
export const say = (line: string, end = "\n") =>
  print(new TextEncoder().encode(line + end));
/** Prints a line, unless --quiet. */
export const log = (line: string) => quiet || say(line);
/** Writes a line that names the script to stderr. */
export function warn(line: string) {
  try {
    console.error(`${script}: ${line}`);
  } catch { /* stderr is full: nobody is left to tell */ }
}
/** Ends the script: one line on stderr, status 1 (failed) or 2 (bad usage). */
export function fail(line: string, status = 1): never {
  warn(printable(line));
  Deno.exit(status);
}
/** `text` without its last newline, and unable to drive a terminal. */
export const printable = (text: string) =>
  text.replace(/\r?\n$/, "").replaceAll("\n", "\\n").replace(
    /(?!\t)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    (c) => `\\u{${c.charCodeAt(0).toString(16)}}`,
  );
/** An error of Deno's in one line: `connection refused (ECONNREFUSED)`. */
export const reason = (error: unknown) =>
  `${error}`.replace(/^\w+: ./, (name) => name.at(-1)!.toLowerCase())
    .replace(/os error \d+/, (error as { code: string }).code);
if (!("toHex" in Uint8Array.prototype)) fail("needs Deno 2.5.2: deno upgrade");

/** A script's flags: `{ interval: [3, "seconds between two rounds"] }`. */
export type Flags = Record<string, [number | boolean | string, string]>;
/** Those of all servers; with more of its own: `{ ...common, interval: … }`. */
export const common = {
  hostname: ["127.0.0.1", "address to listen on"],
  port: [5666, "port to listen on; 0 lets the system choose"],
  echo: [false, "answer with what came instead of hello sir"],
  bowl: [65536, "bytes that one recv takes, and at most are kept for a client"],
  quiet: [false, "print no clients and no messages"],
  trace: [false, "print each system call; --trace=json for programs"],
} satisfies Flags;
const lib = await import("./lib/usage.ts") // not in a copy
  .catch((error) => /not found/.test(error) ? null : fail(`${error}`));
/** What they are set to; what is unknown, or does not fit, ends the script. */
export function flags<F extends Flags>(about: string, known: F) {
  const { _, ...values }: Record<string, unknown> =
    lib?.parse(`${script}: ${about}`, known, fail) ?? parseArgs(Deno.args);
  for (const [name, value] of lib ? [] : Object.entries(values)) {
    if (/^(help|trace)$/.test(name)) fail(`--${name} needs lib/: copy it, too`);
    const fits = typeof value === typeof known[name]?.[0] &&
      !(Number(value) < 0 || Number(value) > 1e6);
    if (!fits) fail(`--${name} is unknown, or cannot be "${value}"`, 2);
  }
  for (const name in known) values[name] ??= known[name][0];
  inbox = new Uint8Array(Math.ceil(Number(values.bowl ?? 0)));
  return values as { [K in keyof F]: F[K][0] };
}

// No size_t or ssize_t: 64 bits would become BigInts, at 1.8 µs a request.
const [int, len, buf, ptr] = ["i32", "u32", "buffer", "pointer"] as const;
const shared = {
  // int accept4(int sockfd, struct sockaddr *addr, socklen_t *len, int flags);
  accept4: { parameters: [int, buf, buf, int], result: int },
  // ssize_t recv(int sockfd, void *buf, size_t len, int flags);
  recv: { parameters: [int, buf, len, int], result: int },
  // ssize_t send(int sockfd, const void *buf, size_t len, int flags);
  send: { parameters: [int, buf, len, int], result: int },
  // int close(int fd);
  close: { parameters: [int], result: int },
  getdtablesize: { parameters: [], result: int },
  getsockname: { parameters: [int, buf, buf], result: int },
  getsockopt: { parameters: [int, int, int, buf, buf], result: int },
  __errno_location: { parameters: [], result: ptr },
  strerror: { parameters: [int], result: ptr },
  strerrorname_np: { parameters: [int], result: ptr, optional: true },
} as const;
let sys: Deno.StaticForeignLibraryInterface<typeof shared>;
let errnoView: Deno.UnsafePointerView;
/** libc functions of the given types; where there are none, ends the script. */
export function libc<const S extends Deno.ForeignLibraryInterface>(types: S) {
  const linux = /^(x86_64|aarch64)-unknown-linux/.test(Deno.build.target);
  if (!linux) fail("needs Linux on x86-64 or arm64; try deno run -A async.ts");
  const { state } = Deno.permissions.requestSync({ name: "ffi" });
  if (state !== "granted") fail("run with --allow-net --allow-ffi, or -A");
  sys ??= Deno.dlopen("libc.so.6", shared).symbols;
  errnoView ??= new Deno.UnsafePointerView(sys.__errno_location()!);
  return Deno.dlopen("libc.so.6", types).symbols;
}
/** Why the last system call returned -1. @see errno(3) */
export const errno = () => errnoView.getInt32();
const [EINTR, EAGAIN, EMFILE] = [4, 11, 24];
const later = () => errno() === EAGAIN || errno() === EINTR; // try again
/** `too many open files (EMFILE)`; named since glibc 2.32. @see strerror(3) */
export function strerror(errno: number): string {
  const [text, name] = [sys.strerror(errno), sys.strerrorname_np?.(errno)]
    .map((string) => string && Deno.UnsafePointerView.getCString(string));
  return `${text!.toLowerCase()} (${name ?? errno})`;
}
/** Whether a signal cut a wait short, as Ctrl-Z and fg can; else it fails. */
export const interrupted = (call: string, n: number): boolean =>
  n === -1 && (errno() === EINTR || fail(`${call}: ${strerror(errno())}`));
type At = { hostname: string; port: number };
/** `127.0.0.1:5666`, `[::1]:5666`. */
export const authority = ({ hostname, port }: At) =>
  `${hostname.replace(/.*:.*/, "[$&]")}:${port}`;
/** `Deno.listen`, and where that is; ends the script when it cannot. */
export function listen(at: At, scheme = ""): Deno.TcpListener {
  try {
    const listener = Deno.listen(at);
    // The first makes Deno open descriptors: now, not when clients have all.
    Deno.addSignalListener("SIGINT", Deno.exit);
    Deno.removeSignalListener("SIGINT", Deno.exit);
    const url = scheme + authority(listener.addr) + (scheme && "/");
    say(`${script}: listening on ${url}`);
    if (lib) say(lib.reach(url));
    return listener;
  } catch (error) {
    const hint = /ADDRINUSE|ACCES/.test(reason(error)) ? "; try --port 0" : "";
    fail(`cannot listen on ${authority(at)}: ${reason(error)}${hint}`);
  }
}
// struct sockaddr_in:  AF_INET = 2, 2 bytes; port 2 (big-endian); address 4
// struct sockaddr_in6: AF_INET6, 2 bytes; port 2; flow 4; address 16
const [sockaddr, socklen] = [new Uint8Array(28), new Uint32Array(1)];
const room = () => socklen.fill(sockaddr.length); // the kernel changes it
/** The address in a struct sockaddr: `127.0.0.1:42446`. @see ip(7) */
export function address(sockaddr: Uint8Array<ArrayBuffer>): string {
  const port = sockaddr[2] << 8 | sockaddr[3];
  const ipv4 = (at: number) => sockaddr.subarray(at, at + 4).join(".");
  if (sockaddr[0] === 2) return `${ipv4(4)}:${port}`;
  const words = sockaddr.subarray(8, 24).toHex().match(/.{4}/g)!.join(":");
  if (/^(0000:){5}ffff/.test(words)) return `[::ffff:${ipv4(20)}]:${port}`;
  return `${new URL(`http://[${words}]`).hostname}:${port}`; // shortens it
}
/** The descriptor of Deno's listener, which Deno keeps to itself. */
export function descriptor({ addr }: Deno.TcpListener): number {
  libc({}); // loads sys
  lastFd = sys.getdtablesize() - 1;
  const [SOL_SOCKET, SO_ACCEPTCONN, accepts] = [1, 30, new Uint32Array(1)];
  for (let fd = 3; fd < lastFd; fd++) { // which one is on our port?
    sys.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, accepts, room());
    sys.getsockname(fd, sockaddr, room());
    if (accepts[0] && address(sockaddr).endsWith(`:${addr.port}`)) return fd;
  }
  fail("cannot find the descriptor of Deno's listener; try ulimit -n 1024");
}
export let lastFd = 0; // the highest descriptor: kept for those who cannot stay
let [times, silentUntil] = [0, 0];
function complain(why: string) { // in a line, at most every five seconds
  times++;
  if (performance.now() < silentUntil) return;
  silentUntil = performance.now() + 5000;
  warn(`cannot accept: ${why}, ${times} so far; said every 5 s at most`);
}
const [SOCK_NONBLOCK, SOCK_CLOEXEC] = [0o4000, 0o2000000];
/** Up to 64 of those at the door: others are waiting, too. @see accept4(2) */
export function* accept(listener: number, flags = SOCK_NONBLOCK) {
  for (let tries = 0, inside = 0; tries < 1024 && inside < 64; tries++) {
    const fd = sys.accept4(listener, sockaddr, room(), flags | SOCK_CLOEXEC);
    if (fd === -1 && later()) return;
    if (fd === -1) complain(strerror(errno())); // ENFILE, say: wait a little
    if (fd === -1) return void Atomics.wait(never, 0, 0, 10);
    const peer = new Peer(fd, address(sockaddr));
    log(`got connection from ${peer.name}`);
    if (fd < lastFd) inside++;
    if (fd < lastFd) yield peer;
    else peer.refuse(strerror(EMFILE));
  }
}
export const HELLO = new TextEncoder().encode("hello sir\n");
let inbox: Uint8Array<ArrayBuffer>; // flags() makes one, for all clients
/**
 * A connected client. Readable: `recv`, and `close` it if the message is empty.
 * While something is `unsent`, do not `recv`: when writable, `send` that.
 */
export class Peer {
  static farewell = (why: string) => `${why}\n`; // HTTP says it differently
  unsent: Uint8Array<ArrayBuffer> | null = null;
  #lost = ""; // why nothing more can be said to it
  #decoder?: TextDecoder; // has half characters
  constructor(readonly fd: number, readonly name: string) {}
  /** What came, valid until the next `recv`; null: nothing yet. @see recv(2) */
  recv(): Uint8Array<ArrayBuffer> | null {
    const n = sys.recv(this.fd, inbox, inbox.length, 0);
    if (n === -1 && later()) return null;
    if (n === -1) this.#lost ||= strerror(errno());
    return inbox.subarray(0, Math.max(n, 0));
  }
  /** Sends a message, or what is unsent for want of room. @see send(2) */
  send(message = this.unsent!) {
    const n = sys.send(this.fd, message, message.length, 0);
    if (n === -1 && !later()) this.#lost ||= strerror(errno()); // so will recv
    if (n === message.length || this.#lost) this.unsent = null;
    else if (this.unsent) this.unsent = message.subarray(Math.max(n, 0));
    else this.unsent = message.slice(Math.max(n, 0)); // the inbox is reused
  }
  /** Prints a message, unless --quiet: its pieces as they come, escaped. */
  show(message: Uint8Array, label = this.name) {
    if (quiet) return;
    this.#decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
    const text = this.#decoder.decode(message, { stream: true });
    if (text) say(`${label}: ${printable(text)}`);
  }
  /** Tells a client why it cannot stay, and closes. */
  refuse(why: string) {
    complain(why);
    this.send(new TextEncoder().encode(Peer.farewell(why)));
    this.close(why);
  }
  /** Gives the descriptor back: it may be the next client's. @see close(2) */
  close(why = this.#lost) {
    if (this.fd !== -1) sys.close(this.fd); // -1: Deno has it
    if (this.#decoder?.decode()) log(`${this.name}: \ufffd`); // half a char
    log(`${this.name} disconnected${why && `: ${why}`}`);
  }
}
