/** Shows in words what was so at the moment under the cursor. */
// @ts-check
/// <reference lib="dom" />
import { openScript, showPositions } from "./code.js";
import { showCosts } from "./cost.js";
import { byId, setText } from "./dom.js";
import { Values } from "./history.js";
import { panels } from "./panels.js";
import { unmarkEvent } from "./seek.js";
import { settings } from "./settings.js";
import { cursorTime } from "./time.js";

/** @import { Update } from "../messages.ts" */

/** How many idle clients were wanted.
 * @type {Values<number>} */
let wantedIdle = new Values();

/** Takes what is new.
 * @param {Update} update */
export function rememberUpdate(update) {
  wantedIdle.add(update.time, update.idle.wanted);
  for (const [script, model] of Object.entries(update.models)) {
    const panel = panels.get(script);
    panel?.history.add(model, update.time);
    panel?.elsewhere.add(model.elsewhere, update.time);
  }
}

/** Begins anew with a server that has another clock. */
export function forgetUpdates() {
  wantedIdle = new Values();
}

/** Shows what was so at the moment under the cursor: of each model its state,
 * clients and costs, how many are idle, and of the open script its line. */
export function showMoment() {
  const time = cursorTime();
  const wanted = wantedIdle.at(time) ?? wantedIdle.last ?? 0;
  for (const panel of panels.values()) panel.showMoment(time, wanted);
  showCosts(time);
  unmarkEvent();
  setText(byId("idle"), wanted.toLocaleString(settings.language));
  const open = panels.get(openScript() ?? "");
  if (!open) return;
  const { history } = open;
  showPositions(history.positionsAt(time), history.callsAt(time));
}
