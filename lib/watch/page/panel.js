/** A model's place on the page: its name, its picture, and what it does now. */
// @ts-check
/// <reference lib="dom" />
import { AnswerForm } from "./answer_form.js";
import { CLIENT_IDS } from "./client_ids.js";
import { toggleCode } from "./code.js";
import { sendCommand } from "./connection.js";
import { element, setText } from "./dom.js";
import { Elsewhere } from "./elsewhere.js";
import { drawClient, drawGuides, drawThread, prepareCanvas } from "./draw.js";
import { listenToGestures } from "./gestures.js";
import { History } from "./history.js";
import { JoinButton } from "./join.js";
import { latest } from "./latest.js";
import { settings } from "./settings.js";
import {
  describeClient,
  describeIdle,
  describeMetrics,
  describeStatus,
  describeThread,
  describeWork,
} from "./text.js";
import { DELAY, redraw } from "./time.js";

/**
 * @import { ClientId, ClientSpan, ModelUpdate } from "../messages.ts"
 * @import { Span, ThreadId, Update } from "../messages.ts"
 * @import { HelloModel } from "./code.js"
 * @import { Viewport } from "./draw.js"
 */

// Heights in rem; the texts beside a picture have them in style.css.
const THREAD_HEIGHT = 1.55;
const CLIENT_THREAD_HEIGHT = 1.1;
const CLIENT_HEIGHT = 1;
const GAP = 0.2;
/** Above the first thread, in CSS pixels: marks are higher than spans. */
const TOP = 3;

// In ms.
/** A state that lasts longer can be read: it is shown at once. */
const READABLE = 100;
/** A shorter state is shown at least so long, and work even longer. */
const SHOWN = 300;
const WORK_SHOWN = 500;
/** A thread is at work if one span stood for many so recently. */
const RECENT = 150;

export class Panel {
  /** @type {Record<ThreadId, History<Span>>} */
  #threads = { "": new History(), A: new History(), B: new History() };
  /** @type {Record<ClientId, History<ClientSpan>>} */
  #clients = { A: new History(), B: new History() };
  /** @type {ModelUpdate | undefined} */
  #update;
  #width = 0; // of the picture, in CSS pixels
  #isInSight = true; // and not scrolled away
  #stateTime = 0; // a time on the server's clock, in ms

  /** @param {HelloModel} model
   * @param {string} defaultAnswer */
  constructor(model, defaultAnswer) {
    this.model = model;
    const { script } = model;

    this.scriptButton = element("button", {
      type: "button",
      class: "script",
      "aria-expanded": "false",
      "aria-controls": "code",
    }, script);
    this.scriptButton.addEventListener("click", () => {
      toggleCode(model, this.scriptButton);
    });
    this.name = element("span", { class: "name" });
    this.join = new JoinButton(model.joinCommand);
    this.calls = element("span");
    this.cpu = element("span");
    this.bar = element("span", { class: "bar" });
    this.metrics = element(
      "span",
      { class: "metrics", hidden: "" },
      this.calls,
      this.cpu,
      this.bar,
    );
    const title = element(
      "div",
      { class: "title" },
      element("h2", {}, this.scriptButton, this.join.button),
      this.name,
      this.metrics,
    );

    this.canvas = element("canvas", { "aria-hidden": "true" });
    listenToGestures(this.canvas);
    new ResizeObserver(([{ contentRect }]) => {
      this.#width = contentRect.width;
      redraw();
    }).observe(this.canvas);
    new IntersectionObserver((entries) => {
      this.#isInSight = entries[entries.length - 1].isIntersecting;
      redraw();
    }).observe(this.canvas);

    this.state = element("span", { "data-state": "starting" });
    // A and B have a thread each where every client has one.
    this.clientThreads = model.threadPerClient
      ? {
        A: element("span", { class: "threads" }),
        B: element("span", { class: "threads" }),
      }
      : undefined;
    this.clients = {
      A: element("span", { "data-client": "A" }),
      B: element("span", { "data-client": "B" }),
    };
    this.idle = element("span", { class: "idle" });
    this.elsewhere = new Elsewhere();
    this.restart = element("button", {
      type: "button",
      "data-text": "restart",
      hidden: "",
    });
    this.restart.addEventListener("click", () => {
      sendCommand({ type: "restart", script });
    });
    const present = element(
      "div",
      { class: "present" },
      this.state,
      ...Object.values(this.clientThreads ?? {}),
      this.clients.A,
      this.clients.B,
      this.idle,
      this.restart,
    );

    this.section = element(
      "section",
      { class: "model", "aria-label": script },
      title,
      this.canvas,
      present,
      this.elsewhere.canvas,
      this.elsewhere.texts,
    );
    if (model.typesAnswers) {
      this.answerForm = new AnswerForm(script, defaultAnswer);
      title.append(this.answerForm.label);
      this.section.append(this.answerForm.form);
    }
  }

