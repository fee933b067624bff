/** A model's place on the page: its name, its picture, and what it does now. */
// @ts-check
/// <reference lib="dom" />
import { STATES } from "../../models/states.js";
import { AnswerForm } from "./answer_form.js";
import { CLIENT_IDS } from "./client_ids.js";
import { toggleCode } from "./code.js";
import { sendCommand } from "./connection.js";
import { CostCurve } from "./cost_curve.js";
import { element, setText } from "./dom.js";
import {
  drawClient,
  drawCursor,
  drawGuides,
  drawThread,
  prepareCanvas,
} from "./draw.js";
import { Elsewhere } from "./elsewhere.js";
import { listenToGestures } from "./gestures.js";
import { JoinButton } from "./join.js";
import { ModelHistory } from "./model_history.js";
import { settings } from "./settings.js";
import {
  describeClient,
  describeIdle,
  describeMetrics,
  describeStatus,
  describeThread,
  describeWork,
  threadName,
} from "./text.js";
import { redraw, view } from "./time.js";

/**
 * @import { ClientId, ModelUpdate, ThreadId, Update } from "../messages.ts"
 * @import { HelloModel } from "./code.js"
 * @import { Viewport } from "./draw.js"
 * @import { Cost } from "./model_history.js"
 */

// Heights in rem; the texts beside a picture have them in style.css.
const THREAD_HEIGHT = 1.35;
const CLIENT_THREAD_HEIGHT = 1;
/** Of A and B, whose texts stand side by side. */
const CLIENT_HEIGHT = 0.55;
const GAP = 0.2;
/** Above the first thread, in CSS pixels: marks are higher than spans. */
const TOP = 3;

// In ms.
/** Live, a state that lasts longer can be read: it is shown at once. */
const READABLE = 100;
/** Live, a shorter state is shown at least so long. */
const SHOWN = 300;
/** With so many calls a second, none can be read live. */
const MANY_CALLS = 20;

export class Panel {
  history = new ModelHistory();
  #width = 0; // of the picture, in CSS pixels
  #isInSight = true; // and not scrolled away
  #stateTime = 0; // of the state that is shown, on the server's clock, in ms

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
    this.curve = new CostCurve();
    this.metrics = element(
      "span",
      { class: "metrics", hidden: "" },
      this.calls,
      this.cpu,
      this.curve.svg,
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
    // A and B have a thread each where every client has one; or all clients share
    // two, which are shown there.
    this.clientThreads = model.threadPerClient || model.workers
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

  // --------------------------------------------------------------- the picture

  /** Draws what its threads and clients did.
   * @param {Viewport} viewport */
  draw(viewport) {
    const size = { width: this.#width, height: this.#height };
    if (!size.width || !this.history.latest || !this.#isInSight) return;
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
      const spans = this.history.threadSpans(thread, viewport);
      drawThread(surface, spans, { top, height }, viewport);
      top += height + GAP * rem;
    }
    for (const client of CLIENT_IDS) {
      const spans = this.history.clientSpans(client, viewport);
      drawClient(surface, spans, top + CLIENT_HEIGHT * rem / 2, viewport);
      top += CLIENT_HEIGHT * rem;
    }
    drawCursor(surface, viewport);
  }

  // ----------------------------------------------------------------- the words

  /** Shows what can be done now.
   * @param {Update} update */
  showControls(update) {
    const model = this.history.latest;
    if (!model) return;
    this.section.classList.toggle("awaits-answer", model.awaitsAnswer);
    this.restart.hidden = model.status !== "ended";
    this.answerForm?.show(model, update);
    this.join.show(model.status === "running" ? model.port : 0);
  }

  /** Says in words what the model did at that time.
   * @param {number} time
   * @param {number} wantedIdle how many idle clients were wanted */
  showMoment(time, wantedIdle) {
    const facts = this.history.facts.at(time) ?? this.history.facts.last;
    if (!facts) return;
    const { language } = settings;
    const { status, reason, idle, metrics } = facts;
    this.section.classList.toggle("stopped", status !== "running");
    if (status === "running") {
      this.#showState(time);
    } else {
      this.state.dataset.state = status;
      setText(this.state, describeStatus(status, reason, language));
    }
    for (const client of CLIENT_IDS) {
      this.#showClient(client, time);
      this.#showClientThread(client, time);
    }
    this.elsewhere.show(time);
    this.#showIdle(idle, wantedIdle);
    this.#showMetrics(metrics);
  }

  /** Shows what the main thread does. Live, what changes faster than anybody can
   * read is counted.
   * @param {number} time */
  #showState(time) {
    const { language } = settings;
    const span = this.history.spanAt("", time);
    if (!span) return;
    const work = this.history.workBefore(time);
    const rate = work.calls + work.promises;
    if (view.isLive ? rate >= MANY_CALLS : span.many) {
      const { kind } = STATES[work.most];
      const sleeps = kind === "held" || kind === "away";
      this.state.dataset.state = sleeps ? work.most : "many";
      setText(this.state, describeWork(work.most, work, language));
      return;
    }
    const isShort = span.to - span.from < READABLE;
    const passed = Math.abs(time - this.#stateTime);
    if (view.isLive && isShort && passed < SHOWN) return;
    this.#stateTime = time;
    this.state.dataset.state = span.state;
    setText(this.state, describeThread(span, language));
  }

  /** @param {ClientId} client
   * @param {number} time */
  #showClient(client, time) {
    const state = this.history.clientAt(client, time) ??
      { status: /** @type {const} */ ("away"), since: 0 };
    const text = describeClient(state, time, settings.language);
    this.clients[client].dataset.status = state.status;
    setText(this.clients[client], `${client} ${text}`);
    this.clients[client].title = state.reason ?? "";
  }

  /** Shows what the thread of A or B does, if the client has one.
   * @param {ClientId} client
   * @param {number} time */
  #showClientThread(client, time) {
    const place = this.clientThreads?.[client];
    if (!place) return;
    const span = this.history.spanAt(client, time);
    place.dataset.thread = span?.state ?? "";
    if (!span) {
      setText(place, "");
      return;
    }
    const { language } = settings;
    const { workers } = this.model;
    // A client's thread serves no other: the client need not be named twice.
    const shown = workers ? span : { ...span, role: undefined };
    const name = threadName(client, workers, language);
    setText(place, `${name}: ${describeThread(shown, language)}`);
  }

  /** @param {ModelUpdate["idle"]} idle
   * @param {number} wanted */
  #showIdle(idle, wanted) {
    const threadPerClient = this.model.threadPerClient ?? false;
    const text = describeIdle(
      idle,
      { wanted, threadPerClient },
      settings.language,
    );
    this.idle.hidden = !wanted && !text;
    this.idle.classList.toggle("limited", idle.reason !== undefined);
    setText(this.idle, text);
  }

  /** Shows what an answer costs, in place of the model's name.
   * @param {ModelUpdate["metrics"]} metrics */
  #showMetrics(metrics) {
    this.name.hidden = metrics !== undefined;
    this.metrics.hidden = metrics === undefined;
    if (!metrics) return;
    const { calls, cpu } = describeMetrics(metrics, settings.language);
    setText(this.calls, calls);
    setText(this.cpu, cpu);
  }

  /** Shows how the CPU time of an answer grows with the number of idle clients.
   * @param {Cost[]} costs
   * @param {Cost} scale the most of both that the curve has room for */
  showCurve(costs, scale) {
    if (!this.metrics.hidden) this.curve.show(costs, scale);
  }
}
