/**
 * Writes what was measured into both READMEs, between two marks, so that no
 * number is copied by hand. To be run after a new bench/results.json:
 *
 *   cd bench && deno run -A readme.ts
 */
import { cpu, latency, median, type Results, type Row } from "./results.ts";

const here = (name: string) => new URL(name, import.meta.url);
const results: Results = JSON.parse(
  await Deno.readTextFile(here("results.json")),
);
const parts = results.parts as Record<string, Row[] | undefined>;
// Parts may be measured one by one: the last of them tells the day.
const day = Object.values(results.runs).map(({ date }) => date)
  .sort().at(-1)!.slice(0, 10);

/** CPU time a request in µs, the median of the rounds. */
function medianCost(part: string, name: string, idle = 0): number | undefined {
  const row = parts[part]?.find((row) => row.name === name);
  return row && cpu(row, idle)?.median;
}

/** The latency in µs that 99 of 100 requests did not exceed. */
function p99(part: string, name: string): string {
  const row = parts[part]?.find((row) => row.name === name);
  const value = row && latency(row, "p99")?.median;
  return value === undefined ? NONE : Math.round(value).toLocaleString("en");
}

/** How many requests a second the server has answered. */
function rate(row: Row): string {
  const rates = row.rounds.flat().map(({ requests, seconds }) =>
    requests / seconds
  );
  return Math.round(median(rates)).toLocaleString("en");
}

type Language = "en" | "zh";
/** A row of a table: the name of a server or of a part, and what it is called there. */
interface Labelled {
  name: string;
  label: Record<Language, string>;
}

/** A row whose label is the same in both languages. */
function same(name: string, label: string): Labelled {
  return { name, label: { en: label, zh: label } };
}

const NONE = "–";
const HTTP = ["http", "http-40", "http-4k", "pipelined", "connections"];
const HTTP_ROWS: Labelled[] = [
  same("epoll_http", "`epoll_http.ts`"),
  same("nginx", "nginx"),
  same("deno-serve", "`Deno.serve`"),
  same("bun", "`Bun.serve`"),
  { name: "node-http", label: { en: "Node `http`", zh: "Node 的 `http`" } },
  {
    name: "c-http",
    label: {
      en: "epoll in C, hardly parses",
      zh: "C 写的 epoll，几乎不解析",
    },
  },
];
/** Other requests than for the page, by the part that measures them. */
const KIND_ROWS: Labelled[] = [
  {
    name: "http-404",
    label: { en: "a page that is not there: 404", zh: "没有的页面：404" },
  },
  same("http-head", "`HEAD`"),
  same("http-options", "`OPTIONS`"),
  {
    name: "http-echo",
    label: { en: "64 bytes sent back", zh: "送回 64 字节的请求体" },
  },
];
const IDLE = [0, 900, 9900];
const ECHO_ROWS: Labelled[] = [
  ...[
    "blocking",
    "threads",
    "nonblocking",
    "select",
    "poll",
    "epoll",
    "coroutines",
    "signal",
    "async",
    "io_uring",
  ].map((name) => same(name, `\`${name}.ts\``)),
  { name: "c-echo", label: { en: "epoll in C", zh: "C 写的 epoll" } },
  {
    name: "python-poll",
    label: { en: "Python `poll`", zh: "Python 的 `poll`" },
  },
];

/** A table in Markdown: numbers to the right. */
function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, i) => i ? "--:" : "---");
  return [head, rule, ...rows].map(line).join("\n");
}

/** The words of the section, and the heads of its tables. */
const words = {
  alone: { en: ", 1 connection", zh: "（1 个连接）" },
  ends: { en: "ends at 1,024", zh: "到 1,024 为止" },
  http: {
    en: [
      "HTTP",
      "Chromium’s head",
      "40 bytes",
      "4 kB",
      "pipelined by 16",
      "a connection each",
    ],
    zh: [
      "HTTP",
      "Chromium 的请求头",
      "40 字节",
      "4 kB",
      "管线化 16 个",
      "短连接",
    ],
  },
  aboutKinds: {
    en:
      "Other requests, with Chromium’s head. nginx sends no body back without a further module:",
    zh:
      "别的请求，用 Chromium 的请求头。没有额外的模块，nginx 不能把请求体送回来：",
  },
  aboutCores: {
    en:
      "`cores.ts`, echo with 64 connections: requests a second, and the µs within which 99 of 100 are answered. The load has one thread, and takes a core of the same machine: with two cores, two workers get one and what the load leaves of the other.",
    zh:
      "`cores.ts`，64 个连接回显：每秒请求数，以及 99% 的请求在多少微秒内得到响应。压测程序只有一个线程，占用同一台机器的一个核：总共两个核时，两个工作线程只能得到一个核，再加上压测程序剩下的部分。",
  },
  cores: {
    en: ["cores", "requests/s", "p99"],
    zh: ["多核", "每秒请求数", "p99"],
  },
  aboutEcho: {
    en:
      "Echo. _64 busy_: 64 connections that are always waiting for an answer. _0, 900, 9,900 idle_: 16 such connections beside idle ones. _A connection each_: a new connection for each request. _p99_: 99 of 100 requests are answered within this many µs, first with 64 busy connections, then with 16 busy ones while three others flood the server (each has up to 128 kB under way):",
    zh:
      "回显。64 忙：64 个连接，每个总有一个请求在等响应。0、900、9,900 闲：16 个这样的连接，旁边还有这么多空闲连接。短连接：每个请求新建一个连接。p99：99% 的请求在这么多微秒内得到响应；一列是 64 个忙的连接，一列是 16 个、旁边另有 3 个连接不停地灌数据（每个连接的在途数据至多 128 kB）：",
  },
  echo: {
    en: [
      "echo",
      "64 busy",
      "0 idle",
      "900 idle",
      "9,900 idle",
      "a connection each",
      "p99, 64 busy",
      "p99 beside 3 floods",
    ],
    zh: [
      "回显",
      "64 忙",
      "0 闲",
      "900 闲",
      "9,900 闲",
      "短连接",
      "p99，64 忙",
      "p99，旁边 3 个灌数据",
    ],
  },
};

