/**
 * Measures what each model costs on this machine, beside other servers: the CPU
 * time that a request takes of the server, over real sockets, with the server on
 * one core and the client on another. Results go to bench/results.json, part by
 * part, and, drawn, to docs/; those of a quick or a narrowed run to bench/last/.
 *
 *   deno task bench                      everything, in some twenty minutes
 *   deno task bench --quick              everything, in some four
 *   deno task bench --only echo          one part, or several: http,echo
 *   deno task bench --only select,poll   some servers: ours by script
 *   deno task bench --only idle --keep   a part of bench/results.json once more,
 *                                        or what a run that ended early lacks
 */
import { scriptCommand, stopAllAtExit } from "../lib/process.ts";
import { pause } from "../lib/time.ts";
import { fail, flags, say } from "../util.ts";
import { draw } from "./charts.ts";
import type { End, Measured, Plan } from "./load.ts";
import {
  CHROMIUM,
  COOKIES,
  ECHO,
  HEAD,
  type HttpRequest,
  NOT_FOUND,
  OPTIONS,
  SHORT,
} from "./requests.ts";
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
  allServers,
  bringBun,
  compile,
  descriptorLimit,
  here,
  isInstalled,
  Output,
  run,
  type RunningServer,
  type Server,
  spawn,
  start,
  temporaryFolder,
} from "./servers.ts";

const given = flags("measures what each model costs, beside other servers", {
  quick: [false, "some four minutes: fewer rounds, and shorter ones"],
  only: ["all", "parts and servers to measure, separated by commas"],
  keep: [false, "leave the other parts in bench/results.json"],
});
/** How often each is measured, and for how many seconds. */
const extent = given.quick
  ? { rounds: 2, few: 1, starts: 3, warm: 0.3, seconds: 0.25 }
  : { rounds: 4, few: 3, starts: 9, warm: 0.7, seconds: 0.8 };

if (Deno.build.os !== "linux") fail("needs Linux: the measure is in its /proc");

stopAllAtExit();

// ---------------------------------------------------------------- what to do

const known = allServers(`${temporaryFolder()}/epoll`);
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
const record = given.keep || (!given.quick && given.only === "all");
const file = here(record ? "results.json" : "last/results.json");
const pictures = here(record ? "../docs" : "last");

