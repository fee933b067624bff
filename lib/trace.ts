/**
 * What a server does while it waits, written as it happens: its system calls
 * and, where Deno makes those, its promises. lib/cli.ts loads this for `--trace`,
 * and whatever opens functions of libc, a listener or stdin has them wrapped
 * here.
 *
 * `--trace=json` writes one object a line, {@link TraceEvent} or
 * {@link TraceWarning}.
 */
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { sleep, warnings } from "./output.ts";
import { formatMs, now } from "./time.ts";

/** A call as it is made, and once more when it has returned. */
export interface TraceEvent {
  /** In ms since 1970, as precise as the system's clocks are. */
  time: number;
  /** The name of the Worker that made the call; the main thread has none. */
  thread?: string;
  call: string;
  phase: "call" | "return";
  /** The line of the script that made the call: `select.ts:47`. */
  source?: string;
  /** The arguments, as the text form has them. */
  args: string;
  /** What the call has brought, as the text form has it. */
  outcome?: string;
  /** What the call returned; of a promise, a number or a client's name. */
  result?: number | string | null;
  /** `EAGAIN`. */
  error?: string;
  /** For how long the call had the thread, in ms. */
  held?: number;
  /** Set on both lines of a call that returned a promise, and holds no thread. */
  promised?: true;
  /** How long it took the promise to resolve, in ms. */
  waited?: number;
  /** How often a timer of 10 ms ticked meanwhile, if the thread was free. */
  ticks?: number;
  /** The client's port, from a call that returned its address. */
  port?: number;
  /** What io_uring_enter handed in, and what was done when it returned. */
  requests?: { op: string; fd: number; result?: number }[];
}

/** A warning of the script. */
export interface TraceWarning {
  time: number;
  thread?: string;
  warning: string;
}

type Arg = number | Uint8Array | Int32Array | Uint32Array | DataView | null;
type Result = number | Deno.PointerValue;
type Call = (...args: Arg[]) => Result;
/** How a call is written: its arguments, and what it has brought. */
interface Formatter {
  args: (args: Arg[]) => string;
  outcome?: (args: Arg[], result: number) => string;
}

const json = Deno.args.includes("--trace=json");
const colour = Deno.stderr.isTerminal() && !Deno.noColor;
const inWorker = "WorkerGlobalScope" in globalThis;
const thread = inWorker ? (globalThis as { name?: string }).name : undefined;
// With more than one thread, half a line would be ended by another thread.
let wholeLines = inWorker;
let ticks = 0; // of a timer that runs once there is a promise
let ticking = false;

// ------------------------------------------------- how calls are written

const range = (length: number) => Array.from({ length }, (_, i) => i);

/** The descriptors in the sets of select. */
function formatSets([nfds, readfds, writefds]: Arg[]): string {
  const members = (set: Arg) => {
    const bits = set as Uint8Array | null;
    const fds = range(bits ? nfds as number : 0);
    return fds.filter((fd) => bits![fd >> 3] >> (fd & 7) & 1).join(", ");
  };
  const writing = members(writefds);
  return `[${members(readfds)}]${writing && ` writing [${writing}]`}`;
}

/** The names of the bits that are set, each behind a space. */
function bitNames(
  prefix: string,
  mask: number,
  bits: Record<string, number>,
): string {
  return Object.entries(bits).filter(([_name, bit]) => mask & bit)
    .map(([name]) => ` ${prefix}${name}`).join("");
}

// The same for poll and epoll, but for EPOLLET.
const EVENTS = { IN: 1, OUT: 4, ERR: 8, HUP: 16, NVAL: 32 };
const EPOLLET = 2 ** 31;
function formatEvents(prefix: string, mask: number): string {
  const edge = mask < 0 || mask >= EPOLLET;
  return bitNames(prefix, mask, EVENTS) + (edge ? " EPOLLET" : "");
}

