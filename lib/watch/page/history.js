/** The last minutes of a thread or a client: spans of time, in their order. */
// @ts-check

/** @typedef {{ from: number, to: number }} TimeSpan */

/** For how long a span is kept, in ms. */
export const KEPT = 180_000;
const MOST_SPANS = 15_000;

/** @template {TimeSpan} T */
export class History {
  /** @type {T[]} */
  #spans = [];
  /** How many spans in front of the array are too old. Many are removed
   * together: each removal moves all other spans. */
  #dropped = 0;

  get last() {
    return this.#spans.length > this.#dropped ? this.#spans.at(-1) : undefined;
  }

  /** Adds spans that are later than all others, and drops spans that are too
   * old.
   * @param {T[]} spans in the order of time */
  add(spans) {
    this.#spans.push(...spans);
    const { last } = this;
    if (!last) return;
    while (
      this.#spans.length - this.#dropped > MOST_SPANS ||
      this.#spans[this.#dropped].to < last.to - KEPT
    ) this.#dropped++;
    if (this.#dropped > 1000) {
      this.#spans.splice(0, this.#dropped);
      this.#dropped = 0;
    }
  }

  /** The index of the first span that does not end before that time.
   * @param {number} time */
  #firstIndex(time) {
    let low = this.#dropped;
    let high = this.#spans.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (this.#spans[middle].to < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The spans that have a part between the two times.
   * @param {number} from
   * @param {number} to */
  *between(from, to) {
    for (let i = this.#firstIndex(from); i < this.#spans.length; i++) {
      if (this.#spans[i].from > to) return;
      yield this.#spans[i];
    }
  }
}
