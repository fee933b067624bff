/**
 * A real terminal without a window: util-linux' `script` makes the
 * pseudo-terminal, with a shell in it that knows job control, and xterm.js
 * draws what is written to it. What the tests look at is what stands there.
 */
import unicode from "npm:@xterm/addon-unicode11@0.9.0";
import xterm from "npm:@xterm/headless@6.0.0";
import { assertEquals } from "@std/assert";
import { exists, PATIENCE, pause, root, suite } from "./harness.ts";

/** A suite of tests at a terminal: skipped where there can be none. */
export async function terminals(name: string) {
  for (const command of ["script", "stty", "tty"]) {
    if (await exists(command)) continue;
    Deno.test.ignore(`${name}: there is no ${command}`, () => {});
    return () => {};
  }
  return suite(name);
}

/** A window, and a shell in it that waits for commands. */
export class Terminal implements AsyncDisposable {
  readonly #emulator: xterm.Terminal;
  readonly #child: Deno.ChildProcess;
  readonly #keyboard: WritableStreamDefaultWriter<Uint8Array>;
  readonly #drawn: Promise<void>;
  #device = "";

  private constructor(columns: number, rows: number) {
    this.#emulator = new xterm.Terminal({
      cols: columns,
      rows,
      allowProposedApi: true, // widths as in Unicode 11
    });
    this.#emulator.loadAddon(new unicode.Unicode11Addon());
    this.#emulator.unicode.activeVersion = "11";
    const start = `stty cols ${columns} rows ${rows}; tty; exec sh -i`;
    this.#child = new Deno.Command("script", {
      args: ["-qfc", start, "/dev/null"],
      cwd: root,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      env: {
        PATH: `${new URL(".", `file://${Deno.execPath()}`).pathname}:${
          Deno.env.get("PATH")
        }`,
        TERM: "xterm",
        NO_COLOR: "1",
      },
    }).spawn();
    this.#keyboard = this.#child.stdin.getWriter();
    this.#keyboard.closed.catch(() => {}); // the shell may end before
    this.#emulator.onData((reply) => void this.type(reply));
    this.#drawn = this.#draw();
  }

  /** Opens one, and waits for the shell's `$`. */
  static async open(columns = 60, rows = 24): Promise<Terminal> {
    const terminal = new Terminal(columns, rows);
    await terminal.until(/^\/dev\/\S+\n.*[$#]$/);
    terminal.#device = terminal.screen().split("\n")[0];
    await terminal.run("PS1='$ '; clear", "$");
    return terminal;
  }

  async #draw() {
    for await (const bytes of this.#child.stdout) {
      await new Promise<void>((drawn) => this.#emulator.write(bytes, drawn));
    }
  }

  /** All rows that stand there, those that have scrolled out included. */
  screen(): string {
    const { active } = this.#emulator.buffer;
    const rows = Array.from(
      { length: active.length },
      (_, i) => active.getLine(i)!.translateToString(true).trimEnd(),
    );
    return rows.join("\n").trimEnd();
  }

  /** Where the cursor stands: row and column, from 0. */
  cursor(): [row: number, column: number] {
    const { active } = this.#emulator.buffer;
    return [active.baseY + active.cursorY, active.cursorX];
  }

  /** Presses keys; a line is ended by "\r". */
  async type(keys: string) {
    await this.#keyboard.write(new TextEncoder().encode(keys)).catch(() => {});
  }

  /** Waits until `expected` is all that stands there, and a moment longer. */
  async stands(expected: string, cursor?: [row: number, column: number]) {
    const fits = () =>
      this.screen() === expected &&
      (!cursor || cursor.join() === this.cursor().join());
    for (let ms = 0; ms < PATIENCE && !fits(); ms += 10) await pause(10);
    await pause(30);
    assertEquals(this.screen(), expected);
    if (cursor) assertEquals(this.cursor(), cursor);
  }

  /** Waits until what stands there fits. */
  async until(pattern: RegExp) {
    for (let ms = 0; ms < PATIENCE; ms += 10) {
      if (pattern.test(this.screen())) return;
      await pause(10);
    }
    throw new Error(`no ${pattern} in time on\n${this.screen()}`);
  }

  /** Types a command and waits for what stands there then. */
  async run(command: string, expected: string) {
    await this.type(`${command}\r`);
    await this.stands(expected);
  }

  /** The settings, as `stty -a` tells them. */
  async settings(): Promise<string> {
    const stty = new Deno.Command("stty", { args: ["-F", this.#device, "-a"] });
    return new TextDecoder().decode((await stty.output()).stdout);
  }

  /** Gives the window another width. */
  async resize(columns: number) {
    this.#emulator.resize(columns, this.#emulator.rows);
    const args = ["-F", this.#device, "cols", `${columns}`];
    await new Deno.Command("stty", { args }).output(); // the kernel: SIGWINCH
  }

  /** The window is closed: what still runs there gets SIGHUP. */
  async [Symbol.asyncDispose]() {
    try {
      this.#child.kill("SIGKILL");
    } catch { /* the shell has ended by itself */ }
    await this.#keyboard.close().catch(() => {});
    await this.#child.status;
    await this.#drawn;
    this.#emulator.dispose();
  }
}