/** The descriptors of poll with an event in that half of their second word. */
function formatPollfds([fds, nfds]: Arg[], half: 0 | 16): string {
  const { buffer, byteOffset } = fds as Int32Array;
  const words = new Int32Array(buffer, byteOffset, 2 * (nfds as number));
  return range(nfds as number)
    .map((i) => ({ fd: words[2 * i], mask: words[2 * i + 1] >> half & 0xffff }))
    .filter(({ mask }) => mask)
    .map(({ fd, mask }) => fd + formatEvents("POLL", mask))
    .join(", ");
}

/** The i-th epoll_event: packed to 12 bytes on x86-64, 16 elsewhere. */
function epollEvent(list: Arg, i: number): { mask: number; fd: number } {
  const { buffer, byteOffset } = list as Uint8Array;
  const x86 = Deno.build.arch === "x86_64";
  const view = new DataView(buffer, byteOffset + i * (x86 ? 12 : 16));
  return {
    mask: view.getInt32(0, true),
    fd: view.getInt32(x86 ? 4 : 8, true),
  };
}

/** The flags of an open file, as far as they say how its calls wait. */
function formatFileFlags(mask: number): string {
  const bits = { O_RDWR: 2, O_NONBLOCK: 0o4000, O_ASYNC: 0o20000 };
  return bitNames("", mask, bits).trim().replaceAll(" ", "|") || "0";
}

