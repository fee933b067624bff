/**
 * What the servers share, so that each is left with how it waits: output, flags,
 * libc, the listener, and `Peer`, a client. A name such as `recv` keeps what can
 * go wrong with that call, and nothing else.
 */
import { parseArgs } from "jsr:@std/cli@^1/parse-args";

let quiet = false;
const main = Deno.mainModule ?? location.href; // the latter in a Worker
const script = decodeURIComponent(main.split("/").at(-1)!);
const sleep = (ms: number) =>
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** Writes all bytes to stdout; once nobody reads it, ends as SIGPIPE would. */
export function print(bytes: Uint8Array) {
  while (bytes.length) {
    // A line at a time, for Deno has a buffer of 1024 bytes: where somebody has
    // made stdout non-blocking, and it is full, a piece without a newline is in
    // that buffer, to be flushed, and one with a newline has to be sent again.
    const newline = bytes.subarray(0, 1023).indexOf(10);
    let piece = bytes.subarray(0, newline === -1 ? 1023 : newline + 1);
    bytes = bytes.subarray(piece.length);
    for (let flushed = false; !flushed || piece.length;) {
      try {
        piece = piece.subarray(Deno.stdout.writeSync(piece));
        flushed = true;
      } catch (error) {
        if (error instanceof Deno.errors.BrokenPipe) Deno.exit(128 + 13);
        const full = error instanceof Deno.errors.WouldBlock;
        if (!full) fail(`cannot write: ${reason(error)}`);
        if (newline === -1) piece = piece.subarray(piece.length);
        sleep(10);
      }
    }
  }
}

/** Writes a line to stdout. */
export const say = (line: string, end = "\n") =>
  print(new TextEncoder().encode(line + end));

/** Writes a line that names the script to stderr, if that can be written to. */
export function warn(line: string) {
  try {
    console.error(`${script}: ${line}`);
  } catch { /* nobody is left to tell */ }
}

/** Prints a line, unless --quiet. */
export const log = (line: string) => quiet || say(line);

/** Ends the script: one line on stderr, status 1 (failed) or 2 (bad usage). */
export function fail(message: string, status = 1): never {
  warn(message);
  Deno.exit(status);
}

/** `text` without the newline at its end, unable to drive a terminal. */
export const printable = (text: string) =>
  text.replace(/\r?\n$/, "").replace(
    /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    (c) =>
      ({ "\t": "\\t", "\n": "\\n", "\r": "\\r" })[c] ??
        `\\u{${c.charCodeAt(0).toString(16)}}`,
  );

/** An error of Deno's in one line: `connection refused (ECONNREFUSED)`. */
export function reason(error: unknown): string {
  const { code, message } = error as Error & { code?: string };
  const text = message.replace(/ \(os error \d+\)/, code ? ` (${code})` : "");
  return text[0].toLowerCase() + text.slice(1);
}

/** A script's flags: `{ interval: [3, "seconds between two rounds"] }`. */
export type Flags = Record<string, [number | boolean | string, string]>;

/**
 * The values of the given flags: a port is 0 to 65535, another number above 0.
 * What does not fit ends the script with status 2, `--help` with status 0.
 */
export function options<F extends Flags>(about: string, flags: F) {
  const bad = (what: string) => fail(`${printable(what)}; see --help`, 2);
  const given: Record<string, unknown> = parseArgs(Deno.args, {
    string: [...Object.keys(flags), "help"], // also those that take no value
    alias: { h: "help" },
    unknown: (arg: string) => bad(`unknown argument ${arg}`),
  });
  for (const arg of given._ as string[]) bad(`unknown argument ${arg}`);
  if (given.help !== undefined) {
    const row = ([name, [preset, text]]: [string, Flags[string]]) =>
      `\n  --${name.padEnd(10)} ${text}${preset ? ` (${preset})` : ""}`;
    say(`${script}: ${about}\n${Object.entries(flags).map(row).join("")}`);
    Deno.exit(0);
  }
  const value = (name: string, [preset, text]: Flags[string]) => {
    if (given[name] === undefined) return preset;
    const word = given[name] as string;
    const number = Number(word || NaN);
    const [least, most] = name === "port" ? [0, 65535] : [1e-6, 1e6];
    if (typeof preset === "boolean") {
      if (word === "" || `${name}=${word}` === "trace=json") return true;
    } else if (typeof preset === "string") {
      if (word !== "") return word;
    } else if (number >= least && number <= most) return number;
    return bad(`--${name} (${text}) cannot be "${word}"`);
  };
  return Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [name, value(name, flag)]),
  ) as { [K in keyof F]: F[K][0] };
}

