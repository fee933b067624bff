/** The clients of a model that come from elsewhere: a lane for each of some. */
// @ts-check
/// <reference lib="dom" />
import { element, setText } from "./dom.js";
import { drawClient, drawCursor, drawGuides, prepareCanvas } from "./draw.js";
import { History, Values } from "./history.js";
import { settings } from "./settings.js";
import { describeElsewhere, describeMore } from "./text.js";
import { redraw } from "./time.js";

/**
 * @import { ClientSpan, ElsewhereUpdate } from "../messages.ts"
 * @import { Viewport } from "./draw.js"
 * @typedef {Omit<ClientSpan, "client">} LaneSpan
 */

const LANE_HEIGHT = 1; // rem
const TOP = 2; // CSS pixels

export class Elsewhere {
  /** By name; a lane stays where its client has left, and is free from then on.
   * @type {Map<string, { spans: History<LaneSpan>, last?: LaneSpan,
   *   free: number, text: HTMLElement }>} */
  #lanes = new Map();
  /** How many have no lane.
   * @type {Values<number>} */
  #more = new Values();
  #width = 0;

  constructor() {
    this.canvas = element("canvas", {
      class: "lanes",
      "aria-hidden": "true",
      hidden: "",
    });
    this.texts = element("div", { class: "elsewhere", hidden: "" });
    this.more = element("span");
    this.texts.append(this.more);
    new ResizeObserver(([{ contentRect }]) => {
      this.#width = contentRect.width;
      redraw();
    }).observe(this.canvas);
  }

  /** @param {ElsewhereUpdate | undefined} update
   * @param {number} time of the update */
  add({ clients, more } = { clients: [], more: 0 }, time) {
    for (const { name, since, answers } of clients) {
      const lane = this.#laneOf(name);
      if (lane.last?.from === undefined || lane.last.to < since) {
        const from = Math.max(since, lane.free);
        lane.last = { status: "connected", from, to: time };
      }
      for (const answer of answers) {
        if (answer < lane.last.from) continue;
        lane.spans.add([{ ...lane.last, to: answer }]);
        lane.last = { status: "answered", from: answer, to: answer };
      }
      lane.last.to = time;
    }
    for (const [name, lane] of this.#lanes) {
      if (clients.some((client) => client.name === name)) continue;
      if (!lane.last) continue;
      lane.spans.add([lane.last]);
      lane.free = lane.last.to;
      lane.last = undefined;
    }
    this.#more.add(time, more);
    this.texts.hidden = !this.#lanes.size;
  }

  /** Says in words what they did at that time.
   * @param {number} time */
  show(time) {
    const { language } = settings;
    for (const [name, { spans, last, text }] of this.#lanes) {
      const [latest] = last && last.from <= time ? [last] : spans.before(time);
      const isThere = latest && (latest === last || time < latest.to);
      const status = isThere ? latest.status : "away";
      text.hidden = latest === undefined; // it was still to come
      setText(text, describeElsewhere(name, status, language));
    }
    const more = this.#more.at(time) ?? 0;
    setText(this.more, more ? describeMore(more, language) : "");
  }

  /** @param {Viewport} viewport */
  draw(viewport) {
    const { rem, from, to } = viewport;
    const height = TOP + this.#lanes.size * LANE_HEIGHT * rem;
    this.canvas.hidden = !this.#lanes.size;
    if (this.canvas.hidden || !this.#width) return;
    this.canvas.style.height = `${height}px`;
    const surface = prepareCanvas(this.canvas, { width: this.#width, height });
    drawGuides(surface, viewport);
    let middle = TOP + LANE_HEIGHT * rem / 2;
    for (const { spans, last } of this.#lanes.values()) {
      const shown = [...spans.between(from, to)];
      if (last && last.from <= to) shown.push(last);
      drawClient(surface, shown, middle, viewport);
      middle += LANE_HEIGHT * rem;
    }
    drawCursor(surface, viewport);
  }

  /** @param {string} name */
  #laneOf(name) {
    const found = this.#lanes.get(name);
    if (found) return found;
    const text = element("span", { "data-elsewhere": name });
    this.more.before(text);
    /** @type {History<LaneSpan>} */
    const spans = new History();
    const lane = { spans, last: undefined, free: 0, text };
    this.#lanes.set(name, lane);
    return lane;
  }
}
