/** The page of watch.ts: what it shows, and what its reader presses. */
// @ts-check
/// <reference lib="dom" />
import {
  client as drawClient,
  GAP,
  grid,
  HATCH,
  LANE,
  paper,
  ROW,
  ruler,
  SMALL,
  thread as drawThread,
} from "./draw.js";
import { KEPT, Past } from "./history.js";
import * as words from "./text.js";
import { STATES, WAIT } from "../../models/states.js";

/**
 * @typedef {import("../../models/states.js").Language} Language
 * @typedef {import("../../models/states.js").State} State
 * @typedef {import("../messages.ts").Wish} Wish
 * @typedef {import("../messages.ts").Who} Who
 * @typedef {import("../messages.ts").Thread} Thread
 * @typedef {import("../messages.ts").Message} Message
 * @typedef {import("../messages.ts").Hello} Hello
 * @typedef {import("../messages.ts").Tick} Tick
 * @typedef {import("../messages.ts").News} News
 * @typedef {import("../messages.ts").Piece} Piece
 * @typedef {import("../messages.ts").Visited} Visited
 */

const LATE = 200; // ms: what is drawn is complete by then
const [CLOSEST, FARTHEST] = [0.01, KEPT]; // ms from edge to edge

/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @template {keyof HTMLElementTagNameMap} K @param {K} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} content */
function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  made.append(...content);
  return made;
}
/** Sets it only if it is another, for the sake of who reads it aloud.
 * @param {Element} element @param {string} text */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// What one has chosen is kept, where the browser lets us.
/** @param {string} key */
function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
/** @param {string} key @param {string} value */
function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch { /* then it is for this time */ }
}

// ------------------------------------------------------------------- settings

/** @type {Language} */
let language = kept("language") === "zh" ||
    (!kept("language") && navigator.language.startsWith("zh"))
  ? "zh"
  : "en";
const dark = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
/** @type {"light" | "dark"} */
let mode = "light";
let large = kept("large") === "yes";
let rem = 16;

function dress() {
  const root = document.documentElement;
  const chosen = kept("mode");
  mode = chosen === "dark" || (!chosen && dark.matches) ? "dark" : "light";
  root.dataset.mode = mode;
  root.classList.toggle("large", large);
  root.lang = language === "zh" ? "zh-CN" : "en";
  $("large").setAttribute("aria-pressed", String(large));
  rem = parseFloat(getComputedStyle(root).fontSize);
  speak();
  fit();
}

/** Has all texts in the chosen language. */
function speak() {
  /** @param {string} key */
  const said = (key) =>
    words.TEXTS[/** @type {keyof typeof words.TEXTS} */ (key)][language];
  for (const found of document.querySelectorAll("[data-text]")) {
    put(found, said(/** @type {HTMLElement} */ (found).dataset.text ?? ""));
  }
  for (const found of document.querySelectorAll("[data-name]")) {
    const name = said(/** @type {HTMLElement} */ (found).dataset.name ?? "");
    found.setAttribute("aria-label", name);
    if (found.matches("#large, #theme, #clock button, #code-close")) {
      found.setAttribute("title", name);
    }
  }
  document.title = said("title");
  $("language").lang = language === "zh" ? "en" : "zh-CN";
  for (const room of rooms.values()) {
    put(room.name, room.model.name[language]);
    room.name.title = room.model.canteen[language];
  }
  $("keys").replaceChildren(
    ...words.keys(language).map(([key, text]) =>
      element("span", { class: "key" }, element("kbd", {}, key), ` ${text}`)
    ),
  );
  legend();
  ask();
  judge();
  caption();
  refresh();
}

