/** How compare.ts shows it at a terminal, whatever its size. */
import type { Span } from "../models/timeline.ts";
import type { Play } from "./scene.ts";
import {
  busy,
  captions,
  CLIENTS,
  costs,
  EVENTS,
  isMark,
  isSeen,
  ms,
  occurring,
  phaseTable,
  sayings,
  short,
  type Table,
  ticks,
} from "./tables.ts";
import {
  columns as wide,
  type Language,
  type State,
  STATES,
  WAIT,
} from "../models/states.js";

/** What there is to draw on. */
export interface Paper {
  columns: number;
  /** Lines that can be seen at once; Infinity where nothing scrolls away. */
  rows: number;
  colour: boolean;
  language: Language;
  /** In ms. */
  beat: number;
}

const pad = (text: string, size: number) =>
  text + " ".repeat(Math.max(0, size - wide(text)));
const padStart = (text: string, size: number) =>
  " ".repeat(Math.max(0, size - wide(text))) + text;

/** Lines no wider than that. Chinese may break between any two signs. */
export function wrap(text: string, columns: number): string[] {
  const lines = [""];
  // Not before a mark that ends a phrase.
  const pieces = text.match(
    /(?:[\u2e80-\u9fff]|[^\s\u2e80-\u9fff，。：；、]+)[，。：；、]* ?|\s/gu,
  ) ?? [];
  for (const piece of pieces) {
    const line = lines.at(-1)!;
    if (line && wide(line) + wide(piece.trimEnd()) > columns) {
      lines[lines.length - 1] = line.trimEnd();
      lines.push(piece.trimStart());
    } else lines[lines.length - 1] += piece;
  }
  return lines.map((line) => line.trimEnd());
}

/** The same call before and after a mark is two places to say so. */
function stretches(spans: Span[], language: Language): Span[] {
  const found: Span[] = [];
  let marked = true;
  for (const span of spans) {
    const last = found.at(-1);
    if (isMark(span)) marked = true;
    if (!isSeen(span)) continue;
    const same = last &&
      sayings(last, language)[0] === sayings(span, language)[0];
    if (same && !marked) last.to = span.to;
    else found.push({ ...span });
    marked = false;
  }
  return found;
}

/**
 * Draws a scene model by model. Everything, where there is room for it; where
 * the window is low, one line for each thread, and no tables.
 */
export class Sheet {
  readonly #low: boolean;
  readonly #gutter: number;
  readonly #width: number;
  /** Of the columns beside a lane, where it is low: a client's wait in ms. */
  readonly #beside: number[];
  #lines = 0; // drawn so far

  constructor(readonly paper: Paper, plays: { script: string }[]) {
    const { columns, rows } = paper;
    // Before it is known: the main one, and one for each of two clients.
    const threads = ({ script }: { script: string }) =>
      script === "threads.ts" ? 3 : 1;
    const lanes = plays.reduce((sum, play) => sum + threads(play), 0);
    const tables = 2 * (plays.length + 3) +
      Math.ceil(1100 / Math.max(columns, 20));
    const foot = 6 + Math.ceil(600 / columns);
    this.#low = lanes + 4 * plays.length + foot + tables > rows;
    const names = plays.map(({ script }) => short(script).length + 1);
    this.#gutter = this.#low
      ? Math.max(...names)
      : paper.language === "zh"
      ? 8
      : 9;
    this.#beside = this.#low ? columns < 72 ? [6, 6] : [7, 7, 7, 7] : [];
    const beside = this.#beside.reduce((sum, size) => sum + size, 0);
    this.#width = Math.max(columns - this.#gutter - beside, 8);
  }

