/**
 * All models, side by side: each plays the same short scene, and what its
 * thread did meanwhile is drawn from its own trace and the clients' clocks.
 *
 *   deno run -A compare.ts
 *   deno run -A compare.ts --only blocking,select --beat 1 --svg picture.svg
 *
 * The scene: two clients connect. The second asks at once, the first a moment
 * later; each leaves some time after its answer. Whoever is served while the
 * other hesitates shows what the model is good for.
 */
import { constants } from "node:os";
import {
  type Play,
  sheet,
  type Span,
  type State,
  svg,
  type Visit,
} from "./lib/figure.ts";
import { fail, options, printable, reason, say, warn } from "./util.ts";

const given = options("plays the same scene to each model, and draws it", {
  only: ["all", "which ones, such as select,poll"],
  beat: [0.3, "seconds from one event of the scene to the next"],
  svg: ["", "file for the picture"],
  json: [false, "print the data instead"],
});
const beat = given.beat * 1000;

/** A script to play the scene to. */
interface Model {
  script: string;
  flags?: string[];
  /** Typed into its terminal. */
  typed?: string;
  /** What a client sends. */
  message?: string;
  /** What it means when the thread is in none of its calls for a while. */
  away?: "playing" | "free";
}

// What the models are called and do in the canteen stands atop each script.
const GET = "GET / HTTP/1.1\r\nHost: canteen\r\n\r\n";
const interval = `${given.beat * 0.75}`;
const models: Model[] = [
  { script: "blocking.ts", typed: "here you are\nhere you are\n" },
  {
    script: "nonblocking.ts",
    flags: ["--interval", interval],
    away: "playing",
  },
  { script: "select.ts" },
  { script: "poll.ts" },
  { script: "epoll_http.ts", message: GET },
  { script: "signal.ts", away: "free" },
  { script: "async.ts", away: "free" },
  { script: "io_uring.ts" },
];

// -------------------------------------------------------------------- servers

// However this script ends, no server stays behind.
const running = new Set<Deno.ChildProcess>();
addEventListener("unload", () => running.forEach((child) => stop(child)));
const ends = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
for (const signal of Deno.build.os === "windows" ? [ends[0]] : ends) {
  const code = 128 + constants.signals[signal];
  Deno.addSignalListener(signal, () => {
    status("");
    Deno.exit(code);
  });
}