function legend() {
  /** @param {string} shape @param {string} text */
  const row = (shape, text) => {
    const sign = element("span");
    sign.innerHTML =
      `<svg viewBox="0 0 36 18" aria-hidden="true">${shape}</svg>`;
    return element("li", {}, sign.firstElementChild ?? "", text);
  };
  /** @param {string} colour @param {number} [x] @param {number} [width] */
  const rect = (colour, x = 1, width = 34) =>
    `<rect x="${x}" y="1" width="${width}" height="16" fill="${colour}"/>`;
  const states = Object.entries(STATES).map(([state, { kind, colour }]) => {
    const own = colour[mode];
    const shape = kind === "away"
      ? `<rect x="1.5" y="1.5" width="33" height="15" fill="${
        state === "playing" ? HATCH[mode] : "none"
      }" stroke="${own}" ${state === "free" ? 'stroke-dasharray="4 4"' : ""}/>`
      : state === "resolved"
      ? `<path d="M18 2l7 7-7 7-7-7z" fill="${own}"/>`
      : kind === "mark"
      ? rect(own, 16, state === "copying" ? 5 : 2.5)
      : rect(own);
    return row(shape, words.legend(/** @type {State} */ (state), language));
  });
  const wait = WAIT.colour[mode];
  const client =
    `<rect x="0" y="8" width="36" height="2" fill="currentColor" opacity=".6"/>` +
    `<rect x="6" y="5.5" width="20" height="7" rx="3.5" fill="${wait}"/>` +
    `<circle cx="27" cy="9" r="4.5" fill="currentColor"/>`;
  const many = `<rect x="1" y="1" width="34" height="7" fill="${
    STATES.other.colour[mode]
  }"/><rect x="1" y="8" width="34" height="9" fill="${
    STATES.all.colour[mode]
  }"/>`;
  $("legend").replaceChildren(
    ...states,
    row(client, words.TEXTS.waiting[language]),
    row(many, words.TEXTS.many[language]),
  );
}

// ---------------------------------------------------------------------- rooms

/** A model's place on the page. */
class Room {
  /** @type {Record<Thread, Past<Piece>>} */
  threads = { "": new Past(), A: new Past(), B: new Past() };
  /** @type {Record<Who, Past<Visited>>} */
  clients = { A: new Past(), B: new Past() };
  /** @type {News | undefined} */
  news;
  width = 0;
  seen = true; // not scrolled away
  said = 0; // when its state was last put into words
  /** @type {Record<Thread, HTMLElement | undefined>} */
  states;

  /** @param {Hello["models"][number]} model */
  constructor(model) {
    this.model = model;
    const { script } = model;
    // The one with threads for its clients shows those of A and B.
    this.own = script === "threads.ts";
    this.script = element(
      "button",
      {
        type: "button",
        class: "script",
        "aria-expanded": "false",
        "aria-controls": "code",
      },
      script,
    );
    this.script.onclick = () => toggle(script);
    this.name = element("span", { class: "name" });
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.state = element("span", { "data-state": "starting" });
    this.A = element("span", { "data-client": "A" });
    this.B = element("span", { "data-client": "B" });
    const threads = this.own
      ? [
        element("span", { class: "threads" }),
        element("span", { class: "threads" }),
      ]
      : [];
    this.states = { "": this.state, A: threads[0], B: threads[1] };
    this.crowd = element("span", { class: "crowd" });
    this.calls = element("span");
    this.cpu = element("span");
    this.bar = element("span", { class: "bar" });
    this.figures = element(
      "span",
      { class: "figures", hidden: "" },
      this.calls,
      this.cpu,
      this.bar,
    );
    this.again = element("button", {
      type: "button",
      "data-text": "restart",
      hidden: "",
    });
    this.again.onclick = () => wish({ do: "restart", script });
    this.section = element(
      "section",
      { class: "model", "aria-label": script },
      element(
        "div",
        { class: "who" },
        element("h2", {}, this.script),
        this.name,
        this.figures,
      ),
      this.canvas,
      element(
        "div",
        { class: "present" },
        this.state,
        ...threads,
        this.A,
        this.B,
        this.crowd,
        this.again,
      ),
    );
    if (script === "blocking.ts") this.section.append(this.keyboard());
    drag(this.canvas);
  }

