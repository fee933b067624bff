/**
 * How compare.ts shows what happened: lanes and a table for a terminal, and a
 * picture. Nothing here knows a model; it draws what it is given.
 */

/** What the thread does: is held by a call, or not. */
export type State =
  | "asleep"
  | "copying"
  | "asking"
  | "resolved"
  | "playing"
  | "free"
  | "other";

/** A piece of the thread's time. Times are in ms since the clients connected. */
export interface Span {
  state: State;
  from: number;
  to: number;
  /** The call that it was in, or the promise that was resolved. */
  call?: string;
  /** The client whose descriptor that call was about: 0 is the first. */
  client?: number;
}

/** A client's own clock. */
export interface Visit {
  asked: number;
  answered: number;
  left: number;
}

/** The scene, as played by one model. */
export interface Play {
  script: string;
  model: string;
  canteen: string;
  from: number;
  to: number;
  spans: Span[];
  /** The first and the second. */
  clients: Visit[];
  /** System calls made by the script; null where they are Deno's own. */
  calls: number | null;
  /** The share of the time that the thread spent in them. */
  held: number;
  /** In ms; null where the system does not tell. */
  cpu: number | null;
}

const ORDER = ["first", "second"];

const MEANING: Record<State, string> = {
  asleep: "asleep in the kernel",
  copying: "copies",
  asking: "asks in vain (EAGAIN)",
  playing: "out playing",
  free: "thread free",
  resolved: "a promise resolves",
  other: "does other things",
};

/** The states that occur, in the order of a legend. */
const occurring = (plays: Play[]) =>
  (Object.keys(MEANING) as State[]).filter((state) =>
    plays.some(({ spans }) =>
      spans.some((span) =>
        span.state === state && (isMark(span) || isSeen(span))
      )
    )
  );

const bounds = (plays: Play[]) => ({
  from: Math.max(...plays.map(({ from }) => from)), // all are asleep by then
  to: Math.max(...plays.map(({ to }) => to)),
});

/** Too short to be seen; they are drawn wider, for they are the lesson. */
const MARKS: State[] = ["asking", "resolved", "copying"];
/** The thread is not held. */
const HOLLOW: State[] = ["playing", "free"];

/** Round times for an axis. */
function ticks(from: number, to: number): number[] {
  const steps = [10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000];
  const step = steps.find((step) => (to - from) / step < 10) ?? to;
  return Array.from({ length: Math.floor(to / step) + 1 }, (_, i) => i * step);
}

const isMark = ({ state }: Span) => MARKS.includes(state);
/** Whether it lasts long enough to be seen. */
const isSeen = (span: Span) => !isMark(span) && span.to - span.from > 10;

const ms = (time: number) => `${time.toFixed(time < 10 ? 1 : 0)} ms`;
const waited = ({ asked, answered }: Visit) => ms(answered - asked);
const percent = (share: number) => `${Math.round(share * 100)} %`;

/** What a lane says of a span, from much to little: what fits is taken. */
function labels({ state, call, client }: Span): string[] {
  if (state === "playing") return [MEANING[state], state];
  if (state !== "asleep") return [MEANING[state]];
  const whole = `asleep in ${call}`;
  if (client === undefined) return [whole, `${call}`];
  const whom = `, for the ${ORDER[client]}`;
  return [`${whole}${whom} client alone`, `${call}${whom}`, whole, `${call}`];
}

/** Each thing to be said once, in the first place with room for most of it. */
function captions(places: Span[], fits: (words: string, at: Span) => boolean) {
  const groups = Map.groupBy(places, (place) => labels(place)[0]);
  return [...groups.values()].flatMap((group) => {
    for (const words of labels(group[0])) {
      const place = group.find((place) => fits(words, place));
      if (place) return [{ words, place }];
    }
    return [];
  });
}

// ------------------------------------------------------------------- terminal

const GLYPH: Record<State, [glyph: string, colour: number]> = {
  asleep: ["▒", 34],
  copying: ["█", 33],
  asking: ["|", 0],
  playing: ["·", 36],
  free: ["╌", 36],
  resolved: ["◆", 33],
  other: ["░", 2],
};

/** What goes on from one mark to the next: cells do not show what is shorter. */
function stretches(spans: Span[]): Span[] {
  const found: Span[] = [];
  let marked = true;
  for (const span of spans) {
    const last = found.at(-1);
    if (isMark(span)) marked = true;
    if (!isSeen(span)) continue;
    const same = last && labels(last)[0] === labels(span)[0];
    if (same && !marked) last.to = span.to;
    else found.push({ ...span });
    marked = false;
  }
  return found;
}

