/**
 * Load: client A asks a model without pause, and what an answer costs is
 * measured. System calls are counted in the trace of the server that is shown.
 * CPU time is measured at a second server without a trace, for a probe must not
 * show up in what it measures.
 */
import { setPriority } from "node:os";
import type { Model } from "../models/models.ts";
import { type ModelServer, startServer } from "../models/model_server.ts";
import { cpuTime } from "../process.ts";
import { now, pause } from "../time.ts";
import { type DemoClient, IdleClients } from "./clients.ts";
import type { Metrics } from "./messages.ts";
import type { TraceFollower } from "./trace_follower.ts";

/** The traced server is asked at most so many times in a second. */
const MOST_REQUESTS = 30;
/** The load may cause so many events of a trace in a second. */
const MOST_EVENTS = 1000;
/** Costs are those of the last so many ms. */
const WINDOW = 5000;
/** A server that has just started is slow: it is asked for so many ms before. */
const WARM_UP = 200;
/** From one look at the CPU time of a server to the next, in ms. */
const LOOK_INTERVAL = 300;
/** A server that has used less than so many ms of it meanwhile is at rest. */
const QUIET = 50;
/** After so many looks, the server is measured even if it is not at rest. */
const MOST_LOOKS = 60;
/** The nice value of the untraced server: the browser goes first. */
const NICE = 10;

/** How many answers there were in the last seconds, and what they have cost. */
class CostWindow {
  #samples: { time: number; answers: number; cost: number }[] = [];

  /** Takes the sums so far. */
  add(answers: number, cost: number) {
    const time = now();
    this.#samples.push({ time, answers, cost });
    while (this.#samples.length > 1) {
      if (this.#samples[1].time >= time - WINDOW) break;
      this.#samples.shift();
    }
  }

  /** The growth of both sums; 0 until there is enough to tell. */
  growth(): { answers: number; cost: number } {
    const first = this.#samples.at(0);
    const last = this.#samples.at(-1);
    if (!first || !last || last.time < first.time + WINDOW / 2) {
      return { answers: 0, cost: 0 };
    }
    return {
      answers: last.answers - first.answers,
      cost: last.cost - first.cost,
    };
  }

  /** Forgets everything. */
  clear() {
    this.#samples = [];
  }
}

/** Client A and the untraced server under load, at one model, until `stop`. */
export class Load {
  #window = new CostWindow(); // of system calls
  #answers = 0;
  #stop = new AbortController();
  #untraced: UntracedServer;

  /** Starts the untraced server, with those flags. */
  constructor(
    readonly model: Model,
    flags: string[],
    readonly client: DemoClient,
    readonly trace: TraceFollower,
  ) {
    this.#untraced = new UntracedServer(model, flags);
  }

  /**
   * Asks the server at that port; the untraced one gets so many idle clients.
   * Resolves when this was stopped, or when the client is gone.
   */
  async run(port: number, idle: number) {
    const { client, trace } = this;
    const { signal } = this.#stop;
    this.#untraced.connect(idle);
    await client.connect(port);
    while (!signal.aborted && client.present) {
      const begin = now();
      const eventsBefore = trace.eventCount;
      if (await client.exchange(signal)) this.#answers++;
      else await pause(100);
      const caused = trace.eventCount - eventsBefore;
      const rest = 1000 * Math.max(1 / MOST_REQUESTS, caused / MOST_EVENTS);
      await pause(Math.max(1, begin + rest - now()));
      this.#window.add(this.#answers, trace.systemCallCount);
    }
  }

  /** The untraced server is asked without pause for so many ms. */
  async measure(ms: number) {
    await this.#untraced.measure(ms);
  }

  /** Has so many idle clients at the untraced server, and measures anew. */
  async resizeIdle(idle: number) {
    await this.#untraced.resizeIdle(idle);
    this.#window.clear();
  }

  /** What an answer costs, as far as that is known by now. */
  metrics(): Metrics {
    const { makesOwnCalls } = this.model;
    const isUnanswered = this.#waitsInVain();
    if (isUnanswered) {
      return {
        makesOwnCalls,
        isUnanswered,
        calls: null,
        cpu: null,
        answers: 0,
      };
    }
    const traced = this.#window.growth();
    const untraced = this.#untraced.costs();
    return {
      makesOwnCalls,
      isUnanswered,
      calls: traced.answers ? traced.cost / traced.answers : null,
      cpu: untraced.answers ? untraced.cost * 1000 / untraced.answers : null,
      answers: untraced.answers,
    };
  }