const ESCAPES: Record<string, string> = {
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
  '"': '\\"',
  "\\": "\\\\",
};
/** How many bytes, and the first 40 of them as a text. */
function formatMessage(data: Arg, size: number): string {
  const { buffer, byteOffset } = data as Uint8Array;
  const start = new Uint8Array(buffer, byteOffset, Math.min(size, 40));
  const text = new TextDecoder().decode(start).replace(
    /[\p{Cc}\p{Bidi_Control}\u2028\u2029"\\]/gu,
    (char) => ESCAPES[char] ?? `\\u{${char.charCodeAt(0).toString(16)}}`,
  );
  return `${size} bytes "${text}"${size > 40 ? "…" : ""}`;
}

function formatRequests(list: TraceEvent["requests"] = []): string {
  return list.map(({ op, fd, result }) => {
    let text = op;
    if (fd >= 0) text += ` ${fd}`;
    if (result === undefined) return text;
    return `${text} → ${result < 0 ? getSystemErrorName(result) : result}`;
  }).join(", ");
}

const F_GETFL = 3;
const F_SETFL = 4;
const F_SETOWN = 8;
function formatFcntl([fd, command, arg]: Arg[]): string {
  if (command === F_GETFL) return `${fd}, F_GETFL`;
  if (command === F_SETFL) {
    return `${fd}, F_SETFL, ${formatFileFlags(arg as number)}`;
  }
  return `${fd}, ${command === F_SETOWN ? "F_SETOWN" : command}, ${arg}`;
}

/** What every call gets that has no other formatter. */
const numbers: Formatter = {
  args: (args) => args.filter((arg) => typeof arg === "number").join(", "),
  outcome: (_, result) => ` → ${result}`,
};
const onlyDescriptor = ([fd]: Arg[]) => `${fd}`;

const EPOLL_CTL: Record<number, string> = { 1: "ADD", 3: "MOD" };
const FORMATTERS: Record<string, Formatter> = {
  select: { args: formatSets, outcome: (args) => ` → ${formatSets(args)}` },
  poll: {
    args: (args) => `[${formatPollfds(args, 0)}]`,
    outcome: (args) => ` → [${formatPollfds(args, 16)}]`,
  },
  epoll_ctl: {
    args: ([_epfd, op, fd, event]) =>
      `${EPOLL_CTL[op as number]} ${fd}` +
      formatEvents("EPOLL", epollEvent(event, 0).mask),
  },
  epoll_wait: {
    args: () => "",
    outcome: ([_epfd, events], n) => {
      const ready = range(n).map((i) => epollEvent(events, i))
        .map(({ mask, fd }) => fd + formatEvents("EPOLL", mask));
      return `→ ${ready.join(", ")}`;
    },
  },
  // Their first argument is the number of the call, for syscall(2).
  io_uring_setup: {
    args: ([_number, entries]) => `${entries}`,
    outcome: (_, fd) => ` → ${fd}`,
  },
  io_uring_enter: {
    args: ([_number, _fd, _submit, complete]) =>
      [formatRequests(ring.submitted), `wait for ${complete}`]
        .filter((part) => part).join("; "),
    outcome: () => ` → ${formatRequests(ring.completed) || "nothing"}`,
  },
  mmap: { args: ([_addr, length]) => `${length} bytes` },
  accept4: { args: onlyDescriptor, outcome: (_, fd) => ` → ${fd}` },
  recv: {
    args: onlyDescriptor,
    outcome: ([_fd, data], n) => `, ${formatMessage(data, n)}`,
  },
  send: {
    args: ([fd, data, size]) => `${fd}, ${formatMessage(data, size as number)}`,
    outcome: ([_fd, _data, size], n) => n === size ? "" : ` → ${n} bytes`,
  },
  close: { args: onlyDescriptor },
  tcflush: {
    args: ([fd, queue]) => `${fd}, ${queue === 0 ? "TCIFLUSH" : queue}`,
  },
  getpeername: { args: onlyDescriptor },
  fcntl: {
    args: formatFcntl,
    outcome: ([_fd, command], result) =>
      command === F_GETFL ? ` → ${formatFileFlags(result)}` : "",
  },
};

/** The port in a struct sockaddr that the call has filled. */
function portOf(call: string, [_fd, sockaddr]: Arg[]): number | undefined {
  if (!["accept4", "getpeername"].includes(call) || !sockaddr) return;
  const { buffer, byteOffset } = sockaddr as Uint8Array;
  return new DataView(buffer, byteOffset).getUint16(2);
}

// ------------------------------------------------------------------- io_uring

/** The kinds of request that io_uring.ts makes. */
const OPERATIONS: Record<number, string> = {
  6: "POLL_ADD",
  13: "ACCEPT",
  26: "SEND",
  27: "RECV",
};

/**
 * Both rings are memory, and what io_uring_enter takes and brings is in there,
 * not in its arguments. We look into the same memory, as setup and mmap gave it.
 */
const ring = {
  fd: -1,
  params: new Uint32Array(30), // struct io_uring_params, see io_uring.ts
  words: new Int32Array(), // of both rings
  sqes: new Int32Array(),
  /** Requests that are with the kernel, by their user_data. */
  pending: new Map<string, { op: string; fd: number }>(),
  submitted: [] as Required<TraceEvent>["requests"],
  completed: [] as Required<TraceEvent>["requests"],
  tail: 0, // of the completions, before the call

  /** After io_uring_setup and mmap: where the rings are. */
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

  /** Before io_uring_enter: the requests between head and tail of their ring. */
  entering() {
    const { words, sqes, params } = ring;
    if (!words.length || !sqes.length) return;
    const index = (param: number) => params[param] / 4; // params are in bytes
    const [head, tail, mask, array] = [10, 11, 12, 16].map(index);
    ring.submitted = [];
    for (let i = words[head]; i !== words[tail]; i = i + 1 | 0) {
      const sqe = 16 * words[array + (i & words[mask])];
      const code = sqes[sqe] & 255;
      const op = OPERATIONS[code] ?? `op ${code}`;
      const request = { op, fd: sqes[sqe + 1] };
      ring.pending.set(`${sqes.subarray(sqe + 8, sqe + 10)}`, request);
      ring.submitted.push(request);
    }
    ring.tail = words[index(21)];
  },

  /** After io_uring_enter: the completions that were not there before. */
  entered() {
    const { words, params, pending } = ring;
    if (!words.length) return;
    const [tail, mask, array] = [21, 22, 25].map((param) => params[param] / 4);
    const IORING_CQE_F_MORE = 2; // the request stays with the kernel
    ring.completed = [];
    for (let i = ring.tail; i !== words[tail]; i = i + 1 | 0) {
      const cqe = array + 4 * (i & words[mask]);
      const userData = `${words.subarray(cqe, cqe + 2)}`;
      const request = pending.get(userData) ?? { op: "request", fd: -1 };
      ring.completed.push({ ...request, result: words[cqe + 2] });
      if (!(words[cqe + 3] & IORING_CQE_F_MORE)) pending.delete(userData);
    }
  },
};

// -------------------------------------------------------------------- writing

function write(text: string) {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length) {
    try {
      bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
    } catch (error) {
      // Nobody reads stderr any more; or it does not block, and is full.
      if (!(error instanceof Deno.errors.WouldBlock)) {
        Deno.exit(128 + constants.signals.SIGPIPE);
      }
      sleep(10);
    }
  }
}

