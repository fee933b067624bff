/** Draws what has been on a canvas: threads and clients, side by side in time. */
// @ts-check
/// <reference lib="dom" />
import { labels, STATES, WAIT } from "../../models/states.js";
import { duration, named } from "./text.js";

/**
 * @typedef {import("../../models/states.js").Language} Language
 * @typedef {import("../../models/states.js").State} State
 * @typedef {import("../messages.ts").Piece} Piece
 * @typedef {import("../messages.ts").Visited} Visited
 */
/**
 * What is to be seen, and how. Times are in ms, sizes in CSS pixels.
 * @typedef {object} View
 * @property {number} from
 * @property {number} to
 * @property {number} zero from which is counted
 * @property {"light" | "dark"} mode
 * @property {Language} language
 * @property {number} rem
 */

const PAPER = {
  light: { ink: "#1f2328", soft: "#59636e", faint: "#e4e8ec" },
  dark: { ink: "#e6edf3", soft: "#9aa4af", faint: "#262d36" },
};
export const HATCH = { light: "#a9d6cd", dark: "#24554d" };

export const LANE = 1.55; // rem
export const SMALL = 1.1;
export const ROW = 1;
export const GAP = 0.2;

/** @type {Map<string, number>} */
const widths = new Map();
/** @param {CanvasRenderingContext2D} pen @param {string} text */
function wide(pen, text) {
  const key = pen.font + text;
  let width = widths.get(key);
  if (width === undefined) {
    if (widths.size > 5000) widths.clear();
    widths.set(key, width = pen.measureText(text).width);
  }
  return width;
}