/** Lanes as wide as the window, a legend and a table. */
export function sheet(plays: Play[], columns: number, colour: boolean): string {
  const paint = (code: number, text: string) =>
    colour && code ? `\x1b[${code}m${text}\x1b[0m` : text;
  const gutter = 9;
  const width = Math.max(columns - gutter, 40);
  const { from, to } = bounds(plays);
  const cell = (time: number) =>
    Math.max(
      0,
      Math.min(Math.floor((time - from) / (to - from) * width), width - 1),
    );

  const lane = ({ spans }: Play) => {
    const cells: State[] = Array(width).fill("other");
    const text: string[] = Array(width).fill("");
    const fill = (states: Span[]) => {
      for (const { state, from, to } of states) {
        cells.fill(state, cell(from), cell(to) + 1);
      }
    };
    fill(spans.filter(isSeen));
    for (const mark of MARKS) fill(spans.filter(({ state }) => state === mark));
    const fits = (words: string, { from, to }: Span) =>
      cell(to) - cell(from) >= words.length + 4;
    for (const { words, place } of captions(stretches(spans), fits)) {
      [...` ${words} `].forEach((char, i) =>
        text[cell(place.from) + 2 + i] = char
      );
    }
    return cells.map((state, i) =>
      text[i] || paint(GLYPH[state][1], GLYPH[state][0])
    ).join("");
  };

  const visit = (client: Visit) => {
    const [asked, answered, left] = [client.asked, client.answered, client.left]
      .map(cell);
    const label = ` ${waited(client)} `;
    return " ".repeat(cell(0)) + paint(2, "─".repeat(asked - cell(0))) +
      paint(35, "┝" + "━".repeat(answered - asked) + "┥") + label +
      paint(2, "─".repeat(Math.max(0, left - answered - 2 - label.length)));
  };

  const rows = plays.flatMap((play) => [
    paint(1, play.script) + "  " + paint(2, play.model),
    "thread".padEnd(gutter) + lane(play),
    ...play.clients.map((client, i) => ORDER[i].padEnd(gutter) + visit(client)),
    "",
  ]);
  const legend: string[][] = [];
  let room = 0;
  const entries: [string, number, string][] = occurring(plays)
    .map((state) => [...GLYPH[state], MEANING[state]]);
  entries.push(["━", 35, "a client waits"]);
  for (const [glyph, code, words] of entries) {
    if (room < words.length + 2) {
      legend.push([]);
      room = columns;
    }
    room -= words.length + 5;
    legend.at(-1)!.push(`${paint(code, glyph)} ${words}`);
  }

  let axis = "";
  for (const time of ticks(from, to)) {
    const label = `${time / 1000} s`;
    if (gutter + cell(time) + label.length > columns) break;
    axis = axis.padEnd(gutter + cell(time)) + label;
  }

  const table = [
    ["", "first", "second", "calls", "held", "CPU time"],
    ...plays.map(({ script, clients, calls, held, cpu }) => [
      script,
      ...clients.map(waited),
      calls === null ? "Deno's own" : `${calls}`,
      percent(held),
      cpu === null ? "—" : ms(cpu),
    ]),
  ];
  const size = table[0].map((_, i) =>
    Math.max(...table.map((row) => row[i].length))
  );
  const line = (row: string[]) =>
    row.map((text, i) => i ? text.padStart(size[i]) : text.padEnd(size[i]))
      .join("   ");
  return [
    ...rows,
    axis,
    "",
    ...legend.map((entries) => entries.join("   ")),
    "",
    paint(1, line(table[0])),
    ...table.slice(1).map(line),
    "",
    "first, second: how long that client waited for its answer. held: the share",
    "of the time its own system calls held the thread. CPU time: with --trace.",
  ].join("\n");
}

// -------------------------------------------------------------------- picture

