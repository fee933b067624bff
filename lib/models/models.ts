/**
 * The table of models: what each is called, in English and in Chinese, and what
 * is special about it.
 */
import type { Words } from "./states.js";

/** One way to wait, and the script that shows it. */
export interface Model {
  /** The script's file, beside lib/: `select.ts`. */
  script: string;
  name: Words;
  /** What the model is in the canteen. */
  canteen: Words;
  /** Whether `all` includes the model. */
  shownByDefault: boolean;
  /** The command of another client; `$PORT` stands for the port. */
  joinCommand?: string;
  /** What a client sends. */
  message: string;
  /** Whether the script makes the system calls itself, and not Deno. */
  makesOwnCalls: boolean;
  /** Whether each client has a thread of its own, which takes time to start. */
  threadPerClient?: true;
  /** How many threads the script's clients share, if there are more than one. */
  workers?: number;
  /** The script's flags for a scene with a beat of so many seconds. */
  sceneFlags?: (beat: number) => string[];
  /** The script's flags in watch.ts, where hundreds of idle clients may connect. */
  watchFlags?: string[];
  /** How many beats pass between two rounds of a server that goes by the clock. */
  intervalBeats?: number;
  /** The line that is typed into the server's terminal for each answer. */
  typedAnswer?: string;
  /** What the main thread does when it is in no call for a while. */
  idleState?: "playing" | "free";
}

const message = "is it ready?\n";
const NONBLOCKING_INTERVAL = 0.75; // beats

/** All models, in the order in which they are shown. */
export const models: Model[] = [
  {
    script: "blocking.ts",
    name: { en: "Blocking I/O", zh: "阻塞 I/O" },
    canteen: {
      en: "you queue, and stand there until the food is on your tray",
      zh: "你排队，站在窗口前，饭没到手就不走",
    },
    shownByDefault: true,
    typedAnswer: "here you are",
    message,
    makesOwnCalls: true,
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
    shownByDefault: true,
    threadPerClient: true,
    watchFlags: ["--threads", "32"], // each takes 7 MB, in two servers
    message,
    makesOwnCalls: true,
    idleState: "free",
  },
  {
    script: "nonblocking.ts",
    name: { en: "Non-blocking I/O", zh: "非阻塞 I/O" },
    canteen: {
      en:
        "you go out to play, and come back every so often to ask: is it ready?",
      zh: "你出去玩，隔一会儿回来问一句：好了吗？",
    },
    shownByDefault: true,
    sceneFlags: (beat) => ["--interval", `${beat * NONBLOCKING_INTERVAL}`],
    intervalBeats: NONBLOCKING_INTERVAL,
    message,
    makesOwnCalls: true,
    idleState: "playing",
  },
  {
    script: "select.ts",
    name: {
      en: "Multiplexed I/O with select(2)",
      zh: "多路复用 I/O，select(2)",
    },
    canteen: {
      en:
        "you hand in a sheet of 1024 boxes, which comes back ticked: each time you fill it in anew, and both you and the woman at the counter go through all of it",
      zh:
        "你交上一张 1024 格的单子，还回来时打了勾：每次都得重新填，阿姨和你都得从头看一遍",
    },
    shownByDefault: true,
    message,
    makesOwnCalls: true,
  },
  {
    script: "poll.ts",
    name: { en: "Multiplexed I/O with poll(2)", zh: "多路复用 I/O，poll(2)" },
    canteen: {
      en:
        "you hand in a list as long as you like, and need not write it anew; still, both you and the woman at the counter go through all of it each time",
      zh: "单子要多长有多长，也不用重填；可每次还是得阿姨和你都从头看一遍",
    },
    shownByDefault: true,
    message,
    makesOwnCalls: true,
  },
  {
    script: "epoll.ts",
    name: { en: "Multiplexed I/O with epoll(7)", zh: "多路复用 I/O，epoll(7)" },
    canteen: {
      en: "you leave your name. When it is ready, you are called, and only you",
      zh: "你留下名字：饭好了阿姨就叫你，而且只叫你",
    },
    shownByDefault: true,
    message,
    makesOwnCalls: true,
  },
  {
    script: "epoll_http.ts",
    name: {
      en: "Multiplexed I/O with epoll(7), as an HTTP server",
      zh: "多路复用 I/O，epoll(7)，HTTP 服务器",
    },
    canteen: {
      en: "you leave your name. When it is ready, you are called, and only you",
      zh: "你留下名字：饭好了阿姨就叫你，而且只叫你",
    },
    shownByDefault: false,
    joinCommand: "curl -i http://127.0.0.1:$PORT/",
    message: "GET / HTTP/1.1\r\nHost: canteen\r\n\r\n",
    makesOwnCalls: true,
  },
  {
    script: "coroutines.ts",
    name: {
      en: "Multiplexed I/O with a coroutine for each client",
      zh: "多路复用 I/O，每个客户端一个协程",
    },
    canteen: {
      en:
        "each of you keeps a bookmark in the book you read; whoever is called reads on from there",
      zh: "每人手里一本书，夹着书签；叫到谁，谁就从书签那儿接着看",
    },
    shownByDefault: true,
    message,
    makesOwnCalls: true,
  },
  {
    script: "cores.ts",
    name: {
      en: "Multiplexed I/O with epoll(7) on every core",
      zh: "多路复用 I/O，每个核一个 epoll(7) 循环",
    },
    canteen: {
      en:
        "several of you wait at one window under the same name: who gets up when it is called?",
      zh: "几个人用同一个名字在一个窗口等：叫到这个名字，谁站起来？",
    },
    shownByDefault: false, // two clients give its workers little to do
    workers: 2,
    sceneFlags: () => ["--workers", "2"],
    watchFlags: ["--workers", "2"],
    message,
    makesOwnCalls: true,
    idleState: "free",
  },
  {
    script: "signal.ts",
    name: { en: "Signal-driven I/O", zh: "信号驱动 I/O" },
    canteen: {
      en: "your phone rings when something is ready; you walk over and look",
      zh: "有饭好了你的手机就响；你走过去看看是哪一份",
    },
    shownByDefault: true,
    message,
    makesOwnCalls: true,
    idleState: "free",
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
    shownByDefault: true,
    message,
    makesOwnCalls: false,
    idleState: "free",
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
    shownByDefault: true,
    message,
    makesOwnCalls: true,
  },
];

/** The script's name without `.ts`: `select`. */
export function shortName(script: string): string {
  return script.replace(/\.ts$/, "");
}

/**
 * The models that a list names, such as `select,poll.ts`; `all` names those that
 * are shown by default. Throws an error that says which name is unknown.
 */
export function chosenModels(only: string): Model[] {
  const names = only.split(",").map((name) => shortName(name.trim()));
  const known = models.map(({ script }) => shortName(script));
  for (const name of names) {
    if (name === "all" || known.includes(name)) continue;
    throw new Error(`--only takes ${known.join(", ")}, not "${name}"`);
  }
  return models.filter(({ script, shownByDefault }) =>
    names.includes(shortName(script)) ||
    (shownByDefault && names.includes("all"))
  );
}