const paint = (code: number, text: string) =>
  colour && text ? `\x1b[${code}m${text}\x1b[0m` : text;

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

function writeJson(event: Omit<TraceEvent, "time"> | { warning: string }) {
  write(JSON.stringify({ time: now(), thread, ...event }) + "\n");
}

if (json) warnings.write = (warning) => writeJson({ warning });

/** The line of the script that led here: not of what all scripts share. */
function sourceLine(): string | undefined {
  const lib = new URL(".", import.meta.url).href;
  const util = new URL("../util.ts", import.meta.url).href;
  for (const frame of new Error().stack!.split("\n")) {
    const [_match, path, line] = /(file:\/\/.*|https?:\/\/.*):(\d+):\d+\)?$/
      .exec(frame) ?? [];
    if (!path || path.startsWith(lib) || path === util) continue;
    return `${decodeURIComponent(path.split("/").at(-1)!)}:${line}`;
  }
}

/** Writes that a call begins: a line, or the first part of it. */
function writeCall(call: string, args: string) {
  if (json) {
    const requests = call === "io_uring_enter" ? ring.submitted : undefined;
    const source = sourceLine();
    writeJson({ call, phase: "call", source, args, requests });
  } else {
    const end = wholeLines ? " …\n" : "";
    write(`${margin()}${paint(36, call)}(${args}${end}`);
  }
}

/** Writes that a call of a script's has returned. */
function writeReturn(event: Omit<TraceEvent, "time" | "phase">) {
  const { call, args, outcome, error, held = 0 } = event;
  if (json) {
    writeJson(Object.assign({ call, phase: "return" } as const, event));
    return;
  }
  const begin = wholeLines ? `${margin()}${paint(36, call)}(${args}` : "";
  const why = error ? paint(33, ` ${error}`) : "";
  const time = paint(held < 1 ? 2 : 1, formatMs(held, 3));
  write(`${begin}${outcome})${why}  ${time}\n`);
}

// ---------------------------------------------------------------------- calls

// How many descriptors there may be is asked once, and waits for nothing.
const NOT_TRACED = ["getrlimit"];

/** The same functions of libc, each of which writes what it does. */
export function traceCalls<const S extends Deno.ForeignLibraryInterface>(
  calls: Deno.StaticForeignLibraryInterface<S>,
  types: S,
  errno: Int32Array,
): Deno.StaticForeignLibraryInterface<S> {
  const traced = Object.entries(types).map(([call, type]) => {
    const run = (calls as Record<string, unknown>)[call] as Call;
    if (NOT_TRACED.includes(call)) return [call, run];
    if ("nonblocking" in type && type.nonblocking) {
      wholeLines = true;
      return [call, traceForeignPromise(call, run)];
    }
    return [call, traceCall(call, run, errno)];
  });
  return Object.fromEntries(traced);
}

/** The call, written before it can wait and when it has returned. */
function traceCall(call: string, run: Call, errno: Int32Array): Call {
  const format = FORMATTERS[call] ?? numbers;
  return (...args) => {
    if (call === "io_uring_enter") ring.entering();
    const asText = format.args(args);
    writeCall(call, asText);
    const begin = performance.now();
    const result = run(...args);
    const why = errno[0]; // what follows can change it
    const held = performance.now() - begin;
    if (call === "io_uring_enter") ring.entered();
    else ring.opened(call, args, result);
    const end = describeResult(call, args, result, why);
    writeReturn({ call, args: asText, ...end, held });
    errno[0] = why;
    return result;
  };
}

