/**
 * One model, running: the server whose trace is shown, its clients, and while
 * it is asked without pause a second server without a trace, for a probe must
 * not show up in what it measures.
 */
import { setPriority } from "node:os";
import { type Client, Lanes, type Span } from "../models/timeline.ts";
import {
  cpuTime,
  type Model,
  type Server,
  short,
  start,
} from "../models/models.ts";
import type { Told } from "../trace.ts";
import { printable } from "../../util.ts";
import { Crowd, Guest, now, pause } from "./clients.ts";
import { Digest } from "./aggregate.ts";
import {
  type Figures,
  type News,
  type Piece,
  type Stand,
  WHO,
  type Who,
  type Whom,
} from "./messages.ts";

/** A model that is watched is asked that often in a second, and no more. */
const ASKED = 30;
/** Lines of a trace in a second that it may cause by that. */
const LINES = 1000;
/** Over so many ms is counted. */
const WINDOW = 5000;
/** What blocking.ts is told to say when nobody types. */
export const ANSWER = "here you are";

/** A Worker for every client of a crowd would be 7 MB each, and twice. */
const FLAGS: Record<string, string[]> = { "threads.ts": ["--threads", "32"] };

/** The number in `select.ts:47`. */
const row = (at = "") => Number(at.split(":").at(-1));

/** Values that only grow, as they were up to five seconds ago. */
class Window {
  #samples: { time: number; values: number[] }[] = [];

  add(...values: number[]) {
    const time = now();
    this.#samples.push({ time, values });
    while (this.#samples[1]?.time < time - WINDOW) this.#samples.shift();
  }

  /** By how much each has grown; nothing before that says anything. */
  growth(): number[] {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.time < first.time + WINDOW / 2) return [];
    return last.values.map((value, i) => value - first.values[i]);
  }
}

export class Live {
  status: News["status"] = "starting";
  why?: string;
  port = 0;
  readonly crowd = new Crowd();
  readonly guests: Record<Who, Guest>;
  #server!: Server;
  #lanes!: Lanes;
  #digests!: Map<string, Digest>;
  #clients!: Map<number, Client>;
  #told!: Told[]; // the last calls
  #promised!: Map<string, number>; // calls that are out, and their lines
  #line!: Map<string, number>; // of its last call, by thread
  #asks = false;
  #calls = 0;
  #linesTold = 0;
  #born = 0;
  #counted = new Window();
  #twin: Twin | null = null;
  #load = 0; // its number, while there is one

  /**
   * `base`: the time that is 0 for the page; `beat`: seconds from one event of
   * the scene to the next; `auto`: whether it answers alone.
   */
  constructor(
    readonly model: Model,
    readonly base: number,
    readonly beat: number,
    readonly auto: () => boolean,
  ) {
    const { message } = model;
    this.guests = { A: new Guest("A", message), B: new Guest("B", message) };
  }

  get pid(): number {
    return this.#server.pid;
  }

