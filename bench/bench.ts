/**
 * What each model costs on this machine, beside other servers: CPU time a
 * request of the server process, with real sockets, the server on one core and
 * the client on another. Results go to bench/results.json, part by part, and,
 * drawn, to docs/; those of a quick or a narrowed run to bench/last/.
 *
 *   deno task bench                      everything, in some ten minutes
 *   deno task bench --quick              everything, in some two
 *   deno task bench --only echo          one part, or several: http,echo
 *   deno task bench --only select,poll   some servers: ours by script
 *   deno task bench --only idle --keep   a part of bench/results.json once more,
 *                                        or what a run that ended early lacks
 */
import { fail, flags, say } from "../util.ts";
import { draw } from "./charts.ts";
import { CHROMIUM, COOKIES, SHORT } from "./heads.ts";
import type { End, Measured, Plan } from "./load.ts";
import {
  type Part,
  PARTS,
  type Results,
  type Row,
  type Run,
  type Start,
  tables,
  targets,
} from "./results.ts";
import {
  all,
  cleanUp,
  compile,
  descriptors,
  has,
  here,
  listening,
  output,
  type Running,
  type Server,
  spawn,
  start,
  temp,
} from "./servers.ts";

const given = flags("measures what each model costs, beside other servers", {
  quick: [false, "some two minutes: fewer rounds, and shorter ones"],
  only: ["all", "parts and servers to measure, separated by commas"],
  keep: [false, "leave the other parts in bench/results.json"],
});
const how = given.quick
  ? { rounds: 2, few: 1, starts: 3, warm: 0.3, seconds: 0.25 }
  : { rounds: 4, few: 3, starts: 9, warm: 0.7, seconds: 0.8 };

if (Deno.build.os !== "linux") fail("needs Linux: the measure is in its /proc");

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.addSignalListener(signal, () => {
    cleanUp();
    if (Deno.stderr.isTerminal()) console.error();
    Deno.exit(128 + { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[signal]);
  });
}
globalThis.addEventListener("unload", cleanUp);

// ---------------------------------------------------------------- what to do

const known = all(`${temp()}/epoll`);
const words = given.only.split(",").map((word) =>
  word.trim().replace(/\.ts$/, "")
);
const isPart = (word: string): word is Part => PARTS.some((p) => p === word);
for (const word of words) {
  if (word === "all" || isPart(word)) continue;
  if (known.some(({ name }) => name === word)) continue;
  fail(
    `--only takes ${PARTS.join(", ")}, ${
      known.map(({ name }) => name).join(", ")
    }, not "${word}"`,
    2,
  );
}
const named = words.filter((word) => word !== "all" && !isPart(word));
const parts: readonly Part[] = words.some(isPart)
  ? words.filter(isPart)
  : PARTS;

if (given.keep && (given.quick || named.length)) {
  fail("--keep takes whole parts: neither --quick nor some servers", 2);
}
const record = given.keep || !given.quick && given.only === "all";
const [file, pictures] = record
  ? [here("results.json"), here("../docs")]
  : [here("last/results.json"), here("last")];

const run: Run = {
  date: new Date().toISOString(),
  command: ["deno task bench", ...Deno.args].join(" "),
};
const results: Results = {
  runs: {},
  machine: {},
  versions: {},
  notes: [],
  skipped: [],
  failed: [],
  parts: {},
};
const { notes, skipped, failed } = results;

/** Those to be measured that are here; the others are named. */
async function available(): Promise<Server[]> {
  const compiled = await compile();
  const here: Server[] = [];
  for (const server of known) {
    if (named.length && !named.includes(server.name)) continue;
    const [program] = server.command;
    const script = server.command.find((word) => word.endsWith(".ts"));
    let why = "";
    if (program.startsWith(temp()) && !compiled) why = "cc is not installed";
    else if (!program.includes("/") && !await has(program)) {
      why = `${program} is not installed`;
    } else if (server.ours && script && !await exists(script)) {
      why = "no such script";
    }
    if (!why) here.push(server);
    else if (server.name !== "c-one") {
      skipped.push({ label: full(server), why });
    }
  }
  return here;
}

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);
const full = ({ label, protocol, ours }: Server) =>
  ours || !label.startsWith("C ") ? label : `${label} (${protocol})`;

// -------------------------------------------------------------- the machine

const read = (path: string) => Deno.readTextFile(path).catch(() => "");

