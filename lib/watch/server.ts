/** The server of the page: its WebSocket, and what the commands of pages do. */
import { type Model, models as knownModels } from "../models/models.ts";
import { descriptorLimit } from "../proc.ts";
import { now, pause } from "../time.ts";
import { parseCommand } from "./parse_command.ts";
import {
  isFromOwnPage,
  isWebSocket,
  readPart,
  respond,
  serveFile,
} from "./files.ts";
import type { ClientId, Command, Hello, Message, Update } from "./messages.ts";
import { recordedPage } from "./recorded_page.ts";
import { Recorder } from "./recorder.ts";
import { RunningModel, type WatchSettings } from "./running_model.ts";
import { playScene } from "./play_scene.ts";

/** ms from one update to the next. */
const UPDATE_INTERVAL = 50;
/** ms for which one untraced server is asked without pause. */
const MEASURE = 40;
/** ms until the next one is asked. */
const REST = 80;
/** For so many ms, A tries to come back where some have left. */
const COME_AGAIN = 6000;
/** So many idle clients come or go at a time. */
const IDLE_STEP = 100;
/** Descriptors for all else than idle clients. */
const RESERVED_DESCRIPTORS = 200;
/** A page that has not read so many bytes gets no more for now. */
const MOST_BUFFERED = 1 << 20;

/** How one is a client of most models. */
const JOIN_COMMAND = "deno run -A client.ts --port $PORT";

/** What a recording calls its parts. */
const CHAPTERS = {
  scene: { en: "the scene", zh: "一幕" },
  slowScene: { en: "the scene, slowly", zh: "慢速演示一遍" },
  load: { en: "as fast as they can", zh: "全速请求" },
};

/** A page that is open. */
interface Page {
  socket: WebSocket;
  /** The script whose code it shows. */
  script: string | null;
}

/** All models, and the pages that show them. */
export class WatchServer {
  readonly models: RunningModel[];
  #settings: WatchSettings;
  #pages = new Set<Page>();
  #recorder = new Recorder();
  #session = crypto.randomUUID();
  #updating: ReturnType<typeof setInterval> | undefined;
  #descriptors = descriptorLimit();
  #idle = 0; // how many idle clients each model is to have
  // What is going on, for as long as it is not aborted. Each has a controller of
  // its own: what was aborted does not go on when the next one begins.
  #resizing = new AbortController();
  #load: AbortController | null = null;
  #scene: AbortController | null = null;

