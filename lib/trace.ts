/**
 * What a server does while it waits, told as it happens: its system calls or,
 * where Deno makes those, its promises. util.ts loads this for `--trace` and
 * wraps with it what it opens, so that no script knows of it.
 */
import { getSystemErrorName } from "node:util";

type Arg = number | Uint8Array | Int32Array | Uint32Array | null;
/** What a call asks for, and what it has got. */
type Telling = [
  asked: (args: Arg[]) => string,
  answered?: (args: Arg[], result: number) => string,
];

const range = (length: number) => Array.from({ length }, (_, i) => i);

/** The descriptors in the sets of select. */
const sets = ([nfds, readfds, writefds]: Arg[]) => {
  const list = (set: Arg) =>
    range(nfds as number)
      .filter((fd) => (set as Uint8Array)[fd >> 3] >> (fd & 7) & 1).join(", ");
  const writing = list(writefds);
  return `[${list(readfds)}]${writing && ` writing [${writing}]`}`;
};

/** Of poll and epoll alike: ` POLLIN POLLHUP`. */
const events = (prefix: string, mask: number) =>
  ["IN", "PRI", "OUT", "ERR", "HUP", "NVAL"]
    .filter((_, bit) => mask >> bit & 1).map((name) => ` ${prefix}${name}`)
    .join("");

/** The descriptors of poll with an event in the given half of a word. */
const polled = ([fds, n]: Arg[], half: 0 | 16) =>
  range(n as number)
    .map((i) => (fds as Int32Array).subarray(2 * i, 2 * i + 2))
    .filter(([, word]) => word >> half & 0xffff)
    .map(([fd, word]) => fd + events("POLL", word >> half & 0xffff))
    .join(", ");

/** The flags of an open file, as far as they say how it waits. */
const flags = (mask: number) =>
  Object.entries({ O_RDWR: 2, O_NONBLOCK: 0o4000, O_ASYNC: 0o20000 })
    .filter(([, bit]) => mask & bit).map(([name]) => name).join("|") || "0";

const numbers: Telling = [
  (args) => args.filter((arg) => typeof arg === "number").join(", "),
  (_, result) => ` → ${result}`,
];
const descriptor: Telling = [([fd]) => `${fd}`];

export class Tracer {
  /** Why the last call failed; errno itself may change while that is told. */
  errno = 0;
  #ticks = 0; // of a timer: they show that the thread is free
  readonly #colour = Deno.stderr.isTerminal() && !Deno.noColor;

  constructor(
    readonly json: boolean,
    readonly print: (bytes: Uint8Array, to: typeof Deno.stderr) => void,
    readonly escaped: (text: string) => string,
  ) {}

