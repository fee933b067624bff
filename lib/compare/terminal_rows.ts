/** One line at a terminal: what a thread did, when a client waited. */
import { type Language, type State, STATES, WAIT } from "../models/states.js";
import type { Span } from "../models/timeline.ts";
import { formatMs } from "../time.ts";
import { characterWidth, width } from "../width.ts";
import { captions, describe, isLong, isMark } from "./captions.ts";
import type { ClientTimes } from "./server_run.ts";
import { FAINT, type TerminalLayout } from "./terminal_layout.ts";

/** Marks from the least important to the most: a later one hides an earlier. */
const MARKS: State[] = ["asking", "accepting", "resolved", "copying"];
/** A caption has a sign of its span and a space on both sides. */
const BESIDE_CAPTION = 2;

/** What a thread did: a sign for each column, and captions within. */
export function threadRow(spans: Span[], layout: TerminalLayout): string {
  const states = statesByColumn(spans, layout);
  const characters = captionsByColumn(spans, layout);
  const first = spans.length > 0 ? layout.columnOf(spans[0].from) : Infinity;
  const last = spans.length > 0 ? layout.columnOf(spans.at(-1)!.to) : -1;
  const signs = states.map((state, column) => {
    const character = characters[column];
    if (character !== undefined) return character;
    if (column < first || column > last) return " "; // there is no such thread
    return layout.paint(STATES[state].ansi, STATES[state].glyph);
  });
  return signs.join("").trimEnd();
}

function statesByColumn(spans: Span[], layout: TerminalLayout): State[] {
  const states = Array<State>(layout.axisColumns).fill("other");
  const marks = MARKS.flatMap((mark) =>
    spans.filter(({ state }) => state === mark)
  );
  for (const { state, from, to } of [...spans.filter(isLong), ...marks]) {
    states.fill(state, layout.columnOf(from), layout.columnOf(to) + 1);
  }
  return states;
}

/** The captions' characters; behind one that takes two columns, an empty text. */
function captionsByColumn(
  spans: Span[],
  layout: TerminalLayout,
): (string | undefined)[] {
  const { language } = layout.options;
  const fits = (text: string, { from, to }: Span) =>
    layout.columnOf(to) - layout.columnOf(from) >=
      width(text) + 2 * BESIDE_CAPTION;
  const characters: (string | undefined)[] = [];
  const stretches = mergeLong(spans, language);
  for (const { text, span } of captions(stretches, language, fits)) {
    let column = layout.columnOf(span.from) + BESIDE_CAPTION;
    for (const character of ` ${text} `) {
      characters[column] = character;
      if (characterWidth(character) === 2) characters[column + 1] = "";
      column += characterWidth(character);
    }
  }
  return characters;
}

/**
 * The spans that are drawn as stretches of time. Spans of the same call that
 * follow each other are one, unless a mark divides them.
 */
function mergeLong(spans: Span[], language: Language): Span[] {
  const merged: Span[] = [];
  let marked = false;
  for (const span of spans) {
    if (isMark(span)) marked = true;
    if (!isLong(span)) continue;
    const last = merged.at(-1);
    const same = last !== undefined &&
      describe(last, language)[0] === describe(span, language)[0];
    if (same && !marked) last.to = span.to;
    else merged.push({ ...span });
    marked = false;
  }
  return merged;
}

/** When a client was connected, and how long it waited for its answer. */
export function clientRow(times: ClientTimes, layout: TerminalLayout): string {
  const connected = layout.columnOf(0);
  const asked = layout.columnOf(times.asked);
  const answered = layout.columnOf(times.answered);
  const left = layout.columnOf(times.left);
  const label = ` ${formatMs(times.answered - times.asked)} `;
  const inside = "━".repeat(Math.max(0, answered - asked - 1));
  const wait = answered > asked ? `┝${inside}┥` : "┝";
  const row = " ".repeat(connected) +
    layout.paint(FAINT, "─".repeat(asked - connected)) +
    layout.paint(WAIT.ansi, wait);
  const after = left - answered - label.length;
  if (after > 0) return row + label + layout.paint(FAINT, "─".repeat(after));
  const room = answered + label.length < layout.axisColumns;
  return room ? row + label.trimEnd() : row;
}
