/** Draws on canvases what threads and clients did, side by side in time. */
// @ts-check
/// <reference lib="dom" />
import { BACKGROUND, describeSpan, STATES, WAIT } from "../../models/states.js";
import { clientName, duration } from "./text.js";

/**
 * @import { Language, State } from "../../models/states.js"
 * @import { ClientSpan, Span } from "../messages.ts"
 * @import { Mode } from "./settings.js"
 */
/**
 * What a picture shows, and how. Times are in ms.
 * @typedef {object} Viewport
 * @property {number} from the time at the left edge
 * @property {number} to the time at the right edge
 * @property {number} zero the time from which the ruler counts
 * @property {number} cursor the moment of which the words are
 * @property {Mode} mode
 * @property {Language} language
 * @property {number} rem the size of the page's type, in CSS pixels
 */
/**
 * A canvas that is ready to be drawn on. Sizes are in CSS pixels.
 * @typedef {object} Surface
 * @property {CanvasRenderingContext2D} context
 * @property {number} width
 * @property {number} height
 */
/**
 * A part of a canvas, in CSS pixels.
 * @typedef {object} Box
 * @property {number} left
 * @property {number} width
 * @property {number} top
 * @property {number} height
 */

/** What is not the colour of a state, as in style.css. */
const COLOURS = {
  light: {
    text: "#1f2328",
    soft: "#59636e",
    guide: "#e4e8ec",
  },
  dark: {
    text: "#e6edf3",
    soft: "#9aa4af",
    guide: "#262d36",
  },
};
/** The lines of the hatch for the time in which a thread is out playing. */
export const HATCH = { light: "#a9d6cd", dark: "#24554d" };

/** Marks are too short to be seen: they are drawn so many CSS pixels wide. */
const LEAST_MARK = 2;
const LEAST_COPY = 4;
/** Marks with less than so many CSS pixels between them become one. */
const NEAR = 2 * LEAST_COPY;
/** Marks that together are no wider than this look like one in any case. */
const LEAST_ROW = 2 * LEAST_COPY;
/** The share of a state is drawn at least so many CSS pixels high. */
const LEAST_SHARE = 2;
/** A picture of less than this, in ms, has room for the arguments of a call. */
const CLOSE = 1000;

/** @type {Map<string, number>} */
const textWidths = new Map();
/**
 * The width of a text, in CSS pixels. Measuring is slow: widths are kept.
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 */
function textWidth(context, text) {
  const key = context.font + text;
  const known = textWidths.get(key);
  if (known !== undefined) return known;
  if (textWidths.size > 5000) textWidths.clear();
  const { width } = context.measureText(text);
  textWidths.set(key, width);
  return width;
}

/**
 * Fits a canvas to its place and to the pixels of the screen, and clears it.
 * @param {HTMLCanvasElement} canvas
 * @param {{ width: number, height: number }} size in CSS pixels
 * @returns {Surface}
 */
