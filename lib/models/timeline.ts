/**
 * Turns the events of a trace into one timeline per thread. Takes the events one
 * by one, so that a scene can be shown while it is played, too.
 */
import type { TraceEvent } from "../trace.ts";
import type { State } from "./states.js";

/** A span of a thread's time, from one moment to another, both in ms. */
export interface Span {
  state: State;
  from: number;
  to: number;
  /** The call that the thread was in, or the promise that was resolved. */
  call?: string;
  /** The arguments of the call, and what it brought, as the trace writes them. */
  args?: string;
  outcome?: string;
  error?: string;
  /** Set where the same call has slept before, which is a span of its own. */
  slept?: true;
  /** The line of the script that made the call: `select.ts:47`. */
  source?: string;
  /** Which client the call was about: 0 was accepted first. */
  client?: number;
  /** Which requests of io_uring were completed: `RECV`. */
  ops?: string[];
  /** Set where one span stands for many that follow each other. */
  many?: {
    /** How many system calls there were. */
    calls: number;
    /** Which share of the time each state took: 0 to 1. */
    shares: Partial<Record<State, number>>;
  };
}

/** What one thread did in a stretch of time. */
export interface ThreadSpans {
  /** The thread's name; the main thread's is empty. */
  thread: string;
  /** One after the other, without holes. */
  spans: Span[];
}

/** A client as the server knows it. */
export interface Client {
  /** Which client it is: 0 was accepted first. */
  index: number;
  /** Its descriptor in the server, or its address where Deno keeps that. */
  key: string;
  /** Its own port, if a call has returned its address. */
  port?: number;
}

/**
 * A thread that has been in a call for more ms than this is taken to be asleep.
 * A call of a few µs, too, can take some ms: another thread has the CPU.
 */
const SLEEP = 5;
/** Between two calls that are more ms apart than this, the script did no work. */
const GAP = 10;

/** Calls that can sleep until one client has sent something, or has room. */
const FOR_ONE = ["recv", "send", "read"];
/** Calls that can sleep until any client connects, or has sent something. */
const FOR_ALL = ["accept4", "select", "poll", "epoll_wait", "io_uring_enter"];

/**
 * The state of a thread that has been in that call for long. With an `idleState`
 * of its own, the thread makes no call that can sleep: it had no CPU.
 */
function sleepState(call: string, idleState: State): State {
  if (idleState !== "other") return "other";
  if (FOR_ONE.includes(call)) return "one";
  return FOR_ALL.includes(call) ? "all" : "other";
}

/**
 * Whether the call waits for an answer that is typed. The thread sleeps in Deno's
 * epoll_wait then, but the program serves no other client.
 */
export function isKeyboardRead({ call, args }: TraceEvent): boolean {
  return call === "read" && args === "0";
}

/** What one thread does. */
export class ThreadTimeline {
  /** Whether the thread has ended with its client. */
  ended = false;
  #lastTime: number; // until which its spans are known
  #call: TraceEvent | null = null; // the call that the thread is in
  #client?: number; // the client that this call is about

  /** `idleState`: the state of the thread when it is in no call for a while. */
  constructor(
    readonly thread: string,
    readonly idleState: State,
    firstEvent: TraceEvent,
  ) {
    this.#lastTime = firstEvent.time;
  }

