/** compare.ts as a picture: an SVG for light and for dark surroundings. */
import type { Span } from "../models/timeline.ts";
import type { Play } from "./scene.ts";
import {
  busy,
  captions,
  CLIENTS,
  costs,
  EVENTS,
  isMark,
  isSeen,
  ms,
  occurring,
  phaseTable,
  type Table,
  ticks,
} from "./tables.ts";
import {
  columns,
  type Language,
  type State,
  STATES,
  WAIT,
} from "../models/states.js";
import { wrap } from "./terminal.ts";

// Plain rules instead of variables: not all that shows SVG knows those.
const PAPER = {
  light: {
    paper: "#ffffff",
    ink: "#1f2328",
    soft: "#59636e",
    faint: "#d4dae0",
  },
  dark: { paper: "#0d1117", ink: "#e6edf3", soft: "#9aa4af", faint: "#333b44" },
};
const HATCH = { light: "#a9d6cd", dark: "#24554d" };

function colours(mode: "light" | "dark"): string {
  const { paper, ink, soft, faint } = PAPER[mode];
  const states = Object.entries(STATES).map(([state, { kind, colour }]) =>
    kind === "away"
      ? `.${state} { stroke: ${colour[mode]}; }`
      : `.${state} { fill: ${colour[mode]}; }`
  );
  return `
text { fill: ${ink}; }
.soft, .small { fill: ${soft}; }
.halo { stroke: ${paper}; }
.paper { fill: ${paper}; }
.guide { stroke: ${faint}; }
.on { fill: #ffffff; }
.away { fill: ${STATES.free.colour[mode]}; }
.hatch { stroke: ${HATCH[mode]}; }
.visit { stroke: ${soft}; }
.wait { stroke: ${WAIT.colour[mode]}; }
.waited { fill: ${WAIT.colour[mode]}; }
${states.join("\n")}`;
}

const STYLE = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans",
  "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", Helvetica, Arial,
  sans-serif; }
