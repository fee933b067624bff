/** What a script prints: lines on stdout, warnings and its last word on stderr. */

/** The script's file name: `select.ts`. A Worker has no main module. */
export const script = decodeURI(Deno.mainModule ?? location.href)
  .replace(/.*\//, "");
/** Whether --quiet is given. */
export const quiet = Deno.args.includes("--quiet");
const NEWLINE = 10;
const PIPE_BUF = 4096;
const SIGPIPE = 13;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));
/** Blocks the thread for so many ms. */
export function sleep(ms: number) {
  Atomics.wait(sleepCell, 0, 0, ms);
}

/**
 * Writes all bytes to stdout. Where nobody reads stdout any more, the script
 * ends as SIGPIPE would end it; at any other error with one line.
 */
export function print(bytes: Uint8Array) {
  let start = 0;
  while (start < bytes.length) {
    // A line is written as a whole: a write(2) of at most PIPE_BUF bytes is not
    // mixed with that of another thread. Of a longer line, Deno's buffer holds
    // 1024 bytes.
    const newline = bytes.subarray(start, start + PIPE_BUF).indexOf(NEWLINE);
    const size = newline === -1 ? 1023 : newline + 1;
    const piece = bytes.subarray(start, start + size);
    write(piece);
    start += piece.length;
  }
}

function write(piece: Uint8Array) {
  while (true) {
    try {
      Deno.stdout.writeSync(piece);
      return;
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) Deno.exit(128 + SIGPIPE);
      if (!(error instanceof Deno.errors.WouldBlock)) fail(reason(error));
      // The pipe is full, and does not block. Of a line nothing was taken; part
      // of a line is in Deno's buffer, which the next try empties.
      if (piece.at(-1) !== NEWLINE) piece = piece.subarray(piece.length);
      sleep(10);
    }
  }
}

/** Prints a line. */
export function say(line: string, end = "\n") {
  print(new TextEncoder().encode(line + end));
}

/** Prints a line, unless --quiet is given. */
export function log(line: string) {
  if (!quiet) say(line);
}

/** Where warnings go: to stderr, if --trace=json does not make events of them. */
export const warnings = { write: (line: string) => console.error(line) };

/** Writes a line to stderr that begins with the script's name. */
export function warn(line: string) {
  try {
    warnings.write(`${script}: ${line}`);
  } catch { /* stderr is full: nobody is left to tell */ }
}

let failures = 0;
let silentUntil = 0;
/** Warns why clients cannot be accepted, at most every five seconds. */
export function warnCannotAccept(why: string) {
  failures++;
  if (performance.now() < silentUntil) return;
  silentUntil = performance.now() + 5000;
  warn(`cannot accept: ${why}, ${failures} so far; said every 5 s at most`);
}

/** Ends the script: one line on stderr, status 1 (failed) or 2 (bad usage). */
export function fail(line: string, status = 1): never {
  warn(printable(line));
  Deno.exit(status);
}

/** The text without its last newline, and unable to drive a terminal. */
export function printable(text: string): string {
  return text.replace(/\r?\n$/, "").replaceAll("\n", "\\n").replace(
    /(?!\t)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    (char) => `\\u{${char.charCodeAt(0).toString(16)}}`,
  );
}

/** An error of Deno's in one line: `connection refused (ECONNREFUSED)`. */
export function reason(error: unknown): string {
  const { code } = error as { code?: string };
  const line = `${error}`.replace(
    /^\w+: ./,
    (name) => name.at(-1)!.toLowerCase(),
  );
  return code ? line.replace(/os error \d+/, code) : line;
}
