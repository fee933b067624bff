/**
 * What the servers share, so that each script is left with how it waits: flags
 * and one-line errors, the listener and its descriptor, and `Peer`, which is
 * what a server does with a client once the kernel says that it is ready.
 */
import { parseArgs } from "jsr:@std/cli@^1/parse-args";

const script = decodeURIComponent(Deno.mainModule.split("/").at(-1)!);
// Not imported, which would be a fifth of a script's start: see `listen`.
const os = () => process.getBuiltinModule("node:os");
const util = () => process.getBuiltinModule("node:util");
/** The numbers of the system's errors and signals. */
export const constants = () => os().constants;
let EAGAIN: number, ECONNABORTED: number, EINTR: number;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

/** Writes all bytes to stdout; once nobody reads it, ends as SIGPIPE would. */
export function print(bytes: Uint8Array, to = Deno.stdout) {
  while (bytes.length) {
    try {
      bytes = bytes.subarray(to.writeSync(bytes));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) {
        Deno.exit(128 + constants().signals.SIGPIPE);
      } else if (!(error instanceof Deno.errors.WouldBlock)) {
        fail(`cannot write: ${reason(error)}`);
      } // else somebody has made it non-blocking: as if it blocked
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

/** Writes a line to stdout. */
export function say(line: string, end = "\n") {
  print(new TextEncoder().encode(line + end));
}

/** Writes a line that names the script to stderr. */
export function warn(message: string) {
  console.error(`${script}: ${message}`);
}

/** Ends the script: one line on stderr, status 1 (failed) or 2 (bad usage). */
export function fail(message: string, status = 1): never {
  warn(message);
  Deno.exit(status);
}

/** The system's text and name for an errno: `permission denied (EACCES)`. */
export function strerror(errno: number): string {
  const { getSystemErrorMessage, getSystemErrorName } = util();
  return `${getSystemErrorMessage(-errno)} (${getSystemErrorName(-errno)})`;
}

/** `text` with control characters escaped: it cannot drive a terminal. */
export function escaped(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    (char) =>
      ({ "\t": "\\t", "\n": "\\n", "\r": "\\r" })[char] ??
        `\\u{${char.charCodeAt(0).toString(16)}}`,
  );
}

/** `escaped`, without the newline at its end. */
export const printable = (text: string) => escaped(text.replace(/\r?\n$/, ""));

// -------------------------------------------------------------------- flags

type Value = string | number | boolean;
/** A script's flags: `{ interval: [3, "seconds between two rounds"] }`. */
export type Flags = Record<string, readonly [Value, string]>;
type Options<F extends Flags> = {
  [K in keyof F]: F[K][0] extends number ? number
    : F[K][0] extends boolean ? boolean
    : string;
};

/**
 * Parses the command line into the given flags: `port` is 0 to 65535, any
 * other number positive. Anything else there ends the script with status 2;
 * `--help` prints `about` and the flags, and ends it with status 0.
 */
export function options<const F extends Flags>(about: string, flags: F) {
  const all: Flags = { ...flags, help: [false, "print this and end"] };
  const names = Object.keys(all);
  const unknown: string[] = [];
  const boolean = names.filter((name) => typeof all[name][0] === "boolean");
  const args = Deno.args.map((arg) => arg.replace(/^(--trace)=json$/, "$1"));
  const given: Record<string, unknown> = parseArgs(args, {
    boolean,
    string: names.filter((name) => !boolean.includes(name)),
    alias: { h: "help" },
    unknown: (arg: string) => void unknown.push(arg),
  });
  if (given.help) {
    const row = (name: string) =>
      `  --${name.padEnd(10)} ${all[name][1]}` +
      (boolean.includes(name) || all[name][0] === ""
        ? ""
        : ` (${all[name][0]})`);
    say(`${script}: ${about}\n\nFlags:\n${names.map(row).join("\n")}`);
    Deno.exit(0);
  }
  const bad = (message: string) => fail(`${message}; see --help`, 2);
  const values: Record<string, Value> = {};
  for (const [name, [preset]] of Object.entries(all)) {
    const value = given[name] ?? preset;
    const not = value === "" ? "" : `, not "${value}"`;
    const number = /^(\d+\.?\d*|\.\d+)$/.test(`${value}`) ? Number(value) : -1;
    if (name === "port" && (number !== number >>> 0 || number > 65535)) {
      bad(`--port takes a number from 0 to 65535${not}`);
    } else if (name !== "port" && typeof preset === "number") {
      const fits = number > 0 && number <= 1e6;
      if (!fits) bad(`--${name} takes a number above 0${not}`);
    } else if (given[name] === "") bad(`--${name} takes a value`);
    values[name] = typeof preset === "number" ? number : value as Value;
  }
  const misused = args.find((arg) =>
    boolean.includes(/^--(.+?)=/.exec(arg)?.[1] ?? "")
  );
  const but = misused?.startsWith("--trace=") ? " but json" : "";
  if (misused) bad(`${misused.replace(/=.*/s, "")} takes no value${but}`);
  unknown.push(...given._ as string[]); // what stands behind --
  if (unknown.length) bad(`unknown argument ${unknown[0]}`);
  return values as Options<F>;
}

const common = {
  hostname: ["127.0.0.1", "address to listen on"],
  port: [5666, "port to listen on; 0 lets the system choose"],
  echo: [false, "answer with what came instead of hello sir"],
  quiet: [false, "print no clients and no messages"],
  trace: [false, "print each system call; --trace=json for programs"],
} as const;
let { echo, quiet } = { echo: false, quiet: false };

/** `options` for a server: the flags all have in common, and its own. */
export function serverOptions<const F extends Flags>(about: string, own?: F) {
  const given = options(about, { ...common, ...own });
  ({ echo, quiet } = given);
  return given as Options<typeof common> & Options<F>;
}

// --------------------------------------------------------------------- libc

let errnoView: Deno.UnsafePointerView;

// Loaded only when asked for: who does not trace pays nothing, not a wrapper.
if (Deno.args.some((arg) => /^--trace(=json)?$/.test(arg))) {
  await import("./lib/trace.ts")
    .catch(() => fail("--trace needs lib/trace.ts beside util.ts"));
}

/** Opens libc for the given system calls; ends the script where there is none. */
export function libc<const S extends Deno.ForeignLibraryInterface>(symbols: S) {
  const { os, arch } = Deno.build;
  if (os !== "linux" || (arch !== "x86_64" && arch !== "aarch64")) {
    fail("needs Linux on x86-64 or arm64; async.ts runs here too");
  }
  try {
    errnoView ??= new Deno.UnsafePointerView(
      Deno.dlopen("libc.so.6", {
        // int *__errno_location(void);
        __errno_location: { parameters: [], result: "pointer" },
      }).symbols.__errno_location()!,
    );
    return Deno.dlopen("libc.so.6", symbols).symbols;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    fail("calls libc: run with --allow-net --allow-ffi, or -A");
  }
}

// Lengths are u32 and results i32 where C has size_t and ssize_t: 64-bit
// integers would become BigInts, at 1.8 µs a request.
const calls = () =>
  libc({
    // int accept4(int sockfd, struct sockaddr *addr, socklen_t *len, int flags);
    accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
    // ssize_t recv(int sockfd, void *buf, size_t len, int flags);
    recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
    // ssize_t send(int sockfd, const void *buf, size_t len, int flags);
    send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
    // int close(int fd);
    close: { parameters: ["i32"], result: "i32" },
    // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
    getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    // int getpeername(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
    getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    // int dup(int oldfd);
    dup: { parameters: ["i32"], result: "i32" },
  });
let sys: ReturnType<typeof calls>;

/** Why the last system call returned -1. @see errno(3) */
export const errno = () => errnoView.getInt32();

/**
 * The result of a system call that waits; 0, nothing ready, when a signal cut
 * it short (`fg` after Ctrl-Z is enough). Ends the script on any other error.
 */
export function waited(call: string, result: number): number {
  if (result !== -1) return result;
  return errno() === EINTR ? 0 : fail(`${call}: ${strerror(errno())}`);
}

// ----------------------------------------------------------------- listener

/**
 * `Deno.listen` with the given options, and the line that says so. Ends the
 * script when the system will not have it.
 */
export function listen(
  { hostname, port }: { hostname: string; port: number },
  scheme = "",
): Deno.TcpListener {
  let listener;
  try {
    listener = Deno.listen({ hostname, port });
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      fail("listens: run with --allow-net, or -A");
    }
    fail(`cannot listen on ${authority(hostname, port)}: ${reason(error)}`);
  }
  const at = authority(listener.addr.hostname, listener.addr.port);
  const reach = scheme ? `curl ${scheme}${at}/` : `deno run -A client.ts` +
    (hostname === "127.0.0.1" ? "" : ` --hostname ${hostname}`) +
    (listener.addr.port === 5666 ? "" : ` --port ${listener.addr.port}`);
  say(`${script}: listening on ${scheme}${at}${scheme && "/"}`);
  say(`in another terminal: ${reach}`);
  settle();
  return listener;
}

