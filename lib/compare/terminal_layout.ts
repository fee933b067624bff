/** What fits where at a terminal of a given size, and its colours. */
import { type Model, shortName } from "../models/models.ts";
import type { Language } from "../models/states.js";
import { type Axis, sceneAxis, shareOf } from "./axis.ts";

/** The terminal, and what is shown there. */
export interface TerminalOptions {
  columns: number;
  /** Lines that are seen at once; Infinity where nothing scrolls away. */
  rows: number;
  colour: boolean;
  language: Language;
  /** In ms. */
  beat: number;
}

/** ANSI codes of texts, for `paint()`. */
export const BOLD = 1;
export const FAINT = 2;

/** With fewer columns, a compact drawing has no room for four numbers a line. */
const NARROW = 72;

/** From left to right: names, the time axis, and, if compact, numbers. */
export class TerminalLayout {
  /** Whether each thread has one line, and its clients none, to need few rows. */
  readonly compact: boolean;
  readonly nameColumns: number;
  readonly axisColumns: number;
  /** The widths of the columns of numbers: none, two or four. */
  readonly numberColumns: number[];
  readonly axis: Axis;

  constructor(readonly options: TerminalOptions, models: Model[]) {
    const { columns, language, beat } = options;
    this.axis = sceneAxis(beat);
    this.compact = rowsOfAll(models, columns) > options.rows;
    const names = models.map(({ script }) => shortName(script).length + 1);
    if (this.compact) {
      this.nameColumns = Math.max(...names);
      this.numberColumns = columns < NARROW ? [6, 6] : [7, 7, 7, 7];
    } else {
      this.nameColumns = { en: 9, zh: 8 }[language]; // `thread 3`, `第二位`
      this.numberColumns = [];
    }
    const numbers = this.numberColumns.reduce((sum, size) => sum + size, 0);
    this.axisColumns = Math.max(columns - this.nameColumns - numbers, 8);
  }

  /** The column of a time, counted from the begin of the axis. */
  columnOf(time: number): number {
    const column = Math.floor(shareOf(time, this.axis) * this.axisColumns);
    return Math.min(column, this.axisColumns - 1);
  }

  /** The text in that colour, as ANSI codes number it; 0 is the text's own. */
  paint(ansi: number, text: string): string {
    if (!this.options.colour || ansi === 0 || text === "") return text;
    return `\x1b[${ansi}m${text}\x1b[0m`;
  }
}

/** About how many rows everything needs, which nobody knows before the scene. */
function rowsOfAll(models: Model[], columns: number): number {
  let rows = 0;
  for (const { threadPerClient, workers = 1 } of models) {
    const threads = threadPerClient ? 3 : workers; // the main one, and two
    rows += threads + 4;
  }
  const tables = 2 * (models.length + 3) +
    Math.ceil(1100 / Math.max(columns, 20));
  const axisAndLegend = 6 + Math.ceil(600 / columns);
  return rows + tables + axisAndLegend;
}
