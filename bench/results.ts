/** The results of a run, the figures that follow from them, and their tables. */
import type { End, Measured } from "./load.ts";
import type { Protocol } from "./servers.ts";

export const PARTS = [
  "http",
  "http-40",
  "http-4k",
  "pipelined",
  "http-404",
  "http-head",
  "http-options",
  "http-echo",
  "echo",
  "flood",
  "cores",
  "idle",
  "connections",
  "memory",
  "start",
] as const;
export type Part = typeof PARTS[number];

/** A server, as it was measured in a part. */
export interface Row {
  name: string;
  label: string;
  protocol: Protocol;
  ours: boolean;
  connections: number;
  /** One list a round, with an entry for each number of idle connections. */
  rounds: Measured[][];
  /** System calls a request, if a program that counts them is installed. */
  syscalls?: number;
  /** How many connections the server takes, if not all. */
  end?: End;
}

/** How long a script takes to start. */
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

/** What a figure was in the rounds. */
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

/** What was measured beside so many idle connections, in each round. */
function byRound(row: Row, idle: number): (Measured | undefined)[] {
  return row.rounds.map((round) => round.find((m) => m.idle === idle));
}

/** CPU time a request, in µs. */
export function cost(measured: Measured): number {
  return 1e6 * measured.cpu / measured.requests;
}

function known<T>(values: (T | undefined)[]): T[] {
  return values.filter((value) => value !== undefined);
}

/** A figure of a row, beside so many idle connections. */
function figureOf(row: Row, of: (m: Measured) => number, idle = 0) {
  return figure(known(byRound(row, idle)).map(of));
}

/** CPU time a request, in µs, beside so many idle connections. */
export function cpu(row: Row, idle = 0): Figure | undefined {
  return figureOf(row, cost, idle);
}

/**
 * How many times `base` a row costs: the median of the quotients of each round,
 * as what slows the machine down slows both down that are measured in a round.
 */
export function times(
  row: Row | undefined,
  base: Row | undefined,
  idle = 0,
  baseIdle = idle,
): number | undefined {
  if (!row || !base) return;
  const bases = byRound(base, baseIdle);
  const ratios = known(
    byRound(row, idle).map((measured, round) => {
      const other = bases[round];
      return measured && other && cost(measured) / cost(other);
    }),
  );
  return ratios.length ? median(ratios) : undefined;
}

/** The C server that does the same with as many connections. */
export function floor(rows: Row[], { protocol, connections }: Row) {
  return rows.find((row) =>
    row.name.startsWith("c-") && row.protocol === protocol &&
    row.connections === connections
  );
}

/** Beside how many idle connections something was measured, in order. */
export function levels(rows: Row[]): number[] {
  const all = rows.flatMap((row) => row.rounds.flat().map((m) => m.idle));
  return [...new Set(all)].sort((a, b) => a - b);
}

/** Bytes of resident memory for each connection, by round. */
function memory(row: Row): number[] {
  return row.rounds.filter((round) => round.length > 1).map((round) => {
    const first = round[0];
    const last = round.at(-1)!;
    return (last.rss - first.rss) / (last.idle - first.idle);
  });
}

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

function loadTable(rows: Row[]): string {
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
      round(figureOf(row, (m) => m.requests / m.seconds)?.median),
      round(latency(row, "p50")?.median),
      round(latency(row, "p99")?.median),
      row.syscalls?.toFixed(2),
      percent(figureOf(row, (m) => Math.min(1, m.busy))?.median),
      percent(figureOf(row, (m) => m.held)?.median),
    ]),
  );
}

/** How long a row's clients waited for an answer: which share of them, in µs. */
export function latency(row: Row, share: "p50" | "p99"): Figure | undefined {
  return figureOf(row, (measured) => measured[share]);
}

/** Where a part of the load is no requests, CPU a request would say nothing. */
function latencyTable(rows: Row[]): string {
  return table(
    ["", "p50 µs", "p99 µs", "spread", "requests/s", "load held up"],
    rows.map((row) => [
      row.label,
      round(latency(row, "p50")?.median),
      round(latency(row, "p99")?.median),
      spread(latency(row, "p99"), 0),
      round(figureOf(row, (m) => m.requests / m.seconds)?.median),
      percent(figureOf(row, (m) => m.held)?.median),
    ]),
  );
}

const SHARED =
  "The load has one thread, and takes a core of the same machine: with two cores, two\n" +
  "workers get one and what the load leaves of the other.";

const percent = (share?: number) =>
  share === undefined ? undefined : `${Math.round(100 * share)} %`;

/**
 * How many ns each idle connection adds to every request, measured with so many
 * idle connections: by default, with the most.
 */
export function slope(row: Row, idle = levels([row]).at(-1)!) {
  const without = cpu(row, 0);
  const beside = cpu(row, idle);
  return without && beside && idle
    ? 1000 * (beside.median - without.median) / idle
    : undefined;
}

function idleTables(rows: Row[]): string {
  // A table for each protocol: to parse HTTP is not a cost of waiting.
  const tables = [idleTable(rows.filter((row) => row.protocol === "echo"))];
  const http = rows.filter((row) => row.protocol === "http");
  if (http.length) tables.push(idleTable(http));
  return tables.join("\n\nThe same over HTTP\n\n");
}

function idleTable(rows: Row[]): string {
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
}

