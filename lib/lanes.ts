/**
 * From what a server tells to what its threads do: line by line, as the lines
 * come, so that it serves a scene that is over as well as one that is not.
 */
import type { Told } from "./trace.ts";
import type { State } from "./words.js";

/** A piece of a thread's time. Times are in ms, on the clock of the lines. */
export interface Span {
  state: State;
  from: number;
  to: number;
  /** The call that it was in, or the promise that was resolved. */
  call?: string;
  /** What that call was asked for, and what it brought, as the trace says it. */
  asked?: string;
  answered?: string;
  error?: string;
  /** The line of the script: `select.ts:47`. */
  at?: string;
  /** Which client it was about: 0 was accepted first. */
  client?: number;
  /** What a completion of io_uring told of: `RECV`. */
  ops?: string[];
}

/** A client as the server knows it. */
export interface Client {
  /** Its number: 0 was accepted first. */
  client: number;
  /** Its descriptor in the server, or its name where Deno keeps that. */
  key: string;
  /** Its own port, where a call told. */
  port?: number;
}

/**
 * From this on, in ms, a thread that is in a call is taken to be asleep. A call
 * that needs but a few µs is in it for longer when another thread has the CPU.
 */
const SLEEP = 5;
/** A gap between two calls that long, in ms, was no work of the script's. */
const GAP = 10;

/** Calls that can sleep until one peer has something, or room. */
const FOR_ONE = ["recv", "send", "read"];
/** Calls that can sleep until anybody comes, or has something. */
const FOR_ALL = ["accept4", "select", "poll", "epoll_wait", "io_uring_enter"];

/** `away` tells that nothing of this thread's can sleep: a CPU was missing. */
function asleep(call: string, away: State): State {
  if (away !== "other") return "other";
  if (FOR_ONE.includes(call)) return "one";
  return FOR_ALL.includes(call) ? "all" : "other";
}

/**
 * Whether it is for an answer that somebody is to type. The thread sleeps in
 * Deno's epoll_wait then, but the program goes on for nobody else.
 */
const atKeyboard = ({ call, asked }: Told) => call === "read" && asked === "0";

/** What one thread does. */
export class Lane {
  /** Whether its thread has ended with its client. */
  over = false;
  #last: number; // when it last said something
  #call: Told | null = null; // that it is in
  #client?: number; // that the call is about

  /** `away`: what it means when it is in no call for a while. */
  constructor(readonly thread: string, readonly away: State, line: Told) {
    this.#last = line.time;
  }

