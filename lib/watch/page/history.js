/** What has been, for some minutes: pieces of time, one after the other. */
// @ts-check

/** @typedef {{ from: number, to: number }} Timed */

export const KEPT = 180_000; // ms
const MOST = 15_000; // pieces

/** @template {Timed} T */
export class Past {
  /** @type {T[]} */
  #pieces = [];
  #gone = 0; // at the start of them

  get length() {
    return this.#pieces.length - this.#gone;
  }

  get first() {
    return this.length ? this.#pieces[this.#gone] : undefined;
  }

  get last() {
    return this.length ? this.#pieces[this.#pieces.length - 1] : undefined;
  }

  /** @param {T[]} pieces in the order of time */
  add(pieces) {
    this.#pieces.push(...pieces);
    const last = this.last;
    if (!last) return;
    while (
      this.length > MOST || this.#pieces[this.#gone].to < last.to - KEPT
    ) this.#gone++;
    if (this.#gone > 1000) {
      this.#pieces.splice(0, this.#gone);
      this.#gone = 0;
    }
  }

  /** The first one that ends after that time.
   * @param {number} time */
  #at(time) {
    let [low, high] = [this.#gone, this.#pieces.length];
    while (low < high) {
      const middle = low + high >> 1;
      if (this.#pieces[middle].to < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Those that are there at some time between the two.
   * @param {number} from
   * @param {number} to */
  *between(from, to) {
    for (let i = this.#at(from); i < this.#pieces.length; i++) {
      if (this.#pieces[i].from > to) return;
      yield this.#pieces[i];
    }
  }

  clear() {
    this.#pieces = [];
    this.#gone = 0;
  }
}
