/**
 * The scene: two clients connect. The second asks at once, the first a moment
 * later; each leaves some time after its answer. Every model plays it twice at
 * the same time: once with its trace, which tells what its threads do, and once
 * without, for what that costs and how long a client waits.
 */
import { type Span, threads } from "../models/timeline.ts";
import { cpuTime, type Model, type Server, start } from "../models/models.ts";
import { type Phases, phases } from "./phases.ts";
import type { Told } from "../trace.ts";
import type { Words } from "../models/states.js";

/** A client's own clock. Times are in ms since the clients connected. */
export interface Visit {
  asked: number;
  answered: number;
  left: number;
}

/** The scene, as played by one model. */
export interface Play {
  script: string;
  name: Words;
  canteen: Words;
  from: number;
  to: number;
  /** The main thread first; of the others, the first client's. */
  threads: { thread: string; spans: Span[] }[];
  /** The first and the second, of the same run as the threads. */
  clients: Visit[];
  /** How long they waited where nothing was traced. */
  waits: number[];
  /** System calls made by the script, and those that had nothing for it. */
  calls: number | null; // null where they are Deno's own
  vain: number | null;
  /** The share of the time that calls held threads for one, or for everyone. */
  held: { one: number; all: number };
  /** CPU time where nothing was traced, in ms; null where no clock tells. */
  cpu: number | null;
  /** Of the first client's message; null if the trace does not show it. */
  phases: Phases | null;
  /** By how much a client was late at most: another process had the CPU. */
  late: number;
  /** The traced server. */
  pid: number;
  told: Told[];
}

/** In ms since 1970, as the lines of a trace have it. */
export const now = () => performance.timeOrigin + performance.now();
const until = (time: number) =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, time - now())));

/** A client that asks at a given time, and leaves a beat after its answer. */
async function visit(
  conn: Deno.Conn,
  message: string,
  asks: number,
  beat: number,
): Promise<Visit> {
  const times = { asked: 0, answered: 0, left: 0 };
  await until(asks);
  times.asked = now();
  await conn.write(new TextEncoder().encode(message));
  if (!await conn.read(new Uint8Array(4096))) throw new Error("it hung up");
  times.answered = now();
  await until(times.answered + beat);
  conn.close();
  times.left = now();
  return times;
}

/** Plays it to one server that listens; `zero` is when the clients connect. */
async function perform(server: Server, zero: number, beat: number) {
  const { message } = server.model;
  const port = await server.port;
  const from = zero - beat / 4;
  const to = zero + beat * 4.25;
  await until(from);
  const cpu = cpuTime(server.pid);
  await until(zero);
  const connected = now();
  const first = await Deno.connect({ port });
  const second = await Deno.connect({ port });
  const clients = await Promise.all([
    visit(first, message, zero + beat * 2, beat),
    visit(second, message, zero + beat / 2, beat),
  ]);
  const end = Math.max(to, now() + beat / 8);
  await until(end);
  const late = Math.max(
    connected - zero,
    clients[0].asked - zero - beat * 2,
    clients[1].asked - zero - beat / 2,
  );
  const used = cpuTime(server.pid) - cpu;
  return { from, to: end, clients, cpu: used, late };
}

/** Fails when the server ends, or has a client wait far too long. */
async function played(server: Server, zero: number, beat: number) {
  let timer;
  const patience = new Promise<never>((_, reject) => {
    const late = () => reject(new Error("a client got no answer"));
    timer = setTimeout(late, zero - now() + 10_000 + beat * 10);
  });
  // A server that has ended says why, a moment later.
  const scene = perform(server, zero, beat).catch((error) =>
    until(now() + 200).then(() => Promise.reject(error))
  );
  scene.catch(() => {}); // the others may have ended the race
  try {
    return await Promise.race([scene, server.failed, patience]);
  } finally {
    clearTimeout(timer);
    server.stop();
    await server.ended;
  }
}

/**
 * When to begin, no sooner than `time`, for clients to ask half-way between two
 * visits: how long they wait for the next one is not left to chance.
 */