  /** Whether A has got no answer yet, or none for a long time. */
  #waitsInVain(): boolean {
    const { status, waiting } = this.client;
    if (status !== "waiting") return false;
    return this.#answers === 0 || waiting > WINDOW;
  }

  stop() {
    this.#stop.abort();
    this.#untraced.stop();
  }
}

/** The same server without a trace, with as many idle clients: what it costs. */
class UntracedServer {
  #server: ModelServer;
  #idle = new IdleClients();
  #conn: Deno.TcpConn | null = null;
  #message: Uint8Array<ArrayBuffer>;
  #buffer = new Uint8Array(16384);
  #window = new CostWindow(); // of CPU time, in ms
  #answers = 0;
  #exchange: Promise<void> | null = null; // the one that is not answered yet
  #isWarm = false;
  #resizing = 0; // how many calls of `resizeIdle` have not ended yet
  #stopped = false;

  constructor(readonly model: Model, flags: string[]) {
    this.#message = new TextEncoder().encode(model.message);
    this.#server = startServer(model, {}, flags);
    this.#server.failed.catch(() => this.#stopped = true);
    try {
      setPriority(this.#server.pid, NICE);
    } catch { /* then it competes with the browser */ }
  }

  /** Connects the client that asks, and so many idle ones. */
  async connect(idle: number) {
    this.#idle.wanted = idle;
    try {
      const port = await this.#server.port;
      if (this.#stopped) return;
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      if (this.#stopped) {
        conn.close();
        return;
      }
      conn.setNoDelay();
      this.#conn = conn;
      await this.resizeIdle(this.#idle.wanted);
    } catch { /* then nothing is measured */ }
  }

  async resizeIdle(idle: number) {
    if (!this.#conn) {
      this.#idle.wanted = idle; // as soon as it is connected
      return;
    }
    this.#resizing++;
    await this.#idle.resize(idle, this.#conn.remoteAddr.port);
    await this.#rest();
    this.#window.clear();
    this.#resizing--;
  }

  /** Whether it has its idle clients, and is at rest. */
  get #settled(): boolean {
    return this.#conn !== null && this.#resizing === 0;
  }

  /** Waits until the server hardly works: its threads take time to start. */
  async #rest() {
    let before = NaN;
    for (let look = 0; look < MOST_LOOKS && !this.#stopped; look++) {
      await pause(LOOK_INTERVAL);
      const used = cpuTime(this.#server.pid);
      if (used - before < QUIET) return;
      before = used;
    }
  }

  /** Asks without pause for so many ms; an answer may come later. */
  async measure(ms: number) {
    const conn = this.#conn;
    if (!conn || this.#stopped || !this.#settled) return;
    if (!this.#isWarm) {
      this.#isWarm = true;
      await this.measure(WARM_UP);
      this.#window.clear();
    }
    const end = now() + ms;
    const timeIsUp = pause(ms);
    while (now() < end && !this.#stopped) {
      this.#exchange ??= this.#ask(conn);
      await Promise.race([this.#exchange, timeIsUp]);
    }
    this.#window.add(this.#answers, cpuTime(this.#server.pid));
  }

  async #ask(conn: Deno.TcpConn) {
    const { typedAnswer } = this.model;
    try {
      if (typedAnswer !== undefined) this.#server.type(typedAnswer);
      await conn.write(this.#message);
      if (await conn.read(this.#buffer) === null) this.#stopped = true;
      else this.#answers++;
    } catch {
      this.#stopped = true;
    }
    this.#exchange = null;
  }

  /** The answers of the last seconds, and their CPU time in ms. */
  costs(): { answers: number; cost: number } {
    return this.#settled ? this.#window.growth() : { answers: 0, cost: 0 };
  }

  stop() {
    this.#stopped = true;
    this.#idle.leave();
    try {
      this.#conn?.close();
    } catch { /* the server has closed it */ }
    this.#conn = null;
    this.#server.stop();
  }
}
