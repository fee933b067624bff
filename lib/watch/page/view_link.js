/** A link is a view: `#only=poll,epoll&idle=500&load`. */
// @ts-check
/// <reference lib="dom" />
import { sendCommand } from "./connection.js";
import { byId, element } from "./dom.js";
import { latest } from "./latest.js";
import { panels } from "./panels.js";
import { recording } from "./recorded.js";
import { redraw } from "./time.js";

/** @import { Update } from "../messages.ts" */

/** So many idle clients a command has come or go. */
const IDLE_STEP = 100;
/** A link cannot have more commands sent than that. */
const MOST_STEPS = 100;

/**
 * What a link names: the scripts that are shown (all, without any), how many
 * clients are idle, and whether there is load.
 * @typedef {{ only: string[] | undefined, idle: number | undefined,
 *   load: boolean }} ViewLink
 */

/** @type {ViewLink | undefined} */
let wanted = readLink(); // until the server was asked for it
/** @type {string[] | undefined} */
let only = wanted.only;

/** What the page's address names.
 * @returns {ViewLink} */
export function readLink() {
  const given = new URLSearchParams(location.hash.slice(1));
  const names = given.get("only")?.split(",").filter((name) => name);
  const idle = given.get("idle");
  return {
    only: names?.map((name) => name.endsWith(".ts") ? name : `${name}.ts`),
    idle: idle !== null && /^\d{1,6}$/.test(idle) ? Number(idle) : undefined,
    load: given.has("load") && given.get("load") !== "false",
  };
}

/** Shows only these models, or all where none of them is here.
 * @param {string[] | undefined} scripts */
export function showOnly(scripts) {
  const known = [...panels.keys()].filter((script) =>
    scripts?.includes(script)
  );
  const isAll = !known.length || known.length === panels.size;
  only = isAll ? undefined : known;
  for (const [script, { section }] of panels) {
    section.hidden = !isShown(script);
  }
  for (const box of byId("lanes").querySelectorAll("input")) {
    box.checked = isShown(box.name);
  }
  writeLink();
  redraw();
}

/** The models that were chosen are chosen again: these are new panels. */
export function applyOnly() {
  byId("lanes").replaceChildren(...[...panels.keys()].map(laneChoice));
  showOnly(only);
}

/** Asks the server for what a link names; from then on, the link follows it.
 * @param {Update} update */
export function followLink(update) {
  if (!wanted || recording) {
    writeLink();
    return;
  }
  const { idle = update.idle.wanted, load } = wanted;
  wanted = undefined;
  const missing = Math.round((idle - update.idle.wanted) / IDLE_STEP);
  const steps = Math.min(missing, MOST_STEPS);
  const by = Math.sign(steps) * IDLE_STEP;
  for (let step = 0; step < Math.abs(steps); step++) {
    sendCommand({ type: "idle", by });
  }
  if (load && !update.load) sendCommand({ type: "load", on: true });
}

/** Has another link in the page's address do what it names. */
export function listenToLink() {
  addEventListener("hashchange", () => {
    wanted = readLink();
    showOnly(wanted.only);
  });
}

/** @param {string} script */
function isShown(script) {
  return !only || only.includes(script);
}

/** A box that shows or hides a model.
 * @param {string} script */
function laneChoice(script) {
  const box = element("input", { type: "checkbox", name: script });
  box.addEventListener("change", () => {
    const shown = [...panels.keys()].filter((other) =>
      other === script ? box.checked : isShown(other)
    );
    showOnly(shown);
  });
  return element("label", {}, box, ` ${script}`);
}

/** Keeps the page's address so that it leads to what is shown now. */
export function writeLink() {
  const parts = [];
  if (only) {
    const names = only.map((script) => script.replace(/\.ts$/, ""));
    parts.push(`only=${names.join(",")}`);
  }
  const { update } = latest;
  if (update?.idle.wanted) parts.push(`idle=${update.idle.wanted}`);
  if (update?.load) parts.push("load");
  const hash = parts.length ? `#${parts.join("&")}` : "";
  if (hash === location.hash) return;
  try {
    history.replaceState(null, "", hash || location.href.split("#")[0]);
  } catch {
    // In a frame of a stranger's page there is no address to be kept.
  }
}