/**
 * Has Deno do now, before there is a client, what it else puts off: loading
 * parts of itself, and setting up its signals half a second after the start.
 * Without a descriptor left for that, it panics.
 */
function settle() {
  ({ EAGAIN, ECONNABORTED, EINTR } = constants().errno);
  util();
  Deno.addSignalListener("SIGINT", settle);
  Deno.removeSignalListener("SIGINT", settle);
}

/** A system error that Deno threw, in the words of `strerror`, and a remedy. */
export function reason(error: unknown): string {
  const { code = "", message } = error as Error & { code?: string };
  const known = Object.entries(constants().errno);
  const errno = known.find(([name]) => name === code);
  const remedy: Record<string, string> = {
    EADDRINUSE: "; try --port 0",
    EACCES: "; try a port above 1023",
    ECONNREFUSED: "; start a server first: deno run -A select.ts",
  };
  return (errno ? strerror(errno[1]) : message) + (remedy[code] ?? "");
}

/** `127.0.0.1:5666`, `[::1]:5666`. */
export function authority(hostname: string, port: number): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

// struct sockaddr_in:  family 2 bytes, port 2 (big-endian), address 4
// struct sockaddr_in6: family 2 bytes, port 2 (big-endian), flow 4, address 16
const sockaddr = new DataView(new ArrayBuffer(28));
const socklen = new Uint32Array(1);

