/** What a run leaves behind, and what is read out of it. */
import type { End, Measured } from "./load.ts";
import type { Protocol } from "./servers.ts";

export const PARTS = [
  "http",
  "http-40",
  "http-4k",
  "pipelined",
  "echo",
  "idle",
  "connections",
  "memory",
  "start",
] as const;
export type Part = typeof PARTS[number];

export interface Row {
  name: string;
  label: string;
  protocol: Protocol;
  ours: boolean;
  connections: number;
  /** One list a round, with an entry for each number of idle connections. */
  rounds: Measured[][];
  /** System calls a request, where something here counts them. */
  syscalls?: number;
  /** Where this server takes no more connections. */
  end?: End;
}

export interface Start {
  label: string;
  /** From the start to `listening on`, or to the end of an empty script. */
  ms: number[];
}

/** When a part was measured, and how. */
export interface Run {
  date: string;
  command: string;
}

export interface Results {
  runs: Partial<Record<Part, Run>>;
  machine: Record<string, string | number>;
  versions: Record<string, string>;
  notes: string[];
  skipped: { label: string; why: string }[];
  failed: string[];
  parts: Partial<Record<Exclude<Part, "start">, Row[]>>;
  start?: Start[];
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2
    ? sorted[half]
    : (sorted[half - 1] + sorted[half]) / 2;
}

export interface Figure {
  median: number;
  min: number;
  max: number;
}

export function figure(values: number[]): Figure | undefined {
  if (!values.length) return;
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
  };
}

/** What a row measured at a number of idle connections, by round. */
const at = (row: Row, idle: number) =>
  row.rounds.map((round) => round.find((measured) => measured.idle === idle));

/** CPU time a request, in µs. */
const cost = (measured?: Measured) =>
  measured && 1e6 * measured.cpu / measured.requests;

const known = <T>(values: (T | undefined)[]) =>
  values.filter((value) => value !== undefined);

export const each = (row: Row, of: (m: Measured) => number, idle = 0) =>
  figure(known(at(row, idle)).map(of));

export const cpu = (row: Row, idle = 0) => each(row, (m) => cost(m)!, idle);

/**
 * How many times `base` a row costs: the median over the rounds, for two that
 * were measured within seconds of each other share the machine's moods.
 */
export function times(
  row: Row | undefined,
  base: Row | undefined,
  idle = 0,
  baseIdle = idle,
): number | undefined {
  if (!row || !base) return;
  const bases = at(base, baseIdle);
  const ratios = known(
    at(row, idle).map((measured, round) => {
      const [a, b] = [cost(measured), cost(bases[round])];
      return a && b && a / b;
    }),
  );
  return ratios.length ? median(ratios) : undefined;
}

/** The C server that does the same with as many connections. */
export const floor = (rows: Row[], { protocol, connections }: Row) =>
  rows.find((row) =>
    row.name.startsWith("c-") && row.protocol === protocol &&
    row.connections === connections
  );

export const levels = (rows: Row[]) =>
  [...new Set(rows.flatMap((row) => row.rounds.flat().map((m) => m.idle)))]
    .sort((a, b) => a - b);

/** Bytes of resident memory a connection, by round. */
export const memory = (row: Row) =>
  row.rounds.filter((round) => round.length > 1).map((round) => {
    const [first, last] = [round[0], round.at(-1)!];
    return (last.rss - first.rss) / (last.idle - first.idle);
  });

// ------------------------------------------------------------------- tables

type Cell = string | number | undefined;

function table(head: string[], rows: Cell[][]): string {
  const cells = [
    head,
    ...rows.map((row) => row.map((cell) => `${cell ?? "–"}`)),
  ];
  const widths = head.map((_, i) =>
    Math.max(...cells.map((row) => row[i].length))
  );
  const line = (row: string[]) =>
    row.map((cell, i) => i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))
      .join("  ").trimEnd();
  return cells.map(line).join("\n");
}

const spread = (f?: Figure, digits = 2) =>
  f && `${f.min.toFixed(digits)}–${f.max.toFixed(digits)}`;
const round = (n?: number) => n === undefined ? undefined : Math.round(n);

function load(rows: Row[]): string {
  return table(
    [
      "",
      "CPU µs/request",
      "spread",
      "× C",
      "requests/s",
      "p50 µs",
      "p99 µs",
      "calls/request",
      "core busy",
      "load held up",
    ],
    rows.map((row) => [
      row.label + (row.connections === 1 && row.ours ? ", 1 connection" : ""),
      cpu(row)?.median.toFixed(2),
      spread(cpu(row)),
      times(row, floor(rows, row))?.toFixed(2),
      round(each(row, (m) => m.requests / m.seconds)?.median),
      round(each(row, (m) => m.p50)?.median),
      round(each(row, (m) => m.p99)?.median),
      row.syscalls?.toFixed(2),
      percent(each(row, (m) => Math.min(1, m.busy))?.median),
      percent(each(row, (m) => m.held)?.median),
    ]),
  );
}

const percent = (share?: number) =>
  share === undefined ? undefined : `${Math.round(100 * share)} %`;

/**
 * What each idle connection adds to every request, in ns: with a number of them,
 * or with as many as were measured.
 */
export function slope(row: Row, idle = levels([row]).at(-1)!) {
  const [without, beside] = [cpu(row, 0), cpu(row, idle)];
  return without && beside && idle
    ? 1000 * (beside.median - without.median) / idle
    : undefined;
}

