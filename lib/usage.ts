/**
 * How a script is used: its flags, with `--help` and `--trace`, and how others
 * reach it. util.ts loads this where it stands beside it. A copy of a script and
 * util.ts alone runs without, and takes its flags as they come.
 */
import { parseArgs } from "jsr:@std/cli@^1/parse-args";
import type { Flags } from "../util.ts";

// Before anything else is opened: the trace wraps what is.
if (Deno.args.some((arg) => arg.startsWith("--trace"))) {
  await import("./trace.ts");
}

/**
 * What the given flags are set to; one that is unknown, or does not fit, is told
 * to `fail`. `--help` tells all, and ends the script.
 */
export function parse(
  about: string,
  known: Flags,
  fail: (line: string, status: number) => never,
) {
  const bad = (what: string) => fail(`${what}; see --help`, 2);
  const given: Record<string, unknown> = parseArgs(Deno.args, {
    string: [...Object.keys(known), "help"], // also those that take no value
    unknown: (arg: string) => bad(`unknown argument "${arg}"`),
  });
  for (const arg of given._ as string[]) bad(`unknown argument "${arg}"`);
  const values: Record<string, unknown> = {};
  let help = `${about}\n`;
  for (const [name, [preset, text]] of Object.entries(known)) {
    help += `\n  --${name.padEnd(10)} ${text}${preset ? ` (${preset})` : ""}`;
    const word = given[name] as string | undefined;
    if (word === undefined) continue;
    const number = Number(word.trim() || NaN);
    const [least, most] = name === "port" ? [0, 65535] : [1e-6, 1e6];
    const whole = name !== "port" || Number.isInteger(number);
    const fits = typeof preset === "number"
      ? number >= least && number <= most && whole
      : (typeof preset === "string") === (word !== "") ||
        `${name}=${word}` === "trace=json";
    if (!fits) bad(`--${name} (${text}) cannot be "${word}"`);
    values[name] = typeof preset === "number" ? number : word || true;
  }
  if (given.help === undefined) return values;
  console.log(help);
  Deno.exit(0);
}

/** A line for another terminal: the client for a server at `at`, or for its URL. */
export function reach(at: string): string {
  const npx = Deno.execPath().includes("node_modules") ? "npx -y " : "";
  const [, hostname, port] = /^\[?(.*?)\]?:(\d+)$/.exec(at) ?? [];
  const to = (hostname === "127.0.0.1" ? "" : ` --hostname ${hostname}`) +
    (port === "5666" ? "" : ` --port ${port}`);
  const client = port ? `${npx}deno run -A client.ts${to}` : `curl ${at}`;
  return `in another terminal: ${client}`;
}
