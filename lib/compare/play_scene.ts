/**
 * Plays the scene to models. Each has two servers, which play it at the same
 * time: one with a trace, which shows what its threads do, and one without, which
 * shows what the model costs and how long a client waits.
 */
import type { Model } from "../models/models.ts";
import { SCENE } from "../models/scene.ts";
import { type ModelServer, startServer } from "../models/model_server.ts";
import { now, pauseUntil } from "../time.ts";
import type { TraceEvent } from "../trace.ts";
import { type SceneRun, sceneRun } from "./scene_run.ts";
import { runServer } from "./server_run.ts";

/** A model that could not play the scene, and the reason. */
export interface FailedRun {
  script: string;
  why: string;
}

interface StartedServer {
  server: ModelServer;
  /** When the server last printed a line: in its last round. */
  lastPrinted(): number;
}

/** The two servers of a model. */
interface StartedModel {
  model: Model;
  traced: StartedServer;
  plain: StartedServer;
  /** The trace, as it grows. */
  events: TraceEvent[];
}

/** How much later the scene of the server without a trace begins, in beats. */
const APART = 1 / 23;
/**
 * So many beats before the scene, the last round of a server that goes by the
 * clock is looked up: the machine is no longer busy with starting servers.
 */
const SETTLED = 0.5;
/** How long the machine is busy with starting servers, or threads. */
const START_TIME = 300; // ms

/**
 * Plays the scene to models, with the given beat in ms. Returns when each server
 * listens or has failed: with a promise for each model, in the same order, of how
 * the scene went. `onReady` is told how many of all servers are ready.
 */
export async function playScene(
  models: Model[],
  beat: number,
  onReady: (ready: number, all: number) => void,
): Promise<Promise<SceneRun | FailedRun>[]> {
  const started = models.map((model) => startModel(model, beat));
  const servers = started.flatMap(({ traced, plain }) => [
    traced.server,
    plain.server,
  ]);
  let ready = 0;
  const count = () => onReady(++ready, servers.length);
  await Promise.allSettled(servers.map(({ port }) => port.finally(count)));
  const starts = startTimes(models, beat);
  return started.map((both) => runModel(both, starts.get(both.model)!, beat));
}

/** Starts both servers of a model. */
function startModel(model: Model, beat: number): StartedModel {
  const events: TraceEvent[] = [];
  const flags = model.sceneFlags?.(beat / 1000) ?? [];
  const start = (onEvent?: (event: TraceEvent) => void): StartedServer => {
    let printed = 0;
    const onLine = () => {
      printed = now();
    };
    const server = startServer(model, { onEvent, onLine }, flags);
    if (model.typedAnswer) {
      server.type(model.typedAnswer); // to the first client
      server.type(model.typedAnswer); // to the second
    }
    return { server, lastPrinted: () => printed };
  };
  const traced = start((event) => events.push(event));
  return { model, traced, plain: start(), events };
}

/**
 * When the clients of each model connect: those of one model after those of
 * another, because models that play at the same moment would wait for the CPU.
 */
function startTimes(models: Model[], beat: number): Map<Model, number> {
  const times = new Map<Model, number>();
  let time = now() + START_TIME - SCENE.from * beat;
  // Threads take long to start. Until they run, no other model begins.
  for (const model of models.filter(({ threadPerClient }) => threadPerClient)) {
    times.set(model, time);
    time += Math.max(beat, START_TIME);
  }
  for (const model of models.filter((model) => !times.has(model))) {
    times.set(model, time);
    time += 2 * APART * beat;
  }
  return times;
}

/** Plays the scene to both servers of a model, and stops them. */
async function runModel(
  { model, traced, plain, events }: StartedModel,
  start: number,
  beat: number,
): Promise<SceneRun | FailedRun> {
  const { script, intervalBeats } = model;
  let tracedStart = start;
  let plainStart = start + APART * beat;
  if (intervalBeats) {
    await pauseUntil(start - SETTLED * beat);
    const align = (time: number, round: number) =>
      betweenRounds(time, round, intervalBeats, beat);
    tracedStart = align(tracedStart, traced.lastPrinted());
    plainStart = align(plainStart, plain.lastPrinted());
  }
  try {
    const [tracedRun, plainRun] = await Promise.all([
      runServer(traced.server, tracedStart, beat),
      runServer(plain.server, plainStart, beat),
    ]);
    const { pid } = traced.server;
    const trace = { pid, events, start: tracedStart };
    return sceneRun(model, trace, tracedRun, plainRun);
  } catch (error) {
    traced.server.stop();
    plain.server.stop();
    return { script, why: (error as Error).message };
  }
}

/**
 * The first start, not before `earliest`, for clients to ask half-way between two
 * rounds of a server, of which one was at the time `round`. Then it is not left
 * to chance how long clients wait for the next round.
 */
function betweenRounds(
  earliest: number,
  round: number,
  intervalBeats: number,
  beat: number,
): number {
  const interval = intervalBeats * beat;
  const start = round + interval / 2 - SCENE.secondAsks * beat;
  const rounds = Math.ceil((earliest - start) / interval);
  return start + rounds * interval;
}
