/** What compare.ts shows at a terminal of any size. */
import { type Model, shortName } from "../models/models.ts";
import { SCENE_CLIENTS, SCENE_EVENTS } from "../models/scene.ts";
import { type State, STATES, WAIT } from "../models/states.js";
import { formatMs } from "../time.ts";
import { width } from "../width.ts";
import { ticks } from "./axis.ts";
import { drawnStates } from "./captions.ts";
import type { SceneRun } from "./scene_run.ts";
import {
  busyWarning,
  costTable,
  NONE,
  phaseTable,
  type Table,
} from "./tables.ts";
import {
  BOLD,
  FAINT,
  TerminalLayout,
  type TerminalOptions,
} from "./terminal_layout.ts";
import { clientRow, threadRow } from "./terminal_rows.ts";
import { tableLines } from "./terminal_table.ts";
import { padEnd, padStart, wrap } from "./text.ts";

/**
 * Draws a scene model by model: `head()`, `run()` for each, `foot()`. Where the
 * window is low, the drawing is compact: one line for each thread.
 */
export class TerminalReport {
  readonly #layout: TerminalLayout;
  #lines = 0; // drawn so far

  constructor(options: TerminalOptions, models: Model[]) {
    this.#layout = new TerminalLayout(options, models);
  }

  /** What stands above the threads: when what happens. */
  head(): string {
    this.#lines++;
    const { nameColumns, axisColumns, numberColumns } = this.#layout;
    let line = this.#events();
    if (numberColumns.length > 0) {
      const labels = this.#numberLabels();
      const numbers = numberColumns.map((size, i) => padStart(labels[i], size));
      line = padEnd(line, nameColumns + axisColumns) + numbers.join("");
    }
    return this.#layout.paint(FAINT, line.trimEnd());
  }

