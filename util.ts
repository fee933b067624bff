/**
 * What the servers share: output, flags, libc, the listener, and `Peer`, a client.
 * A name such as `recv` keeps what can go wrong with that call, and nothing else.
 */
import { parseArgs } from "jsr:@std/cli@^1/parse-args";

const main = Deno.mainModule ?? location.href; // the latter in a Worker
const script = decodeURIComponent(main.split("/").at(-1)!);
const sleep = (ms: number) =>
  void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
if (!("toHex" in Uint8Array.prototype)) fail("needs Deno 2.5: deno upgrade");

/** Writes all bytes to stdout; once nobody reads it, ends as SIGPIPE would. */
export function print(bytes: Uint8Array) {
  while (bytes.length > 0) {
    const line = bytes.subarray(0, 1023).indexOf(10) + 1;
    let piece = bytes.subarray(0, line || 1023);
    bytes = bytes.subarray(piece.length);
    // Part of a line is in Deno's buffer of 1024 bytes by then, to be flushed.
    while (!written(piece)) if (!line) piece = new Uint8Array(0);
  }
}
/** Whether stdout took it; where somebody made it non-blocking, it may be full. */
function written(bytes: Uint8Array): boolean {
  try {
    return Deno.stdout.writeSync(bytes) >= 0;
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(128 + 13);
    if (!(error instanceof Deno.errors.WouldBlock)) fail(reason(error));
    sleep(10);
    return false;
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
  warn(line);
  Deno.exit(status);
}
/** `text` without its last newline, and unable to drive a terminal. */
export const printable = (text: string) =>
  text.replace(/\r?\n$/, "").replaceAll("\n", "\\n").replace(
    /(?!\t)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    (c) => `\\u{${c.charCodeAt(0).toString(16)}}`,
  );
/** An error of Deno's in one line: `connection refused (ECONNREFUSED)`. */
export function reason(error: unknown): string {
  const { code, message } = error as Error & { code?: string };
  const text = message.replace(/ \(os error \d+\)/, code ? ` (${code})` : "");
  return text[0].toLowerCase() + text.slice(1);
}

/** A script's flags: `{ interval: [3, "seconds between two rounds"] }`. */
export type Flags = Record<string, [number | boolean | string, string]>;
/** Their values; what does not fit ends the script with status 2, or `--help`. */
export function options<F extends Flags>(about: string, flags: F) {
  const bad = (what: string) => fail(`${printable(what)}; see --help`, 2);
  const given: Record<string, unknown> = parseArgs(Deno.args, {
    string: [...Object.keys(flags), "help"], // also those that take no value
    unknown: (arg: string) => bad(`unknown argument ${arg}`),
  });
  for (const arg of given._ as string[]) bad(`unknown argument ${arg}`);
  let help = `${script}: ${about}\n`;
  const values: Record<string, unknown> = {};
  for (const [name, [preset, text]] of Object.entries(flags)) {
    help += `\n  --${name.padEnd(10)} ${text}${preset ? ` (${preset})` : ""}`;
    const word = given[name] as string | undefined;
    const number = Number(word || NaN);
    const [least, most] = name === "port" ? [0, 65535] : [1e-6, 1e6];
    const fits = typeof preset === "number"
      ? number >= least && number <= most
      : (typeof preset === "string") === (word !== "") ||
        `${name}=${word}` === "trace=json";
    if (word === undefined) values[name] = preset;
    else if (!fits) bad(`--${name} (${text}) cannot be "${word}"`);
    else values[name] = typeof preset === "number" ? number : word || true;
  }
  if (given.help === undefined) return values as { [K in keyof F]: F[K][0] };
  say(help);
  Deno.exit(0);
}
const common = {
  hostname: ["127.0.0.1", "address to listen on"],
  port: [5666, "port to listen on; 0 lets the system choose"],
  echo: [false, "answer with what came instead of hello sir"],
  bowl: [65536, "bytes that one recv takes, and at most are kept for a client"],
  quiet: [false, "print no clients and no messages"],
  trace: [false, "print each system call; --trace=json for programs"],
} satisfies Flags;
let quiet = false;
let inbox: Uint8Array<ArrayBuffer>; // one for all: answered before the next recv
/** `options` for a server: the flags all have in common, and its own. */
export function serverOptions<F extends Flags>(about: string, own = {} as F) {
  const given = options(about, { ...common, ...own });
  [quiet, inbox] = [given.quiet, new Uint8Array(Math.ceil(given.bowl))];
  return given;
}

// --trace wraps what is opened from here on: nothing below knows of it.
if (Deno.args.some((arg) => /^--trace(=json)?$/.test(arg))) {
  const missing = () => fail("--trace needs lib/trace.ts beside util.ts");
  await import("./lib/trace.ts").catch(missing);
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
  dup: { parameters: [int], result: int },
  getsockname: { parameters: [int, buf, buf], result: int },
  getsockopt: { parameters: [int, int, int, buf, buf], result: int },
  __errno_location: { parameters: [], result: ptr },
  strerrorname_np: { parameters: [int], result: ptr },
  strerrordesc_np: { parameters: [int], result: ptr },
} as const;
let sys: Deno.StaticForeignLibraryInterface<typeof shared>;
let errnoView: Deno.UnsafePointerView;
/** libc's functions of the given types; ends the script where there are none. */
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
const [EINTR, EAGAIN, ENFILE, EMFILE] = [4, 11, 23, 24];
const later = () => errno() === EAGAIN || errno() === EINTR; // try again
/** In words, and by name: `too many open files (EMFILE)`. @see strerror(3) */
export function strerror(errno: number): string {
  const [text, name] = [sys.strerrordesc_np(errno), sys.strerrorname_np(errno)]
    .map((string) => Deno.UnsafePointerView.getCString(string!));
  return `${text[0].toLowerCase()}${text.slice(1)} (${name})`;
}
/** Whether a signal cut a wait short, which Ctrl-Z and fg do; else it fails. */
export function interrupted(call: string, result: number): boolean {
  if (result === -1 && errno() !== EINTR) fail(`${call}: ${strerror(errno())}`);
  return result === -1;
}

type At = { hostname: string; port: number };
/** `127.0.0.1:5666`, `[::1]:5666`. */
export const authority = ({ hostname, port }: At) =>
  `${hostname.replace(/.*:.*/, "[$&]")}:${port}`;
/** `Deno.listen`, and where that is; ends the script when it cannot. */
export function listen({ hostname, port }: At, scheme = ""): Deno.TcpListener {
  try {
    const listener = Deno.listen({ hostname, port });
    const { addr } = listener;
    // Deno sets up its signals half a second after the start, and panics if no
    // descriptors are left: before there is a client, see if there are; set up.
    const net = Deno.permissions.querySync({ name: "net" }).state;
    const four = net === "granted" ? [0, 0, 0, 0] : []; // it would ask for them
    const trial = four.map((port) => Deno.listen({ hostname, port }));
    for (const each of trial) each.close();
    Deno.addSignalListener("SIGINT", Deno.exit);
    Deno.removeSignalListener("SIGINT", Deno.exit);
    const npx = Deno.execPath().includes("node_modules") ? "npx -y " : "";
    const to = (hostname === "127.0.0.1" ? "" : ` --hostname ${hostname}`) +
      (addr.port === 5666 ? "" : ` --port ${addr.port}`);
    const at = `${scheme}${authority(addr)}${scheme && "/"}`;
    const reach = scheme ? `curl ${at}` : `${npx}deno run -A client.ts${to}`;
    say(`${script}: listening on ${at}\nin another terminal: ${reach}`);
    return listener;
  } catch (error) {
    const why = reason(error);
    const hint = /EADDRINUSE|EACCES/.test(why) ? "; try --port 0" : "";
    fail(`cannot listen on ${authority({ hostname, port })}: ${why}${hint}`);
  }
}
// struct sockaddr_in:  family 2 bytes, port 2 (big-endian), address 4
// struct sockaddr_in6: family 2 bytes, port 2 (big-endian), flow 4, address 16
const sockaddr = new Uint8Array(28);
const socklen = new Uint32Array(1); // the kernel changes it: filled each time
/** The address in a struct sockaddr: `127.0.0.1:42446`. @see ip(7) */
export function address(sockaddr: Uint8Array<ArrayBuffer>): string {
  const port = sockaddr[2] << 8 | sockaddr[3];
  const ipv4 = sockaddr.subarray(4, 8).join(".");
  if (sockaddr[0] === 2) return `${ipv4}:${port}`; // AF_INET; else AF_INET6
  const words = sockaddr.subarray(8, 24).toHex().match(/.{4}/g)!.join(":");
  return `${new URL(`http://[${words}]`).hostname}:${port}`; // shortens it
}
let spare = -1; // a descriptor kept for those who cannot stay
/** The descriptor of Deno's listener, which Deno keeps to itself. */
export function descriptor({ addr }: Deno.TcpListener): number {
  libc({});
  spare = sys.dup(0);
  if (spare === -1) fail(`${strerror(EMFILE)}; try ulimit -n 1024`);
  // The kernel knows which it is: the one that accepts, and on this port.
  const [SOL_SOCKET, SO_ACCEPTCONN] = [1, 30];
  const accepts = new Uint32Array(1);
  for (let fd = 3; fd < 2 ** 20; fd++) {
    sys.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, accepts, socklen.fill(4));
    sys.getsockname(fd, sockaddr, socklen.fill(sockaddr.length));
    if (accepts[0] && address(sockaddr).endsWith(`:${addr.port}`)) return fd;
  }
  fail("cannot find the descriptor of Deno's listener");
}
const [SOCK_NONBLOCK, SOCK_CLOEXEC] = [0o4000, 0o2000000];
let [turnedAway, silentUntil] = [0, 0];
/**
 * Those at the door, at most 64, so that who is in need not wait for a flood.
 * Who would need the last descriptor is told so, and closed. @see accept4(2)
 */
