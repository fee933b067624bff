/** What a script does as a command: its flags, --help, and what loads --trace. */
import { parseArgs } from "jsr:@std/cli@^1/parse-args";
import { fail, say, script } from "./output.ts";

if (!("toHex" in Uint8Array.prototype)) fail("needs Deno 2.5.2: deno upgrade");

/** The tracer, where --trace is given: whatever is to be traced asks it. */
export const tracer = Deno.args.some((arg) => arg.startsWith("--trace"))
  ? await import("./trace.ts")
  : undefined;

/** stdin, to read what is typed; with --trace its reads are traced. */
export const stdin = tracer?.traceReads(Deno.stdin, "0") ?? Deno.stdin;

/** How Deno is started on this machine. */
export function denoCommand(): string {
  // Without /proc, as in some containers, this is 0, and Deno panics when it is
  // asked for its path.
  const hasProc = Deno.memoryUsage().rss > 0;
  const fromNpm = hasProc && Deno.execPath().includes("node_modules");
  return fromNpm ? "npx -y deno" : "deno";
}

/**
 * The command that runs the script of that name which stands beside this one:
 * `deno run -A client.ts`. Elsewhere than in the current folder, the script has
 * its URL or its path. `undefined` if there is no such file.
 */
export function neighbourCommand(name: string): string | undefined {
  const url = new URL(name, Deno.mainModule);
  const run = `${denoCommand()} run -A`;
  if (url.protocol !== "file:") return `${run} ${url}`;
  const path = decodeURIComponent(url.pathname);
  const { state } = Deno.permissions.querySync({ name: "read" });
  if (state !== "granted") return `${run} ${name}`; // we cannot look
  try {
    Deno.statSync(path);
  } catch {
    return undefined;
  }
  if (path === `${Deno.cwd()}/${name}`) return `${run} ${name}`;
  return `${run} ${/^[\w/.-]+$/.test(path) ? path : `'${path}'`}`;
}

/** Which values a flag takes beside its default. */
interface Limits {
  least?: number;
  most?: number;
  /** Whether a number must have no fraction. */
  whole?: boolean;
  /** Words that a flag takes which else needs none: `--trace=json`. */
  words?: string[];
}
type Value = number | boolean | string;
type Flag = [preset: Value, meaning: string, limits?: Limits];
/** A script's flags: `{ interval: [3, "seconds between two rounds"] }`. */
export type Flags = Record<string, Flag>;

/** What flags are set to: values of the same types as their presets. */
type Values<F extends Flags> = {
  [K in keyof F]: F[K][0] extends boolean ? boolean : F[K][0];
};

/** A flag that counts something. */
export const COUNT: Limits = { least: 1, whole: true };
/** The number of a port, or 0. */
export const PORT: Limits = { least: 0, most: 65535, whole: true };

/** The flags of all servers; with more: `{ ...serverFlags, interval: … }`. */
export const serverFlags = {
  hostname: ["127.0.0.1", "address to listen on"],
  port: [5666, "port to listen on; 0 lets the system choose", PORT],
  echo: [false, "answer with what came instead of hello sir"],
  buffer: [65536, "bytes that one recv takes", COUNT],
  work: [0, "ms of computing for each message", { least: 0 }],
  quiet: [false, "print no clients and no messages"],
  trace: [
    false,
    "print each system call; --trace=json for programs",
    { words: ["json"] },
  ],
} satisfies Flags;

/**
 * What the script's flags are set to. A flag that is unknown, or a value that
 * does not fit, ends the script with status 2; `--help` ends it with a text.
 */
export function flags<F extends Flags>(about: string, known: F): Values<F> {
  const given: Record<string, unknown> = parseArgs(Deno.args, {
    // As strings, so that `--port` and `--echo=maybe` can be told from the rest.
    string: [...Object.keys(known), "help"],
    unknown: (arg: string) => misused(`unknown argument "${arg}"`),
  });
  for (const arg of given._ as string[]) misused(`unknown argument "${arg}"`);
  if (given.help !== undefined) {
    say(help(about, known));
    Deno.exit(0);
  }
  const values: Record<string, Value> = {};
  for (const [name, flag] of Object.entries(known)) {
    const [preset, meaning] = flag;
    const word = given[name] as string | undefined;
    const value = word === undefined ? preset : valueOf(flag, word);
    if (value === undefined) {
      misused(`--${name} (${meaning}) cannot be "${word}"`);
    }
    values[name] = value;
  }
  return values as Values<F>;
}

function misused(what: string): never {
  fail(`${what}; see --help`, 2);
}

function help(about: string, known: Flags): string {
  const lines = Object.entries(known).map(([name, [preset, meaning]]) =>
    `\n  --${name.padEnd(10)} ${meaning}${preset ? ` (${preset})` : ""}`
  );
  return `${script}: ${about}\n${lines.join("")}`;
}

/** The value that was given, in the preset's type; undefined if it cannot be. */
function valueOf([preset, _meaning, limits = {}]: Flag, word: string) {
  if (typeof preset === "boolean") {
    return word === "" || limits.words?.includes(word) ? true : undefined;
  }
  if (typeof preset === "string") return word || undefined;
  const { least = 1e-6, most = 1e6, whole } = limits;
  const number = Number(word.trim() || NaN);
  const fits = number >= least && number <= most &&
    (!whole || Number.isInteger(number));
  return fits ? number : undefined;
}