// Blue and orange, apart for every kind of eye; held is filled, free is hollow.
// Plain rules instead of variables: not all that shows SVG knows those.
const LIGHT = {
  paper: "#ffffff",
  ink: "#1f2328",
  soft: "#59636e",
  faint: "#d4dae0",
  asleep: "#2f6db3",
  copy: "#e8890c",
  away: "#0f7466",
  hatch: "#a9d6cd",
  wait: "#8250a8",
};
const DARK: typeof LIGHT = {
  paper: "#0d1117",
  ink: "#e6edf3",
  soft: "#9aa4af",
  faint: "#333b44",
  asleep: "#3d74b8",
  copy: "#ffa62b",
  away: "#6fd1c0",
  hatch: "#24554d",
  wait: "#c297e8",
};
const colours = (c: typeof LIGHT) => `
text, .asking { fill: ${c.ink}; }
.soft, .small { fill: ${c.soft}; }
.halo { stroke: ${c.paper}; }
.paper { fill: ${c.paper}; }
.guide { stroke: ${c.faint}; }
.asleep { fill: ${c.asleep}; }
.on { fill: #ffffff; }
.copying, .resolved { fill: ${c.copy}; }
.playing, .free { stroke: ${c.away}; }
.away { fill: ${c.away}; }
.hatch { stroke: ${c.hatch}; }
.other { fill: ${c.faint}; }
.visit { stroke: ${c.soft}; }
.wait { stroke: ${c.wait}; }
.waited { fill: ${c.wait}; }`;
const STYLE = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans", Helvetica,
  Arial, sans-serif; }
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
${colours(LIGHT)}
@media (prefers-color-scheme: dark) {${colours(DARK)}
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
  tag("text", { class: style, x, y }, escape(words));
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
const wide = (words: string) => words.length * 6.8;

/** What the thread does for a while; its outline within its bounds. */
function stretch(
  state: State,
  x: number,
  y: number,
  width: number,
  height: number,
) {
  const inset = HOLLOW.includes(state) ? 0.5 : 0;
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
  if (state === "asking") return rect(state, x - 1, y - 4, 2, height + 8);
  const points = [[x, -7], [x + 7, 0], [x, 7], [x - 7, 0]]
    .map(([x, dy]) => [x, y + height / 2 + dy].map((n) => n.toFixed(1)).join());
  return tag("polygon", { class: state, points: points.join(" ") });
}

const LEGEND: Partial<Record<State, string>> = {
  asleep: "asleep in the kernel: thread held",
  copying: "copies: microseconds, drawn wider",
  playing: "out playing: thread free",
  free: "thread free, until it is called",
};

const [WIDTH, MARGIN, LEFT, RIGHT] = [960, 32, 128, 928];
const [BLOCK, LANE_AT, LANE] = [160, 66, 28]; // heights, from a block's top

/** The same as a picture, for light and for dark surroundings. */
export function svg(plays: Play[], system: string): string {
  const { from, to } = bounds(plays);
  const x = (time: number) =>
    LEFT + Math.max(0, (time - from) / (to - from)) * (RIGHT - LEFT);
  const drawn = [
    text("title", MARGIN, 54, "What each model does while it waits"),
    text(
      "soft",
      MARGIN,
      80,
      "Two clients connect. The second asks at once, the first a moment later; each leaves some time after its answer.",
    ),
  ];

  const entries = occurring(plays).map((state) => ({
    words: LEGEND[state] ?? MEANING[state],
    sample: (x: number, y: number) =>
      MARKS.includes(state)
        ? mark(state, x + 11, y + 3, 12)
        : stretch(state, x, y, 22, 18),
  }));
  entries.push({
    words: "a client waits for its answer",
    sample: (x, y) => line("wait", x + 3, y + 9, x + 19, y + 9),
  });
  for (const [i, { words, sample }] of entries.entries()) {
    const [left, y] = [MARGIN + i % 3 * 300, 106 + 28 * Math.floor(i / 3)];
    drawn.push(sample(left, y), text("", left + 32, y + 13.5, words));
  }

  const top = 164 + 28 * Math.ceil(entries.length / 3);
  const bottom = top + plays.length * BLOCK;
  const asks = (i: number) =>
    Math.min(...plays.map(({ clients }) => clients[i].asked));
  const moments: [number, string][] = [
    [asks(0), "the first asks"],
    [asks(1), "the second asks"],
  ];
  for (const [time, words] of moments) {
    drawn.push(text("small", x(time) - 4, top - 28, words));
  }
  drawn.push(text("small end", x(0) + 4, top - 28, "both connect"));
  for (const time of [0, asks(0), asks(1)]) {
    drawn.push(line("guide", x(time), top - 22, x(time), top - 10));
    for (let i = 0; i < plays.length; i++) {
      const lane = top + i * BLOCK + LANE_AT;
      drawn.push(line("guide", x(time), lane, x(time), lane + LANE + 44));
    }
  }

  plays.forEach((play, i) => drawn.push(...block(play, top + i * BLOCK, x)));

  drawn.push(line("guide", LEFT, bottom, RIGHT, bottom));
  for (const time of ticks(from, to)) {
    drawn.push(line("guide", x(time), bottom, x(time), bottom + 6));
    drawn.push(text("small middle", x(time), bottom + 22, `${time / 1000} s`));
  }
  const source =
    `From the servers’ own traces and the clients’ clocks, in one run of compare.ts. ${system}.`;
  drawn.push(text("small", MARGIN, bottom + 58, source));

  const height = bottom + 84;
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
      viewBox: `0 0 ${WIDTH} ${height}`,
      width: WIDTH,
      height,
      role: "img",
    },
    [
      "",
      tag("title", {}, escape(`What each model does while it waits: ${names}`)),
      tag("style", {}, STYLE),
      tag("pattern", hatch, tag("line", { class: "hatch", y2: 8 })),
      tag("rect", { class: "paper", width: WIDTH, height, rx: 12 }),
      ...drawn,
      "",
    ].join("\n"),
  ) + "\n";
}