const common = {
  hostname: ["127.0.0.1", "address to listen on"],
  port: [5666, "port to listen on; 0 lets the system choose"],
  echo: [false, "answer with what came instead of hello sir"],
  bowl: [65536, "bytes that one recv takes"],
  quiet: [false, "print no clients and no messages"],
  trace: [false, "print each system call; --trace=json for programs"],
} satisfies Flags;
let inbox: Uint8Array<ArrayBuffer>; // for all: answered before the next recv

/** `options` for a server: the flags all have in common, and its own. */
export function serverOptions<F extends Flags>(about: string, own = {} as F) {
  const given = options(about, { ...common, ...own });
  inbox = new Uint8Array(Math.ceil(given.bowl));
  quiet = given.quiet;
  return given;
}

// --trace wraps what is opened from here on: nothing below knows of it.
if (Deno.args.some((arg) => /^--trace(=json)?$/.test(arg))) {
  await import("./lib/trace.ts").catch(() =>
    fail("--trace needs lib/trace.ts beside util.ts")
  );
}

// Lengths are u32 and results i32 where C has size_t and ssize_t: 64-bit
// integers would become BigInts, at 1.8 µs a request.
const shared = {
  // int accept4(int sockfd, struct sockaddr *addr, socklen_t *len, int flags);
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  // ssize_t recv(int sockfd, void *buf, size_t len, int flags);
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // ssize_t send(int sockfd, const void *buf, size_t len, int flags);
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // int close(int fd); int dup(int oldfd);
  close: { parameters: ["i32"], result: "i32" },
  dup: { parameters: ["i32"], result: "i32" },
  // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *len);
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getsockopt(int sockfd, int level, int name, void *val, socklen_t *n);
  getsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  // int *__errno_location(void); const char *strerrorname_np(int errnum);
  __errno_location: { parameters: [], result: "pointer" },
  strerrorname_np: { parameters: ["i32"], result: "pointer" },
  strerrordesc_np: { parameters: ["i32"], result: "pointer" },
} as const;
let sys: Deno.StaticForeignLibraryInterface<typeof shared>;
let errnoView: Deno.UnsafePointerView;

/** libc's functions of the given types; ends the script where there are none. */
export function libc<const S extends Deno.ForeignLibraryInterface>(types: S) {
  if (!/^(x86_64|aarch64)-unknown-linux/.test(Deno.build.target)) {
    fail("needs Linux on x86-64 or arm64; try deno run -A async.ts");
  }
  if (Deno.permissions.requestSync({ name: "ffi" }).state !== "granted") {
    fail("calls libc: run with --allow-net --allow-ffi, or -A");
  }
  sys ??= Deno.dlopen("libc.so.6", shared).symbols;
  errnoView ??= new Deno.UnsafePointerView(sys.__errno_location()!);
  return Deno.dlopen("libc.so.6", types).symbols;
}

const [EINTR, EAGAIN, ENFILE, EMFILE] = [4, 11, 23, 24]; // errno(3)
const [SOL_SOCKET, SO_ACCEPTCONN] = [1, 30];
const [SOCK_NONBLOCK, SOCK_CLOEXEC] = [0o4000, 0o2000000];