.title { font-size: 24px; font-weight: 600; }
.script { font-size: 17px; font-weight: 600; }
.small { font-size: 12px; }
.strong { font-weight: 600; }
.halo { stroke-width: 4px; paint-order: stroke; stroke-linejoin: round; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.playing { fill: url(#hatch); }
.free { fill: none; stroke-dasharray: 4 4; }
.hatch { stroke-width: 2; }
.visit { stroke-width: 1.5; }
.wait { stroke-width: 6; stroke-linecap: round; }
${colours("light")}
@media (prefers-color-scheme: dark) {${colours("dark")}
}
`;

type Attributes = Record<string, string | number>;
const escape = (text: string) =>
  text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);

function tag(name: string, attributes: Attributes, content?: string) {
  const list = Object.entries(attributes).map(([name, value]) => {
    const short = typeof value === "number"
      ? Math.round(value * 10) / 10
      : value;
    return ` ${name}="${escape(`${short}`)}"`;
  }).join("");
  return `<${name}${list}${
    content === undefined ? "/>" : `>${content}</${name}>`
  }`;
}

const text = (style: string, x: number, y: number, words: string) =>
  tag("text", style ? { class: style, x, y } : { x, y }, escape(words));
const rect = (
  style: string,
  x: number,
  y: number,
  width: number,
  height: number,
) => tag("rect", { class: style, x, y, width, height });
const line = (style: string, x1: number, y1: number, x2: number, y2: number) =>
  tag("line", { class: style, x1, y1, x2, y2 });
/** About as wide as it will be: which font there is, only the reader knows. */
const wide = (words: string) => columns(words) * 6.8;

const isHollow = (state: State) => STATES[state].kind === "away";

/** What the thread does for a while; its outline within its bounds. */
function stretch(
  state: State,
  x: number,
  y: number,
  width: number,
  height: number,
) {
  const inset = isHollow(state) ? 0.5 : 0;
  return rect(
    state,
    x + inset,
    y + inset,
    width - 2 * inset,
    height - 2 * inset,
  );
}

/** What takes no time that could be seen, around x. */
function mark(state: State, x: number, y: number, height: number) {
  if (state === "copying") return rect(state, x - 2, y - 4, 4, height + 8);
  if (state !== "resolved") return rect(state, x - 1, y - 4, 2, height + 8);
  const points = [[x, -7], [x + 7, 0], [x, 7], [x - 7, 0]]
    .map(([x, dy]) => [x, y + height / 2 + dy].map((n) => n.toFixed(1)).join());
  return tag("polygon", { class: state, points: points.join(" ") });
}

const [WIDTH, MARGIN, LEFT, RIGHT] = [960, 32, 128, 928];
const [LANE_AT, LANE, NEXT] = [68, 28, 50]; // from a block's top; from each other
const ROW = 22; // of a table
const block = (threads: number) => LANE_AT + NEXT * (threads - 1) + 94;

const WORDS = {
  en: {
    title: "What each model does while it waits",
    scene:
      "Two clients connect. The second asks at once, the first a moment later; each leaves some time after its answer.",
    thread: "thread",
    held: (one: string, all: string, cpu: string) =>
      `held for one ${one}, for everyone ${all}; CPU ${cpu}`,
    nothing: "nothing",
    source:
      "From the servers’ own traces and the clients’ clocks, in one run of compare.ts.",
    quoted: (text: string) => `“${text}”`,
  },
  zh: {
    title: "等待的时候，每种模型在做什么",
    scene:
      "两个客户端连上来。第二位马上发话，第一位过一会儿才开口；得到回答后，各自过一会儿离开。",
    thread: "线程",
    held: (one: string, all: string, cpu: string) =>
      `为一人占住 ${one}，为所有人 ${all}；CPU ${cpu}`,
    nothing: "什么也没有",
    source: "画自服务器自己的跟踪记录和客户端的时钟，compare.ts 的同一次运行。",
    quoted: (text: string) => `“${text}”`,
  },
};

/** The picture of a scene with that beat, in ms. */
export function svg(
  plays: Play[],
  beat: number,
  system: string,
  language: Language,
): string {
  const words = WORDS[language];
  const [from, to] = [-beat / 4, beat * 4.25];
  const x = (time: number) =>
    LEFT + Math.max(0, Math.min(1, (time - from) / (to - from))) *
      (RIGHT - LEFT);
  const drawn = [
    text("title", MARGIN, 54, words.title),
    text("soft", MARGIN, 80, words.scene),
  ];

  const entries = occurring(plays).map((state) => ({
    words: STATES[state].legend[language],
    sample: (x: number, y: number) =>
      isMark({ state })
        ? mark(state, x + 11, y + 3, 12)
        : stretch(state, x, y, 22, 18),
  }));
  entries.push({
    words: WAIT.legend[language],
    sample: (x, y) => line("wait", x + 3, y + 9, x + 19, y + 9),
  });
  const half = Math.ceil(entries.length / 2);
  for (const [i, { words, sample }] of entries.entries()) {
    const left = MARGIN + Math.floor(i / half) * 460;
    const y = 106 + 28 * (i % half);
    drawn.push(sample(left, y), text("", left + 32, y + 13.5, words));
  }

  const top = 164 + 28 * half;
  const tops: number[] = [];
  let bottom = top;
  for (const { threads } of plays) {
    tops.push(bottom);
    bottom += block(threads.length);
  }
  for (const [i, [beats, caption]] of EVENTS.entries()) {
    const at = x(beats * beat);
    const style = i ? "small" : "small end";
    drawn.push(text(style, i ? at - 4 : at + 4, top - 28, caption[language]));
    drawn.push(line("guide", at, top - 22, at, top - 10));
    for (const [i, { threads }] of plays.entries()) {
      const lane = tops[i] + LANE_AT;
      const height = NEXT * (threads.length - 1) + LANE + 44;
      drawn.push(line("guide", at, lane, at, lane + height));
    }
  }

  plays.forEach((play, i) => drawn.push(...model(play, tops[i], x, language)));

  drawn.push(line("guide", LEFT, bottom, RIGHT, bottom));
  for (const time of ticks(from, to)) {
    drawn.push(line("guide", x(time), bottom, x(time), bottom + 6));
    drawn.push(text("small middle", x(time), bottom + 22, `${time / 1000} s`));
  }
  let y = bottom + 72;
  for (
    const { table, at } of [
      { table: costs(plays, language), at: COSTS },
      { table: phaseTable(plays, language), at: PHASES },
    ]
  ) {
    drawn.push(...tabulated(table, at, y));
    const notes = wrap(table.notes, language === "zh" ? 144 : 142);
    y += ROW * (table.rows.length + 2) + 4;
    for (const note of notes) {
      drawn.push(text("small", MARGIN, y, note));
      y += 18;
    }
    y += 40;
  }
  const warning = busy(plays, language);
  if (warning) drawn.push(text("", MARGIN, y - 34, warning));
  drawn.push(text("small", MARGIN, y - 12, `${words.source} ${system}.`));

  const height = y + 14;
  const hatch = {
    id: "hatch",
    width: 8,
    height: 8,
    patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)",
  };
  const names = plays.map(({ script }) => script).join(", ");
  return tag(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      "xml:lang": language === "zh" ? "zh-CN" : language,
      viewBox: `0 0 ${WIDTH} ${height}`,
      width: WIDTH,
      height,
      role: "img",
    },
    [
      "",
      tag("title", {}, escape(`${words.title}: ${names}`)),
      tag("style", {}, STYLE),
      tag("pattern", hatch, tag("line", { class: "hatch", y2: 8 })),
      tag("rect", { class: "paper", width: WIDTH, height, rx: 12 }),
      ...drawn,
      "",
    ].join("\n"),
  ) + "\n";
}

/** One model: its name and sentence, its threads, its two clients. */
function model(
  play: Play,
  top: number,
  x: (time: number) => number,
  language: Language,
): string[] {
  const { script, name, canteen, clients, threads, held, cpu } = play;
  const words = WORDS[language];
  const title = escape(script) +
    tag(
      "tspan",
      { class: "soft", dx: 12, "font-size": 13, "font-weight": 400 },
      escape(name[language]),
    );
  const share = (part: number) => `${Math.round(part * 100)} %`;
  const cost = words.held(
    share(held.one),
    share(held.all),
    cpu === null ? "—" : ms(cpu),
  );
  const drawn = [
    tag("text", { class: "script halo", x: MARGIN, y: top + 16 }, title),
    text("strong halo end", RIGHT, top + 16, cost),
    text("halo", MARGIN, top + 37, words.quoted(canteen[language])),
  ];
  for (const [i, { spans }] of threads.entries()) {
    const lane = top + LANE_AT + NEXT * i;
    const label = i ? `${words.thread} ${i + 1}` : words.thread;
    drawn.push(text("small end", LEFT - 12, lane + 18, label));
    drawn.push(...thread(spans, lane, x, language));
  }
  const last = top + LANE_AT + NEXT * (threads.length - 1);
  for (const [i, client] of clients.entries()) {
    const y = last + LANE + 18 + i * 19;
    const [asked, answered, left] = [client.asked, client.answered, client.left]
      .map(x);
    const wait = ms(client.answered - client.asked);
    const label = CLIENTS[i].label[language];
    drawn.push(
      text("small end", LEFT - 12, y + 4, label),
      line("visit", x(0), y, left, y),
      line("visit", left, y - 4, left, y + 4),
      rect("paper", answered, y - 7, wide(wait) * 1.15 + 16, 14),
      line("wait", asked, y, answered, y),
      text("waited strong", answered + 9, y + 4.5, wait),
    );
  }
  return drawn;
}

/** What a mark was: the call, or what a completion told of. */
const deed = ({ call, ops }: Span) =>
  ops?.length ? `${call}: ${ops.join(", ")}` : `${call}`;

/** One thread: what it does for a while, and what only takes a moment. */
function thread(
  spans: Span[],
  lane: number,
  x: (time: number) => number,
  language: Language,
): string[] {
  const drawn: string[] = [];
  const long = spans.filter(isSeen);
  long.forEach(({ state, from }, i) => {
    // Free before and after a moment's work: one outline, with a mark in it.
    const hollow = isHollow(state);
    if (hollow && long[i - 1]?.state === state) return;
    const rest = long.slice(i);
    const end = rest.findIndex((span) => !hollow || span.state !== state);
    const { to } = hollow ? rest.at(end === -1 ? -1 : end - 1)! : rest[0];
    drawn.push(stretch(state, x(from), lane, x(to) - x(from), LANE));
  });
  const fits = (words: string, { from, to }: Span) =>
    x(to) - x(from) > wide(words) + 28;
  for (const { words, place } of captions(long, language, fits)) {
    const { state, from } = place;
    const style = isHollow(state) ? "away halo" : "on";
    drawn.push(text(style, x(from) + 14, lane + 18.5, words));
  }

  // Calls that follow each other at once are one mark, with one caption.
  const marks = spans.filter(isMark);
  const visits = Map.groupBy(
    marks,
    ({ from }) => marks.find((mark) => from - mark.from < 10),
  );
  const closes = (time: number) =>
    spans.some(({ call, from }) =>
      call === "close" && from > time && from - time < 10
    );
  let free = 0;
  for (const visit of visits.values()) {
    const useful = visit.filter(({ state }) => state !== "asking");
    const copied = useful.find(({ state }) => state !== "accepting");
    const { state, from } = copied ?? useful[0] ?? visit[0];
    drawn.push(mark(state, x(from), lane, LANE));
    const words = [...Map.groupBy(useful, deed)]
      .map(([deed, { length }]) => length > 1 ? `${length} × ${deed}` : deed)
      .join(", ").replaceAll(/, io_uring_enter:/g, ",") ||
      (closes(from) ? "close" : WORDS[language].nothing);
    const left = x(from) - 2;
    if (left < free) continue;
    free = left + wide(words);
    drawn.push(
      free > RIGHT
        ? text("small halo end", RIGHT, lane - 9, words)
        : text("small halo", left, lane - 9, words),
    );
  }
  return drawn;
}

// Where the columns of the tables stand; numbers end there, words begin.
const COSTS = [32, 260, 350, 450, 560, 640, 730, 830];
const PHASES = [32, 150, 400, 440, 550, 730, 780];

function tabulated({ title, head, rows }: Table, at: number[], y: number) {
  const number = (i: number) => rows.every((row) => /^(\d|—)/.test(row[i]));
  const put = (style: string, row: string[], y: number) =>
    row.map((words, i) =>
      text(`${style}${number(i) ? " end" : ""}`.trim(), at[i], y, words)
    );
  return [
    text("script", MARGIN, y - 6, title),
    ...put("small", head, y + ROW),
    line("guide", MARGIN, y + ROW + 7, RIGHT, y + ROW + 7),
    ...rows.flatMap((row, i) => put("", row, y + ROW * (i + 2))),
  ];
}
