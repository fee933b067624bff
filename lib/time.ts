/** The clock of traces and of clients, and times as a text. */

/** Now, in ms since 1970, as the events of a trace have it. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Between two looks at the clock that are more ms apart, others had the core. */
const LONGEST = 0.1;

/** Computes for so many ms of this thread's own time, and does nothing else. */
export function compute(ms: number) {
  let last = performance.now();
  let left = ms;
  while (left > 0) {
    const time = performance.now();
    left -= Math.min(time - last, LONGEST);
    last = time;
  }
}

/** Resolves after so many ms. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves at a time of `now()`; at once if that time is over. */
export function pauseUntil(time: number): Promise<void> {
  return pause(Math.max(0, time - now()));
}

/** `0.2 ms`, `653 ms`: decimals only below 10 ms. */
export function formatMs(ms: number, decimals = 1): string {
  return `${ms.toFixed(ms < 10 ? decimals : 0)} ms`;
}

/** What the promise resolves to; rejects if that takes longer than so many ms. */
export async function deadline<T>(
  promise: Promise<T>,
  ms: number,
  message: string,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(message)), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
