/**
 * What a server does while it waits, told as it happens: its system calls and,
 * where Deno makes those, its promises. util.ts loads this for `--trace`, before
 * anything else: `Deno.dlopen` and `Deno.listen` are replaced by ones that wrap
 * what they open, so that no script, and no function it calls, knows of it.
 *
 * `--trace=json` writes one object a line, {@link Told} or {@link Warned}.
 */
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";

/** A call as it is made, and once more when it has returned. */
export interface Told {
  /** In ms since 1970, as precise as the system's clocks are. */
  time: number;
  /** The name of the Worker that made it; the main thread has none. */
  thread?: string;
  call: string;
  phase: "call" | "return";
  /** Where in the script it was made: `select.ts:47`. */
  at?: string;
  /** What it was asked for, and what it has got, as the text form has them. */
  asked: string;
  answered?: string;
  /** What it returned; of a promise, a number or a client's name. */
  result?: number | string | null;
  /** `EAGAIN`. */
  error?: string;
  /** For how long it had the thread, in ms: all its time, or none of it. */
  held?: number;
  /** Set on both lines of a call that returned a promise, and holds nobody. */
  promised?: true;
  /** For how long a promise was out, in ms. */
  waited?: number;
  /** How often a timer of 10 ms ticked meanwhile, if the thread was free. */
  ticks?: number;
  /** The client's port, from a call that returned its address. */
  port?: number;
  /** What io_uring_enter handed in, and what was done when it returned. */
  requests?: { op: string; fd: number; result?: number }[];
}

/** A warning, which goes to stderr as well. */
export interface Warned {
  time: number;
  thread?: string;
  warning: string;
}

type Arg = number | Uint8Array | Int32Array | Uint32Array | DataView | null;
type Result = number | Deno.PointerValue;
type Call = (...args: Arg[]) => Result;
/** What a call asks for, and what it has got. */
type Telling = [
  asked: (args: Arg[]) => string,
  answered?: (args: Arg[], result: number) => string,
];

const json = Deno.args.includes("--trace=json");
const colour = Deno.stderr.isTerminal() && !Deno.noColor;
const inWorker = "WorkerGlobalScope" in globalThis;
const thread = inWorker ? (globalThis as { name?: string }).name : undefined;
// With more than one thread, half a line would be ended by somebody else.
let wholeLines = inWorker;
let ticks = 0;
let ticking = false;

// ------------------------------------------------------------ what calls mean

const range = (length: number) => Array.from({ length }, (_, i) => i);

/** The descriptors in the sets of select. */
const sets = ([nfds, readfds, writefds]: Arg[]) => {
  const list = (set: Arg) =>
    range(set ? nfds as number : 0)
      .filter((fd) => (set as Uint8Array)[fd >> 3] >> (fd & 7) & 1).join(", ");
  const writing = list(writefds);
  return `[${list(readfds)}]${writing && ` writing [${writing}]`}`;
};

const names = (prefix: string, mask: number, bits: Record<string, number>) =>
  Object.entries(bits).filter(([, bit]) => mask & bit)
    .map(([name]) => ` ${prefix}${name}`).join("");

// Of poll and epoll alike, but for the last one.
const EVENTS = { IN: 1, PRI: 2, OUT: 4, ERR: 8, HUP: 16, NVAL: 32 };
const events = (prefix: string, mask: number) =>
  names(prefix, mask, EVENTS) + (mask < 0 || mask >= 2 ** 31 ? " EPOLLET" : "");

/** The descriptors of poll with an event in the given half of a word. */
const polled = ([fds, n]: Arg[], half: 0 | 16) => {
  const { buffer, byteOffset } = fds as Int32Array;
  const words = new Int32Array(buffer, byteOffset, 2 * (n as number));
  return range(n as number)
    .map((i) => words.subarray(2 * i, 2 * i + 2))
    .filter(([, word]) => word >> half & 0xffff)
    .map(([fd, word]) => fd + events("POLL", word >> half & 0xffff))
    .join(", ");
};