/** Why the last system call returned -1. @see errno(3) */
export const errno = () => errnoView.getInt32();

/** The system's words for it: `too many open files (EMFILE)`. @see strerror(3) */
export function strerror(errno: number): string {
  const [text, name] = [sys.strerrordesc_np, sys.strerrorname_np].map((call) =>
    Deno.UnsafePointerView.getCString(call(errno)!)
  );
  return `${text[0].toLowerCase()}${text.slice(1)} (${name})`;
}

/**
 * Whether a signal has cut a waiting call short, as Ctrl-Z and fg do: then it is
 * to be made again. Any other error ends the script.
 */
export function interrupted(call: string, result: number): boolean {
  if (result === -1 && errno() !== EINTR) fail(`${call}: ${strerror(errno())}`);
  return result === -1;
}

/** `Deno.listen`, and where it listens; ends the script when it cannot. */
export function listen(
  { hostname, port }: { hostname: string; port: number },
  scheme = "",
): Deno.TcpListener {
  try {
    const listener = Deno.listen({ hostname, port });
    const { addr } = listener;
    const at = `${scheme}${authority(addr)}${scheme && "/"}`;
    const npx = Deno.execPath().includes("node_modules") ? "npx -y " : "";
    const reach = scheme ? `curl ${at}` : `${npx}deno run -A client.ts` +
      (hostname === "127.0.0.1" ? "" : ` --hostname ${hostname}`) +
      (addr.port === 5666 ? "" : ` --port ${addr.port}`);
    say(`${script}: listening on ${at}\nin another terminal: ${reach}`);
    // Deno sets up its signals half a second after the start, and panics if no
    // descriptor is left then: have it done before there is a client.
    const settle = () => {};
    Deno.addSignalListener("SIGINT", settle);
    Deno.removeSignalListener("SIGINT", settle);
    return listener;
  } catch (error) {
    const inUse = error instanceof Deno.errors.AddrInUse;
    const why = reason(error) + (inUse ? "; try --port 0" : "");
    fail(`cannot listen on ${authority({ hostname, port })}: ${why}`);
  }
}

/** `127.0.0.1:5666`, `[::1]:5666`. */
export const authority = (addr: { hostname: string; port: number }) =>
  `${addr.hostname.replace(/.*:.*/, "[$&]")}:${addr.port}`;

// struct sockaddr_in:  family 2 bytes, port 2 (big-endian), address 4
// struct sockaddr_in6: family 2 bytes, port 2 (big-endian), flow 4, address 16
const sockaddr = new Uint8Array(28);
const socklen = new Uint32Array(1); // the kernel shrinks it to what it wrote

/** The address in a struct sockaddr: `127.0.0.1:42446`. @see ip(7) */
export function address(sockaddr: Uint8Array<ArrayBuffer>): string {
  const port = sockaddr[2] << 8 | sockaddr[3];
  const words = sockaddr.subarray(8, 24).toHex().replace(/.{4}(?=.)/g, "$&:");
  return sockaddr[0] === 2 // AF_INET, the other is AF_INET6
    ? `${sockaddr.subarray(4, 8).join(".")}:${port}`
    : `${new URL(`http://[${words}]`).hostname}:${port}`;
}

let spare = -1; // a descriptor kept for those who cannot stay

/** The descriptor of a listener, which Deno keeps to itself. */
export function descriptor(listener: Deno.TcpListener): number {
  libc({});
  // dup takes the lowest free descriptor, as the listener did before: it is one
  // of those below, the one that the kernel says accepts on this port.
  spare = sys.dup(0);
  const accepts = new Uint32Array(1);
  for (let fd = spare - 1; fd > 2; fd--) {
    socklen[0] = 4;
    sys.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, accepts, socklen);
    socklen[0] = sockaddr.length;
    sys.getsockname(fd, sockaddr, socklen);
    const { port } = listener.addr;
    if (accepts[0] && address(sockaddr).endsWith(`:${port}`)) return fd;
  }
  fail(`no descriptor is left: ${strerror(EMFILE)}; try ulimit -n 1024`);
}

