/** What is known of a model: now, and at any moment of the last minutes. */
// @ts-check
import { STATES } from "../../models/states.js";
import { CLIENT_IDS } from "./client_ids.js";
import { History, Values } from "./history.js";
import { latest } from "./latest.js";
import { DELAY } from "./time.js";

/**
 * @import { State } from "../../models/states.js"
 * @import { ClientId, ClientSpan, ClientState } from "../messages.ts"
 * @import { ModelUpdate, SourcePosition, Span, ThreadId } from "../messages.ts"
 * @import { TimeSpan } from "./history.js"
 */

/** Over so many ms calls are counted. */
const SECOND = 1000;
/** An event in a sleep is shown so many ms after its beginning. */
const EVENT = 1;

/** The text of each call begins with its time. @see TraceFollower.lastCalls */
const TIME_WIDTH = 11;

/**
 * What holds of a model until an update says something else.
 * @typedef {Pick<ModelUpdate, "status" | "reason" | "idle" | "metrics">} Facts
 */
/** @typedef {{ idle: number, cpu: number }} Cost */

export class ModelHistory {
  /** @type {Record<ThreadId, History<Span>>} */
  #threads = { "": new History(), A: new History(), B: new History() };
  /** @type {Record<ClientId, History<ClientSpan>>} */
  #clients = { A: new History(), B: new History() };
  /** By the times at which they began.
   * @type {Record<ClientId, Values<ClientState>>} */
  #clientStates = { A: new Values(), B: new Values() };
  /** @type {Values<Facts>} */
  facts = new Values();
  /** Of a script whose code is shown.
   * @type {Values<SourcePosition[]>} */
  #positions = new Values();
  /** @type {Values<string[]>} */
  #calls = new Values();
  /** The CPU time of an answer, by the number of idle clients.
   * @type {Map<number, Values<number>>} */
  #costs = new Map();
  /** The latest update.
   * @type {ModelUpdate | undefined} */
  latest;

  /** Takes what is new of the model.
   * @param {ModelUpdate} update
   * @param {number} time of the update */
  add(update, time) {
    this.latest = update;
    const { status, reason, idle, metrics, positions, calls } = update;
    this.facts.add(time, { status, reason, idle, metrics });
    // While idle clients come or go, calls are not known.
    if (metrics?.cpu && metrics.calls) {
      const costs = this.#costs.get(idle.connected) ?? new Values();
      costs.add(time, metrics.cpu);
      this.#costs.set(idle.connected, costs);
    }
    if (positions) this.#positions.add(time, positions);
    if (calls) {
      // Most calls are those of before: they need no memory of their own.
      const known = this.#calls.last ?? [];
      const shared = calls.map((call) =>
        known.find((earlier) => earlier === call) ?? call
      );
      this.#calls.add(time, shared);
    }
    for (const client of CLIENT_IDS) {
      const state = update.clients[client];
      this.#clientStates[client].add(state.since, state);
    }
    for (const { thread, spans } of update.threads) {
      this.#threads[thread].add(spans);
    }
    for (const span of update.clientSpans) {
      this.#clients[span.client].add([span]);
    }
  }