  /** Where one can be the person at the server. */
  keyboard() {
    const { script } = this.model;
    this.field = element("input", {
      type: "text",
      maxlength: "200",
      autocomplete: "off",
      "data-name": "yourAnswer",
      disabled: "",
    });
    this.send = element("button", {
      type: "submit",
      "data-text": "send",
      disabled: "",
    });
    this.auto = element("input", { type: "checkbox", checked: "" });
    this.auto.onchange = () =>
      wish({
        do: "auto",
        on: /** @type {HTMLInputElement} */ (this.auto).checked,
      });
    const label = element(
      "label",
      {},
      this.auto,
      element("span", { "data-text": "auto" }),
    );
    this.section.firstElementChild?.append(label);
    const form = this.form = element(
      "form",
      { class: "extra", hidden: "" },
      this.field,
      this.send,
    );
    form.onsubmit = (event) => {
      event.preventDefault();
      const field = /** @type {HTMLInputElement} */ (this.field);
      wish({ do: "answer", script, text: field.value || hello.answer });
      field.value = "";
    };
    return form;
  }

  get height() {
    const lanes = LANE + (this.own ? 2 * (GAP + SMALL) : 0);
    return (lanes + GAP + 2 * ROW) * rem + 3;
  }

  /** @param {News} news */
  learn(news) {
    this.news = news;
    for (const { thread, pieces } of news.threads) {
      this.threads[thread].add(pieces);
    }
    for (const visited of news.visited) {
      this.clients[visited.who].add([visited]);
    }
  }

  clear() {
    for (const past of Object.values(this.threads)) past.clear();
    for (const past of Object.values(this.clients)) past.clear();
  }

  /** @param {import("./draw.js").View} view @param {number} told */
  draw(view, told) {
    const { width, height, news } = this;
    if (!width || !news || !this.seen) return;
    const pen = paper(this.canvas, width, height);
    grid(pen, width, height, view);
    /** @param {Thread} name @param {number} top @param {number} high */
    const lane = (name, top, high) => {
      const now = news.threads.find(({ thread }) => thread === name)?.now;
      const pieces = [...this.threads[name].between(view.from, view.to)];
      if (now && now.from !== null) {
        const to = Math.max(now.to, Math.min(view.to, told + LATE));
        if (to >= view.from && now.from <= view.to) pieces.push({ ...now, to });
      }
      drawThread(pen, pieces, top, high, width, view);
    };
    let top = 3;
    lane("", top, LANE * rem);
    top += LANE * rem;
    if (this.own) {
      for (const who of /** @type {const} */ (["A", "B"])) {
        top += GAP * rem;
        lane(who, top, SMALL * rem);
        top += SMALL * rem;
      }
    }
    top += GAP * rem;
    for (const who of /** @type {const} */ (["A", "B"])) {
      const { is, since } = news.clients[who];
      const visits = [...this.clients[who].between(view.from, view.to)];
      if (is !== "away" && is !== "ended") {
        visits.push({ who, is, from: since, to: view.to + 1000 });
      }
      drawClient(pen, visits, top + ROW * rem / 2, width, view);
      top += ROW * rem;
    }
  }

