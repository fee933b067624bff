/**
 * A line of input at the foot of a terminal, above which other things are
 * printed while it is being typed. What the keys do is node:readline's. What
 * they look like is drawn here: readline expects nobody else to print.
 */
import * as readline from "node:readline";
import { Readable, Writable } from "node:stream";
import { print, printable } from "./output.ts";
import { characterWidth } from "./width.ts";

/** How many rows down, and at which column, `text` ends. */
function end(text: string, column: number, columns: number) {
  let row = 0;
  for (const char of text) {
    const width = characterWidth(char);
    if (char === "\n") {
      row++;
      column = 0;
    } else if (column + width > columns) {
      row++;
      column = width;
    } else column += width;
  }
  return column < columns ? { row, column } : { row: row + 1, column: 0 };
}

/** The size of the terminal; 80 × 24, as ever, if it does not know. */
function size() {
  const { columns, rows } = Deno.consoleSize();
  return { columns: columns || 80, rows: rows || 24 };
}

function on(signal: Deno.Signal, listener: () => void) {
  try {
    Deno.addSignalListener(signal, listener);
  } catch { /* Windows knows but a few */ }
}

/** Reads lines at a terminal, until Ctrl-C or Ctrl-D. */
export class Prompt {
  readonly #keys = new Readable({ read() {} });
  readonly #typed = readline.createInterface({
    input: this.#keys,
    output: new Writable({ write: (_chunk, _encoding, done) => done() }),
    terminal: true,
  });
  #partial = ""; // a line that has not come as a whole stands before the prompt
  #column = 0; // where that ends, and the prompt begins
  #cursor = { row: 0, column: 0 }; // rows below that, column of the screen
  #cr = ""; // a \r that has come last: what follows may be its \n
  #columns = 0; // how many there were when it was drawn
  #asked = 0; // how often the terminal was asked where the cursor is
  #patience?: ReturnType<typeof setTimeout>; // if it does not
  #held = ""; // what is to be shown once it has answered
  #closed = false;

  constructor(readonly sign: string) {
    Deno.stdin.setRaw(true); // the terminal hands over key by key
    const ends = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 } as const;
    for (const [signal, number] of Object.entries(ends)) {
      on(signal as keyof typeof ends, () => {
        this.close();
        Deno.exit(128 + number);
      });
    }
    on("SIGCONT", () => this.#resume());
    on("SIGWINCH", () => this.#ask());
    this.#typed.on("SIGTSTP", () => this.#suspend());
    this.#draw();
  }

  /** What is typed, a line at a time, each with its newline. */
  async *lines(): AsyncGenerator<Uint8Array> {
    const lines: Uint8Array[] = [];
    let ended = false;
    this.#typed.on("line", (line) => {
      this.#write(this.sign + printable(line) + "\n");
      lines.push(new TextEncoder().encode(line + "\n"));
    });
    this.#typed.on("close", () => ended = true);
    this.#keys.on("keypress", (_char: string, { ctrl, name }: readline.Key) => {
      if (ctrl && name === "l") this.#move("\x1b[H");
    });
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of Deno.stdin.readable) {
      text += decoder.decode(chunk, { stream: true });
      text = text.replace(/\p{Cc}\[\d+;(\d+)R/gu, (_, column) => {
        if (this.#asked && !--this.#asked) this.#resized(column - 1);
        return "";
      });
      if (!this.#settled()) continue;
      const pasted = text.length > 99 && !/[^\P{Cc}\r\n]/u.test(text);
      if (pasted) this.#typed.write(text); // key by key it would take long
      else this.#keys.emit("data", new TextEncoder().encode(text));
      text = "";
      if (!ended) this.#draw();
      yield* lines.splice(0);
      if (ended) return;
    }
  }

  /** Prints what came, above what is typed, with control characters escaped. */
  show(text: string) {
    this.#held += text;
    if (!this.#settled()) return;
    text = this.#cr + this.#held;
    this.#held = "";
    this.#cr = text.endsWith("\r") ? "\r" : "";
    const lines = text.slice(0, text.length - this.#cr.length).split(/\r?\n/);
    this.#write(lines.map(printable).join("\n"));
    this.#draw();
  }

  /** Leaves the terminal as it was, and the cursor in a row of its own. */
  close() {
    if (this.#closed) return;
    if (this.#asked) this.#resized();
    this.#closed = true;
    this.#leave();
    Deno.stdin.setRaw(false);
  }

  /** Writes in place of the prompt, and of all that stands below it. */
  #put(text: string, then = "") {
    const up = this.#cursor.row ? `\x1b[${this.#cursor.row}A` : "";
    const erase = `${up}\x1b[${this.#column + 1}G\x1b[J`;
    this.#columns = size().columns;
    this.#cursor = end(text, this.#column, this.#columns);
    // A terminal wraps not when a row is full, but at the next character.
    const full = !this.#cursor.column && /.$/.test(text) ? " \r" : "";
    print(new TextEncoder().encode(erase + text + full + then));
  }

  /** Writes what stays. */
  #write(text: string) {
    const full = this.#partial && !this.#column; // a row, and it has ended
    this.#put(full ? text.replace(/^\n/, "") : text);
    this.#cursor.row = 0;
    this.#column = this.#cursor.column;
    const all = this.#partial + text;
    this.#partial = all.slice(all.lastIndexOf("\n") + 1).slice(-9999);
  }

  #draw() {
    const { columns, rows } = size();
    const { line, cursor } = this.#typed;
    // Of what is longer than the screen, the part around the cursor.
    const most = Math.ceil(columns * (rows - 2) / 2);
    const first = Math.max(0, cursor - most);
    const before = this.sign + printable(line.slice(first, cursor));
    const behind = printable(line.slice(cursor, first + most));
    const at = end(before, this.#column, columns);
    const { row } = end(before + behind, this.#column, columns);
    const up = row > at.row ? `\x1b[${row - at.row}A` : "";
    this.#put(before + behind, `${up}\x1b[${at.column + 1}G`);
    this.#cursor = at;
  }

  /** Lets stand what was typed, and nothing if that was nothing. */
  #leave() {
    const { line } = this.#typed;
    if (line) this.#write(this.sign + printable(line));
    this.#write(this.#column ? "\n" : "");
  }

  /** Begins anew somewhere else on the screen. */
  #move(there: string) {
    print(new TextEncoder().encode(there));
    this.#partial = "";
    this.#column = this.#cursor.row = 0;
  }

  /** Ctrl-Z: stops all that one command has started, as the terminal would. */
  #suspend() {
    this.#leave();
    Deno.stdin.setRaw(false);
    try {
      Deno.kill(0, "SIGTSTP"); // goes on here after `fg`
    } catch { /* without --allow-run */ }
    this.#resume();
  }

  #resume() {
    if (this.#closed) return;
    Deno.stdin.setRaw(false); // the shell has had it in between
    Deno.stdin.setRaw(true);
    this.#draw();
  }

  /** Whether what stands there still is where it was drawn. */
  #settled() {
    if (!this.#asked && size().columns !== this.#columns) this.#ask();
    return !this.#asked;
  }

  #ask() {
    this.#asked++;
    print(new TextEncoder().encode("\x1b[6n")); // where is the cursor?
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#resized(), 3000);
  }

  /**
   * When its size changes, one terminal wraps anew what stands there, another
   * does not. It was asked where the cursor is, and that tells which it did.
   */
  #resized(column?: number) {
    this.#asked = 0;
    clearTimeout(this.#patience);
    const columns = this.#columns = size().columns;
    const { line, cursor } = this.#typed;
    const before = this.#partial + this.sign + printable(line.slice(0, cursor));
    const start = end(this.#partial, 0, columns);
    const at = end(before, 0, columns);
    const same = { ...this.#cursor, start: this.#column };
    const anew = { ...at, row: at.row - start.row, start: start.column };
    const fits = [same, anew].filter((place) =>
      column === undefined || column === Math.min(place.column, columns - 1)
    );
    // In doubt rather a row too few is erased than one too many.
    const [found] = fits.sort((a, b) => a.row - b.row);
    if (found) this.#cursor.row = found.row, this.#column = found.start;
    else this.#move("\n");
    this.show("");
  }
}