const thisRun: Run = {
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

/** Whether `--only` leaves this server. */
const isWanted = ({ name }: Server) => !named.length || named.includes(name);

/** The servers to be measured that can be started here; notes the others. */
async function available(): Promise<Server[]> {
  const compiled = await compile() !== undefined;
  const servers: Server[] = [];
  for (const server of known) {
    if (!isWanted(server)) continue;
    const why = await missing(server, compiled);
    if (!why) servers.push(server);
    else if (server.name !== "c-one") { // c-echo is skipped for the same reason
      skipped.push({ label: full(server), why });
    }
  }
  return servers;
}

/** Why a server cannot be started here; undefined if it can. */
async function missing({ command, ours }: Server, compiled: boolean) {
  const [program] = command;
  if (program.startsWith(temporaryFolder())) {
    return compiled ? undefined : "cc is not installed";
  }
  if (!program.includes("/") && !await isInstalled(program)) {
    return `${program} is not installed`;
  }
  const script = command.find((word) => word.endsWith(".ts"));
  if (ours && script && !await exists(script)) return "no such script";
}

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

/** The label of a server, alone: C serves two protocols. */
const full = ({ label, protocol, ours }: Server) =>
  ours || !label.startsWith("C ") ? label : `${label} (${protocol})`;

// -------------------------------------------------------------- the machine

const read = (path: string) => Deno.readTextFile(path).catch(() => "");

/**
 * On which cores the server and the load run; undefined where there is only one
 * core, or no taskset.
 */
async function cores(): Promise<{ server?: number; load?: number }> {
  const status = await read("/proc/self/status");
  const allowed = /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? "0";
  const [first, ...others] = range(allowed);
  if (!others.length) {
    notes.push("one core: server and load share it");
    return {};
  }
  if (!await isInstalled("taskset")) {
    notes.push("no taskset: server and load are where the system puts them");
    return {};
  }
  // Two threads of one core would slow each other down.
  const topology = `/sys/devices/system/cpu/cpu${first}/topology`;
  const siblings = range(await read(`${topology}/thread_siblings_list`));
  const apart = others.filter((core) => !siblings.includes(core));
  if (!apart.length) notes.push("both cores are threads of one");
  return { server: first, load: apart.at(-1) ?? others.at(-1) };
}

/** `0-2,5`: 0, 1, 2, 5. */
const range = (text: string) =>
  text.trim().split(",").filter(Boolean).flatMap((part) => {
    const [from, to = from] = part.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });

/** Notes the machine, and the versions of what is measured. */
async function describe() {
  const cpuinfo = await read("/proc/cpuinfo");
  const memory = /^MemTotal: *(\d+)/m.exec(await read("/proc/meminfo"))?.[1];
  const version = await read("/proc/version");
  const kernel = version.split(" version ")[1]?.split(" ")[0];
  results.machine = {
    cpu: /^model name\s*: (.*)$/m.exec(cpuinfo)?.[1] ?? Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    memory: `${Math.round(Number(memory) / 2 ** 20)} GiB`,
    kernel: `Linux ${kernel}`,
    "server's core": core.server ?? "any",
    "load's core": core.load ?? "any",
    descriptors: limit,
  };
  results.versions.deno = Deno.version.deno;
  const others = {
    node: "-v",
    bun: "-v",
    python3: "-V",
    nginx: "-v",
    cc: "--version",
  };
  for (const [name, flag] of Object.entries(others)) {
    if (!await isInstalled(name)) continue;
    const { stdout, stderr } = (await run([name, flag])).output;
    const version = /\d+(\.\d+)+/.exec(stdout || stderr)?.[0];
    if (version) results.versions[name] = version;
  }
}

// ------------------------------------------------------------------ progress

const terminal = Deno.stderr.isTerminal();
const ERASE_LINE = "\r\x1b[K";
const write = (text: string) =>
  Deno.stderr.writeSync(new TextEncoder().encode(text));
let planned = 0; // seconds
let done = 0; // seconds of those planned
const began = performance.now();
let lineBegun = false; // on the terminal

function progress(what: string) {
  const passed = (performance.now() - began) / 1000;
  // How long a planned second takes: at first one; later, what was measured.
  const pace = (passed + 20) / (done + 20);
  const left = Math.max(0, Math.round((planned - done) * pace));
  const clock = `${Math.floor(left / 60)}:${`${left % 60}`.padStart(2, "0")}`;
  const line = `${what} · ${clock} left`;
  if (terminal) {
    lineBegun = true;
    write(ERASE_LINE + line);
  } else {
    console.error(line);
  }
}

addEventListener("unload", () => {
  if (lineBegun) console.error(); // the shell's prompt gets a line of its own
});

// ----------------------------------------------------------------- measuring

const loadCommand = (plan: Plan) =>
  scriptCommand(here("load.ts"), JSON.stringify(plan));

const lines = (text: string): (Measured | End)[] =>
  text.split("\n").filter(Boolean).map((line) => JSON.parse(line));

/** Measures a server by the plan, and adds a round to its row. */
async function measure(row: Row, plan: Plan) {
  const { success, output } = await run(loadCommand(plan), core.load);
  const round: Measured[] = [];
  for (const line of lines(output.stdout)) {
    if ("end" in line) row.end = line;
    else round.push(line);
  }
  row.rounds.push(round);
  if (!success) throw new Error(output.lastError.replace(/^load\.ts: /, ""));
}

const PERF = ["perf", "stat", "-e", "raw_syscalls:sys_enter"];
const counter = await chooseCounter();

/** What counts system calls here; undefined if nothing does. */
async function chooseCounter(): Promise<"perf" | "strace" | undefined> {
  if (await isInstalled("perf") && (await run([...PERF, "true"])).success) {
    return "perf";
  }
  return await isInstalled("strace") ? "strace" : undefined;
}

/** System calls a request, counted apart: counting costs the server time. */
async function callsPerRequest(plan: Plan): Promise<number | undefined> {
  if (!counter) return;
  const short = { ...plan, warm: 0.1, seconds: given.quick ? 0.1 : 0.3 };
  const count = counter === "perf" ? countWithPerf : countWithStrace;
  const { calls, printed } = await count(short);
  const [last] = lines(printed);
  if (calls && last && "total" in last) return Number(calls) / last.total;
}

/** What the load has printed, and how many calls the server has made for it. */
interface Counted {
  calls?: string;
  printed: string;
}

async function countWithPerf(plan: Plan): Promise<Counted> {
  const { stdout, stderr } = (await run(
    [...PERF, "-x,", "-p", `${plan.pid}`, "--", ...loadCommand(plan)],
    core.load,
  )).output;
  return { calls: /^(\d+),/m.exec(stderr)?.[1], printed: stdout };
}

async function countWithStrace(plan: Plan): Promise<Counted> {
  const summary = new Output();
  const command = ["strace", "-f", "-c", "-p", `${plan.pid}`];
  const strace = spawn(command, core.load, summary);
  await pause(300); // until it is attached
  const { output } = await run(loadCommand(plan), core.load);
  strace.kill("SIGINT");
  await strace.ended;
  const total = /^100\.00\s+\S+\s+\S*?\s+(\d+)\s.*total$/m;
  return { calls: total.exec(summary.stderr)?.[1], printed: output.stdout };
}

type Loaded = Exclude<Part, "start">;
const unable = new Set<string>(); // names of servers that do not start here

/** Starts a server, and measures it once. */
async function measureOnce(
  part: Loaded,
  row: Row,
  server: Server,
  round: number,
) {
  if (unable.has(server.name)) return;
  let running: RunningServer;
  try {
    running = await start(server, server.onCores ? undefined : core.server);
  } catch (error) {
    unable.add(server.name);
    skipped.push({ label: full(server), why: (error as Error).message });
    return;
  }
  const plan: Plan = {
    protocol: server.protocol,
    request: requests[part] ?? CHROMIUM,
    pipelined: part === "pipelined" ? 16 : 1,
    port: running.port,
    pid: running.pid,
    connections: row.connections,
    close: part === "connections",
    floods: part === "flood" ? 3 : 0,
    idle: idle(part, row),
    warm: part === "memory" ? extent.warm / 2 : extent.warm,
    seconds: part === "memory"
      ? 0.05
      : extent.seconds * (part === "idle" ? 0.3 : 1),
  };
  try {
    await measure(row, plan);
    if (round === 0 && (isHttp(part) || part === "echo")) {
      row.syscalls = await callsPerRequest(plan);
    }
  } catch (error) {
    failed.push(`${part}, ${full(server)}: ${(error as Error).message}`);
  }
  await running.stop();
}

const requests: Partial<Record<Part, HttpRequest>> = {
  "http-40": SHORT,
  "http-4k": COOKIES,
  "http-404": NOT_FOUND,
  "http-head": HEAD,
  "http-options": OPTIONS,
  "http-echo": ECHO,
};

/** The numbers of idle connections beside which a server is measured. */
function idle(part: Part, { protocol, connections }: Row): number[] {
  if (connections === 1) return [0]; // the server takes no others
  if (part === "memory") return memorySteps;
  if (part !== "idle") return [0];
  return protocol === "echo" ? idleSteps : [0, idleSteps.at(-1)!];
}

const isHttp = (part: Part) => part.startsWith("http") || part === "pipelined";

/** Whether a server is measured in a part. */
function isMember(part: Loaded, server: Server): boolean {
  return part === "cores" || !server.onCores ? members[part](server) : false;
}

const members: Record<Loaded, (server: Server) => boolean> = {
  http: ({ protocol }) => protocol === "http",
  "http-40": ({ protocol }) => protocol === "http",
  "http-4k": ({ protocol }) => protocol === "http",
  "http-404": ({ protocol }) => protocol === "http",
  "http-head": ({ protocol }) => protocol === "http",
  "http-options": ({ protocol }) => protocol === "http",
  // nginx cannot send a body back, without a module that few have.
  "http-echo": ({ protocol, name }) => protocol === "http" && name !== "nginx",
  // The C server would answer all requests of one read with one response.
  pipelined: ({ protocol, name }) => protocol === "http" && name !== "c-http",
  echo: ({ protocol }) => protocol === "echo",
  flood: ({ protocol, connections }) => protocol === "echo" && connections > 1,
  cores: ({ onCores = false }) => onCores,
  idle: ({ besideIdle }) => besideIdle,
  connections: ({ connections }) => connections > 1,
  memory: ({ connections }) => connections > 1,
};

/** About how many seconds it takes to measure a server once. */
function duration(part: Part): number {
  const once = 0.35 + extent.warm + extent.seconds;
  if (part === "start") return 0.15;
  if (part === "idle") return once + 0.55 * extent.seconds * idleSteps.length;
  return part === "memory" ? 1.3 + extent.warm / 2 : once;
}

/** A server that is measured once in a part. */
interface Job {
  part: Part;
  /** As the progress shows it. */
  title: string;
  run: () => Promise<void>;
}

/** What this run measures, by part. */
const measured: Partial<Record<Part, Row[] | Start[]>> = {};

function newRow(part: Part, server: Server): Row {
  const { name, label, protocol, ours, connections } = server;
  const few = part === "idle" || part === "memory" || part === "flood";
  return {
    name,
    label,
    protocol,
    ours,
    connections: few ? Math.min(16, connections) : connections,
    rounds: [],
  };
}

/** How often the servers are measured in a part. */
function roundsOf(part: Part): number {
  if (part === "http" || part === "echo") return extent.rounds;
  return part === "memory" ? 1 : extent.few; // memory does not vary
}

/** All that is to be measured, in order. */
function plan(servers: Server[]): Job[] {
  const jobs: Job[] = [];
  for (const part of parts) {
    if (part === "start") continue;
    const those = servers.filter((server) => isMember(part, server));
    if (!those.length) continue;
    const rows = those.map((server) => newRow(part, server));
    measured[part] = rows;
    const rounds = roundsOf(part);
    for (let round = 0; round < rounds; round++) {
      const turns = those.map((server, i): Job => ({
        part,
        title: `${part}, round ${round + 1} of ${rounds}: ${full(server)}`,
        run: () => measureOnce(part, rows[i], server, round),
      }));
      // Every second round is reversed, so that no server is always the first.
      jobs.push(...round % 2 ? turns.reverse() : turns);
    }
  }
  if (parts.includes("start")) jobs.push(...planStarts(servers));
  return jobs;
}

function planStarts(servers: Server[]): Job[] {
  const ours = servers.filter(({ ours, onCores }) => ours && !onCores);
  if (!ours.length) return [];
  const empty = scriptCommand(here("peers/empty.ts"));
  const rows: Start[] = [{ label: "empty script", ms: [] }];
  rows.push(...ours.map(({ label }) => ({ label, ms: [] })));
  measured.start = rows;
  const jobs: Job[] = [];
  for (let round = 0; round < extent.starts; round++) {
    for (const [i, { label, ms }] of rows.entries()) {
      jobs.push({
        part: "start",
        title: `start, round ${round + 1} of ${extent.starts}: ${label}`,
        run: async () => {
          ms.push(await measureStart(i === 0 ? empty : ours[i - 1].command));
        },
      });
    }
  }
  return jobs;
}

/** How many ms pass until a command listens, or has ended. */
async function measureStart(command: string[]): Promise<number> {
  const began = performance.now();
  const process = spawn(command); // on any core, as for a user
  await process.port.catch(() => {}); // rejects when the process has ended
  const took = performance.now() - began;
  process.kill();
  await process.ended;
  return took;
}

// ----------------------------------------------------------------------- run

const wantsBun = known.some((server) =>
  server.name === "bun" && isWanted(server) &&
  parts.some((part) => part !== "start" && isMember(part, server))
);
if (wantsBun) await bringBun();
const limit = await descriptorLimit();
const core = await cores();
await describe();

// A process needs a few descriptors for other things than connections.
const mostIdle = Math.floor((limit - 100) / 100) * 100;
const wanted = given.quick
  ? [0, 200, 900, 5000, 9900]
  : [0, 100, 200, 500, 900, 2000, 5000, 9900];
const idleSteps = wanted.filter((idle) => idle <= mostIdle);
const memorySteps = [0, 200, 900, 5000].filter((idle) => idle <= mostIdle);
if (idleSteps.length < wanted.length) {
  if (mostIdle > idleSteps.at(-1)!) idleSteps.push(mostIdle);
  const most = idleSteps.at(-1);
  notes.push(
    `no more than ${limit} descriptors: ${most} idle connections at most`,
  );
}

const servers = await available();
const jobs = plan(servers);
if (!jobs.length) fail(`nothing to measure for --only ${given.only}`, 2);
planned = jobs.reduce((sum, { part }) => sum + duration(part), 0);

if (given.keep) await keepLast();
// The pictures of an earlier run would not fit these figures.
if (!record) await Deno.remove(pictures, { recursive: true }).catch(() => {});
await Deno.mkdir(pictures, { recursive: true });

for (const [i, job] of jobs.entries()) {
  const { part } = job;
  progress(job.title);
  await job.run();
  done += duration(part);
  if (jobs[i + 1]?.part !== part) await save(part);
}
if (terminal) {
  write(ERASE_LINE);
  lineBegun = false;
}

say(tables(results));
const reached = targets(results);
if (reached) say(`\n${reached}`);
say(`\n${machine()}`);
for (const note of notes) say(`Note: ${note}`);
for (const { label, why } of skipped) say(`Skipped: ${label}: ${why}`);
for (const failure of failed) say(`FAILED: ${failure}`);
const drawn = await draw(results, pictures);
say([file, ...drawn].map((path) => `Written: ${path}`).join("\n"));
Deno.exit(failed.length ? 1 : 0);

/** Takes over what the last run has measured, if it was on this machine. */
async function keepLast() {
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
  const again = (line: string) => parts.some((p) => line.startsWith(`${p},`));
  failed.push(...last.failed.filter((line) => !again(line)));
}

/** Writes a part to the file at once: a later one may be interrupted. */
async function save(part: Part) {
  results.runs[part] = thisRun;
  if (part === "start") {
    results.start = measured.start as Start[];
  } else {
    const rows = measured[part] as Row[];
    results.parts[part] = rows.filter((row) => row.rounds.length);
  }
  await Deno.writeTextFile(file, JSON.stringify(results, null, 1) + "\n");
}

/** The machine and the programs of this run, in a line. */
function machine(): string {
  const facts = [results.machine, results.versions].flatMap(Object.entries);
  const took = Math.round((performance.now() - began) / 1000);
  return `${thisRun.date.slice(0, 16)}Z, ${took} s, ` +
    facts.map(([name, value]) => `${name} ${value}`).join(", ");
}