  /** Starts all models. `beat`: seconds from one event of the scene to the next. */
  constructor(models: Model[], readonly beat: number) {
    this.#settings = { epoch: now(), beat, autoAnswer: true };
    this.models = models.map((model) =>
      new RunningModel(model, this.#settings)
    );
    for (const model of this.models) this.#start(model);
  }

  /** Starts a model; it gets what the others have. */
  async #start(model: RunningModel) {
    await model.start();
    if (this.#load) model.startLoad();
    await model.resizeIdle(this.#idle);
  }

  /**
   * Answers a request; `port` is the one that the page has been served at, and
   * `allowedHost` where a tunnel has it, or "".
   */
  async handle(
    request: Request,
    port: number,
    allowedHost: string,
  ): Promise<Response> {
    const host = request.headers.get("host") ?? "";
    if (!isFromOwnPage(request, port, allowedHost)) {
      return respond(
        403,
        "this page is for this machine only; see --allow-host\n",
        host,
      );
    }
    const url = URL.parse(request.url);
    if (!url) return respond(400, "that is no URL\n", host);
    const { pathname } = url;
    if (request.method !== "GET" && request.method !== "HEAD") {
      return respond(405, "GET or HEAD\n", host);
    }
    if (pathname === "/recording" && !isWebSocket(request)) {
      const file = `watch-${new Date().toISOString().slice(0, 10)}.html`;
      return respond(200, await this.recording(), host, "text/html", file);
    }
    if (!isWebSocket(request)) {
      return await serveFile(pathname, this.#scripts(), host);
    }
    if (pathname !== "/live") return respond(404, "not here\n", host);
    try {
      return this.#openPage(request);
    } catch (error) { // a header is missing, or wrong
      return respond(400, `${(error as Error).message}\n`, host);
    }
  }

  #scripts(): string[] {
    return this.models.map(({ model }) => model.script);
  }

  // -------------------------------------------------------------------- pages

  #openPage(request: Request): Response {
    const { socket, response } = Deno.upgradeWebSocket(request);
    const page: Page = { socket, script: null };
    socket.addEventListener("open", () => {
      send(page, this.#hello());
      this.#pages.add(page);
      this.startUpdating();
    });
    socket.addEventListener("message", ({ data }) => {
      const command = parseCommand(data, this.#scripts());
      const error = typeof command === "string"
        ? command
        : this.#execute(command, page);
      if (error) send(page, { type: "error", error });
    });
    socket.addEventListener("close", () => {
      this.#pages.delete(page);
      if (this.#pages.size > 0) return;
      clearInterval(this.#updating);
      this.#updating = undefined;
      this.stopLoad(); // nobody looks: let the machine rest
    });
    socket.addEventListener("error", () => {}); // it closes after that
    return response;
  }

  /** Takes what is new from the models, again and again, and records it. */
  startUpdating() {
    this.#updating ??= setInterval(() => this.#update(), UPDATE_INTERVAL);
  }

  #hello(): Hello {
    const typed = knownModels.find(({ typedAnswer }) => typedAnswer);
    return {
      type: "hello",
      session: this.#session,
      models: this.models.map(({ model }) => ({
        script: model.script,
        name: model.name,
        canteen: model.canteen,
        threadPerClient: model.threadPerClient ?? false,
        workers: model.workers !== undefined,
        joinCommand: model.joinCommand ?? JOIN_COMMAND,
        typesAnswers: model.typedAnswer !== undefined,
      })),
      defaultAnswer: typed?.typedAnswer ?? "",
    };
  }

  #broadcast(message: Message) {
    for (const page of this.#pages) send(page, message);
  }

  #update() {
    const time = now();
    const models: Update["models"] = {};
    for (const running of this.models) {
      models[running.model.script] = running.update(time);
    }
    const update: Update = {
      type: "update",
      time: time - this.#settings.epoch,
      models,
      idle: {
        wanted: this.#idle,
        most: this.mostIdle(),
        descriptors: this.#descriptors,
      },
      load: this.#load !== null,
      autoAnswer: this.#settings.autoAnswer,
      scene: this.#scene !== null,
    };
    this.#recorder.add(update);
    for (const page of this.#pages) send(page, forPage(update, page));
  }

  // ---------------------------------------------------------------- recording

  /** The last minutes, as a page that needs no server. */
  async recording(): Promise<string> {
    const scripts = this.#scripts();
    const sources = await Promise.all(
      scripts.map((script) => readPart(`/source/${script}`, scripts)),
    );
    return await recordedPage({
      hello: this.#hello(),
      recorded: Date.now(),
      machine: machine(),
      sources: Object.fromEntries(
        scripts.map((script, index) => [script, sources[index]]),
      ),
      ...await this.#recorder.take(),
    });
  }

  // ----------------------------------------------------------------- commands

  /** Does what a page asks for; returns why not, where that cannot be done. */
  #execute(command: Command, page: Page): string | undefined {
    switch (command.type) {
      case "connect":
        return this.#connect(command.client);
      case "ask":
        return this.#ask(command.client);
      case "leave":
        this.#leave(command.client);
        return;
      case "scene":
        this.playScene();
        return;
      case "idle":
        return this.resizeIdle(this.#idle + command.by);
      case "load":
        if (command.on) this.startLoad();
        else this.stopLoad();
        return;
      case "autoAnswer":
        this.#settings.autoAnswer = command.on;
        if (command.on) {
          for (const model of this.models) model.answerByDefault();
        }
        return;
      case "answer": {
        const { script, text } = command;
        if (!this.#find(script).answer(text)) return `${script} does not ask`;
        return;
      }
      case "restart": {
        const { script } = command;
        const model = this.#find(script);
        if (model.status !== "ended") return `${script} has not ended`;
        this.#start(model);
        return;
      }
      case "open":
        page.script = command.script;
    }
  }

  #find(script: string): RunningModel {
    return this.models.find(({ model }) => model.script === script)!;
  }

  #running(): RunningModel[] {
    return this.models.filter(({ status }) => status === "running");
  }

  #connect(id: ClientId): string | undefined {
    this.#abortScene();
    const models = this.#running().filter(({ clients }) =>
      !clients[id].present
    );
    const asks = id === "A" && this.#load !== null;
    if (models.length === 0) {
      return asks
        ? "A asks without pause already"
        : `${id} is connected already`;
    }
    for (const { clients, port } of models) clients[id].connect(port);
    if (asks) models.forEach((model) => model.startLoad());
  }

  #ask(id: ClientId): string | undefined {
    this.#abortScene();
    if (id === "A" && this.#load) return "A asks without pause already";
    if (!this.#running().some(({ clients }) => clients[id].present)) {
      return `${id} is not connected`;
    }
    const asked = this.models.filter(({ clients }) => clients[id].ask());
    if (asked.length === 0) return `${id} waits already`;
  }

  #leave(id: ClientId) {
    this.#abortScene();
    if (id === "A") this.stopLoad();
    for (const { clients } of this.models) clients[id].leave();
  }