/** Fits the canvas to its place and to the screen's pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width @param {number} height */
export function paper(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const pen = /** @type {CanvasRenderingContext2D} */ (
    canvas.getContext("2d")
  );
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

/** @param {number} span of time, in ms: from one guide to the next */
function spacing(span) {
  const least = span / 8;
  const ten = 10 ** Math.floor(Math.log10(least));
  const steps = [1, 2, 5, 10].map((step) => step * ten);
  return /** @type {number} */ (steps.find((step) => step >= least));
}

/** The steps that can be seen: counted from `zero`, they stay where they are
 * while time goes by.
 * @param {View} view */
function guides({ from, to, zero }) {
  const step = spacing(to - from);
  const times = [];
  for (let i = Math.ceil((from - zero) / step); zero + i * step <= to; i++) {
    times.push(zero + i * step);
  }
  return times;
}

/** @param {CanvasRenderingContext2D} pen @param {number} width
 * @param {number} height @param {View} view */
export function grid(pen, width, height, view) {
  const { from, to, mode } = view;
  pen.fillStyle = PAPER[mode].faint;
  for (const time of guides(view)) {
    pen.fillRect(Math.round((time - from) / (to - from) * width), 0, 1, height);
  }
}

/** The scale over all lanes: how long before or after `zero`.
 * @param {HTMLCanvasElement} canvas @param {number} width
 * @param {number} height @param {View} view @param {string} name of `zero` */
export function ruler(canvas, width, height, view, name) {
  const pen = paper(canvas, width, height);
  const { from, to, zero, mode, language, rem } = view;
  pen.font = `${0.75 * rem}px system-ui, sans-serif`;
  pen.fillStyle = PAPER[mode].soft;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (const time of guides(view)) {
    const x = (time - from) / (to - from) * width;
    const off = Math.abs(time - zero);
    const near = off < (to - from) / 1e6;
    const text = near
      ? name
      : `${time < zero ? "−" : "+"}${duration(off, language)}`
        .replace(/\.0(?= )/, "");
    const half = wide(pen, text) / 2;
    if (!text || x < half || x > width - half) continue;
    pen.fillRect(Math.round(x), height - 4, 1, 4);
    pen.fillText(text, x, height / 2 - 1);
  }
}

/** @type {Partial<Record<string, CanvasPattern | null>>} */
const patterns = {};
/** @param {CanvasRenderingContext2D} pen @param {"light" | "dark"} mode */
function hatch(pen, mode) {
  if (patterns[mode]) return patterns[mode];
  const size = 8;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const ink = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  ink.strokeStyle = HATCH[mode];
  ink.lineWidth = 2;
  for (const x of [-size, 0, size]) {
    ink.moveTo(x - 1, size + 1);
    ink.lineTo(x + size + 1, -1);
  }
  ink.stroke();
  return patterns[mode] = pen.createPattern(tile, "repeat");
}

/** A thread's time.
 * @param {CanvasRenderingContext2D} pen @param {Iterable<Piece>} pieces
 * @param {number} top @param {number} height @param {number} width
 * @param {View} view */
export function thread(pen, pieces, top, height, width, view) {
  const { from, to, mode, rem } = view;
  const scale = width / (to - from);
  const font = Math.min(0.8 * rem, height * 0.62);
  pen.font = `${font}px system-ui, "Noto Sans CJK SC", sans-serif`;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  /** @type {Piece[]} */
  const marks = [];
  for (const piece of pieces) {
    const left = Math.max((piece.from - from) * scale, -2);
    const right = Math.min((piece.to - from) * scale, width + 2);
    const wide = right - left;
    if (piece.many) {
      const start = Math.floor(left); // whole pixels: no seams between them
      shares(
        pen,
        piece.many.shares,
        start,
        Math.max(Math.ceil(right) - start, 1),
        top,
        height,
        mode,
      );
      continue;
    }
    const { kind, colour } = STATES[piece.state];
    if (kind === "mark") {
      marks.push(piece);
      continue;
    }
    if (kind === "away") {
      if (wide < 1) continue;
      if (piece.state === "playing") {
        pen.fillStyle = hatch(pen, mode) ?? HATCH[mode];
        pen.fillRect(left, top, wide, height);
      }
      pen.strokeStyle = colour[mode];
      pen.lineWidth = 1;
      pen.setLineDash(piece.state === "free" ? [4, 4] : []);
      pen.strokeRect(left + 0.5, top + 0.5, Math.max(wide - 1, 0), height - 1);
      pen.setLineDash([]);
    } else {
      pen.fillStyle = colour[mode];
      pen.fillRect(
        left,
        top,
        kind === "other" ? wide : Math.max(wide, 0.5),
        height,
      );
    }
    if (wide > 2 * rem) label(pen, piece, left, right, top, height, view);
  }
  // On top: too short to be seen, they are drawn wider than they were.
  for (const piece of marks) {
    const left = (piece.from - from) * scale;
    const wide = (piece.to - piece.from) * scale;
    pen.fillStyle = STATES[piece.state].colour[mode];
    if (piece.state === "resolved") {
      diamond(pen, (piece.to - from) * scale, top + height / 2, height * 0.3);
      continue;
    }
    const least = piece.state === "copying" ? 4 : 2;
    const real = wide > least;
    const x = real ? left : left + wide / 2 - least / 2;
    pen.fillRect(x, top - 2, real ? wide : least, height + 4);
    if (wide > 2 * rem) label(pen, piece, left, left + wide, top, height, view);
  }
}

/** @param {CanvasRenderingContext2D} pen @param {Piece} piece
 * @param {number} left @param {number} right @param {number} top
 * @param {number} height @param {View} view */
function label(
  pen,
  piece,
  left,
  right,
  top,
  height,
  { mode, language, rem, from, to },
) {
  const { kind, colour } = STATES[piece.state];
  const near = Math.max(left, 0) + 0.5 * rem;
  const room = right - near - 0.4 * rem;
  const said = labels(piece, language, named(piece.whom, language));
  if (kind === "mark" && piece.call) said.unshift(`${piece.call}: ${said[0]}`);
  if (kind === "other" && piece.call) said.unshift(piece.call);
  if (kind === "other" && !piece.call) return;
  // Zoomed in, there is room for what it was asked for and how long it took.
  if (to - from < 1000 && piece.call) {
    const took = duration(piece.to - piece.from, language);
    const { call, asked = "", answered = "" } = piece;
    said.unshift(`${call}(${asked}${answered})  ${took}`, `${call}  ${took}`);
  }
  const text = said.find((text) => wide(pen, text) < room);
  if (!text) return;
  const middle = top + height / 2 + 0.5;
  pen.fillStyle = kind === "away"
    ? colour[mode]
    : kind === "held"
    ? "#ffffff"
    : kind === "mark"
    ? (mode === "light" ? "#1f2328" : "#0d1117")
    : PAPER[mode].ink;
  if (piece.state === "playing") {
    pen.save();
    pen.fillStyle = mode === "light" ? "#ffffff" : "#0d1117";
    const size = wide(pen, text);
    pen.fillRect(near - 4, top + 3, size + 8, height - 6);
    pen.restore();
  }
  pen.fillText(text, near, middle);
}

/** The parts of its time, stacked. They are many, in too short a time.
 * @param {CanvasRenderingContext2D} pen
 * @param {Partial<Record<State, number>>} parts
 * @param {number} left @param {number} wide @param {number} top
 * @param {number} height @param {"light" | "dark"} mode */
function shares(pen, parts, left, wide, top, height, mode) {
  let y = top + height;
  for (const state of /** @type {State[]} */ (Object.keys(STATES))) {
    const share = parts[state] ?? 0;
    if (!share) continue;
    const high = share * height;
    y -= high;
    pen.fillStyle = state === "playing" || state === "free"
      ? HATCH[mode]
      : STATES[state].colour[mode];
    pen.fillRect(left, y, wide, high);
  }
}

/** @param {CanvasRenderingContext2D} pen @param {number} x
 * @param {number} y @param {number} r */
function diamond(pen, x, y, r) {
  pen.beginPath();
  pen.moveTo(x, y - r);
  pen.lineTo(x + r, y);
  pen.lineTo(x, y + r);
  pen.lineTo(x - r, y);
  pen.fill();
}

/** A client's time: thin while it is connected, thick while it waits.
 * @param {CanvasRenderingContext2D} pen @param {Iterable<Visited>} visited
 * @param {number} middle @param {number} width @param {View} view */
export function client(pen, visited, middle, width, { from, to, mode, rem }) {
  const scale = width / (to - from);
  const { soft } = PAPER[mode];
  for (const { is, from: begin, to: end } of visited) {
    const left = Math.max((begin - from) * scale, -rem);
    const right = Math.min((end - from) * scale, width + rem);
    if (is === "waiting") {
      pen.fillStyle = WAIT.colour[mode];
      const thick = 0.36 * rem;
      pen.beginPath();
      pen.roundRect(
        left,
        middle - thick / 2,
        Math.max(right - left, 3),
        thick,
        thick / 2,
      );
      pen.fill();
    } else if (is === "load") {
      pen.fillStyle = WAIT.colour[mode];
      pen.globalAlpha = 0.45;
      pen.fillRect(left, middle - 0.14 * rem, right - left, 0.28 * rem);
      pen.globalAlpha = 1;
    } else {
      pen.fillStyle = soft;
      pen.fillRect(left, middle - 0.75, right - left, 1.5);
    }
    if (is === "connected" || is === "connecting") {
      pen.fillRect(
        (begin - from) * scale - 0.75,
        middle - 0.28 * rem,
        1.5,
        0.56 * rem,
      );
    }
    if (is === "answered") {
      pen.fillStyle = PAPER[mode].ink;
      pen.beginPath();
      pen.arc((begin - from) * scale, middle, 0.24 * rem, 0, 7);
      pen.fill();
    }
  }
}
