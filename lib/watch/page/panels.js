/** The panels of all models. */
// @ts-check
/// <reference lib="dom" />
import { byId } from "./dom.js";
import { Panel } from "./panel.js";
import { redraw } from "./time.js";

/** @import { Hello } from "../messages.ts" */

/** By script.
 * @type {Map<string, Panel>} */
export const panels = new Map();

/** Makes a panel for each model of a server, in place of those of another one.
 * @param {Hello} hello */
export function replacePanels({ models, defaultAnswer }) {
  for (const { section } of panels.values()) section.remove();
  panels.clear();
  for (const model of models) {
    const panel = new Panel(model, defaultAnswer);
    panels.set(model.script, panel);
    byId("models").append(panel.section);
  }
}

/** Fits the pictures to the size of the page's type. */
export function fitPanels() {
  for (const panel of panels.values()) panel.fit();
  redraw();
}
