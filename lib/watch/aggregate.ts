/** Merges spans that are too many to be seen one by one, and counts them. */
import type { State } from "../models/states.js";
import type { Span } from "../models/timeline.ts";

/** So many spans at once, or soon after each other, are merged. */
const MANY = 80;
/** With fewer than so many from one `take` to the next, a thread is calm. */
const FEW = 4;
/** After so many calm takes in a row, each span is shown again. */
const CALM_TAKES = 10;
/** So many spans are kept until they are taken. */
const MOST_KEPT = 4000;
/** A span of so many ms can be seen, whatever is around it: it is not merged. */
const LONG = 40;

/** The spans of one thread, until they are taken. */
export class SpanAggregator {
  #spans: Span[] = [];
  #recent = 0; // how many spans there were; the older, the less they count
  #calmTakes = CALM_TAKES; // since there were many spans

  add(span: Span) {
    this.#spans.push(span);
    // While no page is open, nothing is taken: that must not fill the memory.
    if (this.#spans.length > MOST_KEPT) {
      this.#spans = aggregate(this.#spans).slice(-MOST_KEPT / 2);
    }
  }

  /** The spans since the last time; merged, while they are too many. */
  take(): Span[] {
    const spans = this.#spans;
    this.#spans = [];
    this.#recent = this.#recent * 0.9 + spans.length;
    if (this.#recent > MANY) this.#calmTakes = 0;
    else if (spans.length < FEW) this.#calmTakes++;
    return this.#calmTakes < CALM_TAKES ? aggregate(spans) : spans;
  }
}

/** The same spans, with one for all short ones that follow each other. */
function aggregate(spans: Span[]): Span[] {
  const aggregated: Span[] = [];
  let short: Span[] = [];
  const flush = () => {
    if (short.length > 1) aggregated.push(merge(short));
    else aggregated.push(...short);
    short = [];
  };
  for (const span of spans) {
    if (span.to - span.from < LONG) {
      short.push(span);
    } else {
      flush();
      aggregated.push(span);
    }
  }
  flush();
  return aggregated;
}

/** One span for many that follow each other, in the state that took longest. */
function merge(spans: Span[]): Span {
  const shares: Partial<Record<State, number>> = {};
  let calls = 0;
  for (const { state, call, slept, from, to, many } of spans) {
    calls += many?.calls ?? (call && !slept ? 1 : 0);
    const parts = many?.shares ?? { [state]: 1 };
    for (const [key, share] of Object.entries(parts)) {
      const part = key as State;
      shares[part] = (shares[part] ?? 0) + share * (to - from);
    }
  }
  const from = spans[0].from;
  const to = spans.at(-1)!.to;
  const whole = to - from || 1;
  let state: State = "other";
  for (const part of Object.keys(shares) as State[]) {
    shares[part] = shares[part]! / whole;
    if (shares[part] > (shares[state] ?? 0)) state = part;
  }
  return { state, from, to, many: { calls, shares } };
}
