/**
 * Draws what a run measured, as SVG: text as text, readable on a light and on a
 * dark page. To draw bench/results.json again:
 *
 *   deno run -A bench/charts.ts
 */
import * as vega from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import {
  cpu,
  floor,
  levels,
  type Part,
  type Results,
  type Row,
  slope,
} from "./results.ts";
import { here } from "./servers.ts";
import { width } from "../lib/width.ts";

// Without a canvas, vega takes every character for 0.8 em wide, and leaves as
// much room. This is about right of the fonts below, in both languages.
const { textMetrics } = vega as unknown as { // missing in its types
  textMetrics: { width: (item: TextItem, text: unknown) => number };
};
interface TextItem {
  fontSize?: number;
  fontWeight?: string | number;
}
textMetrics.width = ({ fontSize = 11, fontWeight }, text) => {
  const emPerColumn = fontWeight === "bold" ? 0.66 : 0.57;
  return width(`${text}`) * emPerColumn * fontSize;
};

// Each picture has a background of its own: it cannot know that of the page, which
// may be light although the reader's system is dark.
const paper = "#ffffff";
const ink = "#1f2328";
const faint = "#59636e";
const line = "#d1d9e0";
const dark = {
  [paper]: "#0d1117",
  [ink]: "#e6edf3",
  [faint]: "#9198a1",
  [line]: "#30363d",
};
const style = `<style>@media (prefers-color-scheme: dark) {${
  Object.entries(dark).map(([light, dark]) =>
    `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`
  ).join("")
}}</style>`;
const ours = "#2f81d6";
const theirs = "#868e96";

const config: TopLevelSpec["config"] = {
  background: paper,
  font: "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
  padding: 16,
  view: { stroke: null },
  title: {
    anchor: "start",
    frame: "group",
    color: ink,
    subtitleColor: faint,
    fontSize: 16,
    subtitleFontSize: 12,
    subtitlePadding: 6,
    offset: 14,
  },
  axis: {
    labelColor: ink,
    titleColor: faint,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: "normal",
    gridColor: line,
    domainColor: line,
    tickColor: line,
  },
  legend: {
    labelColor: ink,
    titleColor: faint,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: "normal",
    symbolSize: 300,
    symbolStrokeWidth: 2,
    labelLimit: 240,
    rowPadding: 4,
  },
};

type Layers = Extract<TopLevelSpec, { layer: unknown }>["layer"];

/** Draws a chart, and adds the colours of a dark page. */
async function svg(spec: TopLevelSpec): Promise<string> {
  const view = new vega.View(vega.parse(compile({ ...spec, config }).spec), {
    renderer: "none",
  });
  const text = await view.toSVG();
  view.finalize();
  return text.replace(/<svg [^>]*>/, (head) => head + style) + "\n";
}

// Names of programs and of system calls are not translated.
const english = {
  cores: "cores",
  title: {
    http: "HTTP with Chromium’s head, 64 connections: CPU a request",
    echo: "Echo of 64 bytes, 64 connections: CPU a request",
  },
  less: "CPU time of the server, µs a request: less is better",
  ours: "this collection",
  theirs: "others",
  // Of the echo it is no floor: where all connections are active, select and poll
  // can cost less than epoll.
  floor: {
    http: "the floor: epoll in C, hardly anything parsed",
    echo: "epoll in C",
  },
  beside: "What idle connections cost: 16 active ones beside them",
  linear: "The same on linear axes: what grows with n, and what does not",
  growing: (each: string) => [
    "O(n), a line that rises: for each request, all n connections are looked at.",
    `Each idle connection adds ${each} to a request (poll.ts).`,
  ],
  level: "O(1), a level line: the kernel returns those that are ready.",
  at: (ns: number, n: string) => `${ns} ns (n = ${n})`,
  comma: ", ",
  idle: "idle connections",
  cost: "CPU time of the server, µs a request",
  waits: "waits in",
  written: "written in",
  languages: ["Deno, this collection", "Python", "C"],
  ways: {
    blocking: "blocking recv",
    nonblocking: "nowhere: it asks",
    signal: "nowhere: SIGIO",
    async: "Deno's await",
  },
  single: ", its only client",
  full: "No more fit in:",
  end: (label: string, n: string) => `${label}: ${n} connections`,
};
const chinese: typeof english = {
  cores: "核",
  title: {
    http: "HTTP，Chromium 实际发送的请求头，64 个连接：每个请求的 CPU 时间",
    echo: "回显 64 字节，64 个连接：每个请求的 CPU 时间",
  },
  less: "服务器的 CPU 时间，微秒/请求：越少越好",
  ours: "本项目",
  theirs: "其他",
  floor: {
    http: "下限：C 写的 epoll，几乎不解析",
    echo: "C 写的 epoll",
  },
  beside: "空闲连接的代价：另有 16 个活跃连接",
  linear: "同样的数据，线性坐标：什么随 n 增长，什么不随 n 增长",
  growing: (each) => [
    "O(n)，上升的线：每次等待都要把 n 个连接遍历一遍。",
    `每多一个空闲连接，每个请求就多花 ${each}（poll.ts）。`,
  ],
  level: "O(1)，水平的线：内核只返回就绪的连接。",
  at: (ns, n) => `${ns} 纳秒（n = ${n}）`,
  comma: "、",
  idle: "空闲连接数",
  cost: "服务器的 CPU 时间，微秒/请求",
  waits: "等在哪里",
  written: "实现语言",
  languages: ["Deno，本项目", "Python", "C"],
  ways: {
    blocking: "阻塞的 recv",
    nonblocking: "不等，反复询问",
    signal: "不等，SIGIO 通知",
    async: "Deno 的 await",
  },
  single: "，唯一的客户端",
  full: "到此为止：",
  end: (label, n) => `${label}：${n} 个连接`,
};
const languages = { "": english, ".zh-CN": chinese };
type Words = typeof english;

