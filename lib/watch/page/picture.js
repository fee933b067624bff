/** Draws all pictures and the ruler, as often as the screen shows them. */
// @ts-check
/// <reference lib="dom" />
import { byId } from "./dom.js";
import { drawRuler, prepareCanvas } from "./draw.js";
import { latest } from "./latest.js";
import { panels } from "./panels.js";
import { settings } from "./settings.js";
import { beforePause } from "./text.js";
import { backToNow, middleTime, presentTime, redraw, view } from "./time.js";

/** @import { Viewport } from "./draw.js" */

/** A picture of less than this, in ms, counts from its middle in a pause. */
const CLOSE = 2000;
/** In slow motion each picture goes by in so many ms, however short its time. */
const SLOW_MOTION = 10_000;
/** ms from one picture to the next if the reader wants nothing to move. */
const STILL_INTERVAL = 1000;

const ruler = /** @type {HTMLCanvasElement} */ (byId("ruler"));
const RULER_HEIGHT = 1.4; // rem
let rulerWidth = 0;
let drawTime = 0; // when the pictures were drawn last, on the page's clock

/** Begins to draw. */
export function startDrawing() {
  new ResizeObserver(([{ contentRect }]) => {
    rulerWidth = contentRect.width;
    redraw();
  }).observe(ruler);
  requestAnimationFrame(drawFrame);
}

/** @param {number} time on the page's clock, in ms */
function drawFrame(time) {
  requestAnimationFrame(drawFrame);
  if (!latest.update || document.hidden || !moveView(time)) return;
  view.isStale = false;
  drawTime = time;
  drawAll();
}

/** Moves the view with time; returns whether there is something new to draw.
 * @param {number} time on the page's clock, in ms */
function moveView(time) {
  const passed = time - drawTime;
  if (view.isLive) {
    if (settings.isStill && !view.isStale && passed < STILL_INTERVAL) {
      return false;
    }
    view.to = Math.max(presentTime(), 0);
    return true;
  }
  if (view.isSlowMotion) {
    view.to += Math.min(passed, 100) / SLOW_MOTION * view.span;
    if (view.to >= presentTime()) backToNow();
    return true;
  }
  return view.isStale;
}

function drawAll() {
  const { language, mode, rem } = settings;
  const { to, span, pauseTime } = view;
  const isClose = !view.isLive && span < CLOSE;
  const zero = zeroTime(isClose);
  /** @type {Viewport} */
  const viewport = { from: to - span, to, zero, mode, language, rem };
  for (const panel of panels.values()) panel.draw(viewport);

  const size = { width: rulerWidth, height: RULER_HEIGHT * rem };
  const distance = Math.max(0, Math.round(pauseTime - zero));
  const zeroName = isClose ? beforePause(distance, language) : "";
  drawRuler(prepareCanvas(ruler, size), viewport, zeroName);
}

/** The time from which the ruler counts: now, the pause, or the middle of a
 * picture that is looked at closely.
 * @param {boolean} isClose */
function zeroTime(isClose) {
  if (view.isLive) return view.to;
  return isClose ? middleTime() : view.pauseTime;
}