/** The server's core and the load's; with one core, or no taskset, neither. */
async function cores(): Promise<[number?, number?]> {
  const status = await read("/proc/self/status");
  const allowed = /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? "0";
  const list = range(allowed);
  if (list.length < 2) notes.push("one core: server and load share it");
  else if (!await has("taskset")) {
    notes.push("no taskset: server and load are where the system puts them");
  } else {
    // Two threads of one core would be in each other's way.
    const [first, ...others] = list;
    const siblings = range(
      await read(
        `/sys/devices/system/cpu/cpu${first}/topology/thread_siblings_list`,
      ),
    );
    const apart = others.filter((core) => !siblings.includes(core));
    if (!apart.length) notes.push("both cores are threads of one");
    return [first, apart.at(-1) ?? others.at(-1)!];
  }
  return [];
}

/** `0-2,5`: 0, 1, 2, 5. */
const range = (text: string) =>
  text.trim().split(",").filter(Boolean).flatMap((part) => {
    const [from, to = from] = part.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });

async function describe() {
  const cpuinfo = await read("/proc/cpuinfo");
  const memory = /^MemTotal: *(\d+)/m.exec(await read("/proc/meminfo"))?.[1];
  const [, kernel] = (await read("/proc/version")).split(" version ");
  results.machine = {
    cpu: /^model name\s*: (.*)$/m.exec(cpuinfo)?.[1] ?? Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    memory: `${Math.round(Number(memory) / 2 ** 20)} GiB`,
    kernel: `Linux ${kernel?.split(" ")[0]}`,
    "server's core": serverCore ?? "any",
    "load's core": loadCore ?? "any",
    descriptors: limit,
  };
  results.versions.deno = Deno.version.deno;
  for (
    const [name, flag] of [
      ["node", "-v"],
      ["python3", "-V"],
      ["nginx", "-v"],
      ["cc", "--version"],
    ]
  ) {
    if (!await has(name)) continue;
    const { stdout, stderr } = await output([name, flag]);
    const version = /\d+(\.\d+)+/.exec(stdout || stderr)?.[0];
    if (version) results.versions[name] = version;
  }
}

// ------------------------------------------------------------------ progress

const terminal = Deno.stderr.isTerminal();
let planned = 0; // seconds
let done = 0;
const began = performance.now();