/** Where and when a part was measured, in two lines. */
function about(
  { machine, versions, runs }: Results,
  part: Part,
  words: Words,
): string[] {
  const { date, command } = runs[part]!;
  return [
    `${machine.cpu}, ${machine.cores} ${words.cores} · ${machine.kernel} · Deno ${versions.deno}`,
    `${date.slice(0, 10)} · ${command}`,
  ];
}

/** CPU time a request, one bar a server, its rounds as a whisker. */
function bars(
  results: Results,
  part: "http" | "echo",
  words: Words,
): TopLevelSpec {
  const rows = results.parts[part]!;
  const values = rows.filter((row) => row.connections > 1).map((row) => ({
    ...cpu(row),
    label: row.label,
    whose: row.ours ? words.ours : words.theirs,
    text: cpu(row)?.median.toFixed(1),
  }));
  const base = rows.find((row) => floor(rows, row) === row);
  const mark = base && cpu(base)?.median;
  const marked: Layers = mark === undefined ? [] : [
    {
      data: { values: [{}] }, // once, not once a server
      mark: { type: "rule", color: ink, strokeDash: [4, 3] },
      encoding: { x: { datum: mark } },
    },
    {
      data: { values: [{}] },
      mark: {
        type: "text",
        text: words.floor[part],
        y: -6,
        align: "left",
        baseline: "bottom",
        color: faint,
        fontSize: 12,
      },
      encoding: { x: { datum: mark } },
    },
  ];
  const y = {
    field: "label",
    type: "nominal",
    sort: { field: "median", op: "min" },
    axis: { title: null, ticks: false, domain: false, labelPadding: 8 },
  } as const;
  const color = {
    field: "whose",
    type: "nominal",
    scale: { domain: [words.ours, words.theirs], range: [ours, theirs] },
    legend: { title: null, orient: "bottom", symbolType: "square" },
  } as const;
  return {
    title: { text: words.title[part], subtitle: about(results, part, words) },
    width: 560,
    height: { step: 26 },
    data: { values },
    layer: [
      {
        mark: { type: "bar", height: 16, cornerRadiusEnd: 2 },
        encoding: {
          y,
          x: {
            field: "median",
            type: "quantitative",
            axis: { title: words.less, tickCount: 8 },
          },
          color,
        },
      },
      {
        mark: { type: "rule", color: ink, strokeWidth: 1.5 },
        encoding: {
          y,
          x: { field: "min", type: "quantitative" },
          x2: { field: "max" },
        },
      },
      {
        mark: { type: "text", align: "left", dx: 6, color: ink, fontSize: 12 },
        encoding: {
          y,
          x: { field: "max", type: "quantitative" },
          text: { field: "text" },
        },
      },
      ...marked,
    ],
  };
}

// Servers that wait in the same call have one colour, in any language.
const ways = {
  blocking: "#0c96a8",
  nonblocking: "#868e96",
  select: "#e5484d",
  poll: "#c27c0e",
  signal: "#d0519b",
  epoll: "#2f81d6",
  async: "#2e9e4f",
  io_uring: "#8e6fe0",
};
type Way = keyof typeof ways;

function way({ name }: Row): Way {
  const bare = name.replace("python-", "").replace("threads", "blocking");
  return (Object.keys(ways) as Way[]).find((way) => bare.startsWith(way)) ??
    "epoll"; // C's
}

