/**
 * A real terminal without a window: `script` of util-linux makes the
 * pseudo-terminal, with a shell in it that has job control; xterm.js draws what
 * is written to the terminal. The tests compare what the screen shows.
 */
import { assertEquals } from "@std/assert";
import {
  eventually,
  exists,
  PATIENCE,
  pause,
  root,
  stat,
  suite,
} from "./harness.ts";

const emulator = [
  ...["run", "-A", "--no-lock", "--no-config"],
  new URL("xterm.ts", import.meta.url).pathname,
];

/** A suite of tests at a terminal: skipped where there can be none. */
export async function terminals(name: string) {
  const skip = (why: string) => {
    Deno.test.ignore(`${name}: ${why}`, () => {});
    return () => {};
  };
  for (const command of ["script", "stty", "tty"]) {
    if (!await exists(command)) return skip(`there is no ${command}`);
  }
  const xterm = new Deno.Command(Deno.execPath(), { args: emulator });
  if (!(await xterm.output()).success) return skip("xterm.js does not start");
  return suite(name);
}

/** A window, and a shell in it that waits for commands. */
export class Terminal implements AsyncDisposable {
  readonly #shell: Deno.ChildProcess;
  readonly #emulator: Deno.ChildProcess;
  readonly #keyboard: WritableStreamDefaultWriter<Uint8Array>;
  readonly #written: WritableStreamDefaultWriter<Uint8Array>;
  readonly #done: Promise<unknown>;
  #device = "";
  #shown = { screen: "", cursor: [0, 0] };

  private constructor(private columns: number, private rows: number) {
    const folder = new URL(".", `file://${Deno.execPath()}`).pathname;
    const piped = { stdin: "piped", stdout: "piped", stderr: "null" } as const;
    const start = `stty cols ${columns} rows ${rows}; tty; exec sh -i`;
    this.#shell = new Deno.Command("script", {
      args: ["-qfc", start, "/dev/null"],
      cwd: root,
      ...piped,
      env: {
        PATH: `${folder}:${Deno.env.get("PATH")}`, // the same Deno
        TERM: "xterm",
        NO_COLOR: "1",
      },
    }).spawn();
    this.#emulator = new Deno.Command(Deno.execPath(), {
      args: emulator,
      ...piped,
      stderr: "inherit",
    }).spawn();
    this.#keyboard = this.#shell.stdin.getWriter();
    this.#keyboard.closed.catch(() => {}); // the shell may end before
    this.#written = this.#emulator.stdin.getWriter();
    this.#done = Promise.all([this.#write(), this.#watch()]);
  }

  /** Opens one, and waits for the shell's `$`. */
  static async open(columns = 60, rows = 24): Promise<Terminal> {
    const terminal = new Terminal(columns, rows);
    await terminal.until(/^\/dev\/\S+\n.*[$#]$/);
    terminal.#device = terminal.screen().split("\n")[0];
    await terminal.run("PS1='$ '; clear", "$");
    return terminal;
  }

  /** Has the emulator draw these bytes; none when only the size has changed. */
  async #draw(bytes = new Uint8Array(0)) {
    const line = JSON.stringify([this.columns, this.rows, bytes.toBase64()]);
    await this.#written.write(new TextEncoder().encode(line + "\n"));
  }

  async #write() {
    for await (const bytes of this.#shell.stdout) await this.#draw(bytes);
    await this.#written.close();
  }

  async #watch() {
    let text = "";
    const decoder = new TextDecoder();
    for await (const bytes of this.#emulator.stdout) {
      text += decoder.decode(bytes, { stream: true });
      const lines = text.split("\n");
      text = lines.pop()!;
      for (const line of lines) {
        const { screen, cursor, reply } = JSON.parse(line);
        this.#shown = { screen, cursor };
        if (reply) await this.type(reply);
      }
    }
  }

  /** All rows of the screen, and those that have scrolled out of it. */
  screen(): string {
    return this.#shown.screen;
  }

  /** Presses keys; "\r" ends a line. */
  async type(keys: string) {
    await this.#keyboard.write(new TextEncoder().encode(keys)).catch(() => {});
  }

  /**
   * Waits until the screen shows `expected` and nothing else, with the cursor
   * there, counted from 0; and whether that stays so for a moment.
   */
  async stands(expected: string, cursor?: [row: number, column: number]) {
    const fits = () =>
      this.screen() === expected &&
      (!cursor || cursor.join() === this.#shown.cursor.join());
    for (let ms = 0; ms < PATIENCE && !fits(); ms += 10) await pause(10);
    await pause(30);
    assertEquals(this.screen(), expected);
    if (cursor) assertEquals(this.#shown.cursor, cursor);
  }

  /** Waits until the screen matches. */
  async until(pattern: RegExp) {
    for (let ms = 0; ms < PATIENCE; ms += 10) {
      if (pattern.test(this.screen())) return;
      await pause(10);
    }
    throw new Error(`no ${pattern} in time on\n${this.screen()}`);
  }

  /**
   * Waits until the shell reports that a job has stopped, and until every thread
   * of the job has: one that is still in read(2) takes the line meant for the
   * shell.
   */
  async stopped(pattern = /Stopped.*\n\$$/) {
    await this.until(pattern);
    await eventually(
      () => this.#jobs().every((state) => state === "T"),
      "the job has not stopped",
    );
  }

  /** The state of each thread that is not the shell's, from proc(5). */
  #jobs(): string[] {
    const { rdev } = Deno.statSync(this.#device);
    const states = [];
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const [, , group, , terminal, foreground] = stat(`/proc/${name}`);
        if (Number(terminal) !== rdev || group === foreground) continue;
        for (const thread of Deno.readDirSync(`/proc/${name}/task`)) {
          states.push(stat(`/proc/${name}/task/${thread.name}`)[0]);
        }
      } catch { /* it has ended meanwhile */ }
    }
    return states;
  }

  /** Types a command, and waits until the screen shows `expected`. */
  async run(command: string, expected: string) {
    await this.type(`${command}\r`);
    await this.stands(expected);
  }

  /** The settings of the terminal, as `stty -a` prints them. */
  async settings(): Promise<string> {
    const stty = new Deno.Command("stty", { args: ["-F", this.#device, "-a"] });
    return new TextDecoder().decode((await stty.output()).stdout);
  }

  /** Gives the window another width. */
  async resize(columns: number) {
    this.columns = columns;
    await this.#draw();
    const args = ["-F", this.#device, "cols", `${columns}`];
    await new Deno.Command("stty", { args }).output(); // the kernel: SIGWINCH
  }

  /** Closes the window: processes that still run in it get SIGHUP. */
  async [Symbol.asyncDispose]() {
    try {
      this.#shell.kill("SIGKILL");
    } catch { /* the shell has ended by itself */ }
    await this.#keyboard.close().catch(() => {});
    await Promise.all([this.#shell.status, this.#emulator.status, this.#done]);
  }
}