/** Where all this was measured. */
function aboutMachine(language: Language): string {
  const { machine: { cores, ...machine }, versions: { deno } } = results;
  const kernel = `${machine.kernel}`.match(/Linux \d+\.\d+/)?.[0];
  const cpu = `${machine.cpu}`.replaceAll(/\((R|TM)\)/g, "");
  return {
    en:
      `This was on ${day}, on ${cores} cores of an ${cpu} with ${kernel} and Deno ${deno}. µs of CPU a request with 64 connections, HTTP:`,
    zh:
      `下面是 ${day} 在 ${cpu}（${cores} 个核）、${kernel}、Deno ${deno} 上的结果。每个请求用掉的 CPU 时间，单位微秒，64 个连接，HTTP：`,
  }[language];
}

/** The section, in Markdown. */
function text(language: Language): string {
  const label = ({ name, label }: Labelled) => {
    const row = parts.echo?.find((row) => row.name === name);
    const alone = row?.connections === 1;
    return label[language] + (alone ? words.alone[language] : "");
  };
  const us = (value?: number) => value?.toFixed(2) ?? NONE;
  /** Where select ends, the number of descriptors stands. */
  const idle = (name: string, n: number) => {
    const value = medianCost("idle", name, n);
    if (value !== undefined || name !== "select") return us(value);
    return n > 1024 ? words.ends[language] : NONE;
  };
  const filled = (rows: string[][]) =>
    rows.filter((row) => row.slice(1).some((cell) => cell !== NONE));
  const http = HTTP_ROWS.map((row) => [
    label(row),
    ...HTTP.map((part) => us(medianCost(part, row.name))),
  ]);
  const echo = ECHO_ROWS.map((row) => [
    label(row),
    us(medianCost("echo", row.name)),
    ...IDLE.map((n) => idle(row.name, n)),
    us(medianCost("connections", row.name)),
    p99("echo", row.name),
    p99("flood", row.name),
  ]);
  return [
    aboutMachine(language),
    table(words.http[language], filled(http)),
    words.aboutEcho[language],
    table(words.echo[language], filled(echo)),
  ].join("\n\n");
}

/** The tables for docs/, in Markdown: other requests, and several cores. */
function moreText(language: Language): string {
  const servers = HTTP_ROWS.filter(({ name }) =>
    KIND_ROWS.some((kind) => medianCost(kind.name, name) !== undefined)
  );
  const cell = (value?: number) => value?.toFixed(2) ?? NONE;
  const kinds = KIND_ROWS.map((kind) => [
    kind.label[language],
    ...servers.map(({ name }) => cell(medianCost(kind.name, name))),
  ]);
  const head = ["HTTP", ...servers.map(({ label }) => label[language])];
  const cores = (parts.cores ?? []).map((row) => [
    `\`${row.label.replace(",", "`,")}`,
    rate(row),
    p99("cores", row.name),
  ]);
  return [
    words.aboutKinds[language],
    table(head, kinds),
    words.aboutCores[language],
    table(words.cores[language], cores),
  ].join("\n\n");
}

const pages = [
  ["README.md", text("en")],
  ["README.zh-CN.md", text("zh")],
  ["docs/measured.md", moreText("en")],
  ["docs/measured.zh-CN.md", moreText("zh")],
];
for (const [file, content] of pages) {
  const path = here(`../${file}`);
  const before = await Deno.readTextFile(path);
  const between = /(?<=<!-- bench -->\n).*?(?=\n<!-- \/bench -->)/s;
  if (!between.test(before)) {
    console.error(`${file} has no place between <!-- bench --> marks`);
    Deno.exit(1);
  }
  await Deno.writeTextFile(
    path,
    before.replace(between, () => `\n${content}\n`),
  );
}
const fmt = ["fmt", "-q", "README.md", "README.zh-CN.md"];
await new Deno.Command(Deno.execPath(), { args: fmt, cwd: here("..") }).spawn()
  .status;
