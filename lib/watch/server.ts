/** The page of watch.ts, its WebSocket, and what is done for who presses what. */
import type { Model } from "../models/models.ts";
import { now, pause } from "./clients.ts";
import { ANSWER, Live } from "./running_model.ts";
import {
  type Curtain,
  type Hello,
  type Message,
  type Tick,
  WHO,
  type Who,
  type Wish,
} from "./messages.ts";
import { understood } from "./commands.ts";

const TICK = 50; // ms from one message to the next
const TURN = 40; // ms for which one untraced server is asked without pause
const REST = 80; // ms until the next one is
const STEP = 100; // clients that come or go at a time
const RESERVE = 200; // descriptors for all else
const SLOW = 1 << 20; // bytes: a page that has not read them gets no more

const FILES: Record<string, string> = {
  "/": "index.html",
  "/style.css": "style.css",
  "/page.js": "page.js",
  "/draw.js": "draw.js",
  "/past.js": "past.js",
  "/text.js": "text.js",
  "/words.js": "../words.js",
};
const TYPES: Record<string, string> = {
  html: "text/html",
  css: "text/css",
  js: "text/javascript",
  ts: "text/plain",
};

/** A page that is open. */
interface Page {
  socket: WebSocket;
  /** The script whose code it shows. */
  open: string | null;
}

/** All models, and the pages that show them. */
export class House {
  readonly lives: Live[];
  readonly base = now();
  #pages = new Set<Page>();
  #session = crypto.randomUUID();
  #ticking: ReturnType<typeof setInterval> | undefined;
  #idle = 0;
  #load = false;
  #auto = true;
  #scene: AbortController | null = null;

