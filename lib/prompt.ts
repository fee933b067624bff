/**
 * What client.ts shows at a terminal: the server's text, escaped, and a line editor
 * at the foot. What the server sends is printed above the line that is being typed.
 * node:readline handles the keys. The drawing is done here, because readline
 * assumes that nothing else prints.
 */
import * as readline from "node:readline";
import { Readable, Writable } from "node:stream";
import { print, printable } from "./output.ts";
import { characterWidth } from "./width.ts";

interface Position {
  row: number;
  column: number;
}

/**
 * Where a text ends that begins at this column, on a terminal of so many columns:
 * the row, counted from where it begins, and the column.
 */
function endOf(text: string, start: number, columns: number): Position {
  let row = 0;
  let column = start;
  for (const character of text) {
    const width = characterWidth(character);
    if (character === "\n") {
      row++;
      column = 0;
    } else if (column + width > columns) {
      row++;
      column = width;
    } else {
      column += width;
    }
  }
  return column < columns ? { row, column } : { row: row + 1, column: 0 };
}

/** The size of the terminal; 80 × 24 if the terminal does not know its size. */
function terminalSize() {
  const { columns, rows } = Deno.consoleSize();
  return { columns: columns || 80, rows: rows || 24 };
}

function write(text: string) {
  print(new TextEncoder().encode(text));
}

function onSignal(signal: Deno.Signal, listener: () => void) {
  try {
    Deno.addSignalListener(signal, listener);
  } catch { /* Windows has only some of them */ }
}

/** The signals that end the script, with their numbers. */
const ENDING_SIGNALS: [Deno.Signal, number][] = [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGQUIT", 3],
  ["SIGTERM", 15],
];