export function* accept(listener: number, flags = SOCK_NONBLOCK) {
  const next = () => {
    const length = socklen.fill(sockaddr.length);
    const fd = sys.accept4(listener, sockaddr, length, flags | SOCK_CLOEXEC);
    if (fd === -1) return null;
    const name = address(sockaddr);
    log(`got connection from ${name}`);
    return new Peer(fd, name);
  };
  for (let i = 0, inside = 0; i < 1024 && inside < 64; i++) {
    const peer = next();
    if (peer) {
      inside++;
      yield peer;
    } else if (errno() === EAGAIN) return;
    else if (errno() === EMFILE || errno() === ENFILE) {
      const why = strerror(errno());
      sys.close(spare);
      const stranger = next();
      const still = !stranger && (errno() === EMFILE || errno() === ENFILE);
      stranger?.refuse(why);
      spare = sys.dup(0);
      if (stranger) turnedAway++;
      else if (!still) return; // it had not even looked whether one is there
      if (performance.now() >= silentUntil) {
        warn(`cannot accept: ${why}; turned away: ${turnedAway}`);
        silentUntil = performance.now() + 5000;
      }
      if (still) return sleep(10); // none is left in the whole system
    } // else it has gone already
  }
}

export const HELLO = new TextEncoder().encode("hello sir\n");
/**
 * A connected client. Readable: `recv` it, and `close` it when the message is
 * empty. While something is `unsent` do not; writable: `send` that.
 */
export class Peer {
  static farewell = (why: string) => `${why}\n`;
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
  /** Sends a message, or what of it is unsent: there was no room. @see send(2) */
  send(message = this.unsent!) {
    const n = sys.send(this.fd, message, message.length, 0);
    if (n === -1 && !later()) this.#lost ||= strerror(errno()); // so will recv
    const done = n === message.length || this.#lost;
    const rest = message === this.unsent ? "subarray" : "slice"; // of the inbox
    this.unsent = done ? null : message[rest](Math.max(n, 0));
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
    this.send(new TextEncoder().encode(Peer.farewell(why)));
    this.close(why);
  }
  /** Gives the descriptor back: it may be the next client's. @see close(2) */
  close(why = this.#lost) {
    if (this.fd !== -1) sys.close(this.fd); // -1: Deno has it
    const cut = this.#decoder?.decode();
    if (cut) log(`${this.name}: ${cut}`);
    log(`${this.name} disconnected${why && `: ${why}`}`);
  }
}
