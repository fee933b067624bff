/** Follows the trace of one server: what the page shows of its threads. */
import type { Model } from "../models/models.ts";
import {
  type Client,
  type Span as TimelineSpan,
  Timeline,
} from "../models/timeline.ts";
import { printable } from "../output.ts";
import { formatMs } from "../time.ts";
import type { TraceEvent } from "../trace.ts";
import { SpanAggregator } from "./aggregate.ts";
import { ElsewhereClients } from "./elsewhere.ts";
import {
  CLIENT_IDS,
  type ClientId,
  type ClientRole,
  type ElsewhereUpdate,
  type ModelUpdate,
  type SourcePosition,
  type Span,
} from "./messages.ts";

/** The page shows so many of the last calls. */
const LAST_CALLS = 20;
/** So many characters of a call's arguments, and of its outcome, are shown. */
const MOST_CHARACTERS = 100;
/** Of more clients than that, those that have left are forgotten. */
const MOST_FORMER_CLIENTS = 1000;

/** The number in `select.ts:47`; 0 without one. */
function lineOf(source = ""): number {
  return Number(source.split(":").at(-1));
}

/** Takes the events of a trace; gives what the page shows, whenever it asks. */
export class TraceFollower {
  /** How many events there were so far. */
  eventCount = 0;
  /** How many system calls the script has made so far. */
  systemCallCount = 0;
  /** Whether the server waits for an answer; false again once one is typed. */
  awaitsAnswer = false;
  #timeline: Timeline;
  #aggregators = new Map<string, SpanAggregator>(); // by thread
  #elsewhere = new ElsewhereClients();
  #clients = new Map<number, Client>(); // by index, also some that have left
  #lastEvents: TraceEvent[] = [];
  #promisedSources = new Map<string, string>(); // of calls that are not resolved
  #lastLines = new Map<string, number>(); // of the last calls, by thread

  /**
   * `epoch`: the time that is 0 for the page; `roleOf`: the role of the client
   * that has that port.
   */
  constructor(
    model: Model,
    readonly epoch: number,
    readonly roleOf: (port: number) => ClientRole,
  ) {
    this.#timeline = new Timeline(model.idleState);
  }

  // ----------------------------------------------------------------- its events

  /** Takes the next event. */
  push(event: TraceEvent) {
    const { call, phase, args, thread: name = "", promised } = event;
    this.eventCount++;
    const { thread, spans } = this.#timeline.push(event);
    this.#rememberClients(event);
    if (promised && phase === "return") {
      const source = this.#promisedSources.get(promiseKey(event));
      for (const span of spans) {
        if (span.state === "resolved") span.source = source;
      }
    }
    this.#elsewhere.add(event, this.#timeline.clients);
    this.#addSpans(name, spans);
    this.#rememberLine(event);
    if (thread.ended) {
      this.#timeline.threads.delete(name);
      this.#lastLines.delete(name);
    }
    // accept, read and write of async.ts are no system calls, but Deno's.
    const byDeno = promised && ["accept", "read", "write"].includes(call);
    if (phase === "return" && !byDeno) this.systemCallCount++;
    this.#rememberEvent(event);
    if (call === "read" && firstArg(args) === "0") {
      this.awaitsAnswer = phase === "call";
    }
  }