  /** The times at which something happened, for as long as they are kept: each
   * moment of work, or where `everyCall` is set, each call.
   * @param {boolean} everyCall */
  *eventTimes(everyCall) {
    for (const [thread, history] of Object.entries(this.#threads)) {
      const current = this.#currentSpan(/** @type {ThreadId} */ (thread));
      const spans = [...history.between(-Infinity, Infinity)];
      if (current) spans.push(current);
      for (const { state, call, many, from, to } of spans) {
        const isWork = STATES[state].kind === "mark";
        if (many || (!isWork && !(everyCall && call))) continue;
        yield Math.min((from + to) / 2, from + EVENT);
      }
    }
  }

  /** What a thread did in the time of a picture, up to now.
   * @param {ThreadId} thread
   * @param {TimeSpan} picture */
  threadSpans(thread, { from, to }) {
    const spans = [...this.#threads[thread].between(from, to)];
    const current = this.#currentSpan(thread);
    if (!current) return spans;
    // The thread is still at it: nothing else has come from the server.
    const latestTime = (latest.update?.time ?? 0) + DELAY;
    const end = Math.max(current.to, Math.min(to, latestTime));
    if (end >= from && current.from <= to) spans.push({ ...current, to: end });
    return spans;
  }

  /** What a client did in the time of a picture, up to now.
   * @param {ClientId} client
   * @param {TimeSpan} picture */
  clientSpans(client, { from, to }) {
    const spans = [...this.#clients[client].between(from, to)];
    const state = this.latest?.clients[client];
    if (!state || state.status === "away" || state.status === "ended") {
      return spans;
    }
    const { status, since } = state;
    spans.push({ client, status, from: since, to: to + 1000 }); // over the edge
    return spans;
  }

  /** @param {ThreadId} wanted */
  #currentSpan(wanted) {
    return this.latest?.threads.find(({ thread }) => thread === wanted)
      ?.current;
  }

  /** What a thread did at that time. A moment of work comes before the sleep
   * that it has ended.
   * @param {ThreadId} thread
   * @param {number} time
   * @returns {Span | undefined} */
  spanAt(thread, time) {
    const current = this.#currentSpan(thread);
    if (current && time >= current.from) return current;
    let found;
    for (const span of this.#threads[thread].between(time, time)) {
      const isWork = STATES[span.state].kind === "mark";
      if (!found || isWork || STATES[found.state].kind !== "mark") found = span;
    }
    return found;
  }

  /** What a client did at that time.
   * @param {ClientId} client
   * @param {number} time
   * @returns {ClientState | undefined} */
  clientAt(client, time) {
    for (const span of this.#clients[client].before(time)) {
      if (span.to <= time) break;
      const { status, from } = span;
      const [before] = this.#clients[client].before(from);
      const waited = before && before.to === from ? from - before.from : 0;
      return { status, since: from, waited };
    }
    return this.#clientStates[client].at(time);
  }

  /** How many calls the main thread made in the second before, how many promises
   * were resolved, and the state that took most of that time.
   * @param {number} time */
  workBefore(time) {
    const begin = time - SECOND;
    let calls = 0;
    let promises = 0;
    /** @type {Partial<Record<State, number>>} */
    const times = {};
    for (const span of this.#threads[""].between(begin, time)) {
      const { state, call, slept, many } = span;
      const length = Math.min(span.to, time) - Math.max(span.from, begin);
      const shares = many?.shares ?? { [state]: 1 };
      for (const [key, share] of Object.entries(shares)) {
        const part = /** @type {State} */ (key);
        times[part] = (times[part] ?? 0) + share * length;
      }
      const count = many?.calls ?? (call && !slept ? 1 : 0);
      if (shares.resolved === undefined) calls += count;
      else promises += count;
    }
    const states = /** @type {State[]} */ (Object.keys(times));
    const [most = "other"] = states.sort((a, b) =>
      (times[b] ?? 0) - (times[a] ?? 0)
    );
    return { calls, promises, most };
  }

  /** The lines of the script in which its threads were at that time. Those of
   * the threads that are shown are known exactly.
   * @param {number} time
   * @returns {SourcePosition[]} */
  positionsAt(time) {
    let positions = this.#positions.at(time) ?? [];
    const threads = /** @type {ThreadId[]} */ (Object.keys(this.#threads));
    for (const thread of threads) {
      const span = this.spanAt(thread, time);
      const line = span?.line ?? this.#lastLine(thread, time);
      if (!line || span?.many) continue;
      positions = positions.filter((position) =>
        position.thread !== thread || position.kind === "promised"
      );
      if (span) {
        positions.push({ line, thread, kind: span.line ? "in" : "last" });
      }
    }
    return positions;
  }

  /** The line of a thread's last call before that time, if it is known.
   * @param {ThreadId} thread
   * @param {number} time */
  #lastLine(thread, time) {
    for (const { line, many } of this.#threads[thread].before(time)) {
      if (line || many) return line;
    }
  }

  /** The last calls at that time, as the server has written them.
   * @param {number} time
   * @returns {string[]} */
  callsAt(time) {
    /** @param {string} call */
    const isOver = (call) => Number(call.slice(0, TIME_WIDTH)) * 1000 <= time;
    const before = this.#calls.at(time) ?? [];
    const after = this.#calls.after(time) ?? before;
    const later = after.filter((call) => !isOver(call))
      .map((call) => call.slice(TIME_WIDTH));
    // A call of before that has returned later was not over yet.
    const pending = before.filter((call) =>
      isOver(call) && !after.includes(call) &&
      later.some((text) => text.startsWith(call.slice(TIME_WIDTH)))
    );
    return [...pending, ...after.filter(isOver)].sort();
  }

  /** What an answer was known to cost at that time, in µs of CPU, with so many
   * idle clients; from few to many.
   * @param {number} time
   * @returns {Cost[]} */
  costsAt(time) {
    const costs = [...this.#costs].flatMap(([idle, values]) => {
      const cpu = values.at(time);
      return cpu === undefined ? [] : [{ idle, cpu }];
    });
    return costs.sort((a, b) => a.idle - b.idle);
  }
}