  /** Says it in words. @param {Tick} tick */
  say(tick) {
    const { news } = this;
    if (!news) return;
    const { status, why, threads, clients, asks } = news;
    const running = status === "running";
    this.section.classList.toggle("gone", !running);
    this.section.classList.toggle("asks", asks);
    this.again.hidden = status !== "ended";
    if (!running) {
      this.state.dataset.state = status;
      put(this.state, words.condition(status, why, language));
    } else this.sayState(tick);
    for (const who of /** @type {const} */ (["A", "B"])) {
      const place = this[who];
      const state = this.states[who];
      const now = threads.find(({ thread }) => thread === who)?.now;
      if (state) {
        const own = now && { ...now, whom: undefined }; // whom else
        put(state, own ? `${who}: ${words.doing(own, language)}` : "");
        state.dataset.thread = now?.state ?? "";
      }
      place.dataset.doing = clients[who].is;
      put(place, `${who} ${words.visiting(clients[who], tick.time, language)}`);
    }
    if (this.field && this.send && this.auto) {
      const mine = asks && !tick.auto;
      if (this.field.disabled && mine) {
        this.field.disabled = this.send.disabled = false;
        if (document.activeElement === document.body) this.field.focus();
      } else if (!mine) this.field.disabled = this.send.disabled = true;
      this.field.placeholder = mine ? hello.answer : "";
      this.auto.checked = tick.auto;
      if (this.form) this.form.hidden = tick.auto;
    }
    this.count(tick);
  }

  /** @param {Tick} tick */
  sayState({ time }) {
    const now = this.news?.threads.find(({ thread }) => thread === "")?.now;
    if (!now) return;
    const last = this.threads[""].last;
    const short = now.to - now.from < 100;
    let text = words.doing(now, language);
    /** @type {string} */
    let state = now.state;
    if (last?.many && time - last.to < 150 && short) {
      // What changes faster than one can read is called work.
      let calls = 0;
      for (
        const { call, many } of this.threads[""].between(time - 1000, time)
      ) {
        calls += many ? many.calls : call ? 1 : 0;
      }
      if (time - this.said < 500) return;
      text = words.busy(calls, language);
      state = "many";
    } else if (short && time - this.said < 300) return;
    this.said = time;
    this.state.dataset.state = state;
    put(this.state, text);
  }

  /** @param {Tick} tick */
  count({ idle, news }) {
    const own = this.news;
    if (!own) return;
    const { figures } = own;
    this.name.hidden = !!figures;
    this.figures.hidden = !figures;
    const crowd = words.crowded(own.idle, idle.wanted, language);
    this.crowd.hidden = !idle.wanted && !crowd;
    this.crowd.title = crowd;
    put(this.crowd, crowd);
    const said = figures && words.figured(figures, language);
    put(this.calls, said?.calls ?? "");
    put(this.cpu, said?.cpu ?? "");
    const all = Object.values(news).map(({ figures }) => figures?.cpu ?? 0);
    const share = (figures?.cpu ?? 0) / Math.max(...all, 1);
    this.bar.style.width = `${(share * 100).toFixed(1)}%`;
  }
}

/** @type {Map<string, Room>} */
const rooms = new Map();
/** @type {Hello} */
let hello = { hello: true, session: "", models: [], answer: "" };

/** @param {Hello} news */
function welcome(news) {
  const known = news.session === hello.session;
  hello = news;
  if (known) return;
  for (const { section } of rooms.values()) section.remove();
  rooms.clear();
  for (const model of news.models) {
    const room = new Room(model);
    rooms.set(model.script, room);
    $("models").append(room.section);
    sizes.observe(room.canvas);
    sights.observe(room.canvas);
  }
  lag = Infinity;
  view.live = true;
  shown.script = null;
  $("code").hidden = true;
  $("verdict").hidden = true;
  paused();
  speak();
  fit();
}

const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    if (target === scale) scaleWidth = contentRect.width;
    for (const room of rooms.values()) {
      if (room.canvas === target) room.width = contentRect.width;
    }
  }
  refresh();
});
const sights = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    for (const room of rooms.values()) {
      if (room.canvas === target) room.seen = isIntersecting;
    }
  }
  refresh();
});
const scale = /** @type {HTMLCanvasElement} */ ($("ruler"));
let scaleWidth = 0;
sizes.observe(scale);

function fit() {
  for (const room of rooms.values()) {
    room.canvas.style.height = `${room.height}px`;
  }
  refresh();
}

// ----------------------------------------------------------------------- time

