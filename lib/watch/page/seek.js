/** Goes from one event to the next, of all threads that are shown. */
// @ts-check
import { openScript } from "./code.js";
import { panels } from "./panels.js";
import { cursorTime, moveCursor } from "./time.js";

/** The model of the event that was gone to, and where the cursor then was.
 * @type {{ section: HTMLElement, time: number } | undefined} */
let found;

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
  let section;
  for (const panel of open ? [open] : panels.values()) {
    if (panel.section.hidden) continue;
    for (const time of panel.history.eventTimes(everyCall)) {
      const distance = (time - start) * direction;
      if (distance <= 0 || distance >= nearest) continue;
      nearest = distance;
      section = panel.section;
    }
  }
  if (!section) return;
  found?.section.classList.remove("at-event");
  moveCursor(start + direction * nearest);
  found = { section, time: cursorTime() };
  section.classList.add("at-event");
}

/** Takes the mark away once the cursor has left the event. */
export function unmarkEvent() {
  if (!found || cursorTime() === found.time) return;
  found.section.classList.remove("at-event");
  found = undefined;
}