/** What a call has brought, for the event of its return. */
function describeResult(
  call: string,
  args: Arg[],
  result: Result,
  errno: number,
) {
  if (result === -1) {
    const error = errno ? getSystemErrorName(-errno) : undefined;
    return { outcome: "", result, error };
  }
  const number = typeof result === "number" ? result : null;
  const format = FORMATTERS[call] ?? numbers;
  return {
    outcome: format.outcome?.(args, number ?? 0) ?? "",
    result: number,
    port: portOf(call, args),
    requests: call === "io_uring_enter" ? ring.completed : undefined,
  };
}

// ------------------------------------------------------------------- promises

/** A call that another thread makes, while this one has a promise. */
function traceForeignPromise(call: string, run: Call) {
  const format = FORMATTERS[call] ?? numbers;
  return (...args: Arg[]) => {
    const promise = run(...args) as unknown as Promise<Result>;
    return tracePromise(call, format.args(args), promise, (result) =>
      // errno is that of the thread which made the call, and not ours.
      describeResult(call, args, result, 0));
  };
}

/**
 * Writes when a promise is made and when it resolves, and how often a timer
 * ticked in between: every 10 ms, if the thread is free.
 */
async function tracePromise<T>(
  call: string,
  args: string,
  promise: Promise<T>,
  describe: (result: T) => Partial<TraceEvent>,
): Promise<T> {
  if (!ticking) Deno.unrefTimer(setInterval(() => ticks++, 10));
  ticking = true;
  const begin = performance.now();
  const before = ticks;
  if (json) {
    const source = sourceLine();
    writeJson({ call, phase: "call", source, args, promised: true });
  } else write(`${margin()}${paint(36, call)}(${args}) promised\n`);
  const writeEnd = (end: Partial<TraceEvent>) => {
    const waited = performance.now() - begin;
    const { outcome = "", error } = end;
    const passed = ticks - before;
    if (json) {
      const free = { held: 0, promised: true, waited, ticks: passed } as const;
      writeJson({ call, phase: "return", args, ...end, outcome, ...free });
      return;
    }
    const why = error ? paint(33, ` ${error}`) : "";
    write(
      `${margin()}${paint(36, call)}(${args}${outcome})${why} ` +
        `resolved after ${
          formatMs(waited, 3)
        }, thread free (${passed} ticks)\n`,
    );
  };
  try {
    const result = await promise;
    writeEnd(describe(result));
    return result;
  } catch (error) {
    writeEnd({ error: (error as { code?: string }).code ?? String(error) });
    throw error;
  }
}

/** A listener of Deno's whose promises, and those of its connections, are traced. */
export function tracePromises(listener: Deno.TcpListener): Deno.TcpListener {
  const name = ({ hostname, port }: Deno.NetAddr) => `${hostname}:${port}`;
  const accept = async () => {
    const conn = await tracePromise("accept", "", listener.accept(), (conn) => {
      const result = name(conn.remoteAddr);
      return { outcome: `→ ${result}`, result, port: conn.remoteAddr.port };
    });
    return traceConnection(conn, name(conn.remoteAddr));
  };
  return replaceMethods(listener, {
    accept,
    [Symbol.asyncIterator]: async function* () {
      while (true) yield await accept();
    },
  });
}

function traceConnection(conn: Deno.TcpConn, name: string): Deno.TcpConn {
  return replaceMethods(traceReads(conn, name), {
    write: (data: Uint8Array) => {
      const args = `${name}, ${formatMessage(data, data.length)}`;
      return tracePromise("write", args, conn.write(data), (result) => ({
        outcome: result === data.length ? "" : ` → ${result} bytes`,
        result,
      }));
    },
  });
}

/** Something to read from, and its promises are traced under that name. */
export function traceReads<T extends Deno.TcpConn | typeof Deno.stdin>(
  stream: T,
  name: string,
): T {
  return replaceMethods(stream, {
    read: (data: Uint8Array<ArrayBuffer>) =>
      tracePromise("read", name, stream.read(data), (result) => ({
        outcome: result ? `, ${formatMessage(data, result)}` : ` → ${result}`,
        result,
      })),
  });
}

/** The object with other methods; those that are its own get it as `this`. */
function replaceMethods<T extends object>(
  target: T,
  methods: Record<string | symbol, unknown>,
): T {
  return new Proxy(target, {
    get(_, key) {
      if (key in methods) return methods[key];
      const value = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