const view = {
  live: true,
  to: 0,
  span: 12_000,
  slow: false,
  since: 0, // of the pause
  before: 12_000, // the span, when that began
};
let lag = Infinity; // of the server's clock behind that of the page
/** @type {Tick | undefined} */
let tick;
let stale = true; // something else than time has changed
let drawn = 0;

const present = () => performance.now() - lag - LATE;
function refresh() {
  stale = true;
}

/** @param {number} time that of the page */
function frame(time) {
  requestAnimationFrame(frame);
  if (!tick || document.hidden) return;
  if (view.live) {
    // Without motion: a new picture each second.
    if (still.matches && !stale && time - drawn < 1000) return;
    view.to = Math.max(present(), 0);
  } else if (view.slow) {
    view.to += Math.min(time - drawn, 100) / 10_000 * view.span;
    if (view.to >= present()) now();
  } else if (!stale) return;
  stale = false;
  drawn = time;
  frames++;
  const { to, span } = view;
  // Where the scale begins: now, or in the middle of what one looks at closely.
  const close = !view.live && span < 2000;
  const zero = view.live ? to : close ? to - span / 2 : view.since;
  const seen = { from: to - span, to, zero, mode, language, rem };
  for (const room of rooms.values()) room.draw(seen, tick.time);
  ruler(scale, scaleWidth, 1.4 * rem, seen, close ? ago(zero) : "");
}
requestAnimationFrame(frame);
/** How many pictures there were: for who wants to know how it keeps up. */
export let frames = 0;

function paused() {
  $("pause").setAttribute("aria-pressed", String(!view.live));
  $("past").hidden = view.live;
  $("live").hidden = !view.live;
  $("slow").setAttribute("aria-pressed", String(view.slow));
  document.body.classList.toggle("paused", !view.live);
  refresh();
}
/** How long before the pause. @param {number} time */
const ago = (time) =>
  words.ago(Math.max(0, Math.round(view.since - time)), language);
function pause() {
  if (!view.live) return;
  view.since = view.to;
  view.before = view.span;
  view.live = false;
  paused();
}
function now() {
  view.live = true;
  view.slow = false;
  view.span = view.before;
  paused();
}
/** @param {number} by of what can be seen */
function scroll(by) {
  pause();
  move(view.to + by * view.span);
}
/** @param {number} to */
function move(to) {
  view.to = Math.min(to, present() + view.span / 2);
  refresh();
}
/** @param {number} factor @param {number} [at] a time that stays where it is */
function zoom(factor, at = view.to - view.span / 2) {
  const before = view.span;
  view.span = Math.min(FARTHEST, Math.max(CLOSEST, before * factor));
  if (view.live && view.span < 1000) {
    pause();
    view.before = before;
  }
  if (!view.live) view.to = at + (view.to - at) * view.span / before;
  refresh();
}

/** Where a thread did something, before or after the middle.
 * @param {-1 | 1} way */
function work(way) {
  const middle = view.live ? view.to : view.to - view.span / 2;
  const close = view.span / 1000;
  /** @type {number | undefined} */
  let best;
  for (const { threads } of rooms.values()) {
    for (const past of Object.values(threads)) {
      for (const piece of past.between(-Infinity, Infinity)) {
        if (STATES[piece.state].kind !== "mark" || piece.many) continue;
        const at = (piece.from + piece.to) / 2;
        if (way < 0 ? at < middle - close : at > middle + close) {
          best = best === undefined
            ? at
            : way < 0
            ? Math.max(best, at)
            : Math.min(best, at);
        }
      }
    }
  }
  if (best === undefined) return;
  pause();
  view.to = best + view.span / 2;
  refresh();
}

/** Scrolls with the pointer, zooms with the wheel.
 * @param {HTMLCanvasElement} canvas */