  /** The events of the scene, each with an arrow in its column. */
  #events(): string {
    const { nameColumns, axisColumns, options } = this.#layout;
    const { beat, language } = options;
    const columns = SCENE_EVENTS.map(({ beats }) =>
      this.#layout.columnOf(beats * beat)
    );
    let line = "";
    for (const [i, event] of SCENE_EVENTS.entries()) {
      const caption = event.caption[language];
      const start = nameColumns + columns[i];
      const isFirst = i === 0;
      if (isFirst && width(`${caption}↓`) <= start + 1) {
        line = padStart(`${caption}↓`, start + 1);
        continue;
      }
      const isLast = i === SCENE_EVENTS.length - 1;
      const room = isLast // with a space before the next one
        ? axisColumns - columns[i]
        : columns[i + 1] - columns[i] - 1;
      const texts = [`↓${caption}`, `↓${event.brief[language]}`];
      const text = texts.find((text) => width(text) <= room) ?? "↓";
      line = padEnd(line, start) + text;
    }
    return line;
  }

  /** What the columns of numbers are called. */
  #numberLabels(): string[] {
    const { numberColumns, options } = this.#layout;
    const narrow = numberColumns.length === 2;
    return {
      en: narrow ? ["1st", "2nd"] : ["first", "second", "vain", "CPU"],
      zh: narrow ? ["第一", "第二"] : ["第一位", "第二位", "落空", "CPU"],
    }[options.language];
  }

  /** The threads of one model; with room for that, its name and its clients. */
  run(run: SceneRun): string {
    const lines = this.#layout.compact
      ? this.#compactRun(run)
      : this.#fullRun(run);
    this.#lines += lines.length;
    return lines.join("\n");
  }

  #compactRun({ script, threads, waits, vain, cpu }: SceneRun): string[] {
    const { nameColumns, numberColumns } = this.#layout;
    const values = [
      ...waits.map(numberOfMs),
      `${vain ?? NONE}`,
      cpu === null ? NONE : numberOfMs(cpu),
    ];
    const numbers = numberColumns.map((size, i) => padStart(values[i], size));
    return threads.map(({ spans }, i) => {
      const row = threadRow(spans, this.#layout);
      if (i > 0) return " ".repeat(nameColumns) + row;
      const named = padEnd(shortName(script), nameColumns) + row;
      return named + numbers.join("");
    });
  }

  #fullRun({ script, name, threads, clients }: SceneRun): string[] {
    const { nameColumns, options } = this.#layout;
    const { columns, language } = options;
    const title = name[language];
    const room = width(script + title) + 2 <= columns;
    const thread = { en: "thread", zh: "线程" }[language];
    return [
      this.#layout.paint(BOLD, script) + "  " +
      this.#layout.paint(FAINT, room ? title : ""),
      ...threads.map(({ spans }, i) => {
        const label = i > 0 ? `${thread} ${i + 1}` : thread;
        return padEnd(label, nameColumns) + threadRow(spans, this.#layout);
      }),
      ...clients.map((times, i) => {
        const label = SCENE_CLIENTS[i].label[language];
        return padEnd(label, nameColumns) + clientRow(times, this.#layout);
      }),
      "",
    ];
  }

  /**
   * What stands below the threads: the axis, the legend, a warning if the machine
   * was busy, and the tables: of these, what there is room for.
   */
  foot(runs: SceneRun[]): string {
    const { compact, options } = this.#layout;
    const { columns, rows, language } = options;
    const states = drawnStates(runs);
    const lines = [this.#axis()];
    if (!compact) lines.push("");
    lines.push(...this.#legend(states));

    let room = rows - 1 - this.#lines - lines.length;
    const add = (more: string[]) => {
      if (more.length > room) return false;
      lines.push(...more);
      room -= more.length;
      return true;
    };
    const warning = busyWarning(runs, language);
    if (warning) add(wrap(warning, columns));
    if (compact) add(wrap(this.#note(states), columns));
    const cost = costTable(runs, language);
    const phases = phaseTable(runs, language);
    const addTables = (...tables: Table[]) =>
      add(tables.flatMap((table) => ["", ...tableLines(table, this.#layout)]));
    // One alone: rather that of the phases, for compact rows have costs already.
    const more = {
      en: ["two tables", "the other table"],
      zh: ["两张表", "另一张表"],
    }[language];
    if (!addTables(cost, phases)) {
      const one = addTables(phases) || addTables(cost);
      const missing = more[one ? 1 : 0];
      const hint = {
        en: `A higher window or a pipe has ${missing} as well.`,
        zh: `窗口更高或输出到管道时，还会显示${missing}。`,
      }[language];
      add(wrap(hint, columns));
    }
    return lines.join("\n");
  }

  /** The times below the threads, where they do not touch each other. */
  #axis(): string {
    const { axis, nameColumns, options } = this.#layout;
    let line = "";
    for (const time of ticks(axis)) {
      const label = `${time / 1000} s`;
      const start = nameColumns + this.#layout.columnOf(time);
      const touches = line !== "" && start < line.length + 2;
      if (touches || start + label.length > options.columns) continue;
      line = line.padEnd(start) + label;
    }
    return line;
  }

  /** What the signs mean: several in a line, where there is room. */
  #legend(states: State[]): string[] {
    const { compact, options } = this.#layout;
    const { columns, language } = options;
    const entries = states.map((state) => {
      const { glyph, ansi, word, legend } = STATES[state];
      return { glyph, ansi, text: (compact ? word : legend)[language] };
    });
    if (!compact) {
      entries.push({
        glyph: "━",
        ansi: WAIT.ansi,
        text: WAIT.legend[language],
      });
    }
    const lines: string[] = [];
    let room = 0;
    for (const { glyph, ansi, text } of entries) {
      const size = width(text) + 2;
      const [first, ...more] = wrap(text, columns - 2);
      const entry = `${this.#layout.paint(ansi, glyph)} ${first}`;
      if (lines.length > 0 && size + 3 <= room) {
        lines.push(`${lines.pop()}   ${entry}`);
        room -= size + 3;
      } else {
        lines.push(entry, ...more.map((line) => `  ${line}`));
        room = columns - size;
      }
    }
    return lines;
  }

  /** What the numbers are, and where a thread sleeps that is away. */
  #note(states: State[]): string {
    const { language } = this.#layout.options;
    const labels = this.#numberLabels().filter((_, i) => i !== 2); // no time
    const isAway = states.some((state) => STATES[state].kind === "away");
    const numbers = {
      en: `${
        labels.join(", ")
      }: in ms, measured at a second server, without --trace.`,
      zh: `${labels.join("、")}：单位毫秒，取自另一个不带 --trace 的服务器。`,
    }[language];
    const away = {
      en:
        " While it is out playing or free, a thread sleeps in Deno’s epoll_wait.",
      zh: "出去玩或空闲时，线程睡在 Deno 的 epoll_wait 里。",
    }[language];
    return isAway ? numbers + away : numbers;
  }
}

/** So many ms, without their unit. */
function numberOfMs(ms: number): string {
  return formatMs(ms).replace(" ms", "");
}
