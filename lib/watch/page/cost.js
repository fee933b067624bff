/** What an answer costs by the number of idle clients: a curve of each model, and
 * why two that make the same calls differ. */
// @ts-check
/// <reference lib="dom" />
import { byId, setText } from "./dom.js";
import { panels } from "./panels.js";
import { settings } from "./settings.js";
import { describeWhy } from "./text.js";

/** The two that everybody compares. The first gives the curves their scale. */
const COMPARED = ["poll.ts", "epoll.ts"];
/** The curves reach at least so many idle clients to the right. */
const LEAST_IDLE = 100;
/** How much higher the scale is than the highest cost on it. */
const HEADROOM = 1.15;

/** Shows what was known of the costs at that time.
 * @param {number} time */
export function showCosts(time) {
  const curves = [...panels.values()].map((panel) => ({
    panel,
    costs: panel.history.costsAt(time),
  }));
  const all = curves.flatMap(({ costs }) => costs);
  const scaled = curves.find(({ panel }) => panel.model.script === COMPARED[0]);
  const measured = scaled?.costs.length ? scaled.costs : all;
  const mostIdle = Math.max(LEAST_IDLE, ...all.map(({ idle }) => idle));
  const mostCpu = HEADROOM * Math.max(1, ...measured.map(({ cpu }) => cpu));
  for (const { panel, costs } of curves) {
    panel.showCurve(costs, { idle: mostIdle, cpu: mostCpu });
  }
  setText(byId("why"), why(time));
}

/** Why the two that are compared cost what they do; empty without both.
 * @param {number} time */
function why(time) {
  const compared = COMPARED.flatMap((script) => {
    const facts = panels.get(script)?.history.facts.at(time);
    if (!facts?.metrics?.cpu) return [];
    return [{ script, metrics: facts.metrics, idle: facts.idle.connected }];
  });
  return compared.length < COMPARED.length
    ? ""
    : describeWhy(compared, settings.language);
}
