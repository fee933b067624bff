/** What the reader presses: the buttons of the page, and their keys. */
// @ts-check
/// <reference lib="dom" />
import { applyTheme } from "./appearance.js";
import { closeCode } from "./code.js";
import { sendCommand } from "./connection.js";
import { byId } from "./dom.js";
import { latest } from "./latest.js";
import { clearNotice, summarizeAnswers } from "./notice.js";
import { endPrediction, hideVerdict, startPrediction } from "./predict.js";
import { seekEvent } from "./seek.js";
import {
  onDarkPreferred,
  switchLanguage,
  switchMode,
  switchSize,
} from "./settings.js";
import {
  backToNow,
  pause,
  scroll,
  switchSlowMotion,
  view,
  zoom,
} from "./time.js";

/** @import { Command } from "../messages.ts" */

/** Keys that go on for as long as they are held down. The others do something once,
 * as a button does. */
const REPEATING_KEYS = ["-", "+", "ArrowLeft", "ArrowRight", ",", "."];

/** What the buttons do that have no command, by their ids.
 * @type {Record<string, () => void>} */
const ACTIONS = {
  load() {
    if (!view.isLive) backToNow();
    sendCommand({ type: "load", on: !latest.update?.load });
  },
  pause() {
    if (view.isLive) pause();
    else backToNow();
  },
  tonow: backToNow,
  slow: switchSlowMotion,
  earlier: () => scroll(-0.25),
  later: () => scroll(0.25),
  previous: () => seekEvent(-1),
  next: () => seekEvent(1),
  closer: () => zoom(0.5),
  farther: () => zoom(2),
  dismiss: endPrediction,
  repredict: startPrediction,
  language() {
    switchLanguage();
    applyTheme();
  },
  theme() {
    switchMode();
    applyTheme();
  },
  large() {
    switchSize();
    applyTheme();
  },
  "code-close": closeCode,
};

/** Has every button and key do its work. */
export function listenToControls() {
  for (const [id, action] of Object.entries(ACTIONS)) {
    byId(id).addEventListener("click", action);
  }
  for (const button of document.querySelectorAll("[data-command]")) {
    const text = button.getAttribute("data-command") ?? "";
    const command = /** @type {Command} */ (JSON.parse(text));
    button.addEventListener("click", () => pressCommand(command));
  }
  document.addEventListener("keydown", pressKey);
  onDarkPreferred(applyTheme);
}

/** Sends a command of the reader, who wants to see what comes of it.
 * @param {Command} command */
function pressCommand(command) {
  hideVerdict();
  clearNotice();
  if (!view.isLive) backToNow();
  sendCommand(command);
  if (command.type !== "ask") return;
  const { client } = command;
  const isAsking = client === "A" && latest.update?.load;
  if (!isAsking) summarizeAnswers(client);
}

/** Presses the button that has the key as its shortcut.
 * @param {KeyboardEvent} event */
function pressKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const { key } = event;
  const target = /** @type {Element} */ (event.target);
  // These use keys themselves; Escape closes the code all the same.
  const usesKeys = 'input[type="text"], input[type="radio"], #lines, #calls';
  if (target.matches(usesKeys) && key !== "Escape") return;
  const shortcut = key === "=" ? "+" : key; // the same key without Shift
  if (event.repeat && !REPEATING_KEYS.includes(shortcut)) return;
  const isLive = !document.body.classList.contains("recorded");
  const button = /** @type {HTMLElement | undefined} */ (
    [...document.querySelectorAll("[aria-keyshortcuts]")].find((found) =>
      (isLive || !found.closest(".live-only")) &&
      found.getAttribute("aria-keyshortcuts")?.toLowerCase() ===
        shortcut.toLowerCase()
    )
  );
  if (!button) return;
  button.click();
  event.preventDefault();
}