  /** `beat`: seconds from one event of the scene to the next. */
  constructor(models: Model[], readonly beat: number) {
    this.lives = models.map((model) =>
      new Live(model, this.base, beat, () => this.#auto)
    );
    for (const live of this.lives) live.start();
  }

  /** Answers a request; `port` is where it must think it has come to. */
  async handle(request: Request, port: number): Promise<Response> {
    const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
    if (port === 80) hosts.push("127.0.0.1", "localhost");
    const host = request.headers.get("host") ?? "";
    const origin = request.headers.get("origin");
    const socket =
      request.headers.get("upgrade")?.toLowerCase() === "websocket";
    // Other sites can send requests here, and with a name of their own for this
    // address even read the answers; but not lie about Host and Origin.
    const own = hosts.includes(host) &&
      (origin === `http://${host}` || (origin === null && !socket));
    if (!own) return answer(403, "this page is for this machine only\n", host);
    const { pathname } = new URL(request.url);
    if (socket) {
      if (pathname !== "/live") return answer(404, "not here\n", host);
      return this.#welcome(request);
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      return answer(405, "GET or HEAD\n", host);
    }
    const script = this.lives.find(({ model }) =>
      pathname === `/source/${model.script}`
    )?.model.script;
    const file = script ? `../../${script}` : FILES[pathname];
    if (!file) return answer(404, "not here\n", host);
    const type = TYPES[file.split(".").at(-1)!];
    const response = await fetch(new URL(file, import.meta.url));
    return answer(200, response.body, host, type);
  }

  // -------------------------------------------------------------------- pages

  #welcome(request: Request): Response {
    const { socket, response } = Deno.upgradeWebSocket(request);
    const page: Page = { socket, open: null };
    socket.addEventListener("open", () => {
      const hello: Hello = {
        hello: true,
        session: this.#session,
        models: this.lives.map((
          { model: { script, name, canteen }, port },
        ) => ({
          script,
          name,
          canteen,
          port,
        })),
        answer: ANSWER,
      };
      send(page, hello);
      this.#pages.add(page);
      this.#ticking ??= setInterval(() => this.#tick(), TICK);
    });
    socket.addEventListener("message", ({ data }) => {
      const wish = understood(
        data,
        this.lives.map(({ model }) => model.script),
      );
      const wrong = typeof wish === "string" ? wish : this.#grant(wish, page);
      if (wrong) send(page, { error: wrong });
    });
    socket.addEventListener("close", () => {
      this.#pages.delete(page);
      if (this.#pages.size) return;
      clearInterval(this.#ticking);
      this.#ticking = undefined;
      this.#unload(); // nobody looks: let the machine rest
    });
    socket.addEventListener("error", () => {}); // it closes after that
    return response;
  }

  #broadcast(message: Message) {
    for (const page of this.#pages) send(page, message);
  }

  #tick() {
    const time = now();
    const open = new Set([...this.#pages].map(({ open }) => open));
    const news = this.lives.map((live) =>
      [live.model.script, live.news(time, open.has(live.model.script))] as const
    );
    const tick: Tick = {
      tick: true,
      time: time - this.base,
      news: Object.fromEntries(news),
      idle: { wanted: this.#idle, ...this.#room() },
      load: this.#load,
      auto: this.#auto,
      scene: this.#scene !== null,
    };
    this.#broadcast(tick);
  }

  /** How many idle clients there can be: each has a descriptor here. */
  #room() {
    const descriptors = this.#descriptors;
    const each = 2 * this.lives.length; // at every model, and at its twin
    const most = Math.floor((descriptors - RESERVE) / each / STEP) * STEP;
    return { most: Math.max(0, most), descriptors };
  }
  #descriptors = limit();

  // ------------------------------------------------------------------- wishes

  /** Does it, or says why not. */
  #grant(wish: Wish, page: Page): string | undefined {
    const running = this.lives.filter(({ status }) => status === "running");
    switch (wish.do) {
      case "connect":
        this.#scene?.abort();
        return this.#connect(wish.who);
      case "ask":
        this.#scene?.abort();
        if (!running.some(({ guests }) => guests[wish.who].here)) {
          return `${wish.who} is not connected`;
        }
        if (!this.#ask(wish.who)) return `${wish.who} waits already`;
        return;
      case "leave":
        this.#scene?.abort();
        if (wish.who === "A") this.#unload();
        for (const { guests } of this.lives) guests[wish.who].leave();
        return;
      case "scene":
        this.#play();
        return;
      case "idle": {
        const { most, descriptors } = this.#room();
        const wanted = this.#idle + wish.by;
        if (wanted < 0) return "nobody is idle";
        if (wanted > most) {
          return `${most} idle clients at every model is where it ends: ` +
            `this script may have ${descriptors} descriptors`;
        }
        this.#idle = wanted;
        this.#seat(running, wanted);
        return;
      }
      case "load":
        if (wish.on) this.#start();
        else this.#unload();
        return;
      case "auto":
        this.#auto = wish.on;
        if (wish.on) { for (const live of this.lives) live.answer(ANSWER); }
        return;
      case "answer": {
        const live = this.#find(wish.script);
        if (!live.answer(wish.text)) return `${wish.script} does not ask`;
        return;
      }
      case "restart": {
        const live = this.#find(wish.script);
        if (live.status !== "ended") return `${wish.script} has not ended`;
        live.start().then(() => live.resize(this.#idle));
        return;
      }
      case "open":
        page.open = wish.script;
    }
  }

  /** One model after the other: each is quick, but for the one with threads. */
  async #seat(lives: Live[], idle: number) {
    const slow = ({ model }: Live) => Number(model.script === "threads.ts");
    for (const live of lives.toSorted((a, b) => slow(a) - slow(b))) {
      if (idle === this.#idle) await live.resize(idle);
    }
  }

  #find(script: string): Live {
    return this.lives.find(({ model }) => model.script === script)!;
  }

  #connect(who: Who): string | undefined {
    const lives = this.lives.filter(({ status, guests }) =>
      status === "running" && !guests[who].here
    );
    if (!lives.length) return `${who} is connected already`;
    for (const { guests, port } of lives) guests[who].connect(port);
  }

  /** Whether it could ask any of them. */
  #ask(who: Who): boolean {
    const asked = this.lives.filter(({ guests }) => guests[who].ask());
    return asked.length > 0;
  }

  /**
   * The scene of compare.ts: both connect, B asks, later A asks; each leaves a
   * beat after its answer.
   */
  async #play() {
    this.#scene?.abort();
    this.#unload();
    const scene = this.#scene = new AbortController();
    const { signal } = scene;
    const beat = this.beat * 1000;
    const cast = this.lives.filter(({ status }) => status === "running");
    for (const { guests } of cast) {
      for (const who of WHO) guests[who].leave();
    }
    await pause(beat / 4); // they have seen that
    const zero = now();
    const asked = { B: zero + beat / 2, A: zero + 2 * beat };
    const curtain: Curtain["curtain"] = {};
    const until = (time: number) => pause(Math.max(0, time - now()));
    await Promise.all(cast.map(async ({ model, guests, port }) => {
      if (signal.aborted) return;
      await guests.A.connect(port); // first, for the kernel's queue
      await guests.B.connect(port);
      const waits: Partial<Record<Who, number>> = {};
      curtain[model.script] = waits;
      await Promise.all(WHO.map(async (who) => {
        const guest = guests[who];
        await until(asked[who]);
        if (signal.aborted || !guest.ask()) return;
        while (guest.is === "waiting" && !signal.aborted) await pause(10);
        if (signal.aborted || !guest.here) return;
        waits[who] = guest.waited;
        await pause(beat);
        if (!signal.aborted) guest.leave();
      }));
    }));
    if (this.#scene === scene) this.#scene = null;
    if (!signal.aborted) {
      this.#broadcast({
        curtain,
        asked: { A: asked.A - this.base, B: asked.B - this.base },
      });
    }
  }

  // --------------------------------------------------------------------- load

  async #start() {
    if (this.#load) return;
    this.#scene?.abort();
    this.#load = true;
    for (const live of this.lives) live.load(this.#idle);
    // One after the other, so that none measures the others; and with rests, for
    // the browser is on this machine, too.
    while (this.#load) {
      for (const live of this.lives) {
        if (!this.#load) return;
        await live.turn(TURN);
        await pause(REST);
      }
    }
  }

  #unload() {
    this.#load = false;
    for (const live of this.lives) live.unload();
  }
}

function send({ socket }: Page, message: Message) {
  if (socket.readyState !== WebSocket.OPEN) return;
  if (socket.bufferedAmount > SLOW) return; // it has a gap in its past then
  socket.send(JSON.stringify(message));
}

/** A response that no other site can frame, read or take for something else. */
function answer(
  status: number,
  body: string | ReadableStream<Uint8Array<ArrayBuffer>> | null,
  host: string,
  type = "text/plain",
): Response {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    `connect-src 'self'${status === 200 ? ` ws://${host}` : ""}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return new Response(body, {
    status,
    headers: {
      "content-type": `${type}; charset=utf-8`,
      "content-security-policy": policy.join("; "),
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
    },
  });
}

/** How many descriptors this process may have. @see proc_pid_limits(5) */
function limit(): number {
  try {
    const limits = Deno.readTextFileSync("/proc/self/limits");
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? 1024);
  } catch {
    return 1024;
  }
}
