/**
 * All models, side by side: each plays the same short scene, and what its
 * threads did meanwhile is drawn from its own trace and the clients' clocks.
 *
 *   deno run -A compare.ts
 *   deno run -A compare.ts --only blocking,select --beat 1 --svg picture.svg
 *   deno run -A compare.ts --lang zh --perfetto calls.json
 *
 * The scene: two clients connect. The second asks at once, the first a moment
 * later; each leaves some time after its answer. Which client is served while
 * the other hesitates shows what the model is good for.
 *
 * What a model costs, and how long a client waits, comes from a second server
 * of the model, which plays the same scene at the same time without a trace.
 */
import { perfetto } from "./lib/compare/perfetto.ts";
import { type FailedRun, playScene } from "./lib/compare/play_scene.ts";
import type { SceneRun } from "./lib/compare/scene_run.ts";
import { svg } from "./lib/compare/svg.ts";
import { TerminalReport } from "./lib/compare/terminal.ts";
import { environmentLanguage } from "./lib/language.ts";
import { requireDescriptors } from "./lib/models/model_server.ts";
import { chosenModels, type Model } from "./lib/models/models.ts";
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
const SHORTEST_BEAT = 100; // ms
const beat = given.beat * 1000;
const language = chooseLanguage();
const models = chooseModels();
for (const name of ["run", "net", "ffi"] as const) {
  if (Deno.permissions.requestSync({ name }).state !== "granted") {
    fail("starts servers, and talks to them: run with -A");
  }
}
requireDescriptors(models.length);
if (beat < SHORTEST_BEAT) {
  warn("with a beat below 0.1 s, what happens at once takes as long as a beat");
}

addEventListener("unload", () => showStatus(""));
const playing = await playScene(models, beat, (ready, all) => {
  showStatus(`${"■".repeat(ready)}${"□".repeat(all - ready)}`);
});

const isTerminal = Deno.stdout.isTerminal();
const size = isTerminal ? Deno.consoleSize() : { columns: 80, rows: Infinity };
const colour = isTerminal && !Deno.noColor;
const report = new TerminalReport({ ...size, colour, language, beat }, models);
const runs: SceneRun[] = [];
const missing: FailedRun[] = [];
for (const promise of playing) {
  const run = await promise;
  if ("why" in run) {
    missing.push(run);
    continue;
  }
  if (!given.json) {
    showStatus("");
    if (runs.length === 0) say(report.head());
    say(report.run(run));
  }
  runs.push(run);
}
showStatus("");
if (runs.length > 0 && !given.json) say(report.foot(runs));
for (const { script, why } of missing) warn(`without ${script}: ${why}`);
if (runs.length === 0) fail("none of them could play");

if (given.json) {
  const data = runs.map(({ events: _, ...run }) => run);
  say(JSON.stringify({ beat, runs: data, missing }));
}
if (given.svg) {
  const { os, arch } = Deno.build;
  const system = `Deno ${Deno.version.deno}, ${os} ${Deno.osRelease()} ${arch}`;
  await writeFile(given.svg, svg(runs, beat, system, language));
}
if (given.perfetto) await writeFile(given.perfetto, perfetto(runs, language));

function chooseModels(): Model[] {
  try {
    return chosenModels(given.only);
  } catch (error) {
    fail(`${printable((error as Error).message)}; see --help`, 2);
  }
}

/** The language that --lang names, or else the environment. */
function chooseLanguage(): Language {
  const { lang } = given;
  if (lang === "en" || lang === "zh") return lang;
  if (lang) {
    fail(`--lang takes en or zh, not "${printable(lang)}"; see --help`, 2);
  }
  return environmentLanguage();
}

/** Shows a line at a terminal, in place of the one before. */
function showStatus(line: string) {
  if (!Deno.stderr.isTerminal()) return;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${line}`));
}

async function writeFile(file: string, text: string) {
  try {
    await Deno.writeTextFile(file, text);
  } catch (error) {
    fail(`cannot write ${file}: ${reason(error)}`);
  }
}