function drag(canvas) {
  let from = 0;
  let to = 0;
  let moving = false;
  canvas.onpointerdown = (event) => {
    from = event.clientX;
    to = view.to;
    moving = false;
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    const by = event.clientX - from;
    if (!moving && Math.abs(by) < 4) return;
    moving = true;
    pause();
    move(to - by / canvas.clientWidth * view.span);
  };
  canvas.addEventListener("wheel", (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (sideways) {
      event.preventDefault();
      scroll(event.deltaX / canvas.clientWidth);
    } else if (event.ctrlKey || event.shiftKey) {
      event.preventDefault();
      const at = view.to - view.span * (1 - event.offsetX / canvas.clientWidth);
      zoom(event.deltaY > 0 ? 1.25 : 0.8, at);
    }
  }, { passive: false });
}

// ----------------------------------------------------------------------- code

/** @type {{ script: string | null, rows: HTMLElement[] }} */
const shown = { script: null, rows: [] };

/** @param {string} script */
async function toggle(script) {
  const other = shown.script === script ? null : script;
  shown.script = other;
  shown.rows = [];
  for (const room of rooms.values()) {
    const open = room.model.script === other;
    room.script.setAttribute("aria-expanded", String(open));
  }
  $("code").hidden = !other;
  wish({ do: "open", script: other });
  if (!other) {
    rooms.get(script)?.script.focus();
    return;
  }
  caption();
  put($("calls"), "");
  const list = $("lines");
  list.replaceChildren();
  const response = await fetch(`/source/${other}`);
  if (!response.ok || shown.script !== other) return;
  let prose = false;
  const text = await response.text();
  shown.rows = text.trimEnd().split("\n").map((line) => {
    prose ||= line.startsWith("/**");
    const [, code, note] = /^(.*?)(\/\/ .*)?$/.exec(line) ?? ["", line, ""];
    const row = prose
      ? element("li", { class: "comment" }, line || " ")
      : element("li", {}, code || (note ? "" : " "));
    if (!prose && note) row.append(element("span", { class: "comment" }, note));
    if (line.includes("*/")) prose = false;
    return row;
  });
  list.replaceChildren(...shown.rows);
  list.scrollTop = 0;
  if (tick) mark(tick);
}

function caption() {
  const model = rooms.get(shown.script ?? "")?.model;
  put($("code-name"), model?.script ?? "");
  put($("code-canteen"), model?.canteen[language] ?? "");
  const port = tick?.news[shown.script ?? ""]?.port;
  put($("code-join"), port ? words.join(port, language) : "");
}

let followed = -1; // the line that was last in sight

/** Marks where its threads stand. @param {Tick} tick */
function mark({ news }) {
  const { stands = [], calls } = news[shown.script ?? ""] ?? {};
  if (!shown.script || !shown.rows.length) return;
  /** @type {Map<number, { kind: string, who: Set<string>, idle: number }>} */
  const at = new Map();
  const order = ["last", "promised", "in"];
  for (const { line, thread, kind } of stands) {
    const here = at.get(line) ?? { kind, who: new Set(), idle: 0 };
    at.set(line, here);
    if (order.indexOf(kind) > order.indexOf(here.kind)) here.kind = kind;
    if (thread === "idle") here.idle++;
    else if (thread) here.who.add(thread);
  }
  for (const [i, row] of shown.rows.entries()) {
    const here = at.get(i + 1);
    if (!here) {
      if (row.dataset.stand) {
        delete row.dataset.stand;
        delete row.dataset.who;
        row.removeAttribute("aria-current");
      }
      continue;
    }
    const who = [...here.who].sort();
    if (here.idle) who.push(`${here.idle} …`);
    if (row.dataset.stand !== here.kind) row.dataset.stand = here.kind;
    if (here.kind === "in") row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
    if (!who.length) delete row.dataset.who;
    else row.dataset.who = who.join(" ");
  }
  const line = stands.find(({ kind }) => kind === "in")?.line ??
    stands[0]?.line ?? -1;
  if (line !== followed && line > 0) {
    followed = line;
    const row = shown.rows[line - 1];
    const list = $("lines");
    const top = row.offsetTop - list.offsetTop;
    const seen = top > list.scrollTop &&
      top < list.scrollTop + list.clientHeight - 40;
    if (!seen) list.scrollTop = top - list.clientHeight / 2;
  }
  if (!view.live) return; // it can be read in peace
  const list = $("calls");
  const text = (calls ?? []).join("\n");
  if (list.textContent !== text) {
    list.textContent = text;
    list.scrollTop = list.scrollHeight;
  }
}

