/**
 * Servers to mend, from the simplest to epoll. Shows what is wrong with the
 * first that is not in order yet.
 *
 *   deno task exercise               the next one
 *   deno task exercise select        this one; a file of your own: ./mine/select.ts
 *   deno task exercise --hint        and how one might go about it
 */
import { denoCommand } from "../lib/cli.ts";
import { stopAllAtExit } from "../lib/process.ts";

if (Deno.build.os !== "linux") {
  console.error("exercise: select, poll and epoll as here are Linux's own");
  Deno.exit(1);
}
// Not imported at the top: elsewhere there is no libc.so.6 to open.
const { exercises, failure } = await import("./checks.ts");

function misused(what: string): never {
  console.error(`exercise: ${what}; try: deno task exercise select --hint`);
  Deno.exit(2);
}

const flags = Deno.args.filter((arg) => arg.startsWith("-"));
const [given, ...more] = Deno.args.filter((arg) => !arg.startsWith("-"));
for (const arg of [...flags.filter((flag) => flag !== "--hint"), ...more]) {
  misused(`unknown argument "${arg}"`);
}
const withHint = flags.length > 0;
const only = given?.split("/").at(-1)?.replace(/\.ts$/, "");
if (only && !(only in exercises)) {
  misused(`there is ${Object.keys(exercises).join(", ")}, but no ${given}`);
}
/** The path that was given, where it is a path and not only a name. */
const givenPath = given?.includes("/") ? given : undefined;

/** The path of the script to be checked. */
function pathOf(exercise: string): string {
  const ours = new URL(`${exercise}.ts`, import.meta.url);
  try {
    return Deno.realPathSync(givenPath ?? ours);
  } catch {
    misused(`there is no file ${given}`);
  }
}

const indented = (text: string) => text.replaceAll("\n", "\n      ");

stopAllAtExit();
for (const exercise of only ? [only] : Object.keys(exercises)) {
  const script = pathOf(exercise);
  console.log(exercise);
  for (const check of exercises[exercise]) {
    const wrong = await failure(script, check);
    if (!wrong) {
      console.log(`  %c✓%c ${check.title}`, "color: green", "");
      continue;
    }
    console.log(`  %c✗%c ${check.title}\n`, "color: red", "");
    console.log(`    what it did:\n      ${indented(wrong)}\n`);
    console.log(`    what it should do:\n      ${check.should}\n`);
    if (withHint) console.log(`    hint:\n      ${check.hint}\n`);
    const file = givenPath ?? `exercises/${exercise}.ts`;
    const again = `${denoCommand()} task exercise${given ? ` ${given}` : ""}`;
    console.log(`Mend ${file}, and run it again: ${again}`);
    if (!withHint) console.log("A hint? Add --hint.");
    Deno.exit(1);
  }
}
console.log(
  only
    ? `\nAll in order. Now read ${only}.ts at the top: what else does it do?`
    : "\nAll five in order. Now read the scripts at the top: what else do they do?",
);