function sockname(): string {
  const dotted = (at: number) =>
    [0, 1, 2, 3].map((i) => sockaddr.getUint8(at + i)).join(".");
  const words = [8, 10, 12, 14, 16, 18, 20, 22]
    .map((i) => sockaddr.getUint16(i).toString(16)).join(":");
  const hostname = sockaddr.getUint16(0, true) === 2
    ? dotted(4)
    : words.startsWith("0:0:0:0:0:ffff:") // IPv4, by way of IPv6
    ? `::ffff:${dotted(20)}`
    : new URL(`http://[${words}]`).hostname.slice(1, -1);
  return authority(hostname, sockaddr.getUint16(2));
}

/** The name of a client that was accepted without asking for it. */
export function peername(fd: number): string {
  socklen[0] = sockaddr.byteLength;
  const gone = sys.getpeername(fd, sockaddr, socklen) === -1;
  return gone ? `descriptor ${fd}` : sockname();
}

/** A listening socket of Deno's, and the descriptor that Deno keeps to itself. */
export class Listener {
  readonly fd: number;
  /**
   * Whether the last accept found no descriptor left. A listener is readable
   * while someone is at the door, so that a loop which cannot accept must not
   * watch it: then waits last a second at most, and after each one tries again.
   */
  full = false;
  #said = false;