/** One model: its name and sentence, its thread, its two clients. */
function block(play: Play, top: number, x: (time: number) => number): string[] {
  const { script, model, canteen, clients } = play;
  const title = escape(script) +
    tag(
      "tspan",
      { class: "soft", dx: 12, "font-size": 13, "font-weight": 400 },
      escape(model),
    );
  const lane = top + LANE_AT;
  const drawn = [
    tag("text", { class: "script halo", x: MARGIN, y: top + 16 }, title),
    text(
      "strong halo end",
      RIGHT,
      top + 16,
      `thread held ${percent(play.held)} of the time`,
    ),
    text("halo", MARGIN, top + 37, `“${canteen}”`),
    text("small end", LEFT - 12, lane + 18, "thread"),
  ];

  const long = play.spans.filter(isSeen);
  long.forEach(({ state, from }, i) => {
    // Free before and after a moment's work: one outline, with a mark in it.
    const hollow = HOLLOW.includes(state);
    if (hollow && long[i - 1]?.state === state) return;
    const rest = long.slice(i);
    const end = rest.findIndex((span) => !hollow || span.state !== state);
    const { to } = hollow ? rest.at(end === -1 ? -1 : end - 1)! : rest[0];
    drawn.push(stretch(state, x(from), lane, x(to) - x(from), LANE));
  });
  const fits = (words: string, { from, to }: Span) =>
    x(to) - x(from) > wide(words) + 28;
  for (const { words, place: { state, from } } of captions(long, fits)) {
    const style = HOLLOW.includes(state) ? "away halo" : "on";
    drawn.push(text(style, x(from) + 14, lane + 18.5, words));
  }

  // Calls that follow each other at once are one mark, with one caption.
  const marks = play.spans.filter(isMark);
  const visits = Map.groupBy(
    marks,
    ({ from }) => marks.find((mark) => from - mark.from < 10),
  );
  const closes = (time: number) =>
    play.spans.some(({ call, from }) =>
      call === "close" && from > time && from - time < 10
    );
  if (!marks.length) {
    const words = "no call of its own copies: the kernel has done it";
    drawn.push(text("small halo", x(0), lane - 9, words));
  }
  let free = 0;
  for (const visit of visits.values()) {
    const useful = visit.filter(({ state }) => state !== "asking");
    const [{ state, from }] = useful.length ? useful : visit;
    drawn.push(mark(state, x(from), lane, LANE));
    const words = [...Map.groupBy(useful, ({ call }) => call)]
      .map(([call, { length }]) => length > 1 ? `${length} × ${call}` : call)
      .join(", ") || (closes(from) ? "close" : "nothing");
    const left = x(from) - 2;
    if (left < free) continue;
    free = left + wide(words);
    drawn.push(
      free > RIGHT
        ? text("small halo end", RIGHT, lane - 9, words)
        : text("small halo", left, lane - 9, words),
    );
  }

  for (const [i, client] of clients.entries()) {
    const y = lane + LANE + 18 + i * 19;
    const [asked, answered, left] = [client.asked, client.answered, client.left]
      .map(x);
    const words = waited(client);
    drawn.push(
      text("small end", LEFT - 12, y + 4, `${ORDER[i]} client`),
      line("visit", x(0), y, left, y),
      line("visit", left, y - 4, left, y + 4),
      rect("paper", answered, y - 7, wide(words) * 1.15 + 16, 14),
      line("wait", asked, y, answered, y),
      text("waited strong", answered + 9, y + 4.5, words),
    );
  }
  return drawn;
}
