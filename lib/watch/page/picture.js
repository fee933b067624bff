/** Draws all pictures and the ruler, as often as the screen shows them. */
// @ts-check
/// <reference lib="dom" />
import { byId } from "./dom.js";
import { drawRuler, prepareCanvas } from "./draw.js";
import { listenToRuler } from "./gestures.js";
import { latest } from "./latest.js";
import { showMoment } from "./moment.js";
import { panels } from "./panels.js";
import { settings } from "./settings.js";
import { describeCursor } from "./text.js";
import {
  cursorTime,
  moveSlowly,
  presentTime,
  redraw,
  slowMotionSpeed,
  view,
} from "./time.js";

/** @import { Viewport } from "./draw.js" */

/** A picture of less than this, in ms, counts from its cursor in a pause. */
const CLOSE = 2000;
/** In slow motion, ms from one change of the words to the next. */
const WORDS_INTERVAL = 100;
/** ms from one picture to the next if the reader wants nothing to move. */
const STILL_INTERVAL = 1000;

const ruler = /** @type {HTMLCanvasElement} */ (byId("ruler"));
const RULER_HEIGHT = 1.4; // rem
let rulerWidth = 0;
let drawTime = 0; // when the pictures were drawn last, on the page's clock
let wordsTime = 0; // when the words of a pause were shown last

/** Begins to draw. */
export function startDrawing() {
  new ResizeObserver(([{ contentRect }]) => {
    rulerWidth = contentRect.width;
    redraw();
  }).observe(ruler);
  listenToRuler(ruler);
  requestAnimationFrame(drawFrame);
}

/** @param {number} time on the page's clock, in ms */
function drawFrame(time) {
  requestAnimationFrame(drawFrame);
  if (!latest.update || document.hidden || !moveView(time)) return;
  view.isStale = false;
  drawTime = time;
  drawAll();
  // Live, the words change with each message of the server.
  if (view.isLive) return;
  if (view.isSlowMotion && time - wordsTime < WORDS_INTERVAL) return;
  wordsTime = time;
  showMoment();
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
    moveSlowly(Math.min(passed, 100));
    return true;
  }
  return view.isStale;
}

function drawAll() {
  const { language, mode, rem } = settings;
  const { isLive, isSlowMotion, to, span, pauseTime } = view;
  const cursor = isLive ? to : cursorTime();
  const isClose = !isLive && span < CLOSE;
  // The ruler counts from now or from the pause, or where one looks closely.
  const zero = isClose || isLive ? cursor : pauseTime;
  /** @type {Viewport} */
  const viewport = { from: to - span, to, zero, cursor, mode, language, rem };
  for (const panel of panels.values()) panel.draw(viewport);

  const size = { width: rulerWidth, height: RULER_HEIGHT * rem };
  const speed = isSlowMotion ? slowMotionSpeed() : undefined;
  const text = describeCursor(cursor - pauseTime, speed, language);
  drawRuler(prepareCanvas(ruler, size), viewport, isLive ? "" : text);
}
