/**
 * The models: what each is called, in English and in Chinese, how its script is
 * started to be watched, and the server that this starts.
 */
import { constants } from "node:os";
import type { Told, Warned } from "./trace.ts";
import type { Words } from "./words.js";

/** One way to wait, and the script that shows it. */
export interface Model {
  /** `select.ts`: beside this folder, wherever that is. */
  script: string;
  name: Words;
  /** What it is in the canteen. */
  canteen: Words;
  /** Whether it is shown without being asked for. */
  shown: boolean;
  /** Flags for a scene with so many seconds from one event to the next. */
  flags?: (beat: number) => string[];
  /** Beats from one visit to the next, if it comes back by the clock. */
  round?: number;
  /** What is typed into its terminal: one line for each answer. */
  typed?: string;
  /** What a client sends. */
  message: string;
  /** Whether it is busy for a while once clients have connected. */
  heavy?: true;
  /** What it means when its thread is in no call for a while. */
  away?: "playing" | "free";
}

const message = "is it ready?\n";

export const models: Model[] = [
  {
    script: "blocking.ts",
    name: { en: "Blocking I/O", zh: "阻塞 I/O" },
    canteen: {
      en: "you queue, and stand there until the food is on your tray",
      zh: "你排队，站在窗口前，饭没到手就不走",
    },
    shown: true,
    typed: "here you are\n",
    message,
  },
  {
    script: "threads.ts",
    name: {
      en: "Blocking I/O with a thread for each client",
      zh: "阻塞 I/O，每个客户端一个线程",
    },
    canteen: {
      en:
        "you send a friend to every window, and each stands there until the food is on the tray",
      zh: "每个窗口派一个朋友去，各自站着，饭没到手就不走",
    },
    shown: true,
    heavy: true, // two threads to start
    message,
    away: "free",
  },
  {
    script: "nonblocking.ts",
    name: { en: "Non-blocking I/O", zh: "非阻塞 I/O" },
    canteen: {
      en:
        "you go out to play, and come back every so often to ask: is it ready?",
      zh: "你出去玩，隔一会儿回来问一句：好了吗？",
    },
    shown: true,
    flags: (beat) => ["--interval", `${beat * 0.75}`],
    round: 0.75,
    message,
    away: "playing",
  },
  {
    script: "select.ts",
    name: {
      en: "Multiplexed I/O with select(2)",
      zh: "多路复用 I/O，select(2)",
    },
    canteen: {
      en:
        "you leave a number; the server at the counter keeps at most 1024, and must go through the whole list each time something is ready",
      zh: "你留个号码；阿姨的本子只有 1024 格，每次有饭好了都得从头翻一遍",
    },
    shown: true,
    message,
  },
  {
    script: "poll.ts",
    name: { en: "Multiplexed I/O with poll(2)", zh: "多路复用 I/O，poll(2)" },
    canteen: {
      en:
        "you leave a number, as with select, but the list is as long as you like. The server still goes through all of it each time",
      zh: "也是留个号码，只是本子要多长有多长；每次还是得从头翻一遍",
    },
    shown: true,
    message,
  },
  {
    script: "epoll.ts",
    name: { en: "Multiplexed I/O with epoll(7)", zh: "多路复用 I/O，epoll(7)" },
    canteen: {
      en: "you leave your name. When it is ready, you are called, and only you",
      zh: "你留下名字：饭好了她就叫你，而且只叫你",
    },
    shown: true,
    message,
  },
  {
    script: "epoll_http.ts",
    name: {
      en: "Multiplexed I/O with epoll(7), as an HTTP server",
      zh: "多路复用 I/O，epoll(7)，HTTP 服务器",
    },
    canteen: {
      en: "you leave your name. When it is ready, you are called, and only you",
      zh: "你留下名字：饭好了她就叫你，而且只叫你",
    },
    shown: false,
    message: "GET / HTTP/1.1\r\nHost: canteen\r\n\r\n",
  },
  {
    script: "signal.ts",
    name: { en: "Signal-driven I/O", zh: "信号驱动 I/O" },
    canteen: {
      en: "your phone rings when something is ready; you walk over and look",
      zh: "有什么好了你的手机就响；你走过去看看",
    },
    shown: true,
    message,
    away: "free",
  },
  {
    script: "async.ts",
    name: {
      en: "Asynchronous I/O, by the runtime",
      zh: "异步 I/O，由运行时来做",
    },
    canteen: {
      en:
        "you ask Deno to bring it; your promise resolves when it is on the table",
      zh: "你请 Deno 端来；饭上了桌，你的 promise 就兑现",
    },
    shown: true,
    message,
    away: "free",
  },
  {
    script: "io_uring.ts",
    name: {
      en: "Asynchronous I/O, by the kernel",
      zh: "异步 I/O，由内核来做",
    },
    canteen: {
      en: "you put an empty tray on the belt; it comes back filled",
      zh: "你把空盘子放上传送带；它回来时已经盛好了",
    },
    shown: true,
    message,
  },
];

/** `select` of `select.ts`. */
export const short = ({ script }: Model) => script.replace(/\.ts$/, "");

/**
 * The models of a list such as `select,poll`: all that are shown for `all`.
 * Throws an error that says which ones there are.
 */
export function pick(list: string): Model[] {
  const wanted = list.split(",").map((name) =>
    name.trim().replace(/\.ts$/, "")
  );
  const stranger = wanted.find((name) =>
    name !== "all" && !models.some((model) => short(model) === name)
  );
  if (stranger !== undefined) {
    const known = models.map(short).join(", ");
    throw new Error(`--only takes ${known}, not "${stranger}"`);
  }
  return models.filter((model) =>
    wanted.includes(short(model)) || (model.shown && wanted.includes("all"))
  );
}

