/**
 * Writes what was measured into both READMEs, between two marks, so that no
 * number is copied by hand. After a run of the bench that was worth it:
 *
 *   cd bench && deno run -A readme.ts
 */
import { median, type Results, type Row } from "./results.ts";

const here = (name: string) => new URL(name, import.meta.url);
const results: Results = JSON.parse(
  await Deno.readTextFile(here("results.json")),
);
const parts = results.parts as Record<string, Row[] | undefined>;
// Parts may have been measured one by one: the last of them tells the day.
const { date = "", runs = {} } = results as {
  date?: string;
  runs?: Record<string, { date: string }>;
};
const day = [date, ...Object.values(runs).map(({ date }) => date)]
  .sort().at(-1)!.slice(0, 10);

/** CPU time a request in µs, the median of the rounds. */
function cost(part: string, name: string, idle = 0): number | undefined {
  const costs = parts[part]?.find((row) => row.name === name)?.rounds
    .map((round) => round.find((measured) => measured.idle === idle))
    .filter((measured) => measured !== undefined)
    .map(({ cpu, requests }) => 1e6 * cpu / requests);
  return costs?.length ? median(costs) : undefined;
}

const NONE = "–";
const HTTP = ["http", "http-40", "http-4k", "pipelined", "connections"];
const HTTP_ROWS: [string, string, string][] = [
  ["epoll_http", "`epoll_http.ts`", "`epoll_http.ts`"],
  ["nginx", "nginx", "nginx"],
  ["deno-serve", "`Deno.serve`", "`Deno.serve`"],
  ["node-http", "Node `http`", "Node 的 `http`"],
  ["c-http", "epoll in C, parses nothing", "C 写的 epoll，什么都不解析"],
];
const IDLE = [0, 900, 9900];
const ECHO_ROWS: [string, string, string][] = [
  "blocking",
  "threads",
  "nonblocking",
  "select",
  "poll",
  "epoll",
  "signal",
  "async",
  "io_uring",
].map((name) => [name, `\`${name}.ts\``, `\`${name}.ts\``]);
ECHO_ROWS.push(
  ["c-echo", "epoll in C", "C 写的 epoll"],
  ["python-poll", "Python `poll`", "Python 的 `poll`"],
);

/** A table in Markdown: numbers to the right. */
function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, i) => i ? "--:" : "---");
  return [head, rule, ...rows].map(line).join("\n");
}

function text(language: "en" | "zh"): string {
  const zh = language === "zh";
  const label = (row: [string, string, string]) => {
    const one = parts.echo?.find(({ name }) => name === row[0])?.connections;
    const alone = one === 1 ? (zh ? "（1 个连接）" : ", 1 connection") : "";
    return row[zh ? 2 : 1] + alone;
  };
  const us = (value?: number) => value?.toFixed(2) ?? NONE;
  /** Where select ends, the number of descriptors stands. */
  const idle = (name: string, n: number) => {
    const value = cost("idle", name, n);
    if (value !== undefined || name !== "select") return us(value);
    return n > 1024 ? (zh ? "到 1,024 为止" : "ends at 1,024") : NONE;
  };
  const filled = (rows: string[][]) =>
    rows.filter((row) => row.slice(1).some((cell) => cell !== NONE));
  const { machine, versions } = results;
  const kernel = `${machine.kernel}`.match(/Linux \d+\.\d+/)?.[0];
  const cpu = `${machine.cpu}`.replaceAll(/\((R|TM)\)/g, "");
  return [
    zh
      ? `下面是 ${day} 在 ${cpu}（${machine.cores} 个核）、${kernel}、Deno ${versions.deno} 上的结果。每个请求用掉的 CPU 时间，单位微秒，64 个连接，HTTP：`
      : `This was on ${day}, on ${machine.cores} cores of an ${cpu} with ${kernel} and Deno ${versions.deno}. µs of CPU a request with 64 connections, HTTP:`,
    table(
      zh
        ? [
          "HTTP",
          "Chromium 的请求头",
          "40 字节",
          "4 kB",
          "管线化 16 个",
          "每个新连接",
        ]
        : [
          "HTTP",
          "Chromium’s head",
          "40 bytes",
          "4 kB",
          "pipelined by 16",
          "a connection each",
        ],
      filled(HTTP_ROWS.map((row) => [
        label(row),
        ...HTTP.map((part) => us(cost(part, row[0]))),
      ])),
    ),
    zh
      ? "回显，64 个连接都忙；16 个忙，旁边有空闲的；每个新连接："
      : "Echo: 64 connections, all busy; 16 busy ones beside idle ones; a connection each:",
    table(
      zh ? ["回显", "64 忙", "0 闲", "900 闲", "9,900 闲", "每个新连接"] : [
        "echo",
        "64 busy",
        "0 idle",
        "900 idle",
        "9,900 idle",
        "a connection each",
      ],
      filled(ECHO_ROWS.map((row) => [
        label(row),
        us(cost("echo", row[0])),
        ...IDLE.map((n) => idle(row[0], n)),
        us(cost("connections", row[0])),
      ])),
    ),
  ].join("\n\n");
}

for (
  const [file, language] of [
    ["README.md", "en"],
    ["README.zh-CN.md", "zh"],
  ] as const
) {
  const path = here(`../${file}`);
  const before = await Deno.readTextFile(path);
  const between = /(?<=<!-- bench -->\n).*?(?=\n<!-- \/bench -->)/s;
  if (!between.test(before)) {
    console.error(`${file} has no place between <!-- bench --> marks`);
    Deno.exit(1);
  }
  await Deno.writeTextFile(
    path,
    before.replace(between, () => `\n${text(language)}\n`),
  );
}
const fmt = ["fmt", "-q", "README.md", "README.zh-CN.md"];
await new Deno.Command(Deno.execPath(), { args: fmt, cwd: here("..") }).spawn()
  .status;
