/**
 * Servers to mend, from the simplest to epoll. Shows what is wrong with the
 * first that is not in order yet.
 *
 *   deno task exercise               the next one
 *   deno task exercise select        this one; a file of your own: ./mine/select.ts
 *   deno task exercise --hint        and how one might go about it
 */
if (Deno.build.os !== "linux") {
  console.error("exercise: select, poll and epoll as here are Linux's own");
  Deno.exit(1);
}
const { exercises, failure } = await import("./checks.ts");

function usage(wrong: string): never {
  console.error(`exercise: ${wrong}; try: deno task exercise select --hint`);
  Deno.exit(2);
}

const flags = Deno.args.filter((arg) => arg.startsWith("-"));
const [given, more] = Deno.args.filter((arg) => !arg.startsWith("-"));
const bad = flags.find((flag) => flag !== "--hint") ?? more;
if (bad !== undefined) usage(`unknown argument "${bad}"`);
const only = given?.split("/").at(-1)?.replace(/\.ts$/, "");
if (only && !(only in exercises)) {
  usage(`there is ${Object.keys(exercises).join(", ")}, but no ${given}`);
}

/** The file to be checked. */
function file(name: string): string {
  const ours = new URL(`${name}.ts`, import.meta.url);
  try {
    return Deno.realPathSync(given?.includes("/") ? given : ours);
  } catch {
    usage(`there is no file ${given}`);
  }
}

const indented = (text: string) => text.replaceAll("\n", "\n      ");

for (const name of only ? [only] : Object.keys(exercises)) {
  const script = file(name);
  console.log(name);
  for (const check of exercises[name]) {
    const wrong = await failure(script, check);
    if (!wrong) {
      console.log(`  %c✓%c ${check.title}`, "color: green", "");
      continue;
    }
    console.log(`  %c✗%c ${check.title}\n`, "color: red", "");
    console.log(`    what it did:\n      ${indented(wrong)}\n`);
    console.log(`    what it should do:\n      ${check.should}\n`);
    if (flags.length) console.log(`    hint:\n      ${check.hint}\n`);
    const npx = Deno.execPath().includes("node_modules") ? "npx -y " : "";
    const again = `${npx}deno task exercise${given ? ` ${given}` : ""}`;
    const mend = `Mend ${
      given?.includes("/") ? given : `exercises/${name}.ts`
    }`;
    console.log(`${mend}, and run it again: ${again}`);
    if (!flags.length) console.log("A hint? Add --hint.");
    Deno.exit(1);
  }
}
console.log(
  only
    ? `\nAll in order. Now read ${only}.ts at the top: what else does it do?`
    : "\nAll five in order. Now read the scripts at the top: what else do they do?",
);
