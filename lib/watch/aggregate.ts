/** Makes few pieces of many: what no eye can follow is counted instead. */
import type { State } from "../models/states.js";
import type { Piece } from "./messages.ts";

const MANY = 80; // pieces at once, or since the last look while there are many
const FEW = 4; // from one look to the next: then each is shown again
const CALM = 10; // looks in a row with few
const MOST = 4000; // pieces until somebody looks
const LONG = 40; // ms: a piece that long is seen, whatever is around it

/** The pieces of one thread, until they are taken. */
export class Digest {
  #pieces: Piece[] = [];
  #recent = 0; // how many there were, the older the less
  #calm = CALM; // looks since there were many

  add(piece: Piece) {
    this.#pieces.push(piece);
    // Nobody may look for a while: that must not fill the memory.
    if (this.#pieces.length > MOST) {
      this.#pieces = digest(this.#pieces).slice(-MOST / 2);
    }
  }

  /** All there are since the last time; one for many, if they are too many. */
  take(): Piece[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#recent = this.#recent * 0.9 + pieces.length;
    if (this.#recent > MANY) this.#calm = 0;
    else if (pieces.length < FEW) this.#calm++;
    return this.#calm < CALM ? digest(pieces) : pieces;
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