  constructor(readonly listener: Deno.TcpListener) {
    sys ??= calls();
    // The listener took the lowest descriptor that was free; now that is a
    // higher one. From there downwards, the kernel knows which one is bound.
    const free = sys.dup(0);
    sys.close(free);
    const at = authority(listener.addr.hostname, listener.addr.port);
    const bound = () => {
      socklen[0] = sockaddr.byteLength;
      return !sys.getsockname(fd, sockaddr, socklen) && sockname() === at;
    };
    let fd = free - 1;
    while (fd > 2 && !bound()) fd--;
    if (fd < 3) fail("cannot find the descriptor of Deno's listener");
    this.fd = fd;
  }

  /**
   * The next client at the door, or none. With `flags` 0, and a listener that
   * blocks, waits for one. @see accept4(2)
   */
  accept(flags = SOCK_NONBLOCK): Peer | undefined {
    for (;;) {
      socklen[0] = sockaddr.byteLength;
      const fd = sys.accept4(this.fd, sockaddr, socklen, flags | SOCK_CLOEXEC);
      this.full = false;
      if (fd !== -1) return new Peer(sockname(), fd);
      if (errno() === EAGAIN) return void (this.#said = false);
      if (errno() === EINTR || errno() === ECONNABORTED) continue;
      this.full = true;
      if (!this.#said) warn(`cannot accept: ${strerror(errno())}`);
      this.#said = true;
      return;
    }
  }
}

// --------------------------------------------------------------------- peer

// One buffer serves all: what is in it is shown and answered before the next.
const inbox = new Uint8Array(65536);
const hello = new TextEncoder().encode("hello sir\n");

/** A connected client, seen from the server. */
export class Peer {
  /** What the kernel had no room for. Until it is out, nothing more is read. */
  unsent: Uint8Array<ArrayBuffer> | null = null;
  /** Whether the client has left, and its descriptor is closed. */
  gone = false;
  #decoder?: TextDecoder; // per client: a character may come in pieces

  constructor(readonly name: string, readonly fd = -1) {
    if (!quiet) say(`got connection from ${name}`);
  }

  /**
   * What is done with a client that is ready: with something unsent, one more
   * `send`; else one `recv`, shown and answered. False if it was not ready.
   */
  serve(): boolean {
    if (this.unsent) return this.send(this.unsent);
    const data = this.recv();
    if (!data) return this.gone;
    this.show(data);
    return this.send(this.answer(data));
  }

  /**
   * What the client sent, valid until the next `recv`; undefined if there is
   * nothing yet, or the client is `gone`. @see recv(2)
   */
  recv(): Uint8Array<ArrayBuffer> | undefined {
    const n = sys.recv(this.fd, inbox, inbox.length, 0);
    if (n > 0) return inbox.subarray(0, n);
    if (n === 0) this.leave();
    else this.#check();
  }

  /** Sends what the kernel has room for and keeps the rest. @see send(2) */
  send(data: Uint8Array<ArrayBuffer>): boolean {
    const n = sys.send(this.fd, data, data.length, 0);
    if (n === -1) this.#check();
    const done = this.gone || n === data.length;
    this.unsent = done ? null : data.slice(Math.max(n, 0));
    return n !== -1 || this.gone;
  }

  /** After -1: EAGAIN and EINTR mean later, anything else a lost client. */
  #check() {
    if (errno() !== EAGAIN && errno() !== EINTR) this.leave(strerror(errno()));
  }

  /** Prints what came, escaped, behind a label. */
  show(data: Uint8Array, label = this.name) {
    if (quiet) return;
    this.#decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
    const text = this.#decoder.decode(data, { stream: true });
    if (text) say(`${label}: ${printable(text)}`);
  }

  answer(data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    return echo ? data : hello;
  }

  /** Tells a client why it cannot stay, and closes. */
  refuse(why: string) {
    this.send(new TextEncoder().encode(`${why}\n`));
    if (!this.gone) this.leave(why);
  }

  /** Closes the descriptor, and says so. @see close(2) */
  leave(why = "") {
    this.gone = true;
    if (this.fd !== -1) sys.close(this.fd);
    if (quiet) return;
    const cut = this.#decoder?.decode();
    if (cut) say(`${this.name}: ${cut}`);
    say(`${this.name} disconnected${why && `: ${why}`}`);
  }
}
