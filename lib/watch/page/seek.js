/** Goes from one event to the next, of all threads that are shown. */
// @ts-check
import { openScript } from "./code.js";
import { panels } from "./panels.js";
import { cursorTime, moveCursor } from "./time.js";

/**
 * Moves the cursor to the nearest event before or after it: a moment of work of
 * any thread, or where the code of a script is open, a call of that script.
 * @param {-1 | 1} direction to the past, or to now
 */
export function seekEvent(direction) {
  const start = cursorTime();
  const open = panels.get(openScript() ?? "");
  const everyCall = open !== undefined;
  let nearest = Infinity; // how far it is, in ms
  for (const panel of open ? [open] : panels.values()) {
    if (panel.section.hidden) continue;
    for (const time of panel.history.eventTimes(everyCall)) {
      const distance = (time - start) * direction;
      if (distance > 0 && distance < nearest) nearest = distance;
    }
  }
  if (nearest !== Infinity) moveCursor(start + direction * nearest);
}
