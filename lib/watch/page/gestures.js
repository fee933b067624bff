/** The pointer on a picture: dragging scrolls through time, the wheel zooms. */
// @ts-check
/// <reference lib="dom" />
import { scroll, showUntil, view, zoom } from "./time.js";

/** So many pixels are a click of an unsteady hand, and no drag. */
const UNSTEADY = 4;

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

  canvas.addEventListener("wheel", (event) => {
    const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (isSideways) {
      event.preventDefault();
      scroll(event.deltaX / canvas.clientWidth);
    } else if (event.ctrlKey || event.shiftKey) {
      event.preventDefault();
      const fromRight = 1 - event.offsetX / canvas.clientWidth;
      zoom(event.deltaY > 0 ? 1.25 : 0.8, view.to - view.span * fromRight);
    }
  }, { passive: false });
}