// -------------------------------------------------------------------- servers

/** A model's script, running. */
export interface Server {
  readonly model: Model;
  readonly pid: number;
  /** The port it listens on. Rejects with its reason if it never does. */
  readonly port: Promise<number>;
  /** Lines of its stderr that are not of its trace. */
  readonly complaints: string[];
  /** Resolves when it has ended, by itself or stopped, and all was read. */
  readonly ended: Promise<Deno.CommandStatus>;
  /** Rejects with its reason when it ends; never resolves. */
  readonly failed: Promise<never>;
  /** Types into its terminal. */
  type(text: string): void;
  /** Ends it at once. */
  stop(): void;
}

// However the script that watches ends, no server stays behind.
const running = new Set<Server>();
let guarded = false;
function guard() {
  if (guarded) return;
  guarded = true;
  addEventListener("unload", () => running.forEach((server) => server.stop()));
  const ends = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of Deno.build.os === "windows" ? [ends[0]] : ends) {
    const code = 128 + constants.signals[signal];
    Deno.addSignalListener(signal, () => Deno.exit(code));
  }
}

async function* lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n");
    rest = whole.pop()!;
    yield* whole;
  }
  if (rest) yield rest;
}

/** What is done with what a server says, as it says it. */
export interface Ears {
  /** A line of its trace. Without this it runs without one. */
  told?: (line: Told) => void;
  /** A warning, or any other line of its stderr. */
  warned?: (line: string) => void;
  /** A line of its stdout. */
  said?: (line: string) => void;
}

/** Starts a model's script on a free port, with the given flags added. */
export function start(
  model: Model,
  { told, warned, said }: Ears,
  flags: string[] = [],
): Server {
  guard();
  const script = new URL(`../${model.script}`, import.meta.url);
  const local = script.protocol === "file:";
  const trace = told ? ["--trace=json"] : [];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script.href, "--port", "0", ...trace, ...flags],
    // There its deno.json is found, as if it had been started by hand.
    cwd: local ? new URL("..", import.meta.url) : undefined,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();

  const complaints: string[] = [];
  const port = Promise.withResolvers<number>();
  const read = async () => {
    for await (const line of lines(child.stdout)) {
      const [, digits] = /listening on .*:(\d+)\/?$/.exec(line) ?? [];
      if (digits) port.resolve(Number(digits));
      said?.(line);
    }
  };
  const complain = (line: string) => {
    complaints.push(line);
    if (complaints.length > 100) complaints.shift();
    warned?.(line);
  };
  const listen = async () => {
    for await (const line of lines(child.stderr)) {
      if (!line.startsWith("{")) {
        if (line) complain(line);
        continue;
      }
      const news: Told | Warned = JSON.parse(line);
      if ("warning" in news) complain(news.warning);
      else told?.(news);
    }
  };
  const ended = Promise.all([child.status, read(), listen()])
    .then(([status]) => {
      running.delete(server);
      return status;
    });
  const failed = ended.then(({ code, signal }): never => {
    const why = complaints.find((line) => line.includes(`${model.script}: `)) ??
      complaints[0] ?? `it has ended with ${signal ?? `status ${code}`}`;
    throw new Error(why.replace(RegExp(`^(error|${model.script}): `), ""));
  });
  failed.catch(port.reject);
  port.promise.catch(() => {}); // that it ends when it is stopped is no failure

  const keyboard = child.stdin.getWriter(); // left open: it may ask again
  keyboard.closed.catch(() => {});
  const server: Server = {
    model,
    pid: child.pid,
    port: port.promise,
    complaints,
    ended,
    failed,
    type: (text) => {
      keyboard.write(new TextEncoder().encode(text)).catch(() => {});
    },
    stop() {
      running.delete(server);
      try {
        child.kill("SIGKILL");
      } catch { /* it has ended by itself */ }
    },
  };
  running.add(server);
  return server;
}

// ------------------------------------------------------------------- CPU time

const clock = () =>
  Deno.dlopen("libc.so.6", {
    // int clock_getcpuclockid(pid_t pid, clockid_t *clockid);
    clock_getcpuclockid: { parameters: ["i32", "buffer"], result: "i32" },
    // int clock_gettime(clockid_t clockid, struct timespec *tp);
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  }).symbols;
let libc: ReturnType<typeof clock> | undefined;

/**
 * The CPU time that a process has used so far, in ms, with that of threads that
 * have ended, which is not in /proc/PID/task; NaN where the system has no such
 * clock. @see clock_getcpuclockid(3)
 */
export function cpuTime(pid: number): number {
  if (Deno.build.os !== "linux") return NaN;
  libc ??= clock();
  const id = new Int32Array(1);
  if (libc.clock_getcpuclockid(pid, id)) return NaN;
  const time = new BigInt64Array(2); // struct timespec: s, ns
  if (libc.clock_gettime(id[0], time)) return NaN;
  return Number(time[0]) * 1e3 + Number(time[1]) / 1e6;
}

/**
 * Where in the kernel a thread sleeps: `ep_poll`, `inet_csk_accept`; empty
 * where it runs, or the system does not tell. @see proc_pid_wchan(5)
 */
export function wchan(pid: number, tid = pid): string {
  try {
    const name = Deno.readTextFileSync(`/proc/${pid}/task/${tid}/wchan`);
    return name === "0" ? "" : name;
  } catch {
    return "";
  }
}
