/** What one model made of the scene: all that is drawn, and that tables show. */
import type { Model } from "../models/models.ts";
import type { State, Words } from "../models/states.js";
import {
  isKeyboardRead,
  type ThreadSpans,
  threadSpans,
} from "../models/timeline.ts";
import type { TraceEvent } from "../trace.ts";
import { findPhases, type Phases } from "./phases.ts";
import type { ClientTimes, ServerRun } from "./server_run.ts";

/** The scene, as one model played it. Times are in ms since the clients connect. */
export interface SceneRun {
  script: string;
  name: Words;
  canteen: Words;
  /** When the scene began and ended. */
  from: number;
  to: number;
  /** The main thread, then that of the first client, then that of the second. */
  threads: ThreadSpans[];
  /** The first client and the second, of the same server as the threads. */
  clients: ClientTimes[];
  /** How long the clients of the server without a trace waited, in ms. */
  waits: number[];
  /** How many system calls the script made; null where Deno makes them. */
  calls: number | null;
  /** How many of these calls found nothing to do (EAGAIN). */
  vain: number | null;
  /** Which share of the time calls held threads for one client, or for all. */
  held: { one: number; all: number };
  /** The CPU time of the server without a trace, in ms; null without a clock. */
  cpu: number | null;
  /** The phases of the first client's message; null if the trace shows none. */
  phases: Phases | null;
  /** By how many ms a client was late at most: it had no CPU. */
  late: number;
  /** The traced server. */
  pid: number;
  events: TraceEvent[];
}

/**
 * The run of a model. `traced` and `plain` are the runs of its two servers. The
 * trace is that of the server `pid`, whose clients connected at the time `start`.
 */
export function sceneRun(
  model: Model,
  { pid, events, start }: { pid: number; events: TraceEvent[]; start: number },
  traced: ServerRun,
  plain: ServerRun,
): SceneRun {
  const { script, name, canteen, idleState, makesOwnCalls } = model;
  const { from, to } = traced;
  const clients = traced.clients.map(({ port, asked, answered, left }) => ({
    port,
    asked: asked - start,
    answered: answered - start,
    left: left - start,
  }));
  // The trace numbers clients as they were accepted. Where several threads accept,
  // the one that connected second may come first.
  const firstAccepted = events.find(({ port }) => port !== undefined)?.port;
  const swapped = firstAccepted === traced.clients[1].port;
  const numberOf = (client?: number) =>
    swapped && client !== undefined ? 1 - client : client;
  const threads = threadSpans(events, idleState, from, to)
    .map(({ thread, spans }) => ({
      thread,
      spans: spans.map((span) => ({
        ...span,
        client: numberOf(span.client),
        from: span.from - start,
        to: span.to - start,
      })),
    }))
    .toSorted((a, b) => clientOf(a) - clientOf(b));
  const calls = events.filter((event) =>
    event.phase === "return" && event.time > from && event.time < to &&
    !isKeyboardRead(event) // what is typed, Deno reads
  );
  const vain = calls.filter(({ error }) => error === "EAGAIN");
  return {
    script,
    name,
    canteen,
    from: from - start,
    to: to - start,
    threads,
    clients,
    waits: plain.clients.map(({ asked, answered }) => answered - asked),
    calls: makesOwnCalls ? calls.length : null,
    vain: makesOwnCalls ? vain.length : null,
    held: {
      one: timeIn("one", threads) / (to - from),
      all: timeIn("all", threads) / (to - from),
    },
    cpu: isNaN(plain.cpu) ? null : plain.cpu,
    phases: findPhases(threads, clients[0].asked),
    late: Math.max(traced.late, plain.late),
    pid,
    events: events.map((event) => ({ ...event, time: event.time - start })),
  };
}

/** Which client a thread is for; -1 of the main thread, which comes first. */
function clientOf({ thread, spans }: ThreadSpans): number {
  if (!thread) return -1;
  return spans.find(({ client }) => client !== undefined)?.client ?? 0;
}

/** How long the threads were in that state, together, in ms. */
function timeIn(state: State, threads: ThreadSpans[]): number {
  let sum = 0;
  for (const { spans } of threads) {
    for (const span of spans) {
      if (span.state === state) sum += span.to - span.from;
    }
  }
  return sum;
}