  /** The height of the picture, in CSS pixels. */
  get #height() {
    const threads = THREAD_HEIGHT +
      (this.clientThreads ? 2 * (GAP + CLIENT_THREAD_HEIGHT) : 0);
    const height = threads + GAP + 2 * CLIENT_HEIGHT;
    return TOP + height * settings.rem;
  }

  /** Fits the picture to the size of the page's type. */
  fit() {
    this.canvas.style.height = `${this.#height}px`;
  }

  /** Shows the model's name in the chosen language. */
  translate() {
    setText(this.name, this.model.name[settings.language]);
    this.name.title = this.model.canteen[settings.language];
  }

  /** Takes what is new of the model.
   * @param {ModelUpdate} update */
  add(update) {
    this.#update = update;
    for (const { thread, spans } of update.threads) {
      this.#threads[thread].add(spans);
    }
    for (const span of update.clientSpans) {
      this.#clients[span.client].add([span]);
    }
  }

  /** The spans of all its threads, for as long as they are kept. */
  *allSpans() {
    for (const history of Object.values(this.#threads)) {
      yield* history.between(-Infinity, Infinity);
    }
  }

  // --------------------------------------------------------------- the picture

  /** Draws what its threads and clients did.
   * @param {Viewport} viewport */
  draw(viewport) {
    const size = { width: this.#width, height: this.#height };
    if (!size.width || !this.#update || !this.#isInSight) return;
    const surface = prepareCanvas(this.canvas, size);
    this.elsewhere.draw(viewport);
    drawGuides(surface, viewport);
    const { rem } = viewport;
    /** @type {{ thread: ThreadId, height: number }[]} */
    const lanes = [{ thread: "", height: THREAD_HEIGHT * rem }];
    if (this.clientThreads) {
      for (const thread of CLIENT_IDS) {
        lanes.push({ thread, height: CLIENT_THREAD_HEIGHT * rem });
      }
    }
    let top = TOP;
    for (const { thread, height } of lanes) {
      const spans = this.#threadSpans(thread, viewport);
      drawThread(surface, spans, { top, height }, viewport);
      top += height + GAP * rem;
    }
    for (const client of CLIENT_IDS) {
      const spans = this.#clientSpans(client, viewport);
      drawClient(surface, spans, top + CLIENT_HEIGHT * rem / 2, viewport);
      top += CLIENT_HEIGHT * rem;
    }
  }

  /** What a thread did in the time of a picture, up to now.
   * @param {ThreadId} thread
   * @param {Viewport} viewport */
  #threadSpans(thread, { from, to }) {
    const spans = [...this.#threads[thread].between(from, to)];
    const current = this.#currentSpan(thread);
    if (!current) return spans;
    // The thread is still at it: nothing else has come from the server.
    const latestTime = (latest.update?.time ?? 0) + DELAY;
    const end = Math.max(current.to, Math.min(to, latestTime));
    if (end >= from && current.from <= to) spans.push({ ...current, to: end });
    return spans;
  }

  /** What a client did in the time of a picture, up to now.
   * @param {ClientId} client
   * @param {Viewport} viewport */
  #clientSpans(client, { from, to }) {
    const spans = [...this.#clients[client].between(from, to)];
    const state = this.#update?.clients[client];
    if (!state || state.status === "away" || state.status === "ended") {
      return spans;
    }
    const { status, since } = state;
    spans.push({ client, status, from: since, to: to + 1000 }); // over the edge
    return spans;
  }

  /** @param {ThreadId} wanted */
  #currentSpan(wanted) {
    return this.#update?.threads.find(({ thread }) => thread === wanted)
      ?.current;
  }

  // ----------------------------------------------------------------- the words

  /** Says in words what the model does now.
   * @param {Update} update */
  show(update) {
    const model = this.#update;
    if (!model) return;
    const { language } = settings;
    const { status, reason } = model;
    this.section.classList.toggle("stopped", status !== "running");
    this.section.classList.toggle("awaits-answer", model.awaitsAnswer);
    this.restart.hidden = status !== "ended";
    if (status === "running") {
      this.#showState(update.time);
    } else {
      this.state.dataset.state = status;
      setText(this.state, describeStatus(status, reason, language));
    }
    for (const client of CLIENT_IDS) {
      const state = model.clients[client];
      const text = describeClient(state, update.time, language);
      this.clients[client].dataset.status = state.status;
      setText(this.clients[client], `${client} ${text}`);
      this.#showClientThread(client);
    }
    this.answerForm?.show(model, update);
    this.join.show(status === "running" ? model.port : 0);
    this.#showIdle(model, update);
    this.#showMetrics(model, update);
  }

  /** Shows what the main thread does. What changes faster than anybody can read
   * is called work.
   * @param {number} time of the update */
  #showState(time) {
    const { language } = settings;
    const current = this.#currentSpan("");
    if (!current) return;
    const { last } = this.#threads[""];
    const isShort = current.to - current.from < READABLE;
    const isWork = isShort && last?.many !== undefined &&
      time - last.to < RECENT;
    const shown = isWork ? WORK_SHOWN : SHOWN;
    if (isShort && time - this.#stateTime < shown) return;
    this.#stateTime = time;
    this.state.dataset.state = isWork ? "many" : current.state;
    const text = isWork
      ? describeWork(this.#callsOfLastSecond(time), language)
      : describeThread(current, language);
    setText(this.state, text);
  }

  /** @param {number} time */
  #callsOfLastSecond(time) {
    let calls = 0;
    for (const { call, many } of this.#threads[""].between(time - 1000, time)) {
      if (many) calls += many.calls;
      else if (call) calls++;
    }
    return calls;
  }

  /** Shows what the thread of A or B does, if the client has one.
   * @param {ClientId} client */
  #showClientThread(client) {
    const place = this.clientThreads?.[client];
    if (!place) return;
    const current = this.#currentSpan(client);
    place.dataset.thread = current?.state ?? "";
    if (!current) {
      setText(place, "");
      return;
    }
    // The thread serves no other client: the name need not be said twice.
    const unnamed = { ...current, role: undefined };
    const text = describeThread(unnamed, settings.language);
    setText(place, `${client}: ${text}`);
  }

  /** @param {ModelUpdate} model
   * @param {Update} update */
  #showIdle(model, update) {
    const { wanted } = update.idle;
    const text = describeIdle(model.idle, wanted, settings.language);
    this.idle.hidden = !wanted && !text;
    this.idle.title = text;
    setText(this.idle, text);
  }

  /** Shows what an answer costs, in place of the model's name. The bar compares
   * the CPU time with that of the most expensive model.
   * @param {ModelUpdate} model
   * @param {Update} update */
  #showMetrics({ metrics }, update) {
    this.name.hidden = metrics !== undefined;
    this.metrics.hidden = metrics === undefined;
    if (!metrics) return;
    const { calls, cpu } = describeMetrics(metrics, settings.language);
    setText(this.calls, calls);
    setText(this.cpu, cpu);
    const all = Object.values(update.models).map(({ metrics }) =>
      metrics?.cpu ?? 0
    );
    const share = (metrics.cpu ?? 0) / Math.max(...all, 1);
    this.bar.style.width = `${(share * 100).toFixed(1)}%`;
  }
}
