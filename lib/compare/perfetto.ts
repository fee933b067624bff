/**
 * The same run for ui.perfetto.dev, chrome://tracing and speedscope: every call
 * of every thread with its arguments, and the two clients, in the Trace Event
 * Format (JSON, "traceEvents"). Times are in µs.
 */
import { SCENE_CLIENTS } from "../models/scene.ts";
import type { Language } from "../models/states.js";
import type { TraceEvent } from "../trace.ts";
import type { SceneRun } from "./scene_run.ts";

/** An event of the format. */
interface FormatEvent {
  /** M: a name; X: a slice with its duration; b, e: its begin and its end. */
  ph: "M" | "X" | "b" | "e";
  name: string;
  pid: number;
  tid: number;
  cat?: string;
  ts?: number;
  dur?: number;
  id?: string;
  args?: Record<string, unknown>;
}

/** The tracks of the clients are 1000 and 1001: no thread has such an id. */
const CLIENT_TRACK = 1000;

/** The file's text. Times begin with the first call of all. */
export function perfetto(runs: SceneRun[], language: Language): string {
  const begins = runs.flatMap(({ events }) =>
    events.map(({ time, held = 0, waited = 0 }) => time - held - waited)
  );
  const start = Math.min(...begins);
  const traceEvents = runs.flatMap((run, i) => [
    ...names(run, i, language),
    ...calls(run, start),
    ...clients(run, start),
  ]);
  return JSON.stringify({ displayTimeUnit: "ms", traceEvents }) + "\n";
}

/** µs of so many ms. */
function micros(ms: number): number {
  return Math.round(ms * 1000 * 1000) / 1000;
}

/** The names of threads in the order of their tracks: the main one's is empty. */
function threadNames({ events }: SceneRun): string[] {
  return [...new Set(["", ...events.map(({ thread = "" }) => thread)])];
}

/** The track of a thread. Ids of threads begin with 1. */
function trackOf(thread: string, threads: string[]): number {
  return threads.indexOf(thread) + 1;
}

function names(run: SceneRun, index: number, language: Language) {
  const { pid, script, name } = run;
  const meta = (
    name: string,
    tid: number,
    args: Record<string, unknown>,
  ): FormatEvent => ({ ph: "M", name, pid, tid, args });
  const track = (tid: number, name: string) => [
    meta("thread_name", tid, { name }),
    meta("thread_sort_index", tid, { sort_index: tid }),
  ];
  const threads = threadNames(run);
  return [
    meta("process_name", 0, { name: `${script}: ${name[language]}` }),
    meta("process_sort_index", 0, { sort_index: index }),
    ...threads.flatMap((thread) =>
      track(trackOf(thread, threads), thread || "thread")
    ),
    ...SCENE_CLIENTS.flatMap(({ whole }, i) =>
      track(CLIENT_TRACK + i, whole[language])
    ),
  ];
}

function calls(run: SceneRun, start: number): FormatEvent[] {
  const { pid, events } = run;
  const threads = threadNames(run);
  const slices: FormatEvent[] = [];
  // The calls that have not returned, by their thread, name and arguments.
  const open = new Map<string, TraceEvent[]>();
  let promises = 0;
  for (const event of events) {
    const { call, phase, thread = "", args } = event;
    const key = `${thread} ${call} ${args}`;
    const called = open.get(key) ?? [];
    open.set(key, called);
    if (phase === "call") {
      called.push(event);
      continue;
    }
    const source = called.shift()?.source;
    const track = { pid, tid: trackOf(thread, threads) };
    const returned = { source, ...event };
    if (event.promised) {
      const id = `${pid}.${promises++}`;
      slices.push(...promiseSlice(returned, { ...track, id }, start));
    } else {
      slices.push(callSlice(returned, track, start));
    }
  }
  const unreturned = [...open.values()].flat()
    .filter(({ promised }) => !promised);
  for (const event of unreturned) {
    const track = { pid, tid: trackOf(event.thread ?? "", threads) };
    slices.push(openSlice(event, track, start, run.to));
  }
  return slices;
}

/** A call that has returned. */
function callSlice(
  event: TraceEvent,
  track: { pid: number; tid: number },
  start: number,
): FormatEvent {
  const { call, time, held = 0 } = event;
  const ts = micros(time - held - start);
  const dur = micros(held);
  const args = details(event);
  return { ph: "X", name: call, cat: "call", ...track, ts, dur, args };
}

/** A call that had not returned when the scene was over. */
function openSlice(
  event: TraceEvent,
  track: { pid: number; tid: number },
  start: number,
  end: number,
): FormatEvent {
  const { call, time } = event;
  const ts = micros(time - start);
  const dur = Math.max(0, micros(end - time));
  const args = { ...details(event), returned: false };
  return { ph: "X", name: call, cat: "call", ...track, ts, dur, args };
}

/** A promise. Promises overlap: an id pairs the begin and the end of each. */
function promiseSlice(
  event: TraceEvent,
  track: { pid: number; tid: number; id: string },
  start: number,
): FormatEvent[] {
  const { call, time, waited = 0 } = event;
  const slice = { name: call, cat: "promise", ...track };
  const args = details(event);
  return [
    { ph: "b", ...slice, ts: micros(time - waited - start), args },
    { ph: "e", ...slice, ts: micros(time - start) },
  ];
}

/** What a viewer shows of a call beside its name. */
function details({ source, args, outcome, result, error }: TraceEvent) {
  return {
    args,
    ...(outcome && { outcome: outcome.replace(/^[ ,→]+/, "") }),
    ...(result !== undefined && { result }),
    ...(error && { error }),
    ...(source && { source }),
  };
}

/** When each client was connected, and when it waited for its answer. */
function clients({ pid, clients }: SceneRun, start: number): FormatEvent[] {
  const slice = (
    name: string,
    tid: number,
    from: number,
    to: number,
  ): FormatEvent => ({
    ph: "X",
    name,
    cat: "client",
    pid,
    tid,
    ts: micros(from - start),
    dur: micros(to - from),
  });
  return clients.flatMap(({ asked, answered, left }, i) => [
    slice("connected", CLIENT_TRACK + i, 0, left),
    slice("waits for its answer", CLIENT_TRACK + i, asked, answered),
  ]);
}
