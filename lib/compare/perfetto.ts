/**
 * The same run for ui.perfetto.dev, chrome://tracing and speedscope: every call
 * of every thread with its arguments, and the two clients, in the Trace Event
 * Format (JSON, "traceEvents"). Times are in µs.
 */
import type { Play } from "./scene.ts";
import type { Told } from "../trace.ts";
import { CLIENTS } from "./tables.ts";
import type { Language } from "../models/states.js";

interface Event {
  /** M: a name; X: complete, with its duration; b, e: begin and end. */
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

const micros = (ms: number) => Math.round(ms * 1000 * 1000) / 1000;

/** What a viewer shows of a call beside its name. */
const details = ({ at, asked, answered, result, error }: Told) => ({
  asked,
  ...(answered && { answered: answered.replace(/^[ ,→]+/, "") }),
  ...(result !== undefined && { result }),
  ...(error && { error }),
  ...(at && { at }),
});

/** The file's text. Times begin when the first model's scene does. */
export function perfetto(plays: Play[], language: Language): string {
  const start = Math.min(
    ...plays.flatMap(({ told }) =>
      told.map(({ time, held = 0, waited = 0 }) => time - held - waited)
    ),
  );
  const events = plays.flatMap((play, i) => [
    ...names(play, i, language),
    ...calls(play, start),
    ...clients(play, start),
  ]);
  return JSON.stringify({ displayTimeUnit: "ms", traceEvents: events }) + "\n";
}

/** The threads of a play in the order in which they spoke: the main one, ''. */
const threadsOf = (
  { told }: Play,
) => [...new Set(["", ...told.map(({ thread = "" }) => thread)])];
const CLIENT = 1000; // its track: 1000, 1001

function names(play: Play, i: number, language: Language): Event[] {
  const { pid, script, name } = play;
  const track = (tid: number, name: string): Event[] => [
    { ph: "M", name: "thread_name", pid, tid, args: { name } },
    { ph: "M", name: "thread_sort_index", pid, tid, args: { sort_index: tid } },
  ];
  return [
    {
      ph: "M",
      name: "process_name",
      pid,
      tid: 0,
      args: { name: `${script}: ${name[language]}` },
    },
    {
      ph: "M",
      name: "process_sort_index",
      pid,
      tid: 0,
      args: { sort_index: i },
    },
    ...threadsOf(play).flatMap((thread, i) => track(i + 1, thread || "thread")),
    ...CLIENTS.flatMap(({ whole }, i) => track(CLIENT + i, whole[language])),
  ];
}

function calls(play: Play, start: number): Event[] {
  const { pid, told } = play;
  const threads = threadsOf(play);
  const events: Event[] = [];
  const open = new Map<string, Told[]>(); // by thread, call and what it asked
  let promises = 0;
  for (const line of told) {
    const { call, time, thread = "", asked, held = 0, waited = 0 } = line;
    const key = `${thread} ${call} ${asked}`;
    const waiting = open.get(key) ?? [];
    open.set(key, waiting);
    if (line.phase === "call") {
      waiting.push(line);
      continue;
    }
    const { at } = waiting.shift() ?? {};
    const args = details({ at, ...line });
    const tid = threads.indexOf(thread) + 1;
    const to = micros(time - start);
    if (line.promised) { // they overlap: begin and end, paired by their id
      const id = `${pid}.${promises++}`;
      const of = { name: call, cat: "promise", pid, tid, id };
      events.push({ ph: "b", ...of, ts: micros(time - waited - start), args });
      events.push({ ph: "e", ...of, ts: to });
    } else {
      const dur = micros(held);
      const [name, cat, ts] = [call, "call", micros(time - held - start)];
      events.push({ ph: "X", name, cat, pid, tid, ts, dur, args });
    }
  }
  // What had not returned when the scene was over.
  for (const line of [...open.values()].flat()) {
    const { call, time, thread = "", promised } = line;
    if (promised) continue;
    const tid = threads.indexOf(thread) + 1;
    const ts = micros(time - start);
    const dur = Math.max(0, micros(play.to - time));
    const args = { ...details(line), returned: false };
    events.push({ ph: "X", name: call, cat: "call", pid, tid, ts, dur, args });
  }
  return events;
}

function clients({ pid, clients }: Play, start: number): Event[] {
  const slice = (
    name: string,
    tid: number,
    from: number,
    to: number,
  ): Event => ({
    ph: "X",
    name,
    cat: "client",
    pid,
    tid,
    ts: micros(from - start),
    dur: micros(to - from),
  });
  return clients.flatMap(({ asked, answered, left }, i) => [
    slice("connected", CLIENT + i, 0, left),
    slice("waits for its answer", CLIENT + i, asked, answered),
  ]);
}