  /** Resolves when it listens, or cannot. */
  async start() {
    const { model } = this;
    this.status = "starting";
    this.why = undefined;
    this.#lanes = new Lanes(model.away);
    this.#digests = new Map();
    this.#clients = new Map();
    this.#told = [];
    this.#promised = new Map();
    this.#line = new Map();
    this.#asks = false;
    this.#born = now();
    const server = start(
      model,
      { told: (line) => server === this.#server && this.#tell(line) },
      flags(model, this.beat),
    );
    this.#server = server;
    server.failed.catch((error: Error) => {
      if (this.#server !== server) return; // it was started anew
      this.status = this.status === "running" ? "ended" : "cannot";
      this.why = printable(error.message);
      this.leave();
      this.unload();
    });
    try {
      this.port = await server.port;
      this.status = "running";
    } catch { /* it was said above */ }
  }

  /** All of them go. */
  leave() {
    this.crowd.leave();
    for (const who of WHO) this.guests[who].leave();
  }

  /** Types an answer for a server that asks for one. */
  answer(text: string): boolean {
    if (!this.#asks) return false;
    this.#asks = false;
    this.#server.type(text + "\n");
    return true;
  }

  #tell(line: Told) {
    const { call, phase, asked, at, thread = "", promised } = line;
    this.#linesTold++;
    const lanes = this.#lanes;
    const key = asked.split(", ")[0];
    const before = lanes.clients.get(key); // a close makes it forget
    const { lane, spans } = lanes.tell(line);
    const after = call.startsWith("accept")
      ? lanes.clients.get(`${line.result}`)
      : before ?? lanes.clients.get(key);
    if (after) this.#clients.set(after.client, after);
    for (const { op, fd, result = -1 } of line.requests ?? []) {
      const client = lanes.clients.get(`${op === "ACCEPT" ? result : fd}`);
      if (client) this.#clients.set(client.client, client);
    }
    let digest = this.#digests.get(thread);
    if (!digest) this.#digests.set(thread, digest = new Digest());
    for (const span of spans) digest.add(this.#piece(span));
    if (lane.over) {
      lanes.lanes.delete(thread);
      this.#line.delete(thread);
    }

    if (promised) {
      const out = `${thread}${call}(${key}`;
      if (phase === "call") this.#promised.set(out, row(at));
      else this.#promised.delete(out);
    } else if (at) this.#line.set(thread, row(at));
    if (phase === "return") {
      if (!promised || !["accept", "read", "write"].includes(call)) {
        this.#calls++;
      }
      // Its call and what came of it are one line.
      const pending = this.#told.findLastIndex((told) =>
        told.phase === "call" && told.call === call &&
        (told.thread ?? "") === thread && told.asked === asked
      );
      const [begun] = pending < 0 ? [] : this.#told.splice(pending, 1);
      line = { ...line, at: begun?.at ?? at };
    }
    this.#told.push(line);
    if (this.#told.length > 20) this.#told.shift();
    if (call === "read" && key === "0") {
      this.#asks = phase === "call";
      if (this.#asks && this.auto()) this.answer(ANSWER);
    }
  }

  #piece({ state, from, to, call, asked, answered, client }: Span): Piece {
    const short = (text?: string) => text?.slice(0, 100) || undefined;
    return {
      state,
      from: from - this.base,
      to: to - this.base,
      call,
      asked: short(asked),
      answered: short(answered),
      client,
    };
  }

  /** With the name of its client, which may not have been known before. */
  #named = ({ client, asked, answered, ...piece }: Piece): Piece => ({
    ...piece,
    asked: asked && printable(asked), // strangers can connect as well
    answered: answered && printable(answered),
    whom: this.#whom(client),
  });

  /** Whom a client of the server's is: known by its port. */
  #whom(client?: number): Whom | undefined {
    if (client === undefined) return;
    const port = this.#clients.get(client)?.port;
    if (!port) return "other";
    return WHO.find((who) => this.#ports[who] === port) ??
      (this.crowd.ports.has(port) ? "idle" : "other");
  }
  #ports: Partial<Record<Who, number>> = {};

  /** A thread for a client bears its address; those of A and B are shown. */
  #owner(thread: string): Whom | "" {
    if (!thread) return "";
    const port = Number(thread.split(":").at(-1));
    return WHO.find((who) => this.#ports[who] === port) ?? "other";
  }

  /** The ports of A and B, which are known until they come again. */
  #learn() {
    for (const who of WHO) {
      const { port } = this.guests[who];
      if (port) this.#ports[who] = port;
    }
  }

  /** What is new since the last time. With `open`, also where it stands. */
  news(time: number, open: boolean): News {
    this.#learn();
    const threads: News["threads"] = [];
    const running = this.status === "running";
    for (const [thread, digest] of this.#digests) {
      const lane = this.#lanes.lanes.get(thread);
      const pieces = digest.take().map(this.#named);
      const owner = this.#owner(thread);
      if (!lane) this.#digests.delete(thread);
      if (owner === "idle" || owner === "other") continue;
      const span = lane && running && lane.now(time);
      const now = span ? this.#named(this.#piece(span)) : undefined;
      threads.push({ thread: owner, pieces, now });
    }
    if (this.#clients.size > this.#lanes.clients.size + 1000) {
      this.#clients = new Map(
        [...this.#lanes.clients.values()].map((
          client,
        ) => [client.client, client]),
      );
    }
    const visited = WHO.flatMap((who) => this.guests[who].visited.splice(0))
      .map(({ from, to, ...rest }) => ({
        ...rest,
        from: from - this.base,
        to: to - this.base,
      }));
    return {
      status: this.status,
      why: this.why,
      port: this.port,
      threads,
      clients: {
        A: this.guests.A.visit(this.base),
        B: this.guests.B.visit(this.base),
      },
      visited,
      idle: { here: this.crowd.size, why: this.crowd.why },
      asks: this.#asks,
      figures: this.#figures(),
      ...open ? { stands: this.#stands(time), calls: this.#lastCalls() } : {},
    };
  }

