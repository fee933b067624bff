/**
 * Servers to mend: one for each model, one that has a protocol, one that has to
 * compute. Shows what is wrong with the first that is not in order yet.
 *
 *   deno task exercise               the next one
 *   deno task exercise select        this one; a file of your own: ./mine/select.ts
 *   deno task exercise --hint        and how one might go about it
 *   deno task exercise --lang zh     in Chinese; else as LANG has it
 */
import { parseArgs } from "jsr:@std/cli@^1/parse-args";
import { denoCommand } from "../lib/cli.ts";
import { environmentLanguage } from "../lib/language.ts";
import type { Language } from "../lib/models/states.js";
import { printable } from "../lib/output.ts";
import { stopAllAtExit } from "../lib/process.ts";

const names: string[] = []; // what is given beside flags
const unknownFlags: string[] = [];
const given: { hint: boolean; lang?: string } = parseArgs(Deno.args, {
  boolean: ["hint"],
  string: ["lang"],
  unknown(arg: string, flag?: string) {
    (flag ? unknownFlags : names).push(arg);
  },
});
const language = chooseLanguage();
for (const arg of [...unknownFlags, ...names.slice(1)]) {
  misused({ en: `unknown argument "${arg}"`, zh: `参数“${arg}”无法识别` });
}

if (Deno.build.os !== "linux") {
  const line = {
    en: "exercise: select, poll and epoll as here are Linux's own",
    zh: "exercise: 这里的 select、poll、epoll 只能在 Linux 上运行",
  };
  console.error(line[language]);
  Deno.exit(1);
}
// Not imported at the top: elsewhere there is no libc.so.6 to open.
const { exercises } = await import("./checks.ts");
const { failure } = await import("./expect.ts");

const [name] = names;
const only = name?.split("/").at(-1)?.replace(/\.ts$/, "");
if (only !== undefined && !Object.hasOwn(exercises, only)) {
  const known = Object.keys(exercises);
  misused({
    en: `there is ${known.join(", ")}, but no ${name}`,
    zh: `有 ${known.join("、")}，没有 ${name}`,
  });
}
/** The path that was given, where it is a path and not only a name. */
const givenPath = name?.includes("/") ? name : undefined;

function misused(what: Record<Language, string>): never {
  const usage = "deno task exercise select --hint";
  const line = {
    en: `exercise: ${what.en}; try: ${usage}`,
    zh: `exercise: ${what.zh}；用法示例：${usage}`,
  };
  console.error(printable(line[language]));
  Deno.exit(2);
}

/** The language that --lang names, or else the environment. */
function chooseLanguage(): Language {
  const { lang } = given;
  if (lang === "en" || lang === "zh") return lang;
  if (lang === undefined) return environmentLanguage();
  console.error(`exercise: --lang takes en or zh, not "${printable(lang)}"`);
  Deno.exit(2);
}

/** The path of the script to be checked. */
function pathOf(exercise: string): string {
  const ours = new URL(`${exercise}.ts`, import.meta.url);
  try {
    return Deno.realPathSync(givenPath ?? ours);
  } catch {
    misused({ en: `there is no file ${name}`, zh: `没有文件 ${name}` });
  }
}

const words = {
  en: {
    did: "what it did:",
    should: "what it should do:",
    hint: "hint:",
    mend: (file: string, command: string) =>
      `Mend ${file}, and run it again: ${command}`,
    help: "A hint? Add --hint.",
    next: (script: string) => `\nAll in order. Now read ${script}.`,
    all: "\nAll of them in order. " +
      "Now read the scripts at the top: what else do they do?",
  },
  zh: {
    did: "实际：",
    should: "应该：",
    hint: "提示：",
    mend: (file: string, command: string) =>
      `修改 ${file}，再运行一次：${command}`,
    help: "需要提示？加上 --hint。",
    next: (script: string) => `\n全部通过。接下来读 ${script}。`,
    all: "\n所有练习全部通过。接下来读最上层目录里的脚本：它们还做了什么？",
  },
}[language];

const indented = (text: string) => text.replaceAll("\n", "\n      ");

stopAllAtExit();
for (const exercise of only ? [only] : Object.keys(exercises)) {
  const script = pathOf(exercise);
  const { article, checks } = exercises[exercise];
  console.log(`${exercise}: ${article[language]}`);
  for (const check of checks) {
    const title = check.title[language];
    const wrong = await failure(script, check, language);
    if (!wrong) {
      console.log(`  %c✓%c ${title}`, "color: green", "");
      continue;
    }
    console.log(`  %c✗%c ${title}\n`, "color: red", "");
    console.log(`    ${words.did}\n      ${indented(wrong)}\n`);
    console.log(`    ${words.should}\n      ${check.should[language]}\n`);
    if (given.hint) {
      console.log(`    ${words.hint}\n      ${check.hint[language]}\n`);
    }
    const file = givenPath ?? `exercises/${exercise}.ts`;
    const command = [denoCommand(), "task", "exercise", ...Deno.args];
    console.log(words.mend(file, command.join(" ")));
    if (!given.hint) console.log(words.help);
    Deno.exit(1);
  }
}
console.log(only ? words.next(exercises[only].next) : words.all);