// -------------------------------------------------------------------- predict

/** @type {{ curtain: import("../messages.ts").Curtain,
 *   guesses: Record<string, Who> } | undefined} */
let outcome;
/** @type {Record<string, Who>} */
const guesses = {};
let predicting = kept("predicted") !== "yes";
keep("predicted", "yes"); // who comes back is not asked again

/** Asks who will be answered first. */
function ask() {
  const scripts = ["blocking.ts", "select.ts"].filter((script) =>
    rooms.has(script)
  );
  $("predict").hidden = !predicting || !scripts.length;
  if ($("predict").hidden) return;
  $("guesses").replaceChildren(...scripts.map((script) => {
    const choices = /** @type {Who[]} */ (["A", "B"]).map((who) => {
      const radio = element("input", {
        type: "radio",
        name: script,
        value: who,
      });
      radio.checked = guesses[script] === who;
      radio.onchange = () => guesses[script] = who;
      return element("label", {}, radio, ` ${who}`);
    });
    return element("fieldset", {}, element("legend", {}, script), ...choices);
  }));
}
/** @param {boolean} whether */
function predict(whether) {
  predicting = whether;
  for (const script of Object.keys(guesses)) delete guesses[script];
  ask();
}
/** Says what had been predicted, and what has happened. */
function judge() {
  if (!outcome) return;
  const { curtain: { curtain, asked }, guesses } = outcome;
  $("verdict").replaceChildren(
    ...Object.entries(guesses).map(([script, guess]) =>
      element(
        "p",
        {},
        words.verdict(script, guess, curtain[script] ?? {}, asked, language),
      )
    ),
  );
  $("verdict").hidden = false;
}

// --------------------------------------------------------------------- socket

/** @type {WebSocket | undefined} */
let socket;
let patience = 250; // ms until it is tried again

function connect() {
  socket = new WebSocket(`ws://${location.host}/live`);
  socket.addEventListener("open", () => {
    patience = 250;
    notice("");
  });
  socket.addEventListener("message", ({ data }) => hear(JSON.parse(data)));
  socket.addEventListener("close", () => {
    notice(words.LOST[language], true);
    document.body.classList.add("lost");
    setTimeout(connect, patience);
    patience = Math.min(patience * 1.5, 2000);
  });
}

/** @param {Message} message */
function hear(message) {
  if ("hello" in message) {
    document.body.classList.remove("lost");
    welcome(message);
    if (shown.script) wish({ do: "open", script: shown.script });
  } else if ("tick" in message) {
    // The least that a message has needed so far, but clocks drift.
    lag = Math.min(lag + 0.02, performance.now() - message.time);
    tick = message;
    for (const [script, news] of Object.entries(message.news)) {
      rooms.get(script)?.learn(news);
    }
    if (++ticks % 2) return; // nobody reads faster
    for (const room of rooms.values()) room.say(message);
    $("load").setAttribute("aria-pressed", String(message.load));
    $("scene").classList.toggle("playing", message.scene);
    put($("idle"), message.idle.wanted.toLocaleString(language));
    mark(message);
  } else if ("curtain" in message) {
    if (!Object.keys(guesses).length) return;
    outcome = { curtain: message, guesses: { ...guesses } };
    judge();
    predict(false);
  } else notice(words.told(message.error, language));
}
let ticks = 0;

