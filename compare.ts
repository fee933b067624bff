/**
 * All models, side by side: each plays the same short scene, and what its
 * threads did meanwhile is drawn from its own trace and the clients' clocks.
 *
 *   deno run -A compare.ts
 *   deno run -A compare.ts --only blocking,select --beat 1 --svg picture.svg
 *   deno run -A compare.ts --lang zh --perfetto calls.json
 *
 * The scene: two clients connect. The second asks at once, the first a moment
 * later; each leaves some time after its answer. Whoever is served while the
 * other hesitates shows what the model is good for.
 *
 * What it costs, and how long a client waits, is taken from a second server of
 * each model that plays the same scene at the same time without a trace.
 */
import { svg } from "./lib/compare/svg.ts";
import { pick } from "./lib/models/models.ts";
import { perfetto } from "./lib/compare/perfetto.ts";
import { type Play, playAll } from "./lib/compare/scene.ts";
import { Sheet } from "./lib/compare/terminal.ts";
import type { Language } from "./lib/models/states.js";
import { fail, flags, printable, reason, say, warn } from "./util.ts";

const given = flags("plays the same scene to each model, and draws it", {
  only: ["all", "which ones, such as select,poll"],
  beat: [0.3, "seconds from one event of the scene to the next"],
  lang: ["", "en or zh; else as LANG has it"],
  svg: ["", "file for the picture"],
  perfetto: ["", "file for ui.perfetto.dev: every call of every thread"],
  json: [false, "print the data instead"],
});
const beat = given.beat * 1000;
const language = tongue();

function cast() {
  try {
    return pick(given.only);
  } catch (error) {
    fail(`${printable((error as Error).message)}; see --help`, 2);
  }
}

/** The language asked for, or the first one that the system names. */
function tongue(): Language {
  const { lang } = given;
  if (lang === "en" || lang === "zh") return lang;
  if (lang) {
    fail(`--lang takes en or zh, not "${printable(lang)}"; see --help`, 2);
  }
  if (Deno.permissions.requestSync({ name: "env" }).state !== "granted") {
    return "en";
  }
  const names = ["LC_ALL", "LC_MESSAGES", "LANG"];
  const set = names.map((name) => Deno.env.get(name)).find((value) => value);
  return set?.startsWith("zh") ? "zh" : "en";
}

/** A line that makes room for the next one, at a terminal. */
function status(line: string) {
  if (!Deno.stderr.isTerminal()) return;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${line}`));
}

async function write(file: string, text: string) {
  try {
    await Deno.writeTextFile(file, text);
  } catch (error) {
    fail(`cannot write ${file}: ${reason(error)}`);
  }
}

const models = cast();
for (const name of ["run", "net", "ffi"] as const) {
  if (Deno.permissions.requestSync({ name }).state !== "granted") {
    fail("starts servers, and talks to them: run with -A");
  }
}
if (beat < 100) {
  warn("with a beat below 0.1 s, what happens at once takes as long as a beat");
}
addEventListener("unload", () => status(""));
const outcomes = await playAll(models, beat, (ready, of) => {
  status(`${"■".repeat(ready)}${"□".repeat(of - ready)}`);
});

const terminal = Deno.stdout.isTerminal();
const size = terminal ? Deno.consoleSize() : { columns: 80, rows: Infinity };
const colour = terminal && !Deno.noColor;
const sheet = new Sheet({ ...size, colour, language, beat }, models);
const plays: Play[] = [];
const missing: { script: string; why: string }[] = [];
for (const outcome of outcomes) {
  const done = await outcome;
  if ("why" in done) {
    missing.push(done);
    continue;
  }
  if (!given.json) {
    status("");
    if (!plays.length) say(sheet.head());
    say(sheet.play(done));
  }
  plays.push(done);
}
status("");
if (plays.length && !given.json) say(sheet.foot(plays));
for (const { script, why } of missing) warn(`without ${script}: ${why}`);
if (!plays.length) fail("none of them could play");
if (given.json) {
  const data = plays.map(({ told: _, ...play }) => play);
  say(JSON.stringify({ beat, plays: data, missing }));
}
if (given.svg) {
  const { os, arch } = Deno.build;
  const system = `Deno ${Deno.version.deno}, ${os} ${Deno.osRelease()} ${arch}`;
  await write(given.svg, svg(plays, beat, system, language));
}
if (given.perfetto) await write(given.perfetto, perfetto(plays, language));
