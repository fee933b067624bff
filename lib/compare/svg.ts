/** The picture of compare.ts: an SVG for light and for dark surroundings. */
import { SCENE_CLIENTS, SCENE_EVENTS } from "../models/scene.ts";
import { type Language, type State, STATES, WAIT } from "../models/states.js";
import { formatMs } from "../time.ts";
import { sceneAxis, shareOf, ticks } from "./axis.ts";
import { drawnStates, isMark } from "./captions.ts";
import type { SceneRun } from "./scene_run.ts";
import type { ClientTimes } from "./server_run.ts";
import { element, escape, line, rect, text } from "./svg_elements.ts";
import {
  drawSpans,
  mark,
  stretch,
  textWidth,
  THREAD_HEIGHT,
} from "./svg_spans.ts";
import { STYLE } from "./svg_style.ts";
import {
  busyWarning,
  costTable,
  isNumeric,
  NONE,
  percent,
  phaseTable,
  type Table,
} from "./tables.ts";
import { wrap } from "./text.ts";

const WIDTH = 960;
const MARGIN = 32;
/** Where the time axis begins and ends. */
const LEFT = 128;
const RIGHT = 928;
/** Names stand so far to the left of the axis. */
const NAME_GAP = 12;

/** From the upper edge of a model's block to its first thread. */
const FIRST_THREAD = 68;
/** From one thread to the next. */
const THREAD_STEP = 50;
/** From the last thread to the clients, and from the first client to the next. */
const FIRST_CLIENT = THREAD_HEIGHT + 18;
const CLIENT_STEP = 19;
/** From the last thread to the end of the model's block. */
const BLOCK_END = 94;

const LEGEND_TOP = 106;
const LEGEND_STEP = 28;
const LEGEND_COLUMN = 460;

const TABLE_STEP = 22;
const NOTE_STEP = 18;
/** Where the columns of the tables stand: numbers end there, words begin. */
const COST_COLUMNS = [32, 260, 350, 450, 560, 640, 730, 830];
const PHASE_COLUMNS = [32, 150, 400, 440, 550, 730, 780];

const WORDS = {
  en: {
    tag: "en",
    title: "What each model does while it waits",
    scene:
      "Two clients connect. The second asks at once, the first a moment later; each leaves some time after its answer.",
    thread: "thread",
    cost: (one: string, all: string, cpu: string) =>
      `held for one ${one}, for everyone ${all}; CPU ${cpu}`,
    source:
      "From the servers’ own traces and the clients’ clocks, in one run of compare.ts.",
    noteColumns: 142,
  },
  zh: {
    tag: "zh-CN",
    title: "等待的时候，每种模型在做什么",
    scene:
      "两个客户端建立连接。第二位马上发请求，第一位过一会儿才发；收到响应后，各自过一会儿断开。",
    thread: "线程",
    cost: (one: string, all: string, cpu: string) =>
      `等一个客户端 ${one}，等所有客户端 ${all}；CPU ${cpu}`,
    source:
      "根据服务器的跟踪记录和客户端计时绘制，取自 compare.ts 的同一次运行。",
    noteColumns: 144,
  },
};

/** What all parts of the picture are drawn with. */
interface Drawing {
  runs: SceneRun[];
  beat: number;
  language: Language;
  /** The x of a time in ms since the clients connect. */
  x: (time: number) => number;
}

/**
 * The picture of a scene with that beat, in ms. `system` names the machine that
 * played it.
 */