function idle(rows: Row[]): string {
  const one = (rows: Row[]) => {
    const all = levels(rows);
    return table(
      ["", ...all.map((n) => n.toLocaleString("en")), "ns each", "ends at"],
      rows.map((row) => [
        row.label + (row.connections === 1 ? ", 1 connection" : ""),
        ...all.map((n) => {
          const f = cpu(row, n);
          return f && `${f.median.toFixed(1)} (${spread(f, 1)})`;
        }),
        slope(row)?.toFixed(1),
        row.end ? `${row.end.end}: ${row.end.why}` : "",
      ]),
    );
  };
  // Echo beside echo: what HTTP takes to parse is no cost of waiting.
  const of = (protocol: Protocol) =>
    rows.filter((row) => row.protocol === protocol);
  return [one(of("echo")), ...of("http").length ? [one(of("http"))] : []]
    .join("\n\nThe same over HTTP\n\n");
}

const titles: Record<Part, string> = {
  http: "HTTP, keep-alive, 64 connections, the head that Chromium sends",
  "http-40": "HTTP, with a head of 40 bytes",
  "http-4k": "HTTP, with a head of 4 kB",
  pipelined: "HTTP, Chromium's head, 16 requests at once",
  echo: "Echo of 64 bytes, 64 connections",
  idle: "CPU µs/request of 16 active connections beside idle ones (spread); " +
    "what each of these adds",
  connections: "Connect, one request, close; 64 at a time",
  memory: "Resident memory of the process for each idle connection",
  start: "From start to `listening on`",
};

export function tables(results: Results): string {
  const { parts, start } = results;
  const texts = PARTS.flatMap((part) => {
    const rows = part === "start" ? undefined : parts[part];
    if (rows && !rows.length) return [];
    let text: string;
    if (part === "start") {
      if (!start?.length) return [];
      const empty = figure(start[0].ms)?.median;
      text = table(
        ["", "ms", "spread", "× empty"],
        start.map(({ label, ms }) => {
          const f = figure(ms);
          return [
            label,
            f?.median.toFixed(0),
            spread(f, 0),
            empty && f && (f.median / empty).toFixed(2),
          ];
        }),
      );
    } else if (!rows) return [];
    else if (part === "idle") text = idle(rows);
    else if (part === "memory") {
      text = table(
        ["", "bytes/connection", "spread", "KiB without"],
        rows.map((row) => {
          const f = figure(memory(row));
          return [
            row.label,
            round(f?.median),
            spread(f, 0),
            round((each(row, (m) => m.rss)?.median ?? NaN) / 1024),
          ];
        }),
      );
    } else text = load(rows);
    return [`${titles[part]}\n\n${text}`];
  });
  return texts.join("\n\n");
}

// ------------------------------------------------------------------ targets

/** What the models are to reach: what was measured, beside the limit. */
export function targets({ parts, start }: Results): string {
  const row = (part: Exclude<Part, "start">, name: string) =>
    parts[part]?.find((row) => row.name === name);
  const beside = (
    part: Exclude<Part, "start">,
    a: string,
    b: string,
    limit?: number,
  ) =>
    [
      `${part}: ${a} beside ${b}`,
      times(row(part, a), row(part, b)),
      limit ? `<= ${limit}` : "< 1",
    ] as const;
  const top = Math.max(0, ...levels(parts.idle ?? []));
  const crowd = (name: string) =>
    [
      `idle: ${name} beside ${top} idle connections, and beside none`,
      top ? times(row("idle", name), row("idle", name), top, 0) : undefined,
      "<= 1.1",
    ] as const;
  const under = row("http", "c-http");
  const empty = start && figure(start[0].ms)?.median;
  const all: (readonly [string, number | undefined, string])[] = [
    [
      "http: share of the time that the load keeps C busy",
      under && undisturbed(under),
      ">= 0.9",
    ],
    beside("http-40", "epoll_http", "c-http", 1.12),
    ...(["http", "http-4k", "pipelined", "connections"] as const).flatMap(
      (part) => [
        beside(part, "epoll_http", "nginx"),
        beside(part, "epoll_http", "deno-serve"),
      ],
    ),
    beside("echo", "select", "python-select"),
    beside("echo", "poll", "python-poll"),
    beside("echo", "async", "c-echo", 1.4),
    beside("echo", "async", "asyncio"),
    beside("echo", "io_uring", "c-echo"),
    crowd("epoll_http"),
    crowd("io_uring"),
    ...(start ?? []).slice(1).map(({ label, ms }) =>
      [
        `start: ${label} beside an empty script`,
        empty && (figure(ms)?.median ?? NaN) / empty,
        "<= 1.5",
      ] as const
    ),
  ];
  const measured = all.filter(([, value]) => value !== undefined);
  return measured.length
    ? "What we want to reach\n\n" + table(
      ["", "measured", "wanted", ""],
      measured.map(([what, value, limit]) => [
        what,
        value!.toFixed(2),
        limit,
        meets(value!, limit) ? "met" : "MISSED",
      ]),
    )
    : "";
}

/**
 * How busy the load keeps a server, in the rounds in which it had its own core
 * to itself: in the others it is not the load that is too slow.
 */
function undisturbed(row: Row): number | undefined {
  const rounds = known(at(row, 0)).filter(({ held }) => held < 0.05);
  return figure(rounds.map(({ busy }) => busy))?.median;
}

function meets(value: number, limit: string): boolean {
  const [how, number] = limit.split(" ");
  if (how === ">=") return value >= Number(number);
  return how === "<" ? value < Number(number) : value <= Number(number);
}