/** The i-th epoll_event: packed to 12 bytes on x86-64, 16 elsewhere. */
const epollEvent = (list: Arg, i: number) => {
  const { buffer, byteOffset } = list as Uint8Array;
  const x86 = Deno.build.arch === "x86_64";
  const view = new DataView(buffer, byteOffset + i * (x86 ? 12 : 16));
  return [view.getInt32(0, true), view.getInt32(x86 ? 4 : 8, true)];
};

/** The flags of an open file, as far as they say how it waits. */
const fileFlags = (mask: number) =>
  names("", mask, { O_RDWR: 2, O_NONBLOCK: 0o4000, O_ASYNC: 0o20000 })
    .trim().replaceAll(" ", "|") || "0";

const message = (data: Arg, size: number) => {
  const { buffer, byteOffset } = data as Uint8Array;
  const start = new Uint8Array(buffer, byteOffset, Math.min(size, 40));
  const text = new TextDecoder().decode(start).replace(
    /[\p{Cc}\p{Bidi_Control}\u2028\u2029"\\]/gu,
    (char) =>
      ({ "\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\" })[
        char
      ] ?? `\\u{${char.charCodeAt(0).toString(16)}}`,
  );
  return `${size} bytes "${text}"${size > 40 ? "…" : ""}`;
};

const requests = (list: Told["requests"] = []) =>
  list.map(({ op, fd, result }) =>
    `${op}${fd < 0 ? "" : ` ${fd}`}` +
    (result === undefined
      ? ""
      : ` → ${result < 0 ? getSystemErrorName(result) : result}`)
  ).join(", ");

const COMMANDS: Record<number, string> = {
  1: "F_GETFD",
  2: "F_SETFD",
  3: "F_GETFL",
  4: "F_SETFL",
  8: "F_SETOWN",
};
const numbers: Telling = [
  (args) => args.filter((arg) => typeof arg === "number").join(", "),
  (_, result) => ` → ${result}`,
];
const descriptor: Telling = [([fd]) => `${fd}`];

const TELLINGS: Record<string, Telling> = {
  select: [sets, (args) => ` → ${sets(args)}`],
  poll: [
    (args) => `[${polled(args, 0)}]`,
    (args) => ` → [${polled(args, 16)}]`,
  ],
  epoll_ctl: [
    ([, op, fd, event]) =>
      `${["", "ADD", "DEL", "MOD"][op as number]} ${fd}` +
      (op === 2 ? "" : events("EPOLL", epollEvent(event, 0)[0])),
  ],
  epoll_wait: [() => "", ([, ready], n) =>
    "→ " +
    range(n).map((i) => epollEvent(ready, i))
      .map(([mask, fd]) => fd + events("EPOLL", mask)).join(", ")],
  // Their numbers, which go through syscall(2), are no news.
  io_uring_setup: [([, entries]) => `${entries}`, (_, fd) => ` → ${fd}`],
  io_uring_register: [([, ...args]) => numbers[0](args)],
  io_uring_enter: [
    ([, , , complete]) =>
      [requests(ring.asked), `wait for ${complete}`].filter((part) => part)
        .join("; "),
    () => ` → ${requests(ring.done) || "nothing"}`,
  ],
  mmap: [([, length]) => `${length} bytes`], // and a pointer, not a number
  accept4: [descriptor[0], (_, fd) => ` → ${fd}`],
  recv: [descriptor[0], ([, data], n) => `, ${message(data, n)}`],
  send: [
    ([fd, data, size]) => `${fd}, ${message(data, size as number)}`,
    ([, , size], n) => n === size ? "" : ` → ${n} bytes`,
  ],
  close: descriptor,
  tcflush: [([fd, queue]) => `${fd}, ${queue === 0 ? "TCIFLUSH" : queue}`],
  getpeername: descriptor,
  fcntl: [
    ([fd, command, arg]) => {
      const name = COMMANDS[command as number] ?? `${command}`;
      if (command === 4) return `${fd}, ${name}, ${fileFlags(arg as number)}`;
      return `${fd}, ${name}${name.startsWith("F_SET") ? `, ${arg}` : ""}`;
    },
    ([, command], result) => command === 3 ? ` → ${fileFlags(result)}` : "",
  ],
};

/** The port in a struct sockaddr that the call has filled. */
function portOf(call: string, [, sockaddr]: Arg[]): number | undefined {
  if (!["accept4", "getpeername"].includes(call) || !sockaddr) return;
  const { buffer, byteOffset } = sockaddr as Uint8Array;
  return new DataView(buffer, byteOffset).getUint16(2);
}

// ------------------------------------------------------------------- io_uring

const OPS: Record<number, string> = {
  0: "NOP",
  6: "POLL_ADD",
  7: "POLL_REMOVE",
  11: "TIMEOUT",
  12: "TIMEOUT_REMOVE",
  13: "ACCEPT",
  14: "ASYNC_CANCEL",
  15: "LINK_TIMEOUT",
  16: "CONNECT",
  19: "CLOSE",
  22: "READ",
  23: "WRITE",
  26: "SEND",
  27: "RECV",
  34: "SHUTDOWN",
  45: "SOCKET",
};

/**
 * Both rings are memory, and what io_uring_enter takes and brings stands there,
 * not in its arguments. We look into the same memory, as setup and mmap gave it.
 */
const ring = {
  fd: -1,
  params: new Uint32Array(30), // struct io_uring_params, see io_uring.ts
  words: new Int32Array(),
  sqes: new Int32Array(),
  /** Requests that are with the kernel, by their user_data. */
  pending: new Map<string, { op: string; fd: number }>(),
  asked: [] as Required<Told>["requests"],
  done: [] as Required<Told>["requests"],
  tail: 0,

  opened(call: string, args: Arg[], result: Result) {
    if (call === "io_uring_setup" && Number(result) > 0) {
      ring.fd = result as number;
      ring.params.set(args[2] as Uint32Array);
    } else if (call === "mmap" && args[4] === ring.fd && result) {
      const [size, offset] = [args[1] as number, args[5] as number];
      const memory = Deno.UnsafePointerView.getArrayBuffer(
        result as Deno.PointerObject,
        size,
      );
      if (offset) ring.sqes = new Int32Array(memory);
      else ring.words = new Int32Array(memory);
    }
  },

  /** Before the call: the requests between the head and the tail of their ring. */
  entering() {
    const { words, sqes, params } = ring;
    if (!words.length || !sqes.length) return;
    const [head, tail, mask, , , , array] = params.subarray(10)
      .map((offset) => offset / 4);
    ring.asked = [];
    for (let i = words[head]; i !== words[tail]; i = i + 1 | 0) {
      const at = 16 * words[array + (i & words[mask])];
      const code = sqes[at] & 255;
      const request = { op: OPS[code] ?? `op ${code}`, fd: sqes[at + 1] };
      ring.pending.set(`${sqes.subarray(at + 8, at + 10)}`, request);
      ring.asked.push(request);
    }
    ring.tail = words[params[21] / 4];
  },

  /** After it: the completions that were not there before. */
  entered() {
    const { words, params, pending } = ring;
    if (!words.length) return;
    const [, tail, mask, , , array] = params.subarray(20)
      .map((offset) => offset / 4);
    ring.done = [];
    for (let i = ring.tail; i !== words[tail]; i = i + 1 | 0) {
      const at = array + 4 * (i & words[mask]);
      const user = `${words.subarray(at, at + 2)}`;
      const request = pending.get(user) ?? { op: "request", fd: -1 };
      ring.done.push({ ...request, result: words[at + 2] });
      const IORING_CQE_F_MORE = 2; // it stays with the kernel
      if (!(words[at + 3] & IORING_CQE_F_MORE)) pending.delete(user);
    }
  },
};

// -------------------------------------------------------------------- writing

function write(text: string) {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length) {
    try {
      bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
    } catch (error) { // it is nobody's any more, or was made non-blocking
      if (!(error instanceof Deno.errors.WouldBlock)) {
        Deno.exit(128 + constants.signals.SIGPIPE);
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

const paint = (code: number, text: string) =>
  colour && text ? `\x1b[${code}m${text}\x1b[0m` : text;
const ms = (time: number) => `${time.toFixed(time < 10 ? 3 : 0)} ms`;
const now = () => performance.timeOrigin + performance.now();

/** Seconds since the start or, where threads have started apart, the time. */
function margin(): string {
  if (!wholeLines) {
    const seconds = (performance.now() / 1000).toFixed(6);
    return paint(2, `${seconds.padStart(11)}  `);
  }
  const time = now();
  const [clock] = new Date(time).toTimeString().split(" ");
  const micros = Math.floor(time % 1000 * 1000).toString().padStart(6, "0");
  return paint(2, `${clock}.${micros}  `) + (thread ? `${thread}: ` : "");
}

function line(told: Omit<Told, "time"> | Omit<Warned, "time">) {
  write(JSON.stringify({ time: now(), thread, ...told }) + "\n");
}

/** The line of the script that led here: not of what serves all scripts. */
function place(): string | undefined {
  const ours = new URL(".", import.meta.url).href;
  const util = new URL("../util.ts", import.meta.url).href;
  for (const frame of new Error().stack!.split("\n")) {
    const [, path, row] = /(file:\/\/.*|https?:\/\/.*):(\d+):\d+\)?$/
      .exec(frame) ?? [];
    if (!path || path.startsWith(ours) || path === util) continue;
    return `${decodeURIComponent(path.split("/").at(-1)!)}:${row}`;
  }
}

function called(call: string, asked: string, promised?: true) {
  const requests = call === "io_uring_enter" ? ring.asked : undefined;
  const told = { call, phase: "call", at: place(), asked } as const;
  if (json) line({ ...told, promised, requests });
  else {
    const end = wholeLines ? " …\n" : "";
    write(`${margin()}${paint(36, call)}(${asked}${end}`);
  }
}

function returned(told: Omit<Told, "time" | "phase">) {
  const { call, asked, answered, error, held = 0, waited } = told;
  if (json) {
    return line(Object.assign({ call, phase: "return" } as const, told));
  }
  const whole = wholeLines || waited !== undefined;
  const start = whole ? `${margin()}${paint(36, call)}(${asked}` : "";
  const why = paint(33, error ? ` ${error}` : "");
  const long = waited === undefined
    ? ` ${paint(held < 1 ? 2 : 1, ms(held))}`
    : `resolved after ${ms(waited)}, thread free (${told.ticks} ticks)`;
  write(`${start}${answered})${why} ${long}\n`);
}

// ---------------------------------------------------------------------- calls

let errno: Int32Array; // this thread's, to be read and to be written

// How Deno's descriptor is found, how many there may be, and what an error is.
const UNTOLD = /^(__errno_location|strerror|getdtablesize|getrlimit|getsock)/;

/** The call, told of before it can wait and when it has returned. */
function traced(call: string, run: Call): Call {
  if (UNTOLD.test(call)) return run;
  const [ask, answer = () => ""] = TELLINGS[call] ?? numbers;
  return (...args) => {
    if (call === "io_uring_enter") ring.entering();
    const asked = ask(args);
    called(call, asked);
    const begin = performance.now();
    const result = run(...args);
    const why = errno[0]; // which telling can change
    const held = performance.now() - begin;
    if (call === "io_uring_enter") ring.entered();
    else ring.opened(call, args, result);
    const told = outcome(call, args, result, why, answer);
    returned({ call, asked, ...told, held });
    errno[0] = why;
    return result;
  };
}

function outcome(
  call: string,
  args: Arg[],
  result: Result,
  why: number,
  answer: (args: Arg[], result: number) => string,
) {
  if (result === -1) {
    const error = why ? getSystemErrorName(-why) : undefined;
    return { answered: "", result, error };
  }
  const number = typeof result === "number" ? result : null;
  return {
    answered: answer(args, number ?? 0),
    result: number,
    port: portOf(call, args),
    requests: call === "io_uring_enter" ? ring.done : undefined,
  };
}

const { dlopen } = Deno;
Object.assign(Deno, {
  dlopen(file: string | URL, symbols: Deno.ForeignLibraryInterface) {
    const library = dlopen(file, symbols);
    errno ??= new Int32Array(Deno.UnsafePointerView.getArrayBuffer(
      dlopen("libc.so.6", {
        // int *__errno_location(void);
        __errno_location: { parameters: [], result: "pointer" },
      }).symbols.__errno_location()!,
      4,
    ));
    const calls = library.symbols as Record<string, unknown>;
    const wrapped = Object.entries(symbols).map(([call, symbol]) => {
      const run = calls[call];
      if (typeof run !== "function") return [call, run];
      if (!("nonblocking" in symbol) || !symbol.nonblocking) {
        return [call, traced(call, run as Call)];
      }
      wholeLines = true;
      const [ask, answer = () => ""] = TELLINGS[call] ?? numbers;
      return [
        call,
        (...args: Arg[]) =>
          promised(call, ask(args), run(...args), (result: Result) =>
            // The errno is that of the thread which made the call.
            outcome(call, args, result, 0, answer)),
      ];
    });
    return {
      symbols: Object.fromEntries(wrapped),
      close: () => library.close(),
    };
  },
});

// ------------------------------------------------------------------- promises

/**
 * The promise, told of when it is made and when it resolves, and how often a
 * timer ticked in between: every 10 ms, if the thread is free.
 */
async function promised<T>(
  call: string,
  asked: string,
  promise: Promise<T>,
  tell: (result: T) => Partial<Told>,
): Promise<T> {
  if (!ticking) Deno.unrefTimer(setInterval(() => ticks++, 10));
  ticking = true;
  const begin = performance.now();
  const before = ticks;
  if (json) called(call, asked, true);
  else write(`${margin()}${paint(36, call)}(${asked}) promised\n`);
  const end = (told: Partial<Told>) => {
    const waited = performance.now() - begin;
    const answered = told.answered ?? "";
    const free = {
      held: 0,
      promised: true as const,
      waited,
      ticks: ticks - before,
    };
    returned({ call, asked, ...told, answered, ...free });
  };
  try {
    const result = await promise;
    end(tell(result));
    return result;
  } catch (error) {
    end({ error: (error as { code?: string }).code ?? String(error) });
    throw error;
  }
}

/** A listener of Deno's, or a connection, whose promises are told of. */
function promising<T extends object>(target: T, name = ""): T {
  return new Proxy(target, {
    get: (_, key) => {
      const value = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      if (key === Symbol.asyncIterator) {
        return async function* (this: Deno.TcpListener) {
          while (true) yield await this.accept();
        };
      }
      const run = value.bind(target);
      if (key === "accept") {
        return async () => {
          let port;
          const conn: Deno.TcpConn = await promised(
            key,
            name,
            run(),
            ({ remoteAddr }: Deno.TcpConn) => {
              const result = `${remoteAddr.hostname}:${remoteAddr.port}`;
              port = remoteAddr.port;
              return { answered: `→ ${result}`, result, port };
            },
          );
          const { hostname, port: of } = conn.remoteAddr;
          return promising(conn, `${hostname}:${of}`);
        };
      }
      if (key === "read") {
        return (data: Uint8Array) =>
          promised(key, name, run(data), (result: number | null) => ({
            answered: result ? `, ${message(data, result)}` : ` → ${result}`,
            result,
          }));
      }
      if (key === "write") {
        return (data: Uint8Array) => {
          const asked = `${name}, ${message(data, data.length)}`;
          return promised(key, asked, run(data), (result: number) => ({
            answered: result === data.length ? "" : ` → ${result} bytes`,
            result,
          }));
        };
      }
      return run;
    },
  });
}

const { listen } = Deno;
Object.assign(Deno, {
  listen: (options: Deno.TcpListenOptions) => promising(listen(options)),
});

// Where somebody types the answers, the server stands at the keyboard as well.
const { stdin } = Deno;
const readStdin = stdin.read.bind(stdin);
Object.assign(stdin, {
  read: (data: Uint8Array) =>
    promised("read", "0", readStdin(data), (result) => ({
      answered: result ? `, ${message(data, result)}` : ` → ${result}`,
      result,
    })),
});

// ------------------------------------------------------------------- warnings

if (json) {
  console.error = (...data: unknown[]) => line({ warning: data.join(" ") });
}
