/** One model: its server, whose trace is shown, and the clients of that. */
import type { Model } from "../models/models.ts";
import { type ModelServer, startServer } from "../models/model_server.ts";
import { printable } from "../output.ts";
import type { TraceEvent } from "../trace.ts";
import { DemoClient, IdleClients } from "./clients.ts";
import { Load } from "./load.ts";
import {
  CLIENT_IDS,
  type ClientId,
  type ClientRole,
  type ModelUpdate,
} from "./messages.ts";
import { TraceFollower } from "./trace_follower.ts";

/** What holds for all models. */
export interface WatchSettings {
  /** The time that is 0 for the page, in ms since 1970. */
  readonly epoch: number;
  /** Seconds from one event of the scene to the next. */
  readonly beat: number;
  /** Whether a server that waits for a typed answer gets it at once. */
  autoAnswer: boolean;
}

export class RunningModel {
  status: ModelUpdate["status"] = "starting";
  port = 0;
  readonly clients: Record<ClientId, DemoClient>;
  #reason?: string; // why it does not run
  #idle = new IdleClients();
  #resizing = 0; // how many calls of `resizeIdle` have not ended yet
  #load: Load | null = null;
  #server: ModelServer | null = null;
  #trace: TraceFollower;
  #flags: string[];

  /** Its server is started by `start`. */
  constructor(readonly model: Model, readonly settings: WatchSettings) {
    const { message, sceneFlags, watchFlags = [] } = model;
    this.clients = {
      A: new DemoClient("A", message),
      B: new DemoClient("B", message),
    };
    this.#flags = [...sceneFlags?.(settings.beat) ?? [], ...watchFlags];
    this.#trace = this.#newTrace();
  }

  // ---------------------------------------------------------------- its server

  /** Starts its server, also anew; resolves when that listens, or cannot. */
  async start() {
    this.status = "starting";
    this.#reason = undefined;
    const trace = this.#newTrace();
    const onEvent = (event: TraceEvent) => {
      trace.push(event);
      if (this.settings.autoAnswer) this.answerByDefault();
    };
    const server = startServer(this.model, { onEvent }, this.#flags);
    this.#trace = trace;
    this.#server = server;
    this.#idle = new IdleClients();
    server.failed.catch((error: Error) => {
      this.status = this.status === "running" ? "ended" : "failed";
      this.#reason = printable(error.message);
      this.#idle.leave();
      for (const id of CLIENT_IDS) this.clients[id].leave();
      this.stopLoad();
    });
    try {
      this.port = await server.port;
      this.status = "running";
    } catch { /* `failed` has the reason */ }
  }

  #newTrace(): TraceFollower {
    return new TraceFollower(
      this.model,
      this.settings.epoch,
      (port) => this.#roleOf(port),
    );
  }

  /** Which of the clients has that port, or had it last. */
  #roleOf(port: number): ClientRole {
    const demo = CLIENT_IDS.find((id) => this.clients[id].port === port);
    return demo ?? (this.#idle.hasPort(port) ? "idle" : "other");
  }

  /** Types an answer; returns whether the server waits for one. */
  answer(text: string): boolean {
    if (!this.#trace.awaitsAnswer) return false;
    this.#trace.awaitsAnswer = false;
    this.#server?.type(text);
    return true;
  }

  /** Types the usual answer, if the server waits for one. */
  answerByDefault() {
    const { typedAnswer } = this.model;
    if (typedAnswer !== undefined) this.answer(typedAnswer);
  }

  // --------------------------------------------------------------- its clients

  /** Has so many idle clients connect or leave. */
  async resizeIdle(count: number) {
    if (this.status !== "running") return;
    this.#resizing++;
    await this.#idle.resize(count, this.port);
    await this.#load?.resizeIdle(this.#idle.wanted);
    this.#resizing--;
  }

  /** Whether no more idle clients come or leave: it has so many, or cannot. */
  hasIdle(count: number): boolean {
    if (this.status !== "running") return true;
    const { connected, reason } = this.#idle;
    return !this.#resizing && (connected === count || reason !== undefined);
  }

  /** Whether no idle client was turned away, so that A may be let in as well. */
  hasRoom(): boolean {
    return this.#idle.reason === undefined;
  }

  /** Whether it is known what an answer costs. */
  isMeasured(): boolean {
    if (!this.#load) return true; // A could not stay
    const { cpu, isUnanswered } = this.#load.metrics();
    return cpu !== null || isUnanswered;
  }

  /** Client A asks without pause, until `stopLoad`. */
  async startLoad() {
    if (this.#load || this.status !== "running") return;
    const { A } = this.clients;
    const load = new Load(this.model, this.#flags, A, this.#trace);
    this.#load = load;
    await load.run(this.port, this.#idle.wanted);
    if (this.#load === load) this.stopLoad(); // A is gone
  }

  /** The untraced server is asked without pause for so many ms. */
  async measure(ms: number) {
    await this.#load?.measure(ms);
  }

  stopLoad() {
    this.clients.A.rest();
    this.#load?.stop();
    this.#load = null;
  }

  // ------------------------------------------------------------- for the pages

  /** What is new since the last time. */
  update(time: number): ModelUpdate {
    const { epoch } = this.settings;
    const { A, B } = this.clients;
    const trace = this.#trace;
    const running = this.status === "running";
    const update: ModelUpdate = {
      status: this.status,
      reason: this.#reason,
      port: this.port,
      threads: trace.takeThreads(time),
      clients: { A: A.state(epoch), B: B.state(epoch) },
      clientSpans: [...A.takeSpans(epoch), ...B.takeSpans(epoch)],
      idle: { connected: this.#idle.connected, reason: this.#idle.reason },
      elsewhere: trace.takeElsewhere(time),
      awaitsAnswer: trace.awaitsAnswer,
      metrics: this.#load?.metrics(),
      positions: running ? trace.positions(time) : [],
      calls: trace.lastCalls(),
    };
    if (!running) {
      for (const thread of update.threads) thread.current = undefined;
    }
    if (update.metrics && this.#resizing) update.metrics.calls = null;
    return update;
  }
}