/** A line that makes room for the next one, at a terminal. */
function status(line: string) {
  if (!Deno.stderr.isTerminal()) return;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${line}`));
}

function stop(child: Deno.ChildProcess) {
  running.delete(child);
  try {
    child.kill("SIGKILL");
  } catch { /* it has ended by itself */ }
}

async function* lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n");
    rest = whole.pop()!;
    yield* whole;
  }
}

/** A line of `--trace=json`. */
interface Told {
  time: number;
  call: string;
  phase: "call" | "return";
  asked: string;
  result?: number | string | null;
  error?: string;
  held: number;
  /** Of a promise, as `ticks`: how long it took, and what a timer counted. */
  waited?: number;
  ticks: number;
}

/** Starts a server: its port, what it tells, and how it fails, if it does. */
function start({ script, flags = [], typed = "" }: Model) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, "--port", "0", "--trace=json", ...flags],
    cwd: import.meta.dirname,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  running.add(child);
  const told: Told[] = [];
  const complaints: string[] = [];
  const port = Promise.withResolvers<number>();
  const read = async () => {
    for await (const line of lines(child.stdout)) {
      const [, digits] = /listening on .*:(\d+)\/?$/.exec(line) ?? [];
      if (digits) port.resolve(Number(digits));
    }
  };
  const listen = async () => {
    for await (const line of lines(child.stderr)) {
      if (line.startsWith("{")) told.push(JSON.parse(line));
      else if (line) complaints.push(line);
    }
  };
  const ended = Promise.all([read(), listen(), child.status]);
  const failed = ended.then((): never => {
    const [why = "it has ended"] = complaints;
    throw new Error(why.replace(RegExp(`^(error|${script}): `), ""));
  });
  failed.catch(() => {}); // that it ends when it is stopped is no failure
  const keyboard = child.stdin.getWriter(); // left open: it may ask again
  keyboard.write(new TextEncoder().encode(typed)).catch(() => {});
  return { child, told, port: port.promise, ended, failed };
}

/** The CPU time of all threads of a process, in ms, where the system tells. */
function cpuTime(pid: number): number {
  try {
    let ns = 0;
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const stat = Deno.readTextFileSync(
        `/proc/${pid}/task/${name}/schedstat`,
      );
      ns += Number(stat.split(" ")[0]);
    }
    return ns / 1e6;
  } catch {
    return NaN;
  }
}

// ---------------------------------------------------------------------- scene

const now = () => performance.timeOrigin + performance.now();
const until = (time: number) =>
  new Promise((resolve) => setTimeout(resolve, time - now()));

/** A client that asks at a given time, and leaves a beat after its answer. */
async function visit(conn: Deno.Conn, message: string, asks: number) {
  const times: Visit = { asked: 0, answered: 0, left: 0 };
  await until(asks);
  times.asked = now();
  await conn.write(new TextEncoder().encode(message));
  if (!await conn.read(new Uint8Array(4096))) throw new Error("it hung up");
  times.answered = now();
  await until(times.answered + beat);
  conn.close();
  times.left = now();
  return times;
}

/** Plays the scene to a model; throws if it cannot play its part. */
async function play(model: Model, progress: (what: string) => void) {
  const { script, message = "is it ready?\n" } = model;
  progress("starts");
  const server = start(model);
  const scene = async () => {
    const port = await server.port;
    const begin = now() + beat / 2; // settled by then
    await until(begin - beat / 4);
    const from = now();
    const cpu = cpuTime(server.child.pid);
    await until(begin);
    progress("two clients connect");
    const zero = now();
    const first = await Deno.connect({ port });
    const second = await Deno.connect({ port });
    const visits = [
      visit(first, message, zero + beat * 2),
      visit(second, message, zero + beat / 2),
    ];
    for (const [i, name] of ["first", "second"].entries()) {
      visits[i].then(() => progress(`the ${name} client leaves`), () => {});
    }
    const clients = await Promise.all(visits);
    const to = Math.max(zero + beat * 4.25, now() + beat / 8);
    await until(to);
    const used = cpuTime(server.child.pid) - cpu;
    return { zero, from, to, clients, cpu: isNaN(used) ? null : used };
  };
  let timer;
  const patience = new Promise<never>((_, reject) => {
    const late = () => reject(new Error("a client got no answer"));
    timer = setTimeout(late, 10_000 + beat * 10);
  });
  // A server that has ended says why, a moment later.
  const playing = scene().catch((error) =>
    until(now() + 200).then(() => Promise.reject(error))
  );
  playing.catch(() => {}); // the others may have ended the race
  try {
    const { zero, from, to, clients, cpu } = await Promise.race([
      playing,
      server.failed,
      patience,
    ]);
    stop(server.child);
    await server.ended;
    const at = (time: number) => time - zero;
    return {
      script,
      ...await header(script),
      from: at(from),
      to: at(to),
      clients: clients.map(({ asked, answered, left }) => ({
        asked: at(asked),
        answered: at(answered),
        left: at(left),
      })),
      ...thread(server.told, model.away ?? "other", from, to, zero),
      cpu,
    } satisfies Play;
  } finally {
    clearTimeout(timer);
    stop(server.child);
  }
}

/** What a script says of itself: its model, and the sentence of the canteen. */
async function header(script: string) {
  const text = await Deno.readTextFile(new URL(script, import.meta.url));
  const prose = text.slice(0, text.indexOf("*/")).replace(/\s+(\* )?/g, " ");
  return {
    model: /\* (.+?):/.exec(prose)?.[1] ?? "",
    canteen: /In the canteen: (.+?)\.? \*/.exec(prose)?.[1] ?? "",
  };
}

// --------------------------------------------------------------------- traces

const COPIES = ["accept4", "recv", "send", "accept", "read", "write"];
const LONG = 10; // ms: below that a thread was not asleep, but at work

/** What the thread did, moment by moment, from what its server has told. */
function thread(
  told: Told[],
  away: State,
  from: number,
  to: number,
  zero: number,
) {
  const promises = told.some(({ waited }) => waited !== undefined);
  const calls: Span[] = [];
  const accepted = new Map<number, number>(); // the descriptors, by client
  let served = 0;
  let count = 0;
  for (const [i, line] of told.entries()) {
    // Told before it waits, and when it has returned: the last may not have.
    const pending = i === told.length - 1 && !promises;
    if (line.phase === "call" && !pending) continue;
    const { call, asked, result, error, waited = 0, ticks } = line;
    const span: Span = line.phase === "call"
      ? { state: "other", from: line.time, to, call }
      : { state: "other", from: line.time - line.held, to: line.time, call };
    const client = accepted.get(parseInt(asked));
    if (client !== undefined) span.client = client;
    if (call === "close") accepted.delete(parseInt(asked));
    if (call === "accept4" && Number(result) > 0) {
      accepted.set(Number(result), served++);
    }
    const copied = COPIES.includes(call) &&
      (typeof result === "string" || Number(result) > 0);
    // A timer of 10 ms that did not tick: the thread was not free meanwhile.
    if (waited > 10 * LONG && ticks * 20 < waited) span.from -= waited;
    else if (span.to - span.from > LONG) span.state = "asleep";
    else if (error === "EAGAIN") span.state = "asking";
    else if (copied) span.state = promises ? "resolved" : "copying";
    if (span.to <= from || span.from >= to) continue;
    calls.push(span);
    count++;
    // A call that slept until there was something has then copied it.
    if (span.state === "asleep" && copied) {
      calls.push({ ...span, state: "copying", from: span.to });
    }
  }

  const spans: Span[] = [];
  let last = from;
  let held = 0;
  const between = (next: number) => {
    const state = next - last > LONG ? away : "other";
    if (next > last) spans.push({ state, from: last, to: next });
  };
  for (const span of calls) {
    between(span.from);
    span.from = Math.max(span.from, last);
    last = span.to = Math.max(Math.min(span.to, to), span.from);
    held += span.to - span.from;
    spans.push(span);
  }
  between(to);
  for (const span of spans) {
    span.from -= zero;
    span.to -= zero;
  }
  return {
    spans,
    calls: promises ? null : count,
    held: held / (to - from),
  };
}

// -------------------------------------------------------------------- curtain

const name = (script: string) => script.replace(/\.ts$/, "");
const wanted = given.only.split(",").map((model) => name(model.trim()));
const stranger = wanted.find((model) =>
  model !== "all" && !models.some(({ script }) => name(script) === model)
);
if (stranger !== undefined) {
  const known = models.map(({ script }) => name(script)).join(", ");
  fail(`--only takes ${known}, not "${printable(stranger)}"; see --help`, 2);
}
const cast = models.filter(({ script }) =>
  wanted.includes("all") || wanted.includes(name(script))
);

const plays: Play[] = [];
const missing: { script: string; why: string }[] = [];
for (const [i, model] of cast.entries()) {
  const bar = "■".repeat(i) + "□".repeat(cast.length - i);
  const progress = (what: string) => status(`${bar} ${model.script}: ${what}`);
  try {
    plays.push(await play(model, progress));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) fail("starts servers: run -A");
    missing.push({ script: model.script, why: (error as Error).message });
  }
}
status("");
for (const { script, why } of missing) warn(`without ${script}: ${why}`);
if (!plays.length) fail("none of them could play");

if (given.json) say(JSON.stringify({ beat, plays, missing }));
else {
  const terminal = Deno.stdout.isTerminal();
  const columns = terminal ? Deno.consoleSize().columns : 80;
  say(sheet(plays, columns, terminal && !Deno.noColor));
}
if (given.svg) {
  const { os, arch } = Deno.build;
  const system = `Deno ${Deno.version.deno}, ${os} ${Deno.osRelease()} ${arch}`;
  try {
    await Deno.writeTextFile(given.svg, svg(plays, system));
  } catch (error) {
    fail(`cannot write ${given.svg}: ${reason(error)}`);
  }
}