  #stands(time: number): Stand[] {
    const stands: Stand[] = [];
    for (const [thread, lane] of this.#lanes.lanes) {
      const { call, at } = lane.now(time);
      const kind = call && at ? "in" : "last";
      const line = kind === "in" ? row(at) : this.#line.get(thread);
      if (!line || this.status !== "running") continue;
      stands.push({ line, thread: this.#owner(thread), kind });
    }
    for (const line of new Set(this.#promised.values())) {
      if (line) stands.push({ line, thread: "", kind: "promised" });
    }
    return stands;
  }

  /** The last calls, as --trace prints them, with their lines before them. */
  #lastCalls(): string[] {
    return this.#told.map((told) => printable(this.#lastCall(told)));
  }

  #lastCall(told: Told): string {
    const { time, call, phase, asked, answered = "", error, at, held } = told;
    const clock = ((time - this.#born) / 1000).toFixed(6).padStart(11);
    const line = `${at ? row(at) : ""}`.padStart(4);
    const ms = (time: number) => `${time.toFixed(time < 10 ? 3 : 0)} ms`;
    const why = error ? ` ${error}` : "";
    const whose = told.thread ? `${this.#owner(told.thread)}: ` : "";
    const begun = `${clock} ${line}  ${whose}${call}(${asked}`;
    if (phase === "call") return begun + (told.promised ? ") promised" : "");
    if (told.waited === undefined) {
      return `${begun}${answered})${why}  ${ms(held ?? 0)}`;
    }
    return `${begun}${answered})${why} resolved after ${ms(told.waited)}`;
  }

  // --------------------------------------------------------------------- load

  #answers = 0;

  /** A asks without pause, until `unload`. */
  async load(idle: number) {
    if (this.#load || this.status !== "running") return;
    const load = this.#load = Math.random();
    const { A } = this.guests;
    this.#counted = new Window();
    this.#twin = new Twin(this.model, this.beat);
    this.#twin.start(idle);
    await A.connect(this.port);
    while (this.#load === load && A.here) {
      const told = this.#linesTold;
      const begin = now();
      if (!await A.exchange()) await pause(100);
      else this.#answers++;
      const cause = this.#linesTold - told;
      const rest = Math.max(1000 / ASKED, cause / LINES * 1000);
      await pause(Math.max(1, begin + rest - now()));
      this.#counted.add(this.#answers, this.#calls);
    }
    if (this.#load === load) this.unload();
    else if (!this.#load) A.rest(); // answered after the end
  }

  /** The untraced one has its turn. */
  async turn(ms: number) {
    await this.#twin?.turn(ms);
  }

  unload() {
    this.#load = 0;
    this.guests.A.rest();
    this.#twin?.stop();
    this.#twin = null;
  }

  /** So many only sit there. */
  async resize(idle: number) {
    if (this.status !== "running") return;
    this.#settling++;
    await this.crowd.resize(idle, this.port);
    await this.#twin?.resize(idle);
    this.#counted = new Window(); // of what is now, not of the way there
    this.#settling--;
  }
  #settling = 0;

  #figures(): Figures | undefined {
    if (!this.#twin) return;
    const [answers = 0, calls = 0] = this.#counted.growth();
    const twin = this.#twin.figures();
    const own = short(this.model) !== "async"; // or Deno makes them
    return {
      own,
      calls: answers && !this.#settling ? calls / answers : null,
      cpu: twin.answers ? twin.cpu * 1000 / twin.answers : null,
      answers: twin.answers,
    };
  }
}

const flags = (model: Model, beat: number) => [
  ...model.flags?.(beat) ?? [],
  ...FLAGS[model.script] ?? [],
];

/** The same server without a trace, with as many clients: what it costs. */
class Twin {
  #server: Server;
  #crowd = new Crowd();
  #conn: Deno.TcpConn | null = null;
  #counted = new Window();
  #answers = 0;
  #out: Promise<void> | null = null; // what it was asked last
  #stopped = false;

  constructor(readonly model: Model, beat: number) {
    this.#server = start(model, {}, flags(model, beat));
    this.#server.failed.catch(() => this.#stopped = true);
    try {
      setPriority(this.#server.pid, 10); // the browser goes first
    } catch { /* then it does not */ }
  }

  async start(idle: number) {
    try {
      const port = await this.#server.port;
      if (this.#stopped) return;
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      if (this.#stopped) return conn.close();
      conn.setNoDelay();
      this.#conn = conn;
      await this.resize(idle);
    } catch { /* there are no figures then */ }
  }

  async resize(idle: number) {
    if (!this.#conn) return;
    this.#settled = false;
    await this.#crowd.resize(idle, await this.#server.port);
    // Threads take their time to start: until it is quiet, nothing is counted.
    for (let before = NaN, tries = 0; tries < 60 && !this.#stopped; tries++) {
      await pause(300);
      const used = cpuTime(this.#server.pid);
      if (used - before < 50) break;
      before = used;
    }
    this.#counted = new Window();
    this.#settled = true;
  }
  #settled = false;

  /** Asks without pause for a while; one that has not answered stays asked. */
  async turn(ms: number) {
    const conn = this.#conn;
    if (!conn || this.#stopped || !this.#settled) return;
    const end = now() + ms;
    const chunk = new Uint8Array(16384);
    const message = new TextEncoder().encode(this.model.message);
    const exchange = async () => {
      if (this.model.typed) this.#server.type(`${ANSWER}\n`);
      await conn.write(message);
      if (await conn.read(chunk)) this.#answers++;
      else this.#stopped = true;
      this.#out = null;
    };
    let timer;
    const over = new Promise<void>((resolve) =>
      timer = setTimeout(resolve, ms)
    );
    while (now() < end && !this.#stopped) {
      this.#out ??= exchange().catch(() => {
        this.#stopped = true;
      });
      await Promise.race([this.#out, over]);
    }
    clearTimeout(timer);
    this.#counted.add(this.#answers, cpuTime(this.#server.pid));
  }

  figures(): { answers: number; cpu: number } {
    if (!this.#settled) return { answers: 0, cpu: 0 };
    const [answers = 0, cpu = 0] = this.#counted.growth();
    return { answers, cpu };
  }

  stop() {
    this.#stopped = true;
    this.#crowd.leave();
    try {
      this.#conn?.close();
    } catch { /* it was closed by the other side */ }
    this.#conn = null;
    this.#server.stop();
  }
}