const HOME = "\x1b[H"; // moves the cursor to the first row and column
const WHERE_IS_CURSOR = "\x1b[6n"; // the terminal answers with row and column
const CURSOR_REPORT = /\p{Cc}\[\d+;(\d+)R/gu; // that answer
const PATIENCE = 3000; // ms that we wait for that answer
const CONTROL = /[^\P{Cc}\r\n]/u; // any control character but the end of a line
const MAX_KEYS = 99; // characters that are taken key by key
const MAX_PARTIAL = 9999; // characters of an unfinished line that are kept

const up = (rows: number) => rows > 0 ? `\x1b[${rows}A` : "";
const toColumn = (column: number) => `\x1b[${column + 1}G`;
const ERASE_BELOW = "\x1b[J";

/** Makes the bytes of a server a text that does not drive the terminal. */
export class Escaper {
  #decoder = new TextDecoder(); // keeps the start of a character
  #pendingCR = ""; // a \r that came last: its \n may come next

  /** Takes the next bytes, and returns as much of the text as is complete. */
  push(data: Uint8Array): string {
    return this.#escape(this.#decoder.decode(data, { stream: true }));
  }

  /** Returns what is left, when nothing more will come. */
  end(): string {
    const text = this.#escape(this.#decoder.decode());
    return text + printable(this.#pendingCR);
  }

  #escape(text: string): string {
    const all = this.#pendingCR + text;
    this.#pendingCR = all.endsWith("\r") ? "\r" : "";
    const complete = all.slice(0, all.length - this.#pendingCR.length);
    return complete.split(/\r?\n/).map(printable).join("\n");
  }
}

/** Reads lines at a terminal, until Ctrl-C or Ctrl-D. */
export class Prompt {
  readonly #keys = new Readable({ read() {} });
  readonly #editor = readline.createInterface({
    input: this.#keys,
    output: new Writable({ write: (_chunk, _encoding, done) => done() }),
    terminal: true,
  });
  #partial = ""; // a line without its newline yet, printed before the prompt
  #startColumn = 0; // where that line ends and the prompt begins
  #cursor: Position = { row: 0, column: 0 }; // its row counts from the prompt's
  readonly #escaper = new Escaper();
  #drawnColumns = 0; // columns of the terminal when the prompt was drawn
  #queries = 0; // answers that the terminal still owes: where is the cursor?
  #queryTimer?: ReturnType<typeof setTimeout>; // a terminal may never answer
  #pendingText = ""; // to be shown once the terminal has answered
  #closed = false;

  constructor(readonly sign: string) {
    Deno.stdin.setRaw(true); // the terminal hands over each key
    for (const [signal, number] of ENDING_SIGNALS) {
      onSignal(signal, () => {
        this.close();
        Deno.exit(128 + number);
      });
    }
    onSignal("SIGCONT", () => this.#resume());
    onSignal("SIGWINCH", () => this.#queryCursor());
    this.#editor.on("SIGTSTP", () => this.#suspend());
    this.#draw();
  }

  /** Yields each line that is typed, with its newline. */
  async *lines(): AsyncGenerator<Uint8Array> {
    const lines: Uint8Array[] = [];
    let ended = false;
    this.#editor.on("line", (line) => {
      this.#printText(this.sign + printable(line) + "\n");
      lines.push(new TextEncoder().encode(line + "\n"));
    });
    this.#editor.on("close", () => {
      ended = true;
    });
    this.#keys.on("keypress", (_char: string, { ctrl, name }: readline.Key) => {
      if (ctrl && name === "l") this.#restart(HOME);
    });
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of Deno.stdin.readable) {
      text += decoder.decode(chunk, { stream: true });
      text = text.replace(CURSOR_REPORT, (_report, column: string) => {
        this.#takeReport(Number(column) - 1);
        return "";
      });
      if (!this.#inPlace()) continue;
      // Key by key, a long paste would take too long. Text without keys goes whole.
      const pasted = text.length > MAX_KEYS && !CONTROL.test(text);
      if (pasted) this.#editor.write(text);
      else this.#keys.emit("data", new TextEncoder().encode(text));
      text = "";
      if (!ended) this.#draw();
      yield* lines.splice(0);
      if (ended) return;
    }
  }

  /** Prints a text above the line that is typed, control characters escaped. */
  show(data: Uint8Array) {
    this.#pendingText += this.#escaper.push(data);
    if (this.#inPlace()) this.#showPending();
  }

  #showPending() {
    this.#printText(this.#pendingText);
    this.#pendingText = "";
    this.#draw();
  }

  /** Restores the terminal's settings, and leaves the cursor in a new row. */
  close() {
    if (this.#closed) return;
    if (this.#queries > 0) this.#resized();
    this.#pendingText = this.#escaper.end();
    if (this.#pendingText) this.#showPending();
    this.#closed = true;
    this.#leave();
    Deno.stdin.setRaw(false);
  }

  /**
   * Replaces the prompt, and what stands below it, by a text; `then` moves the
   * cursor afterwards.
   */
  #replace(text: string, then = "") {
    const erase = up(this.#cursor.row) + toColumn(this.#startColumn) +
      ERASE_BELOW;
    this.#drawnColumns = terminalSize().columns;
    this.#cursor = endOf(text, this.#startColumn, this.#drawnColumns);
    // When a row is full, a terminal goes to the next one only with the next
    // character.
    const rowIsFull = this.#cursor.column === 0 && /.$/.test(text);
    write(erase + text + (rowIsFull ? " \r" : "") + then);
  }

  /** Prints a text in place of the prompt. It stays; the prompt is not drawn. */
  #printText(text: string) {
    const rowIsFull = this.#partial !== "" && this.#startColumn === 0;
    // The cursor is in the next row already.
    this.#replace(rowIsFull ? text.replace(/^\n/, "") : text);
    this.#cursor.row = 0;
    this.#startColumn = this.#cursor.column;
    const all = this.#partial + text;
    const line = all.slice(all.lastIndexOf("\n") + 1);
    this.#partial = line.slice(-MAX_PARTIAL);
  }

  /** Draws the prompt, and what is typed, with the cursor in it. */
  #draw() {
    const { columns, rows } = terminalSize();
    const { line, cursor } = this.#editor;
    // If the line is longer than the screen, the part around the cursor.
    const half = Math.ceil(columns * (rows - 2) / 2);
    const first = Math.max(0, cursor - half);
    const before = this.sign + printable(line.slice(first, cursor));
    const after = printable(line.slice(cursor, first + half));
    const position = endOf(before, this.#startColumn, columns);
    const end = endOf(before + after, this.#startColumn, columns);
    this.#replace(
      before + after,
      up(end.row - position.row) + toColumn(position.column),
    );
    this.#cursor = position;
  }

  /** Leaves what was typed on the screen; erases the prompt if nothing was. */
  #leave() {
    const { line } = this.#editor;
    if (line) this.#printText(this.sign + printable(line));
    this.#printText(this.#startColumn > 0 ? "\n" : "");
  }

  /** Moves the cursor, and takes that place for the start of an empty line. */
  #restart(move: string) {
    write(move);
    this.#partial = "";
    this.#startColumn = 0;
    this.#cursor.row = 0;
  }

  /** Ctrl-Z: stops all processes of the job, as the terminal would do. */
  #suspend() {
    this.#leave();
    Deno.stdin.setRaw(false);
    try {
      Deno.kill(0, "SIGTSTP"); // returns after `fg`
    } catch { /* without --allow-run */ }
    this.#resume();
  }

  #resume() {
    if (this.#closed) return;
    // The shell has changed the settings; Deno thinks that they are as it left
    // them, and would not set them again.
    Deno.stdin.setRaw(false);
    Deno.stdin.setRaw(true);
    this.#draw();
  }

  /** Whether the prompt still is where it was drawn; if in doubt, asks. */
  #inPlace(): boolean {
    const resized = terminalSize().columns !== this.#drawnColumns;
    if (this.#queries === 0 && resized) this.#queryCursor();
    return this.#queries === 0;
  }

  #queryCursor() {
    this.#queries++;
    write(WHERE_IS_CURSOR);
    clearTimeout(this.#queryTimer);
    this.#queryTimer = setTimeout(() => this.#resized(), PATIENCE);
  }

  /** Takes the terminal's answer. The one to the last query counts. */
  #takeReport(column: number) {
    if (this.#queries === 0) return;
    this.#queries--;
    if (this.#queries === 0) this.#resized(column);
  }

  /**
   * Finds the prompt again on a terminal of another width. Some terminals wrap
   * anew what stands on the screen, others do not; the column of the cursor, if
   * the terminal has told it, shows which kind it is.
   */
  #resized(column?: number) {
    this.#queries = 0;
    clearTimeout(this.#queryTimer);
    const { columns } = terminalSize();
    this.#drawnColumns = columns;
    const { line, cursor } = this.#editor;
    const before = this.#partial + this.sign + printable(line.slice(0, cursor));
    const start = endOf(this.#partial, 0, columns);
    const end = endOf(before, 0, columns);
    const unchanged = { ...this.#cursor, startColumn: this.#startColumn };
    const wrapped = {
      row: end.row - start.row,
      column: end.column,
      startColumn: start.column,
    };
    const possible = [unchanged, wrapped].filter((place) =>
      column === undefined || column === Math.min(place.column, columns - 1)
    );
    if (possible.length > 0) {
      // If both are possible, better erase a row too few than one too many.
      const [place] = possible.sort((a, b) => a.row - b.row);
      this.#cursor.row = place.row;
      this.#startColumn = place.startColumn;
    } else {
      this.#restart("\n");
    }
    this.#showPending();
  }
}
