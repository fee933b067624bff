/** Which stretch of time the pictures show, and which moment the words. */
// @ts-check
/// <reference lib="dom" />
import { byId } from "./dom.js";
import { KEPT, retention } from "./history.js";

/** The right edge of a live picture is so many ms ago: by then the server has
 * sent all spans. */
export const DELAY = 200;

// The shortest and the longest stretch that a picture can show, in ms.
const SHORTEST = 0.01;
const LONGEST = KEPT;
/** A stretch that is shorter than this, in ms, goes by too fast for any eye: it
 * is shown only in a pause. */
const SHORTEST_LIVE = 1000;
/** Slow motion has a quarter of the speed of life. */
const SLOW_MOTION = 1 / 4;
/** Slow motion that is chosen while live begins so many ms ago. */
const SLOW_BACK = 3000;

/** Times are in ms on the clock of the server. */
export const view = {
  isLive: true,
  isSlowMotion: false,
  /** The right edge. */
  to: 0,
  /** From edge to edge. */
  span: 12_000,
  /** In a pause, the moment of which everything is shown. */
  cursor: 0,
  /** When the pause began, and what the span was then. */
  pauseTime: 0,
  spanBeforePause: 12_000,
  /** Whether the pictures have to be drawn even if no time has passed. */
  isStale: true,
};

/** How far the server's clock is behind the page's, in ms. */
let clockOffset = Infinity;

/** Compares the clocks, by a message that has just come.
 * @param {number} time of the message, on the server's clock */
export function adjustClock(time) {
  // The least that a message has needed so far, but clocks drift.
  clockOffset = Math.min(clockOffset + 0.02, performance.now() - time);
}

/** Has no time pass for so many ms: a recording has stood still.
 * @param {number} ms */
export function delayClock(ms) {
  clockOffset += ms;
}

/** The latest time that a picture can show completely. */
export function presentTime() {
  return performance.now() - clockOffset - DELAY;
}

/** The moment of which everything is shown: live, that is now. */
export function cursorTime() {
  return view.isLive ? Math.max(presentTime(), 0) : view.cursor;
}

/**
 * How fast time passes in slow motion. What is too short to be shown live goes by
 * slower still: in a picture of a few µs, even a quarter could not be seen.
 */
export function slowMotionSpeed() {
  return SLOW_MOTION * Math.min(1, view.span / SHORTEST_LIVE);
}

/** Has the pictures drawn again. */
export function redraw() {
  view.isStale = true;
}

/** Shows on the page whether there is a pause. */
function showPause() {
  retention.isPaused = !view.isLive;
  byId("pause").setAttribute("aria-pressed", String(!view.isLive));
  byId("past").hidden = view.isLive;
  byId("live").hidden = !view.isLive;
  byId("slow").setAttribute("aria-pressed", String(view.isSlowMotion));
  document.body.classList.toggle("paused", !view.isLive);
  redraw();
}

export function pause() {
  if (!view.isLive) return;
  view.pauseTime = view.to;
  view.cursor = view.to;
  view.spanBeforePause = view.span;
  view.isLive = false;
  showPause();
}

/** Ends a pause. */
export function backToNow() {
  view.isLive = true;
  view.isSlowMotion = false;
  view.span = view.spanBeforePause;
  showPause();
}

/** Begins anew with a server that has another clock. */
export function resetTime() {
  clockOffset = Infinity;
  view.isLive = true;
  view.isSlowMotion = false;
  showPause();
}

export function switchSlowMotion() {
  const wasLive = view.isLive;
  pause();
  view.isSlowMotion = !view.isSlowMotion;
  if (wasLive) {
    view.to = Math.max(0, view.to - Math.min(SLOW_BACK, view.span / 2));
    view.cursor = view.to;
  }
  showPause();
}

/** Lets so many ms pass in slow motion; ends it where there is no more to see.
 * @param {number} passed */
export function moveSlowly(passed) {
  const step = passed * slowMotionSpeed();
  view.to += step;
  view.cursor += step;
  if (view.cursor >= presentTime()) backToNow();
}

/** Shows the time up to that one, but never more than half a picture of future.
 * @param {number} to */
export function showUntil(to) {
  pause();
  view.to = Math.min(to, presentTime() + view.span / 2);
  keepCursorInSight();
  redraw();
}

function keepCursorInSight() {
  const latest = Math.min(view.to, presentTime());
  view.cursor = Math.min(Math.max(view.cursor, view.to - view.span), latest);
}

/** @param {number} part of what can be seen; backwards if negative */
export function scroll(part) {
  showUntil(view.to + part * view.span);
}

/** Moves the cursor to that time, and the pictures where it would leave them.
 * @param {number} time */
export function moveCursor(time) {
  pause();
  view.cursor = Math.min(time, presentTime());
  if (view.cursor > view.to || view.cursor < view.to - view.span) {
    view.to = view.cursor + view.span / 2;
  }
  redraw();
}

/** Shows so many times the stretch of time.
 * @param {number} factor
 * @param {number} [fixedTime] that stays where it is in a picture */
export function zoom(factor, fixedTime = cursorTime()) {
  const before = view.span;
  view.span = Math.min(LONGEST, Math.max(SHORTEST, before * factor));
  if (view.isLive && view.span < SHORTEST_LIVE) {
    pause();
    view.spanBeforePause = before;
  }
  if (!view.isLive) {
    view.to = fixedTime + (view.to - fixedTime) * view.span / before;
    keepCursorInSight();
  }
  redraw();
}