export function prepareCanvas(canvas, { width, height }) {
  const ratio = devicePixelRatio || 1;
  const screenWidth = Math.round(width * ratio);
  const screenHeight = Math.round(height * ratio);
  if (canvas.width !== screenWidth || canvas.height !== screenHeight) {
    canvas.width = screenWidth;
    canvas.height = screenHeight;
  }
  const context = /** @type {CanvasRenderingContext2D} */ (
    canvas.getContext("2d")
  );
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** From one guide to the next: 1, 2 or 5 of a power of ten.
 * @param {number} span from edge to edge, in ms */
function guideInterval(span) {
  const least = span / 8;
  const power = 10 ** Math.floor(Math.log10(least));
  const intervals = [1, 2, 5, 10].map((factor) => factor * power);
  return /** @type {number} */ (
    intervals.find((interval) => interval >= least)
  );
}

/** The times of the guides. They are counted from `zero`, so that they keep
 * their places in a picture that moves with time.
 * @param {Viewport} viewport */
function guideTimes({ from, to, zero }) {
  const interval = guideInterval(to - from);
  const times = [];
  let i = Math.ceil((from - zero) / interval);
  for (; zero + i * interval <= to; i++) times.push(zero + i * interval);
  return times;
}

/** Draws the guides, from top to bottom.
 * @param {Surface} surface
 * @param {Viewport} viewport */
export function drawGuides({ context, width, height }, viewport) {
  const { from, to, mode } = viewport;
  context.fillStyle = COLOURS[mode].guide;
  for (const time of guideTimes(viewport)) {
    const x = Math.round((time - from) / (to - from) * width);
    context.fillRect(x, 0, 1, height);
  }
}

/** Marks the moment under the cursor, from top to bottom.
 * @param {Surface} surface
 * @param {Viewport} viewport */
export function drawCursor({ context, width, height }, viewport) {
  const { from, to, cursor, mode } = viewport;
  const x = Math.min((cursor - from) / (to - from) * width, width - 1);
  context.fillStyle = COLOURS[mode].text;
  context.fillRect(Math.round(x) - 0.5, 0, 1.5, height);
}

/** Draws the scale above all pictures: how long before or after `zero`.
 * @param {Surface} surface
 * @param {Viewport} viewport
 * @param {string} cursorName what to write at the cursor, if anything */
export function drawRuler(surface, viewport, cursorName) {
  const { context, width, height } = surface;
  const { from, to, zero, mode, language, rem } = viewport;
  context.font = `${0.75 * rem}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const flag = cursorName ? drawFlag(surface, cursorName, viewport) : undefined;
  context.fillStyle = COLOURS[mode].soft;
  for (const time of guideTimes(viewport)) {
    const x = (time - from) / (to - from) * width;
    const distance = Math.abs(time - zero);
    if (distance < (to - from) / 1e6) continue;
    const sign = time < zero ? "−" : "+";
    const length = duration(distance, language).replace(/\.0(?= )/, "");
    const text = sign + length;
    const half = textWidth(context, text) / 2;
    if (x < half || x > width - half) continue;
    if (flag && x + half > flag.left && x - half < flag.right) continue;
    context.fillRect(Math.round(x), height - 4, 1, 4);
    context.fillText(text, x, height / 2 - 1);
  }
}

/** Draws the flag of the cursor on the ruler; returns its place.
 * @param {Surface} surface
 * @param {string} name
 * @param {Viewport} viewport */
function drawFlag({ context, width, height }, name, viewport) {
  const { from, to, cursor, mode, rem } = viewport;
  const x = (cursor - from) / (to - from) * width;
  const half = textWidth(context, name) / 2 + 0.4 * rem;
  const middle = Math.max(half, Math.min(x, width - half));
  const [left, right] = [middle - half, middle + half];
  context.fillStyle = COLOURS[mode].text;
  context.beginPath();
  context.roundRect(left, 0, right - left, height - 4, 4);
  context.fill();
  context.fillRect(Math.min(Math.round(x) - 0.5, width - 1.5), 0, 1.5, height);
  context.fillStyle = BACKGROUND[mode];
  context.fillText(name, middle, (height - 4) / 2 + 0.5);
  return { left, right };
}

/** @type {Partial<Record<Mode, CanvasPattern | null>>} */
const hatches = {};
/** @param {CanvasRenderingContext2D} context
 * @param {Mode} mode */
function hatch(context, mode) {
  const known = hatches[mode];
  if (known) return known;
  const size = 8;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const lines = /** @type {CanvasRenderingContext2D} */ (
    tile.getContext("2d")
  );
  lines.strokeStyle = HATCH[mode];
  lines.lineWidth = 2;
  for (const x of [-size, 0, size]) {
    lines.moveTo(x - 1, size + 1);
    lines.lineTo(x + size + 1, -1);
  }
  lines.stroke();
  const pattern = context.createPattern(tile, "repeat");
  hatches[mode] = pattern;
  return pattern;
}

/** Draws what a thread did.
 * @param {Surface} surface
 * @param {Iterable<Span>} spans
 * @param {{ top: number, height: number }} lane its place, in CSS pixels
 * @param {Viewport} viewport */
export function drawThread(surface, spans, { top, height }, viewport) {
  const { context, width } = surface;
  const { from, to, rem } = viewport;
  const scale = width / (to - from);
  const fontSize = Math.min(0.8 * rem, height * 0.62);
  context.font = `${fontSize}px system-ui, "Noto Sans CJK SC", sans-serif`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  /** @param {Span} span
   * @returns {Box} */
  const boxOf = (span) => {
    // A span can be far longer than the picture: the part in sight is drawn.
    const left = Math.max((span.from - from) * scale, -2);
    const right = Math.min((span.to - from) * scale, width + 2);
    return { left, width: right - left, top, height };
  };
  const drawn = mergeMarks([...spans], scale);
  for (const span of drawn) {
    if (span.many) drawShares(context, span.many.shares, boxOf(span), viewport);
    else if (!isMark(span)) drawSpan(context, span, boxOf(span), viewport);
  }
  for (const mark of drawn.filter(isMark)) { // on top of all else
    const left = (mark.from - from) * scale;
    const box = { left, width: (mark.to - mark.from) * scale, top, height };
    drawMark(context, mark, box, viewport);
  }
}

/** Whether a span is drawn as a mark: a single moment of work.
 * @param {Span} span */
function isMark({ many, state }) {
  return !many && STATES[state].kind === "mark";
}

/** The same spans, with one for all from mark to mark where marks are so near to
 * each other that they would look like one: it shows the share of each state.
 * @param {Span[]} spans
 * @param {number} scale CSS pixels for each ms */
function mergeMarks(spans, scale) {
  /** @type {Span[]} */
  const merged = [];
  let first = 0; // the first span of the row of marks
  let last = -1; // its last mark; none yet
  const flush = () => {
    const row = spans.slice(first, last + 1);
    const width = last < 0 ? 0 : (spans[last].to - spans[first].from) * scale;
    if (width > LEAST_ROW) merged.push(mergeSpans(row));
    else merged.push(...row);
  };
  for (const [index, span] of spans.entries()) {
    if (!isMark(span)) continue;
    const isNear = last >= 0 && (span.from - spans[last].to) * scale < NEAR &&
      !spans.slice(last, index).some(({ many }) => many);
    if (!isNear) {
      flush();
      merged.push(...spans.slice(last + 1, index));
      first = index;
    }
    last = index;
  }
  flush();
  merged.push(...spans.slice(last + 1));
  return merged;
}

/** One span for many, with the share of each state in their time.
 * @param {Span[]} spans
 * @returns {Span} */
function mergeSpans(spans) {
  const { from } = spans[0];
  const { to } = spans[spans.length - 1];
  /** @type {Partial<Record<State, number>>} */
  const shares = {};
  for (const span of spans) {
    const share = (span.to - span.from) / (to - from);
    shares[span.state] = (shares[span.state] ?? 0) + share;
  }
  return { state: "other", from, to, many: { calls: spans.length, shares } };
}

/** Draws a span that is as wide as it was long.
 * @param {CanvasRenderingContext2D} context
 * @param {Span} span
 * @param {Box} box
 * @param {Viewport} viewport */
function drawSpan(context, span, box, viewport) {
  const { left, width, top, height } = box;
  const { mode, rem } = viewport;
  const { kind, colour } = STATES[span.state];
  if (kind === "away") {
    if (width < 1) return;
    if (span.state === "playing") {
      context.fillStyle = hatch(context, mode) ?? HATCH[mode];
      context.fillRect(left, top, width, height);
    }
    context.strokeStyle = colour[mode];
    context.lineWidth = 1;
    context.setLineDash(span.state === "free" ? [4, 4] : []);
    const inner = Math.max(width - 1, 0);
    context.strokeRect(left + 0.5, top + 0.5, inner, height - 1);
    context.setLineDash([]);
  } else {
    context.fillStyle = colour[mode];
    const least = kind === "held" ? 0.5 : 0;
    context.fillRect(left, top, Math.max(width, least), height);
  }
  if (width > 2 * rem) drawLabel(context, span, box, viewport);
}

/** Draws a moment's work, wider than it was long.
 * @param {CanvasRenderingContext2D} context
 * @param {Span} mark
 * @param {Box} box
 * @param {Viewport} viewport */
function drawMark(context, mark, box, viewport) {
  const { left, width, top, height } = box;
  const { mode, rem } = viewport;
  context.fillStyle = STATES[mark.state].colour[mode];
  if (mark.state === "resolved") {
    drawDiamond(context, left + width, top + height / 2, height * 0.3);
    return;
  }
  const least = mark.state === "copying" ? LEAST_COPY : LEAST_MARK;
  const drawnWidth = Math.max(width, least);
  const x = left + width / 2 - drawnWidth / 2;
  context.fillRect(x, top - 2, drawnWidth, height + 4);
  if (width > 2 * rem) drawLabel(context, mark, box, viewport);
}

/** Draws one span for many: its states are stacked, each as high as its
 * share of the time, but moments of work high enough to be seen.
 * @param {CanvasRenderingContext2D} context
 * @param {Partial<Record<State, number>>} shares
 * @param {Box} box
 * @param {Viewport} viewport */
function drawShares(context, shares, { left, width, top, height }, { mode }) {
  // Whole pixels, so that there are no seams between neighbours.
  const start = Math.floor(left);
  const drawnWidth = Math.max(Math.ceil(left + width) - start, 1);
  const states = /** @type {State[]} */ (Object.keys(STATES))
    .filter((state) => shares[state] !== undefined);
  const heights = states.map((state) => {
    const least = STATES[state].kind === "mark" ? LEAST_SHARE : 0;
    return Math.max((shares[state] ?? 0) * height, least);
  });
  const whole = heights.reduce((sum, part) => sum + part, 0);
  let bottom = top + height;
  for (const [index, state] of states.entries()) {
    const { colour } = STATES[state];
    const part = heights[index] * height / whole;
    bottom -= part;
    context.fillStyle = colour[mode];
    if (state === "playing") {
      context.fillStyle = hatch(context, mode) ?? HATCH[mode];
    }
    if (state !== "free") {
      context.fillRect(start, bottom, drawnWidth, part);
      continue;
    }
    // Hollow: an edge above and below.
    context.fillRect(start, bottom, drawnWidth, 1);
    context.fillRect(start, bottom + part - 1, drawnWidth, 1);
  }
}

/** @param {CanvasRenderingContext2D} context
 * @param {number} x of its middle
 * @param {number} y of its middle
 * @param {number} radius */
function drawDiamond(context, x, y, radius) {
  context.beginPath();
  context.moveTo(x, y - radius);
  context.lineTo(x + radius, y);
  context.lineTo(x, y + radius);
  context.lineTo(x - radius, y);
  context.fill();
}

/** Writes into a span the longest text that fits, if there is one.
 * @param {CanvasRenderingContext2D} context
 * @param {Span} span
 * @param {Box} box
 * @param {Viewport} viewport */
function drawLabel(context, span, { left, width, top, height }, viewport) {
  const { mode, rem } = viewport;
  const x = Math.max(left, 0) + 0.5 * rem;
  const room = left + width - x - 0.4 * rem;
  const text = spanLabels(span, viewport).find((text) =>
    textWidth(context, text) < room
  );
  if (!text) return;
  if (span.state === "playing") { // the hatch would disturb its reader
    context.fillStyle = BACKGROUND[mode];
    const size = textWidth(context, text);
    context.fillRect(x - 4, top + 3, size + 8, height - 6);
  }
  context.fillStyle = STATES[span.state].label[mode];
  context.fillText(text, x, top + height / 2 + 0.5);
}

/** What can be written into a span, from long to short.
 * @param {Span} span
 * @param {Viewport} viewport */
function spanLabels(span, { from, to, language }) {
  const { call, args = "", outcome = "", error } = span;
  const { kind } = STATES[span.state];
  if (kind === "other" && !call) return [];
  const texts = describeSpan(span, language, clientName(span.role, language));
  if (!call) return texts;
  if (kind === "mark") {
    texts.unshift(...texts.map((text) => `${call}: ${text}`));
  }
  if (kind === "other") texts.unshift(call);
  if (to - from < CLOSE) {
    const length = duration(span.to - span.from, language);
    const failure = error ? ` ${error}` : "";
    texts.unshift(
      `${call}(${args}${outcome})${failure}  ${length}`,
      `${call}${failure}  ${length}`,
    );
  }
  return texts;
}

/** Draws what a client did: thin while it is connected, thick while it waits.
 * @param {Surface} surface
 * @param {Iterable<Omit<ClientSpan, "client">>} spans
 * @param {number} middle of its lane, in CSS pixels from the top
 * @param {Viewport} viewport */
export function drawClient({ context, width }, spans, middle, viewport) {
  const { from, to, mode, rem } = viewport;
  const { soft, text } = COLOURS[mode];
  const scale = width / (to - from);

  /** @param {number} x
   * @param {number} length
   * @param {number} thickness */
  const fillBar = (x, length, thickness) =>
    context.fillRect(x, middle - thickness / 2, length, thickness);

  for (const span of spans) {
    const start = (span.from - from) * scale;
    const left = Math.max(start, -rem);
    const right = Math.min((span.to - from) * scale, width + rem);
    switch (span.status) {
      case "waiting": {
        const thickness = 0.36 * rem;
        const length = Math.max(right - left, 3);
        const top = middle - thickness / 2;
        context.fillStyle = WAIT.colour[mode];
        context.beginPath();
        context.roundRect(left, top, length, thickness, thickness / 2);
        context.fill();
        break;
      }
      case "load":
        context.fillStyle = WAIT.colour[mode];
        context.globalAlpha = 0.45;
        fillBar(left, right - left, 0.28 * rem);
        context.globalAlpha = 1;
        break;
      default:
        context.fillStyle = soft;
        fillBar(left, right - left, 1.5);
    }
    if (span.status === "connected" || span.status === "connecting") {
      fillBar(start - 0.75, 1.5, 0.56 * rem);
    }
    if (span.status === "answered") {
      context.fillStyle = text;
      context.beginPath();
      context.arc(start, middle, 0.24 * rem, 0, 2 * Math.PI);
      context.fill();
    }
  }
}
