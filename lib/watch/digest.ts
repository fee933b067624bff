/** Makes few pieces of many: what no eye can follow is counted instead. */
import type { State } from "../words.js";
import type { Piece } from "./messages.ts";

const RATE = 60; // pieces a second, and as many at once after a rest
const BURST = 80;
const LONG = 20; // ms: a piece that long is seen, whatever is around it

/** The pieces of one thread, until they are taken. */
export class Digest {
  #pieces: Piece[] = [];
  #allowance = BURST;
  #last = 0;

  add(piece: Piece) {
    this.#pieces.push(piece);
    // Nobody may look for a while: that must not fill the memory.
    if (this.#pieces.length > 5000) this.#pieces = digest(this.#pieces);
  }

  /** All there are since the last time; one for many, if they are too many. */
  take(time: number): Piece[] {
    const seconds = Math.max(0, time - this.#last) / 1000;
    this.#last = time;
    this.#allowance = Math.min(BURST, this.#allowance + RATE * seconds);
    let pieces = this.#pieces;
    this.#pieces = [];
    if (pieces.length > this.#allowance) pieces = digest(pieces);
    this.#allowance = Math.max(0, this.#allowance - pieces.length);
    return pieces;
  }
}

function digest(pieces: Piece[]): Piece[] {
  const digested: Piece[] = [];
  let short: Piece[] = [];
  const flush = () => {
    if (short.length > 1) digested.push(one(short));
    else digested.push(...short);
    short = [];
  };
  for (const piece of pieces) {
    if (piece.to - piece.from < LONG) short.push(piece);
    else flush(), digested.push(piece);
  }
  flush();
  return digested;
}

/** One piece for many that follow each other. */
function one(pieces: Piece[]): Piece {
  const shares: Partial<Record<State, number>> = {};
  let calls = 0;
  const from = pieces[0].from;
  const to = pieces.at(-1)!.to;
  for (const { state, call, from, to, many } of pieces) {
    calls += many?.calls ?? (call ? 1 : 0);
    for (
      const [part, share] of Object.entries(many?.shares ?? { [state]: 1 })
    ) {
      const key = part as State;
      shares[key] = (shares[key] ?? 0) + share * (to - from);
    }
  }
  const whole = to - from || 1;
  let state: State = "other";
  for (const key of Object.keys(shares) as State[]) {
    shares[key] = shares[key]! / whole;
    if (shares[key] > (shares[state] ?? 0)) state = key;
  }
  return { state, from, to, many: { calls, shares } };
}
