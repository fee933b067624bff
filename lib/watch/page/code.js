/** The code of one script, with the lines marked in which its threads are. */
// @ts-check
/// <reference lib="dom" />
import { sendCommand } from "./connection.js";
import { byId, element, setAttribute, setText } from "./dom.js";
import { latest } from "./latest.js";
import { recording } from "./recorded.js";
import { settings } from "./settings.js";
import { joinHint } from "./text.js";
import { redraw } from "./time.js";

/**
 * @import { ClientRole, Hello, SourcePosition } from "../messages.ts"
 * @typedef {Hello["models"][number]} HelloModel
 */

const code = byId("code");
const list = byId("lines");
const calls = byId("calls");

/** @type {HelloModel | undefined} */
let model; // whose code is shown
/** @type {HTMLElement | undefined} */
let button; // that has shown it
/** @type {HTMLElement[]} */
let rows = []; // one for each line of its source
let followedLine = -1; // that was scrolled to

/**
 * Shows the code of a model, or hides it if it is shown.
 * @param {HelloModel} pressed
 * @param {HTMLElement} pressedButton says whether the code is shown
 */
export function toggleCode(pressed, pressedButton) {
  if (model === pressed) {
    closeCode();
    return;
  }
  forgetCode();
  openCode(pressed, pressedButton);
}

/** @param {HelloModel} opened
 * @param {HTMLElement} openedButton */
async function openCode(opened, openedButton) {
  model = opened;
  button = openedButton;
  button.setAttribute("aria-expanded", "true");
  code.hidden = false;
  document.body.classList.add("code-open");
  // Where the code covers a part of the page, the picture stays above it.
  if (getComputedStyle(code).position === "fixed") {
    button.closest("section")?.scrollIntoView({ block: "start" });
  }
  sendCommand({ type: "open", script: model.script });
  translateCode();
  setText(calls, "");
  list.replaceChildren();
  const source = await readSource(opened.script);
  // Perhaps another one was opened meanwhile.
  if (source === undefined || model !== opened) return;
  rows = sourceRows(source);
  list.replaceChildren(...rows);
  list.scrollTop = 0;
  followedLine = -1;
  redraw();
}

/** @param {string} script */
async function readSource(script) {
  if (recording) return recording.sources[script];
  const response = await fetch(`/source/${script}`);
  return response.ok ? await response.text() : undefined;
}

/** Hides the code, if it is shown. */
export function closeCode() {
  const opener = button;
  if (!opener) return;
  forgetCode();
  sendCommand({ type: "open", script: null });
  opener.focus();
}

/** Hides the code of a script that the server may not have any more. */
export function forgetCode() {
  button?.setAttribute("aria-expanded", "false");
  model = undefined;
  button = undefined;
  rows = [];
  code.hidden = true;
  document.body.classList.remove("code-open");
}

/** The script whose code is shown, if there is one. */
export function openScript() {
  return model?.script;
}

/** Asks for the positions in the open script: a new connection has none. */
export function reopenCode() {
  if (model) sendCommand({ type: "open", script: model.script });
}

/** Shows the words above the code in the chosen language. */
export function translateCode() {
  const { language } = settings;
  const port = model && latest.update?.models[model.script]?.port;
  setText(byId("code-name"), model?.script ?? "");
  setText(byId("code-canteen"), model?.canteen[language] ?? "");
  setText(
    byId("code-join"),
    port && !recording ? joinHint(port, language) : "",
  );
}

/** One row for each line; comments look softer.
 * @param {string} source */
function sourceRows(source) {
  let isBlockComment = false;
  return source.trimEnd().split("\n").map((line) => {
    isBlockComment ||= line.startsWith("/**");
    if (isBlockComment) {
      isBlockComment = !line.includes("*/");
      return element("li", { class: "comment" }, line || " ");
    }
    const start = /\/\/ .*$/.exec(line)?.index ?? line.length;
    const row = element("li", {}, line.slice(0, start));
    const comment = line.slice(start);
    if (comment) row.append(element("span", { class: "comment" }, comment));
    if (!line) row.append(" "); // or it would have no height
    return row;
  });
}

/** What is known of a line: the strongest kind of its positions, the clients
 * whose threads are there, and how many threads of idle clients.
 * @typedef {{ kind: SourcePosition["kind"], clients: Set<ClientRole>,
 *   idle: number }} LineState */

const KINDS = ["last", "promised", "in"]; // from weak to strong

/** @param {SourcePosition[]} positions */
function lineStates(positions) {
  /** @type {Map<number, LineState>} */
  const states = new Map();
  for (const { line, thread, kind } of positions) {
    const state = states.get(line) ?? { kind, clients: new Set(), idle: 0 };
    states.set(line, state);
    if (KINDS.indexOf(kind) > KINDS.indexOf(state.kind)) state.kind = kind;
    if (thread === "idle") state.idle++;
    else if (thread) state.clients.add(thread);
  }
  return states;
}

/** The clients of a line, as shown behind it.
 * @param {LineState} state */
function clientNames({ clients, idle }) {
  const names = /** @type {string[]} */ ([...clients].sort());
  if (idle) names.push(`${idle} …`);
  return names.join(" ") || undefined;
}

/** Marks the lines in which the threads are, and shows the latest calls.
 * @param {SourcePosition[]} positions
 * @param {string[]} latestCalls */
export function showPositions(positions, latestCalls) {
  const states = lineStates(positions);
  for (const [index, row] of rows.entries()) {
    const state = states.get(index + 1);
    const isCurrent = state?.kind === "in";
    setAttribute(row, "data-position", state?.kind);
    setAttribute(row, "data-clients", state && clientNames(state));
    setAttribute(row, "aria-current", isCurrent ? "true" : undefined);
  }
  const position = positions.find(({ kind }) => kind === "in") ?? positions[0];
  if (position && rows.length) followLine(position.line);
  const text = latestCalls.join("\n");
  if (calls.textContent !== text) {
    calls.textContent = text;
    calls.scrollTop = calls.scrollHeight;
  }
}

/** Scrolls to a line, if it is another one than before and not in sight.
 * @param {number} line */
function followLine(line) {
  if (line === followedLine || line < 1) return;
  followedLine = line;
  const top = rows[line - 1].offsetTop - list.offsetTop;
  const isInSight = top > list.scrollTop &&
    top < list.scrollTop + list.clientHeight - 40;
  if (!isInSight) list.scrollTop = top - list.clientHeight / 2;
}
