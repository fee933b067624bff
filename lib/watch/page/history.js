/** The last minutes: spans of time in their order, and what held when. */
// @ts-check

/** @typedef {{ from: number, to: number }} TimeSpan */

/** For how long a span is kept, in ms. */
export const KEPT = 180_000;
const MOST_SPANS = 15_000;
/** So many times as much is kept in a pause, in which somebody looks at it. */
const PAUSE_FACTOR = 4;

/** Whether there is a pause. */
export const retention = { isPaused: false };

function keptFactor() {
  return retention.isPaused ? PAUSE_FACTOR : 1;
}

/** @template {TimeSpan} T */
export class History {
  /** @type {T[]} */
  #spans = [];
  /** How many spans in front of the array are too old. Many are removed
   * together: each removal moves all other spans. */
  #dropped = 0;

  get #last() {
    return this.#spans.length > this.#dropped ? this.#spans.at(-1) : undefined;
  }

  /** Adds spans that are later than all others, and drops spans that are too
   * old.
   * @param {T[]} spans in the order of time */
  add(spans) {
    this.#spans.push(...spans);
    const last = this.#last;
    if (!last) return;
    const factor = keptFactor();
    while (
      this.#spans.length - this.#dropped > factor * MOST_SPANS ||
      this.#spans[this.#dropped].to < last.to - factor * KEPT
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

  /** The spans that begin before that time, the latest first.
   * @param {number} time */
  *before(time) {
    let i = this.#spans.length - 1;
    for (; i >= this.#dropped; i--) {
      if (this.#spans[i].from < time) yield this.#spans[i];
    }
  }
}

/**
 * The last minutes of what holds until something else does, such as a status.
 * @template T
 */
export class Values {
  /** @type {{ time: number, value: T, text: string }[]} */
  #values = [];

  get last() {
    return this.#values.at(-1)?.value;
  }

  /** Adds what holds from that time on, and drops what is too old.
   * @param {number} time
   * @param {T} value */
  add(time, value) {
    const text = JSON.stringify(value);
    const last = this.#values.at(-1);
    if (text === last?.text) return;
    this.#values.push({ time: Math.max(time, last?.time ?? 0), value, text });
    const oldest = time - keptFactor() * KEPT;
    if (this.#values.length > 1 && this.#values[1].time < oldest) {
      this.#values.shift();
    }
  }

  /** The index of the first value that holds after that time.
   * @param {number} time */
  #indexAfter(time) {
    let low = 0;
    let high = this.#values.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (this.#values[middle].time > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** What holds at that time.
   * @param {number} time */
  at(time) {
    return this.#values[this.#indexAfter(time) - 1]?.value;
  }

  /** What holds next after that time.
   * @param {number} time */
  after(time) {
    return this.#values[this.#indexAfter(time)]?.value;
  }
}