  /** What it does at that time, after all that was told so far. */
  now(time: number): Span {
    const from = this.#last;
    const to = Math.max(time, from);
    if (!this.#call) {
      return { state: to - from > GAP ? this.away : "other", from, to };
    }
    const { call, asked, at } = this.#call;
    const state = atKeyboard(this.#call)
      ? "one"
      : to - from > SLEEP
      ? asleep(call, this.away)
      : "other";
    return { state, from, to, call, asked, at, client: this.#client };
  }

  /** A line of this thread's: the spans that it completes, without holes. */
  tell(line: Told, client?: number): Span[] {
    const { call, phase, time, asked, answered, error, at, held = 0 } = line;
    const spans: Span[] = [];
    const add = (span: Omit<Span, "from" | "to">, to: number) => {
      const from = this.#last;
      this.#last = Math.max(from, to); // clocks are read one after the other
      spans.push({ ...span, from, to: this.#last });
    };
    const gap = (to: number, busy = false) => {
      if (to <= this.#last) return;
      const long = to - this.#last > GAP && !busy;
      add({ state: long ? this.away : "other" }, to);
    };

    if (phase === "call") {
      if (line.promised && !atKeyboard(line)) return spans; // it holds nobody
      gap(time);
      this.#call = line;
      this.#client = client;
      return spans;
    }
    const about = { call, asked, answered, error, client };
    if (atKeyboard(line)) {
      this.#call = null;
      add({ ...about, state: "one" }, time);
      return spans;
    }
    if (line.promised) {
      // A timer of 10 ms that hardly ticked: the thread was not free meanwhile.
      const { waited = 0, ticks = 0 } = line;
      gap(time, waited > 10 * GAP && ticks * 50 < waited);
      if (!error) add({ ...about, state: "resolved" }, time);
      return spans;
    }
    const begun = this.#call?.at ?? at;
    this.#call = null;
    gap(time - held);
    const ops = line.requests?.filter(({ result = -1 }) => result > 0)
      .map(({ op }) => op);
    const whole = { ...about, at: begun, ops };
    const slept = held > SLEEP && error !== "EAGAIN";
    if (error === "EAGAIN") add({ ...whole, state: "asking" }, time);
    else if (slept) add({ ...whole, state: asleep(call, this.away) }, time);
    // A call that slept until there was something has then copied it.
    const mark = moment(call, line.result, ops);
    if (mark) add({ ...whole, state: mark }, time);
    else if (!slept && error !== "EAGAIN") {
      add({ ...whole, state: "other" }, time);
    }
    return spans;
  }
}

/** What a call that has returned did in its last moment. */
function moment(
  call: string,
  result: Told["result"],
  ops: string[] = [],
): State | undefined {
  const some = Number(result) > 0;
  if (call === "accept4") return some ? "accepting" : undefined;
  if (call === "recv" || call === "send") return some ? "copying" : undefined;
  if (ops.some((op) => op === "RECV" || op === "SEND")) return "copying";
  if (ops.includes("ACCEPT")) return "accepting";
}

/** What all threads of a server do, and for which of its clients. */
export class Lanes {
  /** By the name of the thread; the main one's is empty. */
  readonly lanes = new Map<string, Lane>();
  /** The clients that are connected and accepted, by their key. */
  readonly clients = new Map<string, Client>();
  #accepted = 0;

  /** `away`: what it means when the main thread is in no call for a while. */
  constructor(readonly away: State = "other") {}

  /** A line of the trace, in order: whose it is, and the spans it completes. */
  tell(line: Told): { lane: Lane; spans: Span[] } {
    const { thread = "", call, phase, result, requests = [] } = line;
    let lane = this.lanes.get(thread);
    if (!lane) {
      lane = new Lane(thread, thread ? "other" : this.away, line);
      this.lanes.set(thread, lane);
    }
    const key = line.asked.split(", ")[0];
    const client = atKeyboard(line)
      ? [...this.clients.values()].at(-1) // whom the keyboard is to answer
      : this.clients.get(key);
    if (phase === "return") {
      if (call === "accept4" && Number(result) > 0) {
        this.#accept(`${result}`, line.port);
      } else if (call === "accept" && result) {
        this.#accept(`${result}`, line.port);
      } else if (call === "getpeername" && client) client.port ??= line.port;
      for (const { op, fd, result = -1 } of requests) {
        if (op === "ACCEPT" && result >= 0) this.#accept(`${result}`);
        if (op === "CLOSE" && result === 0) this.#close(`${fd}`);
      }
    }
    const spans = lane.tell(line, client?.client);
    const gone = call === "close" || (line.promised && call === "read" &&
      (result === null || line.error !== undefined));
    if (phase === "return" && gone && client) {
      this.#close(key);
      if (thread) lane.over = true; // a thread for a client ends with it
    }
    return { lane, spans };
  }

  #accept(key: string, port?: number) {
    const client = { client: this.#accepted++, key, port };
    this.clients.set(key, client);
  }

  #close(key: string) {
    this.clients.delete(key);
  }
}

/**
 * The threads of a server from one time to another, each without holes, from
 * what it told by then: the main one first.
 */
export function threads(
  told: Told[],
  away: State | undefined,
  from: number,
  to: number,
): { thread: string; spans: Span[] }[] {
  const lanes = new Lanes(away);
  const found = new Map<Lane, Span[]>();
  for (const line of told) {
    if (line.time > to) break;
    const { lane, spans } = lanes.tell(line);
    found.set(lane, [...found.get(lane) ?? [], ...spans]);
  }
  return [...found].map(([lane, spans]) => {
    if (!lane.over) spans.push(lane.now(to));
    return {
      thread: lane.thread,
      spans: spans.filter((span) => span.to >= from && span.from <= to)
        .map((span) => ({
          ...span,
          from: Math.max(span.from, from),
          to: Math.min(span.to, to),
        })),
    };
  }).filter(({ spans }) => spans.length);
}
