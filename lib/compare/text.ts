/** Texts at a terminal, where a Chinese character takes two columns. */
import { width } from "../width.ts";

/** The text with spaces behind it, so that it takes so many columns. */
export function padEnd(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - width(text)));
}

/** The text with spaces before it, so that it takes so many columns. */
export function padStart(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - width(text))) + text;
}

/**
 * What a line may not break within: one Chinese character, or one word of another
 * language, with the punctuation and the space behind it.
 */
const PIECES =
  /(?:[\u2e80-\u9fff]|[^\s\u2e80-\u9fff，。：；、]+)[，。：；、]* ?|\s/gu;

/** The text in lines of at most so many columns. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const piece of text.match(PIECES) ?? []) {
    if (line && width(line) + width(piece.trimEnd()) > columns) {
      lines.push(line.trimEnd());
      line = piece.trimStart();
    } else {
      line += piece;
    }
  }
  return [...lines, line.trimEnd()];
}
