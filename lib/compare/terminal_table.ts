/** A table at a terminal. */
import { width } from "../width.ts";
import { isNumeric, type Table } from "./tables.ts";
import { BOLD, FAINT, type TerminalLayout } from "./terminal_layout.ts";
import { padEnd, padStart, wrap } from "./text.ts";

const GAP = 2; // columns of the terminal between two of the table

/** The lines of a table, with as many of its columns as there is room for. */
export function tableLines(table: Table, layout: TerminalLayout): string[] {
  const { title, head, rows, notes } = table;
  const { columns } = layout.options;
  const sizes = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => width(row[column])))
  );
  const kept = keptColumns(table, sizes, columns);
  const line = (row: string[]) => {
    const cells = kept.map((column) => {
      const pad = isNumeric(table, column) ? padStart : padEnd;
      return pad(row[column], sizes[column]);
    });
    return cells.join(" ".repeat(GAP)).trimEnd();
  };
  return [
    ...wrap(title, columns).map((line) => layout.paint(BOLD, line)),
    layout.paint(FAINT, line(head)),
    ...rows.map(line),
    "",
    ...wrap(notes, columns),
  ];
}

/** The most important columns that fit, in the order of the table. */
function keptColumns(
  { keep }: Table,
  sizes: number[],
  columns: number,
): number[] {
  const kept: number[] = [];
  let room = columns + GAP; // no gap follows the last one
  for (const column of keep) {
    room -= sizes[column] + GAP;
    if (room < 0) break;
    kept.push(column);
  }
  return kept.toSorted((a, b) => a - b);
}