/** CPU time a request against idle connections: echo beside echo. */
function curves(
  results: Results,
  words: Words,
  linear: boolean,
): TopLevelSpec {
  const rows = results.parts.idle!.filter(({ protocol }) =>
    protocol === "echo"
  );
  const called = (way: Way) =>
    (words.ways as Partial<Record<Way, string>>)[way] ?? way;
  const [deno, python, c] = words.languages;
  const languageOf = (row: Row) => {
    if (row.ours) return deno;
    return row.name === "c-echo" ? c : python;
  };
  const values = rows.flatMap((row) =>
    levels([row]).map((idle) => ({
      idle,
      cpu: cpu(row, idle)?.median,
      label: row.label,
      way: called(way(row)),
      language: languageOf(row),
    }))
  );
  const shown = (Object.keys(ways) as Way[]).filter((one) =>
    rows.some((row) => way(row) === one)
  );
  const count = (n: number) => n.toLocaleString("en");
  const ends = rows.filter((row) => row.end).toSorted((a, b) =>
    a.end!.end - b.end!.end
  );
  const full = [
    words.full,
    ...ends.map(({ label, end }) => words.end(label, count(end!.end))),
  ];
  const ended: Layers = ends.length && !linear
    ? [
      {
        data: { values: ends.map(({ end }) => ({ idle: end!.end })) },
        mark: { type: "rule", color: faint, strokeDash: [4, 3] },
        encoding: { x: { field: "idle", type: "quantitative" } },
      },
      {
        data: { values: [{}] },
        mark: {
          type: "text",
          text: full,
          align: "left",
          baseline: "top",
          x: 8,
          y: 4,
          color: ink,
          fontSize: 12,
          lineHeight: 16,
        },
      },
    ]
    : [];
  // The marks of the axis: between 5000 and the last there is no room for more.
  const marked = levels(rows).filter((n, i, { length }) =>
    n < 5000 || i === length - 1
  );
  const single = rows.find(({ connections }) => connections === 1);
  const alone: Layers = single && !linear
    ? [{
      data: { values: [{ idle: 0, cpu: cpu(single)?.median }] },
      mark: {
        type: "text",
        text: single.label + words.single,
        align: "left",
        dy: -12,
        color: ink,
        fontSize: 12,
      },
      encoding: {
        x: { field: "idle", type: "quantitative" },
        y: { field: "cpu", type: "quantitative" },
      },
    }]
    : [];
  const x = {
    field: "idle",
    type: "quantitative",
    // symlog: a logarithm that has a place for zero.
    scale: linear
      ? { type: "linear" as const, nice: false }
      : { type: "symlog" as const, constant: 30, nice: false },
    axis: {
      title: words.idle,
      values: linear ? undefined : marked,
      labelExpr: "format(datum.value, ',')", // 900, and not 9e+2
      labelOverlap: linear,
    },
  } as const;
  const y = {
    field: "cpu",
    type: "quantitative",
    scale: { type: linear ? "linear" : "log", nice: true },
    axis: {
      title: words.cost,
      values: linear
        ? undefined
        : [0, 1, 2, 3].flatMap((n) => [1, 2, 5].map((m) => m * 10 ** n)),
    },
  } as const;
  const color = {
    field: "way",
    type: "nominal",
    scale: {
      domain: shown.map(called),
      range: shown.map((way) => ways[way]),
    },
    legend: { title: words.waits, symbolType: "circle" },
  } as const;
  // Two slopes: with more connections, fewer of them fit into the CPU's cache.
  const list = rows.find(({ name }) => name === "poll");
  const each = [...new Set([900, levels(list ? [list] : []).at(-1) ?? 0])]
    .map((n) => [n, list && slope(list, n)] as const)
    .filter(([, ns]) => ns !== undefined)
    .map(([n, ns]) => words.at(Math.round(ns!), count(n))).join(words.comma);
  return {
    title: {
      text: linear ? words.linear : words.beside,
      subtitle: [
        ...linear && each ? [...words.growing(each), words.level] : [],
        ...about(results, "idle", words),
      ],
    },
    width: 560,
    height: 360,
    data: { values },
    layer: [
      {
        mark: { type: "line", strokeWidth: 2 },
        encoding: {
          x,
          y,
          detail: { field: "label" },
          color,
          strokeDash: {
            field: "language",
            type: "nominal",
            scale: { domain: words.languages, range: [[1, 0], [6, 3], [2, 2]] },
            legend: {
              title: words.written,
              symbolType: "stroke",
              encoding: { symbols: { stroke: { value: ink } } },
            },
          },
        },
      },
      {
        mark: { type: "point", filled: true, size: 36, opacity: 1 },
        encoding: { x, y, color },
      },
      ...ended,
      ...alone,
    ],
  };
}

/** Writes the charts of what was measured, by language; returns their paths. */
export async function draw(
  results: Results,
  folder: string,
): Promise<string[]> {
  const { parts } = results;
  const paths = [];
  for (const [language, words] of Object.entries(languages)) {
    const charts: Record<string, TopLevelSpec> = {};
    if (parts.http?.length) charts.http = bars(results, "http", words);
    if (parts.echo?.length) charts.echo = bars(results, "echo", words);
    if (parts.idle?.some(({ protocol }) => protocol === "echo")) {
      charts.idle = curves(results, words, false);
      charts["idle-linear"] = curves(results, words, true);
    }
    for (const [name, spec] of Object.entries(charts)) {
      const path = `${folder}/bench-${name}${language}.svg`;
      await Deno.writeTextFile(path, await svg(spec));
      paths.push(path);
    }
  }
  return paths;
}

if (import.meta.main) {
  const last = Deno.args[0] === "last"; // the last quick or narrowed run
  const file = here(last ? "last/results.json" : "results.json");
  const results: Results = JSON.parse(await Deno.readTextFile(file));
  console.log(
    (await draw(results, here(last ? "last" : "../docs"))).join("\n"),
  );
}