  readonly #tellings: Record<string, Telling> = {
    select: [sets, (args) => ` → ${sets(args)}`],
    poll: [
      (args) => `[${polled(args, 0)}]`,
      (args) => ` → [${polled(args, 16)}]`,
    ],
    epoll_ctl: [
      ([, op, fd, event]) =>
        `${["", "ADD", "DEL", "MOD"][op as number]} ${fd}` +
        (op === 2 ? "" : events("EPOLL", (event as Uint32Array)[0])),
    ],
    epoll_wait: [() => "", ([, ready], n) => {
      const words = Deno.build.arch === "x86_64" ? 3 : 4;
      const event = (i: number) => (ready as Uint32Array).subarray(i * words);
      return "→ " +
        range(n).map((i) => event(i)[words - 2] + events("EPOLL", event(i)[0]))
          .join(", ");
    }],
    // Their numbers, which go through syscall(2), are no news.
    io_uring_setup: [([, entries]) => `${entries}`, (_, fd) => ` → ${fd}`],
    io_uring_register: [([, ...args]) => numbers[0](args)],
    io_uring_enter: [
      ([, fd, submit, complete]) =>
        `${fd}, ${submit} in, ${complete} to wait for`,
      (_, n) => ` → ${n} in`,
    ],
    mmap: [([, length]) => `${length} bytes`], // and a pointer, not a number
    accept4: [descriptor[0], (_, fd) => ` → ${fd}`],
    recv: [descriptor[0], ([, data], n) => `, ${this.#message(data, n)}`],
    send: [
      ([fd, data, size]) => `${fd}, ${this.#message(data, size as number)}`,
      ([, , size], n) => n === size ? "" : ` → ${n} bytes`,
    ],
    close: descriptor,
    getpeername: descriptor,
    fcntl: [
      ([fd, command, arg]) =>
        `${fd}, ${
          { 3: "F_GETFL", 4: "F_SETFL", 8: "F_SETOWN" }[command as number]
        }` + (command === 4
          ? `, ${flags(arg as number)}`
          : command === 8
          ? `, ${arg}`
          : ""),
      ([, command], result) => command === 3 ? ` → ${flags(result)}` : "",
    ],
    getsockname: descriptor,
  };

  #message(data: Arg, size: number): string {
    const start = (data as Uint8Array).subarray(0, Math.min(size, 40));
    const text = this.escaped(new TextDecoder().decode(start));
    return `${size} bytes "${text}"${size > 40 ? "…" : ""}`;
  }

  /**
   * The calls, each wrapped so that it is told of, before it can wait and when
   * it has returned.
   */
  calls<C extends object>(calls: C, errno: () => number): C {
    const wrap = ([call, run]: [string, (...args: Arg[]) => number]) => {
      const [ask, answer = () => ""] = this.#tellings[call] ?? numbers;
      return [call, (...args: Arg[]) => {
        const asked = ask(args);
        if (this.json) this.#line({ call, phase: "call", asked });
        else this.#write(`${this.#now()}${this.#paint(36, call)}(${asked}`);
        const begin = performance.now();
        const result = run(...args);
        const held = performance.now() - begin;
        this.errno = result === -1 ? errno() : 0;
        const error = this.errno ? getSystemErrorName(-this.errno) : undefined;
        const answered = error ? "" : answer(args, result);
        if (this.json) {
          const phase = "return";
          this.#line({ call, phase, asked, answered, result, error, held });
        } else {
          this.#write(
            `${answered})${this.#paint(33, error ? ` ${error}` : "")}  ` +
              `${this.#paint(held < 1 ? 2 : 1, time(held))}\n`,
          );
        }
        return result;
      }];
    };
    return Object.fromEntries(Object.entries(calls).map(wrap)) as C;
  }

  /**
   * A listener of Deno's, or a connection, so that its promises are told of:
   * when each was asked for and resolved, and how often a timer ticked in
   * between, every 10 ms if the thread is free.
   */
  promises<T extends object>(target: T, name = ""): T {
    if (!name) Deno.unrefTimer(setInterval(() => this.#ticks++, 10));
    return new Proxy(target, {
      get: (_, key) => {
        const value = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        if (key === Symbol.asyncIterator) {
          return async function* (this: Deno.TcpListener) {
            while (true) yield await this.accept();
          };
        }
        const told = ["accept", "read", "write"].includes(String(key));
        if (!told) return value.bind(target);
        return (...args: Arg[]) =>
          this.#promise(String(key), name, args, value.apply(target, args));
      },
    });
  }

  async #promise<T>(
    call: string,
    of: string,
    [data]: Arg[],
    promise: Promise<T>,
  ) {
    const asked = call === "write"
      ? `${of}, ${this.#message(data, (data as Uint8Array).length)}`
      : of;
    const begin = performance.now();
    const before = this.#ticks;
    const title = () => `${this.#now()}${this.#paint(36, call)}(${asked}`;
    if (this.json) this.#line({ call, phase: "call", asked });
    else this.#write(`${title()}) promised\n`);

    const tell = (answered: string, result?: unknown, error?: string) => {
      const waited = performance.now() - begin;
      const ticks = this.#ticks - before;
      if (this.json) {
        const phase = "return";
        return this.#line(
          {
            call,
            phase,
            asked,
            answered,
            result,
            error,
            held: 0,
            waited,
            ticks,
          },
        );
      }
      this.#write(
        `${title()}${answered})${this.#paint(33, error ? ` ${error}` : "")}` +
          ` resolved after ${time(waited)}, thread free (${ticks} ticks)\n`,
      );
    };
    try {
      const result = await promise;
      if (call === "accept") {
        const conn = result as Deno.TcpConn;
        const peer = `${conn.remoteAddr.hostname}:${conn.remoteAddr.port}`;
        tell(`→ ${peer}`, peer);
        return this.promises(conn, peer) as T;
      }
      const read = call === "read" && typeof result === "number";
      tell(read ? `, ${this.#message(data, result)}` : ` → ${result}`, result);
      return result;
    } catch (error) {
      tell("", undefined, (error as { code?: string }).code ?? String(error));
      throw error;
    }
  }

  #now(): string {
    const seconds = (performance.now() / 1000).toFixed(6);
    return this.#paint(2, `${seconds.padStart(11)}  `);
  }

  #paint(code: number, text: string): string {
    return this.#colour ? `\x1b[${code}m${text}\x1b[0m` : text;
  }

  #line(told: Record<string, unknown>) {
    const time = performance.timeOrigin + performance.now();
    this.#write(JSON.stringify({ time, ...told }) + "\n");
  }

  #write(text: string) {
    this.print(new TextEncoder().encode(text), Deno.stderr);
  }
}

function time(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 3 : 0)} ms`;
}