export function svg(
  runs: SceneRun[],
  beat: number,
  system: string,
  language: Language,
): string {
  const axis = sceneAxis(beat);
  const x = (time: number) => LEFT + shareOf(time, axis) * (RIGHT - LEFT);
  const drawing = { runs, beat, language, x };
  const words = WORDS[language];

  const legend = drawLegend(drawing);
  const tops: number[] = [];
  let bottom = legend.bottom;
  for (const { threads } of runs) {
    tops.push(bottom);
    bottom += lastThread(threads.length) + BLOCK_END;
  }
  const tables = drawTables(drawing, bottom + 72);
  const end = tables.bottom;
  const warning = busyWarning(runs, language);
  const content = [
    text("title", MARGIN, 54, words.title),
    text("soft", MARGIN, 80, words.scene),
    ...legend.elements,
    ...drawEvents(drawing, tops),
    ...runs.flatMap((run, i) => drawModel(run, tops[i], drawing)),
    ...drawAxis(drawing, bottom),
    ...tables.elements,
    ...(warning ? [text("", MARGIN, end - 34, warning)] : []),
    text("small", MARGIN, end - 12, `${words.source} ${system}.`),
  ];
  return drawDocument(drawing, end + 14, content);
}

/** From the upper edge of a model's block to its last thread. */
function lastThread(threads: number): number {
  return FIRST_THREAD + THREAD_STEP * (threads - 1);
}

function drawDocument(
  { runs, language }: Drawing,
  height: number,
  content: string[],
): string {
  const { title, tag } = WORDS[language];
  const names = runs.map(({ script }) => script).join(", ");
  const attributes = {
    xmlns: "http://www.w3.org/2000/svg",
    "xml:lang": tag,
    viewBox: `0 0 ${WIDTH} ${height}`,
    width: WIDTH,
    height,
    role: "img",
  };
  const hatch = {
    id: "hatch",
    width: 8,
    height: 8,
    patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)",
  };
  const children = [
    "",
    element("title", {}, escape(`${title}: ${names}`)),
    element("style", {}, STYLE),
    element("pattern", hatch, element("line", { class: "hatch", y2: 8 })),
    element("rect", { class: "paper", width: WIDTH, height, rx: 12 }),
    ...content,
    "",
  ];
  return element("svg", attributes, children.join("\n")) + "\n";
}

/** What the signs mean, in two columns. */
function drawLegend({ runs, language }: Drawing) {
  const states = drawnStates(runs);
  const rows = Math.ceil((states.length + 1) / 2);
  const entry = (
    i: number,
    words: string,
    sample: (x: number, y: number) => string,
  ) => {
    const x = MARGIN + Math.floor(i / rows) * LEGEND_COLUMN;
    const y = LEGEND_TOP + LEGEND_STEP * (i % rows);
    return [sample(x, y), text("", x + 32, y + 13.5, words)];
  };
  const elements = [
    ...states.flatMap((state, i) =>
      entry(i, STATES[state].legend[language], (x, y) => sample(state, x, y))
    ),
    ...entry(
      states.length,
      WAIT.legend[language],
      (x, y) => line("wait", x + 3, y + 9, x + 19, y + 9),
    ),
  ];
  return { elements, bottom: 164 + LEGEND_STEP * rows };
}

/** The sign of a state in the legend. */
function sample(state: State, x: number, y: number): string {
  return isMark({ state })
    ? mark(state, x + 11, y + 3, 12)
    : stretch(state, x, y, 22, 18);
}

/** The events of the scene: captions above all models, a line in each. */
function drawEvents(
  { runs, beat, language, x }: Drawing,
  tops: number[],
): string[] {
  const top = tops[0];
  return SCENE_EVENTS.flatMap(({ beats, caption }, i) => {
    const left = x(beats * beat);
    const isFirst = i === 0;
    const style = isFirst ? "small end" : "small"; // the second one is near
    const captionX = isFirst ? left + 4 : left - 4;
    return [
      text(style, captionX, top - 28, caption[language]),
      line("guide", left, top - 22, left, top - 10),
      ...runs.map(({ threads }, i) => {
        const last = tops[i] + lastThread(threads.length);
        return line(
          "guide",
          left,
          tops[i] + FIRST_THREAD,
          left,
          last + THREAD_HEIGHT + 44,
        );
      }),
    ];
  });
}