  /** What the thread does at that time, after all events so far. */
  current(time: number): Span {
    const from = this.#lastTime;
    const to = Math.max(time, from);
    if (!this.#call) {
      return { state: to - from > GAP ? this.idleState : "other", from, to };
    }
    const { call, args, source } = this.#call;
    const span = { from, to, call, args, source, client: this.#client };
    if (isKeyboardRead(this.#call)) return { ...span, state: "one" };
    if (to - from <= SLEEP) return { ...span, state: "other" };
    return { ...span, state: sleepState(call, this.idleState) };
  }

  /** Takes an event of this thread; returns the spans that it completes. */
  push(event: TraceEvent, client?: number): Span[] {
    if (event.phase === "call") return this.#called(event, client);
    if (isKeyboardRead(event)) {
      this.#call = null;
      const span = { ...about(event, client), state: "one" as const };
      return [this.#span(span, event.time)];
    }
    return event.promised
      ? this.#resolved(event, client)
      : this.#returned(event, client);
  }

  #called(event: TraceEvent, client?: number): Span[] {
    if (event.promised && !isKeyboardRead(event)) return []; // holds no thread
    this.#call = event;
    this.#client = client;
    return this.#gap(event.time);
  }

  #resolved(event: TraceEvent, client?: number): Span[] {
    const { time, error, waited = 0, ticks = 0 } = event;
    // Four of five ticks of a timer of 10 ms are missing: the thread was not free.
    const busy = waited > 10 * GAP && ticks * 50 < waited;
    const spans = this.#gap(time, busy);
    if (!error) {
      const span = { ...about(event, client), state: "resolved" as const };
      spans.push(this.#span(span, time));
    }
    return spans;
  }

  #returned(event: TraceEvent, client?: number): Span[] {
    const { call, time, result, error, held = 0, requests } = event;
    const source = this.#call?.source ?? event.source;
    this.#call = null;
    const spans = this.#gap(time - held);
    const ops = requests?.filter(({ result = -1 }) => result > 0)
      .map(({ op }) => op);
    const span = { ...about(event, client), source, ops };
    if (error === "EAGAIN") {
      spans.push(this.#span({ ...span, state: "asking" }, time));
      return spans;
    }
    const slept = held > SLEEP;
    if (slept) {
      const state = sleepState(call, this.idleState);
      spans.push(this.#span({ ...span, state }, time));
    }
    // A call that has slept until data came has copied the data then.
    const work = workOf(call, result, ops);
    if (work || !slept) {
      const again = slept ? { slept: true as const } : {};
      spans.push(
        this.#span({ ...span, ...again, state: work ?? "other" }, time),
      );
    }
    return spans;
  }

  /** The span from the last event to that time. */
  #span(span: Omit<Span, "from" | "to">, to: number): Span {
    const from = this.#lastTime;
    // The clock is read several times for a call: `to` may lie a bit before.
    this.#lastTime = Math.max(from, to);
    return { ...span, from, to: this.#lastTime };
  }

  /** The span in which the thread was in no call, if there is one. */
  #gap(to: number, busy = false): Span[] {
    if (to <= this.#lastTime) return [];
    const long = to - this.#lastTime > GAP && !busy;
    return [this.#span({ state: long ? this.idleState : "other" }, to)];
  }
}

/** What the span of a call says of it. */
function about({ call, args, outcome, error }: TraceEvent, client?: number) {
  return { call, args, outcome, error, client };
}

/** The work that a call did in its last moment, if it did some. */
function workOf(
  call: string,
  result: TraceEvent["result"],
  ops: string[] = [],
): State | undefined {
  const some = Number(result) > 0;
  if (call === "accept4") return some ? "accepting" : undefined;
  if (call === "recv" || call === "send") return some ? "copying" : undefined;
  if (ops.some((op) => op === "RECV" || op === "SEND")) return "copying";
  if (ops.includes("ACCEPT")) return "accepting";
}

/** What all threads of a server do, and for which of its clients. */
export class Timeline {
  /** The threads by their names; the main thread's is empty. */
  readonly threads = new Map<string, ThreadTimeline>();
  /** The clients that were accepted and have not left, by their keys. */
  readonly clients = new Map<string, Client>();
  #accepted = 0;

  /** `idleState`: the main thread's state when it is in no call for a while. */
  constructor(readonly idleState: State = "other") {}

  /** Takes the next event; returns its thread and the spans that it completes. */
  push(event: TraceEvent): { thread: ThreadTimeline; spans: Span[] } {
    const { thread: name = "", call, phase } = event;
    let thread = this.threads.get(name);
    if (!thread) {
      thread = new ThreadTimeline(name, name ? "other" : this.idleState, event);
      this.threads.set(name, thread);
    }
    const key = event.args.split(", ")[0];
    const client = isKeyboardRead(event)
      ? [...this.clients.values()].at(-1) // is sent what is typed
      : this.clients.get(key);
    if (phase === "return") this.#learnClients(event, client);
    const spans = thread.push(event, client?.index);

    const nothingRead = call === "read" &&
      (event.result === null || event.error !== undefined);
    const gone = call === "close" || (event.promised && nothingRead);
    if (phase === "return" && gone && client) {
      this.clients.delete(key);
      // The thread of one client, which has its descriptor first in its name.
      if (name.startsWith(`${key} `)) thread.ended = true;
    }
    return { thread, spans };
  }

  /** Learns from a call that has returned of new clients, or of one's port. */
  #learnClients(event: TraceEvent, client?: Client) {
    const { call, result, port, requests = [] } = event;
    if (call === "accept4" && Number(result) > 0) {
      this.#accept(`${result}`, port);
    } else if (call === "accept" && result) {
      this.#accept(`${result}`, port);
    } else if (call === "getpeername" && client) {
      client.port ??= port;
    }
    for (const { op, result = -1 } of requests) {
      if (op === "ACCEPT" && result >= 0) this.#accept(`${result}`);
    }
  }

  #accept(key: string, port?: number) {
    this.clients.set(key, { index: this.#accepted++, key, port });
  }
}

/**
 * What the threads of a server did from one time to another, according to its
 * events; the main thread first.
 */
export function threadSpans(
  events: TraceEvent[],
  idleState: State | undefined,
  from: number,
  to: number,
): ThreadSpans[] {
  const timeline = new Timeline(idleState);
  const found = new Map<ThreadTimeline, Span[]>();
  for (const event of events) {
    if (event.time > to) break;
    const { thread, spans } = timeline.push(event);
    const earlier = found.get(thread);
    if (earlier) earlier.push(...spans);
    else found.set(thread, spans);
  }
  const threads = [...found].map(([thread, spans]) => {
    if (!thread.ended) spans.push(thread.current(to));
    const seen = spans.filter((span) => span.to >= from && span.from <= to);
    const cut = seen.map((span) => ({
      ...span,
      from: Math.max(span.from, from),
      to: Math.min(span.to, to),
    }));
    return { thread: thread.thread, spans: cut };
  });
  return threads.filter(({ spans }) => spans.length > 0);
}
