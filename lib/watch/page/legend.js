/** The legend: what colours mean, in a line and in sentences; what keys do. */
// @ts-check
/// <reference lib="dom" />
import { STATES, WAIT } from "../../models/states.js";
import { byId, element } from "./dom.js";
import { HATCH } from "./draw.js";
import { recording } from "./recorded.js";
import { settings } from "./settings.js";
import { INTRO, KEYS, TEXTS } from "./text.js";

/** @import { Look } from "../../models/states.js" */

/** Shows the legend in the chosen language and colours. */
export function showLegend() {
  const { language } = settings;
  const states = Object.entries(STATES).map(([state, look]) => ({
    sign: stateSign(state, look),
    short: look.word,
    long: look.legend,
  }));
  const rows = [
    ...states,
    { sign: clientSign(), short: TEXTS.waits, long: WAIT.legend },
    { sign: manySign(), short: TEXTS.shares, long: TEXTS.many },
  ];
  byId("legend").replaceChildren(
    ...rows.map(({ sign, short }) => legendRow(sign, short[language])),
  );
  byId("colours").replaceChildren(
    ...rows.map(({ sign, long }) => legendRow(sign, long[language])),
  );
  byId("intro").replaceChildren(
    ...INTRO.map(({ looks, words }) =>
      element("span", looks ? { "data-looks": looks } : {}, words[language])
    ),
  );
}

/** Shows the keys in the chosen language. */
export function showKeys() {
  byId("keys").replaceChildren(
    ...KEYS.filter(({ isLive }) => !recording || !isLive).map((
      { keys, action },
    ) =>
      element(
        "span",
        { class: "key" },
        element("kbd", {}, keys),
        ` ${action[settings.language]}`,
      )
    ),
  );
}

/** @param {string} sign SVG in a box of 36 by 18
 * @param {string} text */
function legendRow(sign, text) {
  const row = element("li");
  row.innerHTML = `<svg viewBox="0 0 36 18" aria-hidden="true">${sign}</svg>`;
  row.append(text);
  return row;
}

/** @param {string} state
 * @param {Look} look */
function stateSign(state, { kind, colour }) {
  const own = colour[settings.mode];
  if (state === "resolved") {
    return `<path d="M18 2l7 7-7 7-7-7z" fill="${own}"/>`;
  }
  if (kind === "away") {
    const fill = state === "playing" ? "url(#hatch)" : "none";
    const dashes = state === "free" ? 'stroke-dasharray="4 4"' : "";
    return `${state === "playing" ? hatch() : ""}
      <rect x="1.5" y="1.5" width="33" height="15" fill="${fill}"
        stroke="${own}" ${dashes}/>`;
  }
  if (kind === "mark") {
    return rectangle(own, { x: 16, width: state === "copying" ? 5 : 2.5 });
  }
  return rectangle(own);
}

/** The pattern that the picture has there. */
function hatch() {
  return `<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse"
    patternTransform="rotate(45)"><rect width="3" height="7"
    fill="${HATCH[settings.mode]}"/></pattern>`;
}

function clientSign() {
  const wait = WAIT.colour[settings.mode];
  return `<rect x="0" y="8" width="36" height="2" fill="currentColor"
      opacity=".6"/>
    <rect x="6" y="5.5" width="20" height="7" rx="3.5" fill="${wait}"/>
    <circle cx="27" cy="9" r="4.5" fill="currentColor"/>`;
}

function manySign() {
  const { mode } = settings;
  return rectangle(STATES.other.colour[mode], { height: 7 }) +
    rectangle(STATES.all.colour[mode], { y: 8, height: 9 });
}

/** @param {string} colour
 * @param {{ x?: number, y?: number, width?: number, height?: number }} [place] */
function rectangle(colour, { x = 1, y = 1, width = 34, height = 16 } = {}) {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}"
    fill="${colour}"/>`;
}