function progress(what: string) {
  const passed = (performance.now() - began) / 1000;
  // At first the plan; then, more and more, what it proved to be worth.
  const pace = (passed + 20) / (done + 20);
  const left = Math.max(0, Math.round((planned - done) * pace));
  const clock = `${Math.floor(left / 60)}:${`${left % 60}`.padStart(2, "0")}`;
  const line = `${what} · ${clock} left`;
  if (!terminal) return console.error(line);
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${line}`));
}

// ----------------------------------------------------------------- measuring

const load = (plan: Plan) => [
  Deno.execPath(),
  "run",
  "-A",
  here("load.ts"),
  JSON.stringify(plan),
];

const lines = (text: string): (Measured | End)[] =>
  text.split("\n").filter(Boolean).map((line) => JSON.parse(line));

async function measure(row: Row, server: Running, plan: Plan) {
  const { success, stdout, why } = await output(load(plan), loadCore);
  const measured: Measured[] = [];
  for (const line of lines(stdout)) {
    if ("end" in line) row.end = line;
    else measured.push(line);
  }
  row.rounds.push(measured);
  if (!success) throw new Error(why.replace(/^load\.ts: /, ""));
  return server;
}

const counter = await has("perf") &&
    (await output(["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"]))
      .success
  ? "perf"
  : await has("strace")
  ? "strace"
  : undefined;

/** System calls a request, counted apart: counting costs the server time. */
async function calls(plan: Plan): Promise<number | undefined> {
  plan = { ...plan, warm: 0.1, seconds: given.quick ? 0.1 : 0.3 };
  const pid = `${plan.pid}`;
  let counted: string | undefined;
  let loaded: string;
  if (counter === "perf") {
    const stat = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"];
    const { stdout, stderr } = await output(
      [...stat, "-p", pid, "--", ...load(plan)],
      loadCore,
    );
    loaded = stdout;
    counted = /^(\d+),/m.exec(stderr)?.[1];
  } else if (counter === "strace") {
    const strace = spawn(["strace", "-f", "-c", "-p", pid], loadCore);
    await new Promise((attached) => setTimeout(attached, 300));
    loaded = (await output(load(plan), loadCore)).stdout;
    strace.kill("SIGINT");
    const { stderr } = await strace.output();
    const text = new TextDecoder().decode(stderr);
    counted = /^100\.00\s+\S+\s+\S*?\s+(\d+)\s.*total$/m.exec(text)?.[1];
  } else return;
  const [last] = lines(loaded);
  if (counted && last && "total" in last) return Number(counted) / last.total;
}

type Loaded = Exclude<Part, "start">;
const unable = new Set<string>(); // servers that do not start here

async function job(part: Loaded, row: Row, server: Server, round: number) {
  if (unable.has(server.name)) return;
  let running: Running;
  try {
    running = await start(server, serverCore);
  } catch (error) {
    unable.add(server.name);
    skipped.push({ label: full(server), why: (error as Error).message });
    return;
  }
  const plan: Plan = {
    protocol: server.protocol,
    head: { "http-40": SHORT, "http-4k": COOKIES }[part as string] ?? CHROMIUM,
    pipelined: part === "pipelined" ? 16 : 1,
    port: running.port,
    pid: running.pid,
    connections: row.connections,
    close: part === "connections",
    idle: idle(part, row),
    warm: part === "memory" ? how.warm / 2 : how.warm,
    seconds: part === "memory"
      ? 0.05
      : how.seconds * (part === "idle" ? 0.3 : 1),
  };
  try {
    await measure(row, running, plan);
    if (round === 0 && (isHttp(part) || part === "echo")) {
      row.syscalls = await calls(plan);
    }
  } catch (error) {
    failed.push(`${part}, ${full(server)}: ${(error as Error).message}`);
  }
  await running.stop();
}

/** Beside how many idle connections: from one number to the next. */
function idle(part: Part, { protocol, connections }: Row): number[] {
  if (connections === 1) return [0]; // it takes no others
  if (part === "memory") return crowd;
  if (part !== "idle") return [0];
  return protocol === "echo" ? steps : [0, steps.at(-1)!];
}

const isHttp = (part: Part) => part.startsWith("http") || part === "pipelined";

const members: Record<Loaded, (server: Server) => boolean> = {
  http: ({ protocol }) => protocol === "http",
  "http-40": ({ protocol }) => protocol === "http",
  "http-4k": ({ protocol }) => protocol === "http",
  // The C server would answer them all at once, and once.
  pipelined: ({ protocol, name }) => protocol === "http" && name !== "c-http",
  echo: ({ protocol }) => protocol === "echo",
  idle: ({ crowd }) => crowd,
  connections: ({ connections }) => connections > 1,
  memory: ({ connections }) => connections > 1,
};

/** Rough seconds that a job takes. */
const takes = (part: Part) => {
  const once = 0.35 + how.warm + how.seconds;
  if (part === "start") return 0.15;
  if (part === "idle") return once + 0.55 * how.seconds * steps.length;
  return part === "memory" ? 1.3 + how.warm / 2 : once;
};

interface Job {
  part: Part;
  what: string;
  run: () => Promise<void>;
}

const measured: Partial<Record<Part, Row[] | Start[]>> = {};

function plan(servers: Server[]): Job[] {
  const jobs: Job[] = [];
  for (const part of parts) {
    if (part === "start") continue;
    const those = servers.filter(members[part]);
    const rows = those.map((
      { name, label, protocol, ours, connections },
    ): Row => ({
      name,
      label,
      protocol,
      ours,
      connections: part === "idle" || part === "memory"
        ? Math.min(16, connections)
        : connections,
      rounds: [],
    }));
    if (!rows.length) continue;
    measured[part] = rows;
    const rounds = part === "http" || part === "echo"
      ? how.rounds
      : part === "memory" // that does not vary
      ? 1
      : how.few;
    for (let round = 0; round < rounds; round++) {
      const turns = those.map((server, i): Job => ({
        part,
        what: `${part}, round ${round + 1} of ${rounds}: ${full(server)}`,
        run: () => job(part, rows[i], server, round),
      }));
      // To and fro: who is first in one round is last in the next.
      jobs.push(...round % 2 ? turns.reverse() : turns);
    }
  }
  if (parts.includes("start")) jobs.push(...starts(servers));
  return jobs;
}

function starts(servers: Server[]): Job[] {
  const ours = servers.filter((server) => server.ours);
  if (!ours.length) return [];
  const empty = [Deno.execPath(), "run", "-A", here("peers/empty.ts")];
  const rows = [{ label: "empty script", ms: [] as number[] }];
  rows.push(...ours.map(({ label }) => ({ label, ms: [] as number[] })));
  measured.start = rows;
  return Array.from({ length: how.starts }, (_, round) => round).flatMap(
    (round) =>
      rows.map(({ label, ms }, i): Job => ({
        part: "start",
        what: `start, round ${round + 1} of ${how.starts}: ${label}`,
        run: async () => {
          const from = performance.now();
          const child = spawn(i ? ours[i - 1].command : empty);
          child.stderr.cancel();
          // Not on one core: a start is what it is where it is free to run.
          if (i) await Promise.race([listening(child.stdout), child.status]);
          else await child.status;
          ms.push(performance.now() - from);
          if (i) child.kill("SIGKILL");
          else child.stdout.cancel();
          await child.status;
        },
      })),
  );
}

// ----------------------------------------------------------------------- run

const limit = await descriptors();
const [serverCore, loadCore] = await cores();
await describe();

// Beside the connections a process needs a few descriptors of its own.
const top = Math.floor((limit - 100) / 100) * 100;
const wanted = given.quick
  ? [0, 200, 900, 5000, 9900]
  : [0, 100, 200, 500, 900, 2000, 5000, 9900];
const steps = wanted.filter((idle) => idle <= top);
const crowd = [0, 200, 900, 5000].filter((idle) => idle <= top);
if (steps.length < wanted.length) {
  if (top > steps.at(-1)!) steps.push(top);
  notes.push(
    `no more than ${limit} descriptors: ${
      steps.at(-1)
    } idle connections at most`,
  );
}

const servers = await available();
const jobs = plan(servers);
if (!jobs.length) fail(`nothing to measure for --only ${given.only}`, 2);
planned = jobs.reduce((sum, { part }) => sum + takes(part), 0);

if (given.keep) await keep();
// No picture of an earlier run is to stand beside these figures.
if (!record) await Deno.remove(pictures, { recursive: true }).catch(() => {});
await Deno.mkdir(pictures, { recursive: true });

for (const [i, { part, what, run }] of jobs.entries()) {
  progress(what);
  await run();
  done += takes(part);
  if (jobs[i + 1]?.part !== part) await save(part);
}
if (terminal) Deno.stderr.writeSync(new TextEncoder().encode("\r\x1b[K"));

say(tables(results));
const reached = targets(results);
if (reached) say(`\n${reached}`);
say(`\n${machine()}`);
for (const note of notes) say(`Note: ${note}`);
for (const { label, why } of skipped) say(`Skipped: ${label}: ${why}`);
for (const failure of failed) say(`FAILED: ${failure}`);
const drawn = await draw(results, pictures);
say([file, ...drawn].map((path) => `Written: ${path}`).join("\n"));
cleanUp();
Deno.exit(failed.length ? 1 : 0);

/** What the last run has measured stays, if it was on this machine. */
async function keep() {
  const text = await read(file);
  if (!text) return;
  const last: Results = JSON.parse(text);
  const { machine, versions } = results;
  const same = (a: unknown, b: unknown) =>
    JSON.stringify(a) === JSON.stringify(b);
  if (!same(last.machine, machine) || !same(last.versions, versions)) {
    fail(
      "bench/results.json is of another machine: measure all, without --keep",
    );
  }
  results.runs = last.runs;
  results.parts = last.parts;
  results.start = last.start;
  failed.push(
    ...last.failed.filter((line) =>
      !parts.some((p) => line.startsWith(`${p},`))
    ),
  );
}

/** Writes down a part that is done: what comes after it may be broken off. */
async function save(part: Part) {
  results.runs[part] = run;
  if (part === "start") results.start = measured.start as Start[];
  else {
    const rows = measured[part] as Row[];
    results.parts[part] = rows.filter((row) => row.rounds.length);
  }
  await Deno.writeTextFile(file, JSON.stringify(results, null, 1) + "\n");
}

function machine(): string {
  const facts = [
    ...Object.entries(results.machine),
    ...Object.entries(
      results.versions,
    ),
  ];
  const took = Math.round((performance.now() - began) / 1000);
  return `${run.date.slice(0, 16)}Z, ${took} s, ` +
    facts.map(([name, value]) => `${name} ${value}`).join(", ");
}