  /** The timeline forgets clients that have left, but there are spans of them. */
  #rememberClients({ call, phase, result, requests = [], time }: TraceEvent) {
    if (phase === "call") return;
    const accepted = [call.startsWith("accept") ? result : undefined];
    for (const { op, result } of requests) {
      if (op === "ACCEPT") accepted.push(result);
    }
    for (const key of accepted) {
      const client = this.#timeline.clients.get(`${key}`);
      if (!client) continue;
      this.#clients.set(client.index, client);
      this.#elsewhere.accept(client, time);
    }
  }

  #addSpans(thread: string, spans: TimelineSpan[]) {
    let aggregator = this.#aggregators.get(thread);
    if (!aggregator) {
      aggregator = new SpanAggregator();
      this.#aggregators.set(thread, aggregator);
    }
    for (const span of spans) aggregator.add(span);
  }

  #rememberLine(event: TraceEvent) {
    const { phase, thread = "", promised, source } = event;
    if (promised) {
      const key = promiseKey(event);
      if (phase === "return") this.#promisedSources.delete(key);
      else if (source) this.#promisedSources.set(key, source);
    } else if (source) {
      this.#lastLines.set(thread, lineOf(source));
    }
  }

  /** Keeps one event of a call that has returned, with the line that made it. */
  #rememberEvent(event: TraceEvent) {
    const events = this.#lastEvents;
    const { call, args, thread } = event;
    const index = event.phase === "call"
      ? -1
      : events.findLastIndex((earlier) =>
        earlier.phase === "call" && earlier.call === call &&
        earlier.args === args && earlier.thread === thread
      );
    if (index === -1) {
      events.push(event);
    } else {
      const [begin] = events.splice(index, 1);
      events.push({ ...event, source: begin.source ?? event.source });
    }
    if (events.length > LAST_CALLS) events.shift();
  }

  // --------------------------------------------------------- what the page shows

  /**
   * The threads that the page shows: what they do at that time, and their spans
   * since this was called last.
   */
  takeThreads(time: number): ModelUpdate["threads"] {
    const threads: ModelUpdate["threads"] = [];
    for (const [name, aggregator] of this.#aggregators) {
      const timeline = this.#timeline.threads.get(name);
      const spans = aggregator.take();
      if (!timeline) this.#aggregators.delete(name);
      const thread = this.#roleOfThread(name);
      if (thread === "other") continue;
      threads.push({
        thread,
        spans: spans.map((span) => this.#toMessage(span)),
        current: timeline && this.#toMessage(timeline.current(time)),
      });
    }
    this.#forgetClients();
    return threads;
  }

  /** The clients that are not of watch.ts, and what is new of them. */
  takeElsewhere(time: number): ElsewhereUpdate {
    return this.#elsewhere.take(
      this.#timeline.clients.values(),
      ({ port }) => port ? this.roleOf(port) : "other",
      this.epoch,
      time,
    );
  }

  /** The spans of clients that have left were taken. */
  #forgetClients() {
    const connected = this.#timeline.clients;
    if (this.#clients.size <= connected.size + MOST_FORMER_CLIENTS) return;
    this.#clients = new Map(
      [...connected.values()].map((client) => [client.index, client]),
    );
  }

  /** The lines of the script in which its threads are at that time. */
  positions(time: number): SourcePosition[] {
    const positions: SourcePosition[] = [];
    for (const [name, timeline] of this.#timeline.threads) {
      const { call, source } = timeline.current(time);
      const kind = call && source ? "in" : "last";
      const line = kind === "in" ? lineOf(source) : this.#lastLines.get(name);
      if (!line) continue;
      positions.push({ line, thread: this.#roleOfThread(name), kind });
    }
    for (const source of new Set(this.#promisedSources.values())) {
      positions.push({ line: lineOf(source), thread: "", kind: "promised" });
    }
    return positions;
  }

  /**
   * The last calls, as --trace prints them, but with their lines of the script,
   * and in seconds since `epoch`.
   */
  lastCalls(): string[] {
    return this.#lastEvents.map((event) => printable(this.#format(event)));
  }

  #format(event: TraceEvent): string {
    const { time, call, phase, source, error } = event;
    const args = brief(event.args);
    const outcome = brief(event.outcome ?? "");
    const seconds = ((time - this.epoch) / 1000).toFixed(6).padStart(11);
    const line = `${source ? lineOf(source) : ""}`.padStart(4);
    const role = event.thread ? `${this.#shortName(event.thread)}: ` : "";
    const begin = `${seconds} ${line}  ${role}${call}(${args}`;
    if (phase === "call") return begin + (event.promised ? ") promised" : "");
    const end = `${begin}${outcome})${error ? ` ${error}` : ""}`;
    return event.waited === undefined
      ? `${end}  ${formatMs(event.held ?? 0, 3)}`
      : `${end} resolved after ${formatMs(event.waited, 3)}`;
  }

  /** The span for the page. The port of its client may not be known before. */
  #toMessage(
    { client, source, ...span }: TimelineSpan,
  ): Span {
    const { state, from, to, call, args, outcome, error, slept, many } = span;
    return {
      state,
      from: from - this.epoch,
      to: to - this.epoch,
      call,
      args: shorten(args),
      outcome: shorten(outcome),
      error,
      slept,
      many,
      line: lineOf(source) || undefined,
      role: this.#roleOfClient(client),
    };
  }

  #roleOfClient(index?: number): ClientRole | undefined {
    if (index === undefined) return undefined;
    const port = this.#clients.get(index)?.port;
    return port ? this.roleOf(port) : "other";
  }

  #shortName(thread: string): string {
    return /^worker \d+/.exec(thread)?.[0] ?? this.#roleOfThread(thread);
  }

  /** The thread of a client has its address as its name; others have a number. */
  #roleOfThread(name: string): "" | ClientId | "other" {
    if (!name) return "";
    const worker = /^worker (\d+) /.exec(name)?.[1];
    if (worker) return CLIENT_IDS[Number(worker) - 1] ?? "other";
    const role = this.roleOf(Number(name.split(":").at(-1)));
    return CLIENT_IDS.find((id) => id === role) ?? "other";
  }
}

/** Which promise an event is about. */
function promiseKey({ thread = "", call, args }: TraceEvent): string {
  return `${thread}${call}(${firstArg(args)}`;
}

/** The descriptor in `3, 13 bytes "is it ready?\n"`. */
function firstArg(args: string): string {
  return args.split(", ")[0];
}

/** As much of a text as fits a line: poll may have a thousand descriptors. */
function brief(text: string): string {
  if (text.length <= MOST_CHARACTERS) return text;
  return `${text.slice(0, MOST_CHARACTERS)}…`;
}

/** Text from a trace, in which there may be what strangers have sent. */
function shorten(text?: string): string | undefined {
  return text ? printable(text.slice(0, MOST_CHARACTERS)) : undefined;
}