/** One model: its name and its sentence, its threads, its two clients. */
function drawModel(run: SceneRun, top: number, drawing: Drawing): string[] {
  const { script, name, canteen, clients, threads, held, cpu } = run;
  const { language, x } = drawing;
  const words = WORDS[language];
  const nameStyle = {
    class: "soft",
    dx: 12,
    "font-size": 13,
    "font-weight": 400,
  };
  const title = escape(script) +
    element("tspan", nameStyle, escape(name[language]));
  const cost = words.cost(
    percent(held.one),
    percent(held.all),
    cpu === null ? NONE : formatMs(cpu),
  );
  const elements = [
    element("text", { class: "script halo", x: MARGIN, y: top + 16 }, title),
    text("strong halo end", RIGHT, top + 16, cost),
    text("halo", MARGIN, top + 37, `“${canteen[language]}”`),
  ];
  for (const [i, { spans }] of threads.entries()) {
    const threadTop = top + lastThread(i + 1);
    const label = i > 0 ? `${words.thread} ${i + 1}` : words.thread;
    const place = { top: threadTop, right: RIGHT, x, language };
    elements.push(
      text("small end", LEFT - NAME_GAP, threadTop + 18, label),
      ...drawSpans(spans, place),
    );
  }
  const firstClient = top + lastThread(threads.length) + FIRST_CLIENT;
  for (const [i, times] of clients.entries()) {
    const label = SCENE_CLIENTS[i].label[language];
    const y = firstClient + i * CLIENT_STEP;
    elements.push(...drawClient(times, label, y, drawing));
  }
  return elements;
}

/** When a client was connected, and how long it waited for its answer. */
function drawClient(
  times: ClientTimes,
  label: string,
  y: number,
  { x }: Drawing,
): string[] {
  const asked = x(times.asked);
  const answered = x(times.answered);
  const left = x(times.left);
  const wait = formatMs(times.answered - times.asked);
  return [
    text("small end", LEFT - NAME_GAP, y + 4, label),
    line("visit", x(0), y, left, y),
    line("visit", left, y - 4, left, y + 4),
    rect("paper", answered, y - 7, textWidth(wait) * 1.15 + 16, 14), // bold
    line("wait", asked, y, answered, y),
    text("waited strong", answered + 9, y + 4.5, wait),
  ];
}

function drawAxis({ beat, x }: Drawing, y: number): string[] {
  return [
    line("guide", LEFT, y, RIGHT, y),
    ...ticks(sceneAxis(beat)).flatMap((time) => [
      line("guide", x(time), y, x(time), y + 6),
      text("small middle", x(time), y + 22, `${time / 1000} s`),
    ]),
  ];
}

/** Both tables, each with its notes. */
function drawTables({ runs, language }: Drawing, top: number) {
  const tables = [
    { table: costTable(runs, language), columns: COST_COLUMNS },
    { table: phaseTable(runs, language), columns: PHASE_COLUMNS },
  ];
  const elements: string[] = [];
  let y = top;
  for (const { table, columns } of tables) {
    elements.push(...drawTable(table, columns, y));
    y += TABLE_STEP * (table.rows.length + 2) + 4;
    for (const note of wrap(table.notes, WORDS[language].noteColumns)) {
      elements.push(text("small", MARGIN, y, note));
      y += NOTE_STEP;
    }
    y += 40;
  }
  return { elements, bottom: y };
}

function drawTable(table: Table, columns: number[], y: number): string[] {
  const { title, head, rows } = table;
  const drawRow = (style: string, row: string[], y: number) =>
    row.map((words, column) => {
      const all = isNumeric(table, column) ? `${style} end`.trim() : style;
      return text(all, columns[column], y, words);
    });
  return [
    text("script", MARGIN, y - 6, title),
    ...drawRow("small", head, y + TABLE_STEP),
    line("guide", MARGIN, y + TABLE_STEP + 7, RIGHT, y + TABLE_STEP + 7),
    ...rows.flatMap((row, i) => drawRow("", row, y + TABLE_STEP * (i + 2))),
  ];
}