function memoryTable(rows: Row[]): string {
  return table(
    ["", "bytes/connection", "spread", "KiB without"],
    rows.map((row) => {
      const f = figure(memory(row));
      return [
        row.label,
        round(f?.median),
        spread(f, 0),
        round((figureOf(row, (m) => m.rss)?.median ?? NaN) / 1024),
      ];
    }),
  );
}

function startTable(start: Start[]): string {
  const empty = figure(start[0].ms)?.median;
  return table(
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
}

const titles: Record<Part, string> = {
  http: "HTTP, keep-alive, 64 connections, the head that Chromium sends",
  "http-40": "HTTP, with a head of 40 bytes",
  "http-4k": "HTTP, with a head of 4 kB",
  pipelined: "HTTP, Chromium's head, 16 requests at once",
  "http-404": "HTTP, Chromium's head, a page that is not there",
  "http-head": "HTTP, Chromium's head, HEAD",
  "http-options": "HTTP, Chromium's head, OPTIONS",
  "http-echo": "HTTP, Chromium's head, a body of 64 bytes that is sent back",
  echo: "Echo of 64 bytes, 64 connections",
  flood: "Echo of 64 bytes, 16 connections, beside 3 that flood: latency",
  cores: "Echo of 64 bytes, 64 connections, a server on all cores",
  idle: "CPU µs/request of 16 active connections beside idle ones (spread); " +
    "what each of these adds",
  connections: "Connect, one request, close; 64 at a time",
  memory: "Resident memory of the process for each idle connection",
  start: "From start to `listening on`",
};

/** The tables of all parts that were measured. */
export function tables(results: Results): string {
  const texts: string[] = [];
  for (const part of PARTS) {
    const text = tableOf(part, results);
    if (text) texts.push(`${titles[part]}\n\n${text}`);
  }
  return texts.join("\n\n");
}

function tableOf(part: Part, { parts, start }: Results): string {
  if (part === "start") return start?.length ? startTable(start) : "";
  const rows = parts[part];
  if (!rows?.length) return "";
  if (part === "idle") return idleTables(rows);
  if (part === "flood") return latencyTable(rows);
  if (part === "cores") return `${latencyTable(rows)}\n\n${SHARED}`;
  return part === "memory" ? memoryTable(rows) : loadTable(rows);
}

// ------------------------------------------------------------------ targets

/** What was measured, and what it is to be: `<= 1.1`. */
interface Target {
  what: string;
  value?: number;
  limit: string;
}

/** A table of the targets that were measured: are they met? */
export function targets({ parts, start }: Results): string {
  const row = (part: Exclude<Part, "start">, name: string) =>
    parts[part]?.find((row) => row.name === name);
  const beside = (
    part: Exclude<Part, "start">,
    name: string,
    other: string,
    limit = "< 1",
  ): Target => ({
    what: `${part}: ${name} beside ${other}`,
    value: times(row(part, name), row(part, other)),
    limit,
  });
  const most = Math.max(0, ...levels(parts.idle ?? []));
  const besideIdle = (name: string): Target => {
    const idle = row("idle", name);
    return {
      what: `idle: ${name} beside ${most} idle connections, and beside none`,
      value: most ? times(idle, idle, most, 0) : undefined,
      limit: "<= 1.1",
    };
  };
  const floor = row("http", "c-http");
  const empty = start && figure(start[0].ms)?.median;
  const all: Target[] = [
    {
      what: "http: share of the time that the load keeps C busy",
      value: floor && undisturbed(floor),
      limit: ">= 0.9",
    },
    beside("http-40", "epoll_http", "c-http", "<= 1.12"),
    ...(["http", "http-4k", "pipelined", "connections"] as const).flatMap(
      (part) => [
        beside(part, "epoll_http", "nginx"),
        beside(part, "epoll_http", "deno-serve"),
      ],
    ),
    ...(["http-404", "http-head", "http-options", "http-echo"] as const)
      .flatMap((part) => [
        beside(part, "epoll_http", "c-http", "<= 1.4"),
        beside(part, "epoll_http", "nginx"), // cannot echo a body
        beside(part, "epoll_http", "deno-serve"),
      ]),
    beside("echo", "select", "python-select"),
    beside("echo", "poll", "python-poll"),
    beside("echo", "async", "c-echo", "<= 1.4"),
    beside("echo", "async", "asyncio"),
    beside("echo", "io_uring", "c-echo"),
    besideIdle("epoll_http"),
    besideIdle("io_uring"),
    ...(start ?? []).slice(1).map(({ label, ms }): Target => ({
      what: `start: ${label} beside an empty script`,
      value: empty && (figure(ms)?.median ?? NaN) / empty,
      limit: "<= 1.5",
    })),
  ];
  const lines: Cell[][] = [];
  for (const { what, value, limit } of all) {
    if (value === undefined) continue;
    const verdict = meets(value, limit) ? "met" : "MISSED";
    lines.push([what, value.toFixed(2), limit, verdict]);
  }
  if (!lines.length) return "";
  const head = ["", "measured", "wanted", ""];
  return `What we want to reach\n\n${table(head, lines)}`;
}

/**
 * How busy the load keeps a server, in the rounds in which nothing else ran on
 * the load's core: in the others, it is not the load that is too slow.
 */
function undisturbed(row: Row): number | undefined {
  const rounds = known(byRound(row, 0)).filter(({ held }) => held < 0.05);
  return figure(rounds.map(({ busy }) => busy))?.median;
}

function meets(value: number, limit: string): boolean {
  const [relation, number] = limit.split(" ");
  if (relation === ">=") return value >= Number(number);
  return relation === "<" ? value < Number(number) : value <= Number(number);
}