/** @param {Wish} wish */
function wish(wish) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(wish));
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let silence;
/** @param {string} text @param {boolean} [stays] */
function notice(text, stays = false) {
  put($("notice"), text);
  $("notice").classList.remove("news"); // but an error, as a rule
  clearTimeout(silence);
  if (text && !stays) silence = setTimeout(() => put($("notice"), ""), 6000);
}

// ------------------------------------------------------------------- controls

for (const found of document.querySelectorAll("[data-wish]")) {
  const button = /** @type {HTMLElement} */ (found);
  button.onclick = () => {
    outcome = undefined;
    $("verdict").hidden = true;
    if (!view.live) now(); // who acts wants to see what comes of it
    notice("");
    /** @type {Wish} */
    const wanted = JSON.parse(button.dataset.wish ?? "");
    wish(wanted);
    clearTimeout(summing);
    if (wanted.do === "ask") {
      summing = setTimeout(() => sum(wanted.who), 1000);
    }
  };
}
/** @type {ReturnType<typeof setTimeout> | undefined} */
let summing;
/** Says what has come of a question, a second after it was asked, and again as
 * the rest is answered, for a while.
 * @param {Who} who */
function sum(who, end = Date.now() + 6000) {
  let answered = 0;
  /** @type {string[]} */
  const waits = [];
  for (const { news, model } of rooms.values()) {
    const is = news?.clients[who].is;
    if (is === "answered") answered++;
    if (is === "waiting") waits.push(model.script);
  }
  if (!answered && !waits.length) return;
  notice(words.sum(who, answered, waits, language));
  $("notice").classList.add("news");
  if (waits.length && Date.now() < end) {
    summing = setTimeout(() => sum(who, end), 250);
  }
}

/** @type {Record<string, () => void>} */
const presses = {
  load: () => {
    if (!view.live) now();
    wish({ do: "load", on: !tick?.load });
  },
  pause: () => view.live ? pause() : now(),
  tonow: now,
  slow: () => {
    pause();
    view.slow = !view.slow;
    paused();
  },
  earlier: () => scroll(-0.25),
  later: () => scroll(0.25),
  previous: () => work(-1),
  next: () => work(1),
  closer: () => zoom(0.5),
  farther: () => zoom(2),
  dismiss: () => predict(false),
  repredict: () => {
    predict(true);
    $("predict").scrollIntoView({ block: "nearest" });
  },
  language: () => {
    language = language === "en" ? "zh" : "en";
    keep("language", language);
    dress();
  },
  theme: () => {
    keep("mode", mode === "dark" ? "light" : "dark");
    dress();
  },
  large: () => {
    large = !large;
    keep("large", large ? "yes" : "no");
    dress();
  },
  "code-close": () => {
    if (shown.script) toggle(shown.script);
  },
};
for (const [id, press] of Object.entries(presses)) $(id).onclick = press;

/** What a key presses: the wishes by their place, others by their name. */
const byPlace = document.querySelectorAll("[data-wish]");
/** @type {Record<string, string>} */
const KEYS = {
  "0": "load",
  p: "pause",
  n: "tonow",
  s: "slow",
  ArrowLeft: "earlier",
  ArrowRight: "later",
  ",": "previous",
  ".": "next",
  "+": "closer",
  "=": "closer",
  "-": "farther",
  Escape: "code-close",
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const target = /** @type {Element} */ (event.target);
  if (
    target.matches('input[type="text"], input[type="radio"], #lines, #calls')
  ) {
    if (event.key !== "Escape") return;
  }
  const place = ["1", "2", "3", "4", "5", "6", "7", "9", "8"]
    .indexOf(event.key);
  if (place !== -1) {
    /** @type {HTMLElement} */ (byPlace[place]).click();
    event.preventDefault();
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const id = KEYS[key];
  if (!id) return;
  presses[id]();
  event.preventDefault();
});

dark.addEventListener("change", dress);
dress();
connect();
