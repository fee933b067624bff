/** The pointer on a picture: a click places the cursor, dragging scrolls through
 * time, the wheel zooms. */
// @ts-check
/// <reference lib="dom" />
import { moveCursor, scroll, showUntil, view, zoom } from "./time.js";

/** So many pixels are a click of an unsteady hand, and no drag. */
const UNSTEADY = 4;

/** The time that is drawn where the pointer is.
 * @param {HTMLCanvasElement} canvas
 * @param {MouseEvent} event */
function timeAt(canvas, { offsetX }) {
  return view.to - view.span * (1 - offsetX / canvas.clientWidth);
}

/** On the ruler, dragging moves the cursor.
 * @param {HTMLCanvasElement} ruler */
export function listenToRuler(ruler) {
  ruler.addEventListener("pointerdown", (event) => {
    ruler.setPointerCapture(event.pointerId);
    moveCursor(timeAt(ruler, event));
  });
  ruler.addEventListener("pointermove", (event) => {
    if (!ruler.hasPointerCapture(event.pointerId)) return;
    const time = timeAt(ruler, event);
    moveCursor(Math.min(Math.max(time, view.to - view.span), view.to));
  });
}

/** @param {HTMLCanvasElement} canvas */
export function listenToGestures(canvas) {
  let startX = 0;
  let startTime = 0;
  let isDragging = false;

  canvas.addEventListener("pointerdown", (event) => {
    startX = event.clientX;
    startTime = view.to;
    isDragging = false;
    canvas.setPointerCapture(event.pointerId);
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    const distance = event.clientX - startX;
    isDragging ||= Math.abs(distance) >= UNSTEADY;
    if (!isDragging) return;
    showUntil(startTime - distance / canvas.clientWidth * view.span);
  });

  canvas.addEventListener("pointerup", (event) => {
    if (!isDragging) moveCursor(timeAt(canvas, event));
  });

  canvas.addEventListener("wheel", (event) => {
    const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (isSideways) {
      event.preventDefault();
      scroll(event.deltaX / canvas.clientWidth);
    } else if (event.ctrlKey || event.shiftKey) {
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(canvas, event));
    }
  }, { passive: false });
}