  #paint(code: number, text: string): string {
    return this.paper.colour && code && text
      ? `\x1b[${code}m${text}\x1b[0m`
      : text;
  }

  get #from() {
    return -this.paper.beat / 4;
  }

  get #to() {
    return this.paper.beat * 4.25;
  }

  #cell(time: number): number {
    const share = (time - this.#from) / (this.#to - this.#from);
    return Math.max(
      0,
      Math.min(Math.floor(share * this.#width), this.#width - 1),
    );
  }

  /** Of the columns beside a lane. */
  get #labels(): string[] {
    const narrow = this.#beside.length === 2;
    return {
      en: narrow ? ["1st", "2nd"] : ["first", "second", "vain", "CPU"],
      zh: narrow ? ["第一", "第二"] : ["第一位", "第二位", "白问", "CPU"],
    }[this.paper.language];
  }

  /** What stands above the lanes: when what happens. */
  head(): string {
    this.#lines++;
    const { beat, language } = this.paper;
    let line = "";
    const at = ([beats]: typeof EVENTS[number]) => this.#cell(beats * beat);
    for (const [i, event] of EVENTS.entries()) {
      const start = at(event);
      const [, whole, brief] = event.map((words) =>
        typeof words === "number" ? "" : words[language]
      );
      const left = `${whole}↓`; // the first may stand before its arrow
      if (!i && wide(left) <= this.#gutter + start + 1) {
        line = padStart(left, this.#gutter + start + 1);
        continue;
      }
      const next = EVENTS[i + 1];
      const room = (next ? at(next) : this.#width) - start;
      const words = [`↓${whole}`, `↓${brief}`]
        .find((words) => wide(words) + (next ? 1 : 0) <= room) ?? "↓";
      line = pad(line, this.#gutter + start) + words;
    }
    const beside = this.#beside
      .map((size, i) => padStart(this.#labels[i], size)).join("");
    line = pad(line, beside ? this.#gutter + this.#width : 0) + beside;
    return this.#paint(2, line.trimEnd());
  }

  #lane(spans: Span[]): string {
    const { language } = this.paper;
    const cells: State[] = Array(this.#width).fill("other");
    const text: string[] = Array(this.#width).fill("");
    const fill = (states: Span[]) => {
      for (const { state, from, to } of states) {
        cells.fill(state, this.#cell(from), this.#cell(to) + 1);
      }
    };
    fill(spans.filter(isSeen));
    for (const mark of ["asking", "accepting", "resolved", "copying"]) {
      fill(spans.filter(({ state }) => state === mark));
    }
    const first = spans.length ? this.#cell(spans[0].from) : this.#width;
    const last = spans.length ? this.#cell(spans.at(-1)!.to) : 0;
    const fits = (words: string, { from, to }: Span) =>
      this.#cell(to) - this.#cell(from) >= wide(words) + 4;
    const places = stretches(spans, language);
    for (const { words, place } of captions(places, language, fits)) {
      let at = this.#cell(place.from) + 2;
      for (const char of ` ${words} `) {
        text[at] = char;
        if (wide(char) === 2) text[at + 1] = "\0"; // that sign's other half
        at += wide(char);
      }
    }
    return cells.map((state, i) => {
      if (text[i] === "\0") return "";
      if (text[i]) return text[i];
      if (i < first || i > last) return " "; // the thread is not there
      return this.#paint(STATES[state].ansi, STATES[state].glyph);
    }).join("").trimEnd();
  }

  /** The lanes of one model, and of its two clients. */
  play(play: Play): string {
    const text = this.#draw(play);
    this.#lines += text.split("\n").length;
    return text;
  }

  #draw({ script, name, threads, clients, waits, vain, cpu }: Play): string {
    const { language } = this.paper;
    if (this.#low) {
      const beside = [
        ...waits.map((wait) => wait.toFixed(wait < 10 ? 1 : 0)),
        `${vain ?? "—"}`,
        cpu === null ? "—" : cpu.toFixed(cpu < 10 ? 1 : 0),
      ];
      return threads.map(({ spans }, i) => {
        const lane = this.#lane(spans);
        if (i) return " ".repeat(this.#gutter) + lane;
        const numbers = this.#beside.map((size, i) =>
          padStart(beside[i], size)
        );
        return pad(short(script), this.#gutter) + lane + numbers.join("");
      }).join("\n");
    }
    const thread = { en: "thread", zh: "线程" }[language];
    return [
      this.#paint(1, script) + "  " + this.#paint(
        2,
        wide(script + name[language]) + 2 <= this.paper.columns
          ? name[language]
          : "",
      ),
      ...threads.map(({ spans }, i) =>
        pad(i ? `${thread} ${i + 1}` : thread, this.#gutter) + this.#lane(spans)
      ),
      ...clients.map((client, i) =>
        pad(CLIENTS[i].label[language], this.#gutter) + this.#visit(client)
      ),
      "",
    ].join("\n");
  }

  #visit(client: Play["clients"][number]): string {
    const [zero, asked, answered, left] = [
      0,
      client.asked,
      client.answered,
      client.left,
    ].map((time) => this.#cell(time));
    const label = ` ${ms(client.answered - client.asked)} `;
    const wait = "┝" + "━".repeat(Math.max(0, answered - asked - 1)) +
      (answered > asked ? "┥" : "");
    const before = " ".repeat(zero) + this.#paint(2, "─".repeat(asked - zero));
    const after = left - answered - label.length;
    return after > 0
      ? before + this.#paint(WAIT.ansi, wait) + label +
        this.#paint(2, "─".repeat(after))
      : before + this.#paint(WAIT.ansi, wait) +
        (answered + label.length < this.#width ? label.trimEnd() : "");
  }

  /** What stands below the lanes: the axis, what the signs mean, the tables. */
  foot(plays: Play[]): string {
    const { columns, language } = this.paper;
    let axis = "";
    for (const time of ticks(this.#from, this.#to)) {
      const label = `${time / 1000} s`;
      const at = this.#gutter + this.#cell(time);
      if (at + label.length > columns || at < axis.length + 2 && axis) continue;
      axis = axis.padEnd(at) + label;
    }
    const states = occurring(plays);
    const entries: [string, number, string][] = states.map((state) => {
      const { glyph, ansi, word, legend } = STATES[state];
      return [glyph, ansi, (this.#low ? word : legend)[language]];
    });
    if (!this.#low) entries.push(["━", WAIT.ansi, WAIT.legend[language]]);
    const legend: string[] = [];
    let room = 0;
    for (const [glyph, code, words] of entries) {
      const size = wide(words) + 2;
      const lines = wrap(words, columns - 2);
      const entry = `${this.#paint(code, glyph)} ${lines.join("\n  ")}`;
      if (!legend.length || room < size + 3) {
        legend.push(entry);
        room = columns - size;
      } else {
        legend[legend.length - 1] += `   ${entry}`;
        room -= size + 3;
      }
    }
    const lines = [axis, ...(this.#low ? [] : [""]), ...legend];
    const tables = [costs(plays, language), phaseTable(plays, language)]
      .flatMap((table) => ["", ...this.#table(table)]);
    // The most important first: what finds no more room is left out.
    const add = (more: string[]) => {
      const room = this.paper.rows - 1 - this.#lines -
        lines.join("\n").split("\n").length;
      if (more.length > room) return false;
      lines.push(...more);
      return true;
    };
    const note = (words: string) => words && add(wrap(words, columns));
    note(busy(plays, language));
    if (this.#low) note(this.#units(states));
    if (!add(tables)) {
      note(
        {
          en: "More, with two tables, in a higher window or a pipe.",
          zh: "窗口高一些，或接上管道，还有更多内容和两张表。",
        }[language],
      );
    }
    return lines.join("\n");
  }

  /** What the columns beside the lanes are, and where a free thread is. */
  #units(states: State[]): string {
    const away = states.some((state) => STATES[state].kind === "away");
    const [first, second, , cpu] = this.#labels;
    const en = `${first}, ${second}${cpu ? `, ${cpu}` : ""}: ms, of a server ` +
      "without --trace." +
      (away
        ? " Out playing or free, the thread sleeps in Deno’s epoll_wait."
        : "");
    const zh = `${first}、${second}${cpu ? `、${cpu}` : ""}：毫秒，取自` +
      "不带 --trace 的服务器。" +
      (away ? "出去玩或空着时，线程睡在 Deno 的 epoll_wait 里。" : "");
    return { en, zh }[this.paper.language];
  }

  #table({ title, head, rows, notes, keep }: Table): string[] {
    const { columns } = this.paper;
    const sizes = head.map((_, i) =>
      Math.max(...[head, ...rows].map((row) => wide(row[i])))
    );
    const kept: number[] = [];
    let room = columns + 2;
    for (const column of keep) {
      room -= sizes[column] + 2;
      if (room < 0) break;
      kept.push(column);
    }
    kept.sort((a, b) => a - b);
    const number = (i: number) => rows.every((row) => /^(\d|—)/.test(row[i]));
    const line = (row: string[]) =>
      kept.map((i) => (number(i) ? padStart : pad)(row[i], sizes[i])).join("  ")
        .trimEnd();
    return [
      ...wrap(title, columns).map((line) => this.#paint(1, line)),
      this.#paint(2, line(head)),
      ...rows.map(line),
      "",
      ...wrap(notes, columns),
    ];
  }
}
