/** Goes from one moment of work to the next, of all threads that are shown. */
// @ts-check
import { STATES } from "../../models/states.js";
import { panels } from "./panels.js";
import { centreOn, middleTime, view } from "./time.js";

/**
 * Shows the nearest moment at which a thread did something, before or after the
 * middle of the pictures (live: before or after now).
 * @param {-1 | 1} direction to the past, or to now
 */
export function seekWork(direction) {
  const start = view.isLive ? view.to : middleTime();
  let nearest = Infinity; // how far it is, in ms
  // The moment in the middle itself is not meant, nor what hides behind it.
  const least = view.span / 1000;
  for (const panel of panels.values()) {
    for (const span of panel.allSpans()) {
      if (STATES[span.state].kind !== "mark" || span.many) continue;
      const distance = ((span.from + span.to) / 2 - start) * direction;
      if (distance > least && distance < nearest) nearest = distance;
    }
  }
  if (nearest !== Infinity) centreOn(start + direction * nearest);
}