function between(time: number, visit: number, beat: number, round?: number) {
  if (!round) return time;
  const wanted = visit + beat * (round / 2 - 0.5); // asks: half a beat later
  const rounds = Math.ceil((time - wanted) / (beat * round));
  return wanted + rounds * beat * round;
}

/** One model's play, or why there is none. */
export type Outcome = Play | { script: string; why: string };

/**
 * Starts all, waits until each listens or has failed, and plays it to them: a
 * promise of each one's outcome, in the same order. `progress` is told of each
 * that is ready.
 */
export async function playAll(
  cast: Model[],
  beat: number,
  progress: (ready: number, of: number) => void,
): Promise<Promise<Outcome>[]> {
  const troupe = cast.map((model) => {
    const told: Told[] = [];
    const flags = model.flags?.(beat / 1000);
    const spoke = [0, 0]; // when each said something: at its last visit
    const said = (i: number) => () => spoke[i] = now();
    const servers = [
      start(model, { told: (line) => told.push(line), said: said(0) }, flags),
      start(model, { said: said(1) }, flags),
    ];
    for (const server of servers) server.type((model.typed ?? "").repeat(2));
    return { model, told, servers, spoke };
  });
  const all = troupe.flatMap(({ servers }) => servers);
  let ready = 0;
  await Promise.allSettled(
    all.map(({ port }) => port.finally(() => progress(++ready, all.length))),
  );
  // Settled by then. One after the other, close together: those that play at
  // the same instant would wait for the CPU.
  const apart = beat / 23;
  const zeros = new Map<Model, number>();
  let curtain = now() + 300 + beat / 4;
  for (const model of cast.toSorted((a, b) => +!a.heavy - +!b.heavy)) {
    zeros.set(model, curtain);
    curtain += model.heavy ? Math.max(beat, 300) : 2 * apart;
  }
  return troupe.map(async ({ model, told, servers, spoke }) => {
    const { script, name, canteen, away, round } = model;
    const curtain = zeros.get(model)!;
    if (round) await until(curtain - beat / 2); // by now nothing is late
    const [zero, other] = spoke.map((visit, i) =>
      between(curtain + i * apart, visit, beat, round)
    );
    try {
      const [traced, plain] = await Promise.all([
        played(servers[0], zero, beat),
        played(servers[1], other, beat),
      ]);
      const at = (time: number) => time - zero;
      const clients = traced.clients.map(({ asked, answered, left }) => ({
        asked: at(asked),
        answered: at(answered),
        left: at(left),
      }));
      const { from, to } = traced;
      const whose = ({ thread, spans }: { thread: string; spans: Span[] }) =>
        thread
          ? spans.find(({ client }) => client !== undefined)?.client ?? 0
          : -1;
      const lanes = threads(told, away, from, to).toSorted((a, b) =>
        whose(a) - whose(b)
      ).map(({ thread, spans }) => ({
        thread,
        spans: spans.map((span) => ({
          ...span,
          from: at(span.from),
          to: at(span.to),
        })),
      }));
      const spans = lanes.flatMap(({ spans }) => spans);
      const share = (state: string) =>
        spans.filter((span) => span.state === state)
          .reduce((sum, { from, to }) => sum + to - from, 0) / (to - from);
      const returned = told.filter((line) =>
        line.phase === "return" && line.time > from && line.time < to &&
        line.asked !== "0" // what is typed is Deno's to read
      );
      const own = !returned.some(({ call, promised }) =>
        promised && ["accept", "read", "write"].includes(call)
      );
      const vain = returned.filter(({ error }) => error === "EAGAIN").length;
      return {
        script,
        name,
        canteen,
        from: at(from),
        to: at(to),
        threads: lanes,
        clients,
        waits: plain.clients.map(({ asked, answered }) => answered - asked),
        calls: own ? returned.length : null,
        vain: own ? vain : null,
        held: { one: share("one"), all: share("all") },
        cpu: isNaN(plain.cpu) ? null : plain.cpu,
        phases: phases(lanes, clients[0].asked),
        late: Math.max(traced.late, plain.late),
        pid: servers[0].pid,
        told: told.map((line) => ({ ...line, time: at(line.time) })),
      };
    } catch (error) {
      servers.forEach((server) => server.stop());
      return { script, why: (error as Error).message };
    }
  });
}