/**
 * The clients at the door, at most 64: who is in shall not wait for a flood of
 * others. Who would need the last descriptor is told so, and closed: nobody has
 * to wait for a place, and no loop to know of it. @see accept4(2)
 */
export function* accept(
  listener: number,
  flags = SOCK_NONBLOCK,
  farewell = (why: string) => `${why}\n`,
): Generator<Peer> {
  const next = () => {
    socklen[0] = sockaddr.length;
    const fd = sys.accept4(listener, sockaddr, socklen, flags | SOCK_CLOEXEC);
    if (fd === -1) return null;
    const peer = new Peer(fd, address(sockaddr));
    log(`got connection from ${peer.name}`);
    return peer;
  };
  for (let i = 0; i < 64; i++) {
    const peer = next();
    if (peer) yield peer;
    else if (errno() === EAGAIN) return;
    else if (errno() === EMFILE || errno() === ENFILE) {
      const why = strerror(errno());
      sys.close(spare);
      next()?.refuse(why, farewell(why)) ?? sleep(10); // or the system is full
      spare = sys.dup(0);
      turnedAway++;
      if (performance.now() < silent) continue;
      warn(`cannot accept: ${why}; turned away: ${turnedAway}`);
      silent = performance.now() + 5000;
    } // else it has gone already: ECONNABORTED and others, see accept(2)
  }
}
let turnedAway = 0;
let silent = 0; // until then nothing is said of those who are turned away

export const HELLO = new TextEncoder().encode("hello sir\n");

/**
 * A connected client, seen from the server. Readable: `recv`, and `close` when
 * the message is empty. While something is `unsent`, nothing more is read:
 * writable, `send` sends that.
 */
export class Peer {
  unsent: Uint8Array<ArrayBuffer> | null = null;
  #lost = ""; // why nothing more can be said to it
  #decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // for its pieces

  constructor(readonly fd: number, readonly name: string) {}

  /**
   * What came, valid until the next `recv`; empty once the client has left, null
   * if there is nothing yet (EAGAIN). @see recv(2)
   */
  recv(): Uint8Array<ArrayBuffer> | null {
    const n = sys.recv(this.fd, inbox, inbox.length, 0);
    if (n >= 0) return inbox.subarray(0, n);
    if (errno() === EAGAIN || errno() === EINTR) return null;
    this.#lost ||= strerror(errno());
    return inbox.subarray(0, 0);
  }

  /**
   * Sends a message, or what is unsent of the last. What the kernel has no room
   * for is kept; what is for a client that has gone, is not: `recv` will tell.
   * @see send(2)
   */
  send(message = this.unsent!) {
    const n = sys.send(this.fd, message, message.length, 0);
    const later = n === -1 && (errno() === EAGAIN || errno() === EINTR);
    if (n === -1 && !later) this.#lost ||= strerror(errno());
    const done = n === message.length || this.#lost;
    this.unsent = done ? null : message.slice(Math.max(n, 0));
  }

  /** Prints a message, unless --quiet: its pieces as they come, escaped. */
  show(message: Uint8Array, label = this.name) {
    if (quiet) return;
    const text = this.#decoder.decode(message, { stream: true });
    if (text) say(`${label}: ${printable(text)}`);
  }

  /** Tells a client why it cannot stay, and closes. */
  refuse(why: string, farewell = `${why}\n`) {
    this.send(new TextEncoder().encode(farewell));
    this.close(why);
  }

  /** Gives the descriptor back: it may be the next client's. @see close(2) */
  close(why = this.#lost) {
    sys.close(this.fd);
    this.left(why);
  }

  /** Says that it has left. */
  left(why: string) {
    const cut = this.#decoder.decode();
    if (cut) log(`${this.name}: ${cut}`);
    log(`${this.name} disconnected${why && `: ${why}`}`);
  }
}
