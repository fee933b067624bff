/**
 * Draws what a run measured, as SVG: text as text, readable on a light and on a
 * dark page. To draw bench/results.json again:
 *
 *   deno run -A bench/charts.ts
 */
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import {
  cpu,
  floor,
  levels,
  type Part,
  type Results,
  type Row,
} from "./results.ts";

// Each picture brings its own background: a page does not tell a picture which
// it has, and the reader's system, which does, may be of another opinion.
const [paper, ink, faint, line] = ["#ffffff", "#1f2328", "#59636e", "#d1d9e0"];
const dark = { [paper]: "#0d1117", [ink]: "#e6edf3", [faint]: "#9198a1" };
const style = `<style>@media (prefers-color-scheme: dark) {${
  Object.entries({ ...dark, [line]: "#30363d" }).map(([light, dark]) =>
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

async function svg(spec: TopLevelSpec): Promise<string> {
  const view = new View(parse(compile({ ...spec, config }).spec), {
    renderer: "none",
  });
  const text = await view.toSVG();
  view.finalize();
  return text.replace(/<svg [^>]*>/, (head) => head + style) + "\n";
}

function about({ machine, versions, date, command }: Results): string[] {
  return [
    `${machine.cpu}, ${machine.cores} cores · ${machine.kernel} · Deno ${versions.deno}`,
    `${date.slice(0, 10)} · ${command}`,
  ];
}

/** CPU time a request, one bar a server, its rounds as a whisker. */
function bars(results: Results, rows: Row[], title: string): TopLevelSpec {
  const values = rows.filter((row) => row.connections > 1).map((row) => ({
    ...cpu(row),
    label: row.label,
    who: row.ours ? "this collection" : "others",
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
        // An echo has nothing to parse; and where all are active, epoll, which
        // is told of each of them, costs more than to look at the whole list.
        text: base?.protocol === "http"
          ? "the floor: epoll in C, nothing parsed"
          : "epoll in C",
        y: -6,
        align: "left",
        baseline: "bottom",
        color: faint,
        fontSize: 11,
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
    field: "who",
    type: "nominal",
    scale: { domain: ["this collection", "others"], range: [ours, theirs] },
    legend: { title: null, orient: "bottom", symbolType: "square" },
  } as const;
  return {
    title: { text: title, subtitle: about(results) },
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
            axis: {
              title: "CPU time of the server, µs a request: less is better",
              tickCount: 8,
            },
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

const languages = ["Deno, this collection", "Python", "C"];
// Who waits alike has one colour, whatever it is written in.
const ways: Record<string, string> = {
  "non-blocking": "#868e96",
  select: "#e5484d",
  poll: "#c27c0e",
  signal: "#d0519b",
  epoll: "#2f81d6",
  async: "#2e9e4f",
  io_uring: "#8e6fe0",
};

function way({ name }: Row): string {
  const bare = name.replace("python-", "").replace(
    "nonblocking",
    "non-blocking",
  );
  return Object.keys(ways).find((way) => bare.startsWith(way)) ?? "epoll";
}

/** CPU time a request against idle connections. */
function curves(results: Results, rows: Row[]): TopLevelSpec {
  rows = rows.filter(({ name }) => name !== "c-echo");
  const values = rows.flatMap((row) =>
    levels([row]).map((idle) => ({
      idle,
      cpu: cpu(row, idle)?.median,
      label: row.label,
      way: way(row),
      language: languages[row.ours ? 0 : row.name.startsWith("c-") ? 2 : 1],
    }))
  );
  const shown = Object.keys(ways).filter((way) =>
    values.some((value) => value.way === way)
  );
  const ends = rows.filter((row) => row.end).map((row) => ({
    at: row.end!.end,
    text: `${row.label}: ${row.end!.end.toLocaleString("en")} connections`,
  }));
  const first = ends.length ? Math.min(...ends.map(({ at }) => at)) : 0;
  const ended: Layers = first
    ? [
      {
        data: { values: [{}] },
        mark: { type: "rule", color: faint, strokeDash: [4, 3] },
        encoding: { x: { datum: first } },
      },
      {
        data: { values: [{}] },
        mark: {
          type: "text",
          text: ["No more fit in:", ...ends.map(({ text }) => text)],
          align: "right",
          baseline: "top",
          dx: -6,
          y: 4,
          color: ink,
          fontSize: 12,
          lineHeight: 16,
        },
        encoding: { x: { datum: first } },
      },
    ]
    : [];
  const x = {
    field: "idle",
    type: "quantitative",
    // A logarithm that has a place for nought.
    scale: { type: "symlog", constant: 30, nice: false },
    axis: {
      title: "idle connections",
      values: levels(rows),
      labelExpr: "format(datum.value, ',')", // as they are, not as 9e+2
      labelOverlap: false,
    },
  } as const;
  const y = {
    field: "cpu",
    type: "quantitative",
    scale: { type: "log", nice: true },
    axis: {
      title: "CPU time of the server, µs a request",
      values: [0, 1, 2, 3].flatMap((n) => [1, 2, 5].map((m) => m * 10 ** n)),
    },
  } as const;
  const color = {
    field: "way",
    type: "nominal",
    scale: { domain: shown, range: shown.map((way) => ways[way]) },
    legend: { title: "waits in", symbolType: "circle" },
  } as const;
  return {
    title: {
      text: "What idle connections cost: 16 active ones beside them",
      subtitle: about(results),
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
            scale: { domain: languages, range: [[1, 0], [6, 3], [2, 2]] },
            legend: {
              title: "written in",
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
    ],
  };
}

/** Writes a chart for each part that has one; their paths. */
export async function draw(
  results: Results,
  folder: string,
): Promise<string[]> {
  const { http, echo, idle } = results.parts;
  const charts: [Part, TopLevelSpec][] = [];
  const title = "64 connections: what a request costs";
  if (http?.length) {
    charts.push(["http", bars(results, http, `HTTP, ${title}`)]);
  }
  if (echo?.length) {
    charts.push(["echo", bars(results, echo, `Echo of 64 bytes, ${title}`)]);
  }
  if (idle?.length) charts.push(["idle", curves(results, idle)]);
  const paths = [];
  for (const [part, spec] of charts) {
    const path = `${folder}/bench-${part}.svg`;
    await Deno.writeTextFile(path, await svg(spec));
    paths.push(path);
  }
  return paths;
}

if (import.meta.main) {
  const path = (name: string) =>
    decodeURIComponent(new URL(name, import.meta.url).pathname);
  const [file, folder] = Deno.args[0] === "last"
    ? ["last/results.json", "last"]
    : ["results.json", "../docs"];
  const results: Results = JSON.parse(await Deno.readTextFile(path(file)));
  console.log((await draw(results, path(folder))).join("\n"));
}
