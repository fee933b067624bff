/** The spans of one thread in the picture: stretches of time, marks, captions. */
import { type Language, type State, STATES } from "../models/states.js";
import type { Span } from "../models/timeline.ts";
import { width } from "../width.ts";
import { captions, isLong, isMark } from "./captions.ts";
import { element, rect, text } from "./svg_elements.ts";

/** About how wide a text will be: which font there is, only a viewer knows. */
export function textWidth(words: string): number {
  return width(words) * 6.8;
}

/** How high the bar of a thread is. */
export const THREAD_HEIGHT = 28;
/** From the left edge of a stretch to its caption. */
const CAPTION_MARGIN = 14;
/** How far a mark stands out of the bar, above and below. */
const MARK_OUT = 4;
/** Calls that begin within so many ms are one mark, with one caption. */
const TOGETHER = 10;

function isHollow(state: State): boolean {
  return STATES[state].kind === "away";
}

/** A state that lasts; its outline lies within the bounds. */
export function stretch(
  state: State,
  x: number,
  y: number,
  width: number,
  height: number,
): string {
  const inset = isHollow(state) ? 0.5 : 0;
  return rect(
    state,
    x + inset,
    y + inset,
    width - 2 * inset,
    height - 2 * inset,
  );
}

/** A mark for a moment's work, around x. */
export function mark(
  state: State,
  x: number,
  y: number,
  height: number,
): string {
  const top = y - MARK_OUT;
  const whole = height + 2 * MARK_OUT;
  if (state === "copying") return rect(state, x - 2, top, 4, whole);
  if (state !== "resolved") return rect(state, x - 1, top, 2, whole);
  const middle = y + height / 2;
  const corners = [
    [x, middle - 7],
    [x + 7, middle],
    [x, middle + 7],
    [x - 7, middle],
  ];
  const points = corners.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`);
  return element("polygon", { class: state, points: points.join(" ") });
}

/** Where a thread is drawn. */
export interface ThreadPlace {
  /** The upper edge of its bar. */
  top: number;
  /** The right edge of the picture's drawings: no caption goes beyond. */
  right: number;
  /** The x of a time. */
  x: (time: number) => number;
  language: Language;
}

/** All that is drawn of a thread. */
export function drawSpans(spans: Span[], place: ThreadPlace): string[] {
  return [
    ...stretches(spans, place),
    ...stretchCaptions(spans, place),
    ...marks(spans, place),
  ];
}

function stretches(spans: Span[], { top, x }: ThreadPlace): string[] {
  const drawn: Span[] = [];
  for (const span of spans.filter(isLong)) {
    const last = drawn.at(-1);
    // Away before and after a moment's work: one outline, with a mark in it.
    if (last && isHollow(span.state) && last.state === span.state) {
      last.to = span.to;
    } else {
      drawn.push({ ...span });
    }
  }
  return drawn.map(({ state, from, to }) =>
    stretch(state, x(from), top, x(to) - x(from), THREAD_HEIGHT)
  );
}

function stretchCaptions(
  spans: Span[],
  { top, x, language }: ThreadPlace,
): string[] {
  const fits = (words: string, { from, to }: Span) =>
    x(to) - x(from) > textWidth(words) + 2 * CAPTION_MARGIN;
  const found = captions(spans.filter(isLong), language, fits);
  return found.map(({ text: words, span: { state, from } }) => {
    const style = isHollow(state) ? "away halo" : "on";
    return text(style, x(from) + CAPTION_MARGIN, top + 18.5, words);
  });
}

function marks(spans: Span[], { top, right, x, language }: ThreadPlace) {
  const drawn: string[] = [];
  let captionsEnd = 0; // of those so far: the next one begins behind it
  for (const group of markGroups(spans)) {
    const useful = group.filter(({ state }) => state !== "asking");
    const moved = useful.find(({ state }) => state !== "accepting");
    const { state, from } = moved ?? useful[0] ?? group[0];
    drawn.push(mark(state, x(from), top, THREAD_HEIGHT));

    const nothing = { en: "nothing", zh: "无数据" }[language];
    const closed = isClosedAfter(from, spans);
    const words = markCaption(useful) || (closed ? "close" : nothing);
    const left = x(from) - 2;
    if (left < captionsEnd) continue;
    captionsEnd = left + textWidth(words);
    const y = top - 9;
    drawn.push(
      captionsEnd > right
        ? text("small halo end", right, y, words)
        : text("small halo", left, y, words),
    );
  }
  return drawn;
}

/** The marks of a thread; those that follow each other at once are a group. */
function markGroups(spans: Span[]): Span[][] {
  const marks = spans.filter(isMark);
  const groups = Map.groupBy(
    marks,
    ({ from }) => marks.find((mark) => from - mark.from < TOGETHER),
  );
  return [...groups.values()];
}

/** The calls of a group: `recv, 2 × send`. */
function markCaption(marks: Span[]): string {
  const groups = Map.groupBy(
    marks,
    ({ call, ops }) => ops?.length ? `${call}: ${ops.join(", ")}` : `${call}`,
  );
  const words = [...groups].map(([call, { length }]) =>
    length > 1 ? `${length} × ${call}` : call
  );
  // Of io_uring's calls, only the first says its name.
  return words.join(", ").replaceAll(", io_uring_enter:", ",");
}

function isClosedAfter(time: number, spans: Span[]): boolean {
  return spans.some(({ call, from }) =>
    call === "close" && from > time && from - time < TOGETHER
  );
}