  /** Plays the scene, so many times as slowly; resolves when it is over. */
  async playScene(slowness = 1, only?: string[]) {
    this.#abortScene();
    this.stopLoad();
    const name = slowness > 1 ? CHAPTERS.slowScene : CHAPTERS.scene;
    this.#recorder.addChapter({ name, only });
    const scene = new AbortController();
    this.#scene = scene;
    const result = await playScene(
      this.#running(),
      { ...this.#settings, beat: this.#settings.beat * slowness },
      scene.signal,
    );
    if (scene.signal.aborted) return;
    this.#scene = null;
    this.#recorder.addResult(result);
    this.#broadcast(result);
  }

  #abortScene() {
    this.#scene?.abort();
    this.#scene = null;
  }

  // ------------------------------------------------------------- idle clients

  /** How many idle clients each model can have: each has a descriptor here. */
  mostIdle(): number {
    const servers = 2 * this.models.length; // under load, each has a second one
    const each = (this.#descriptors - RESERVED_DESCRIPTORS) / servers;
    return Math.max(0, Math.floor(each / IDLE_STEP) * IDLE_STEP);
  }

  /** Has so many idle clients at each model; returns why not, if it cannot. */
  resizeIdle(count: number): string | undefined {
    const most = this.mostIdle();
    if (count < 0) return "nobody is idle";
    if (count > most) {
      return `${most} idle clients at every model is where it ends: ` +
        `this script may have ${this.#descriptors} descriptors`;
    }
    this.#idle = count;
    this.#resizing.abort();
    this.#resizing = new AbortController();
    if (count > 0) {
      const name = { en: `${count} idle`, zh: `${count} 个空闲` };
      this.#recorder.addChapter({ name, idle: count });
    }
    this.#resizeAll(count, this.#resizing.signal);
  }

  /** One model after the other; last those that start a thread for each client. */
  async #resizeAll(count: number, signal: AbortSignal) {
    const slow = ({ model }: RunningModel) => Number(!!model.threadPerClient);
    const models = this.#running().sort((a, b) => slow(a) - slow(b));
    for (const model of models) {
      if (signal.aborted) return;
      await model.resizeIdle(count);
      this.#letComeAgain(model, signal);
    }
  }

  /**
   * Where A was turned away, there may be room after some have left: the server
   * may take a while to see that they have.
   */
  async #letComeAgain(model: RunningModel, signal: AbortSignal) {
    const end = now() + COME_AGAIN;
    while (this.#load && !signal.aborted && now() < end) {
      if (model.hasRoom()) model.startLoad();
      await pause(COME_AGAIN / 20);
    }
  }

  // --------------------------------------------------------------------- load

  /** Has A ask every model without pause. */
  startLoad() {
    if (this.#load) return;
    this.#abortScene();
    this.#recorder.addChapter({ name: CHAPTERS.load });
    this.#load = new AbortController();
    for (const model of this.models) model.startLoad();
    this.#measureAll(this.#load.signal);
  }

  /**
   * One model after the other, so that none measures the others; and with rests,
   * for the browser is on this machine, too.
   */
  async #measureAll(signal: AbortSignal) {
    while (!signal.aborted) {
      for (const model of this.models) {
        if (signal.aborted) return;
        await model.measure(MEASURE);
        await pause(REST);
      }
    }
  }

  /** Ends the load, if there is one. */
  stopLoad() {
    this.#load?.abort();
    this.#load = null;
    for (const model of this.models) model.stopLoad();
  }
}

/** An update with the calls of the open script, and of no other.  */
function forPage(update: Update, { script }: Page): Update {
  const models = Object.entries(update.models).map(([name, model]) => {
    const { positions: _, calls: __, ...rest } = model;
    return [name, name === script ? model : rest];
  });
  return { ...update, models: Object.fromEntries(models) };
}

function send({ socket }: Page, message: Message) {
  if (socket.readyState !== WebSocket.OPEN) return;
  if (socket.bufferedAmount > MOST_BUFFERED) return; // it misses something then
  socket.send(JSON.stringify(message));
}

/** What this machine is, without its name. */
function machine(): string {
  const { os, arch } = Deno.build;
  const cpus = navigator.hardwareConcurrency;
  return `Deno ${Deno.version.deno}, ${os} ${Deno.osRelease()} ${arch}, ` +
    `${cpus} ${cpus === 1 ? "CPU" : "CPUs"}`;
}
