/**
 * The one client for all servers: what you type is sent, a line at a time, and
 * what comes back is printed as it comes.
 *
 *   deno run -A client.ts                        to a server on this machine
 *   printf 'hi\n' | deno run -A client.ts        in a pipe: bytes in, bytes out
 *   deno run -A client.ts --port 8080            GET / HTTP/1.0, Enter twice
 *
 * Ctrl-D or Ctrl-C leaves. Three lines pasted at once may get three answers, or
 * two, or one: TCP carries bytes and not messages, and a server that receives
 * several lines in one piece answers once.
 */
import {
  authority,
  fail,
  flags,
  neighbourCommand,
  PORT,
  print,
  reason,
  say,
  warn,
} from "./util.ts";

const { hostname, port } = flags("talks to one of the servers", {
  hostname: ["127.0.0.1", "address to connect to"],
  port: [5666, "port to connect to", PORT],
});

const conn = await Deno.connect({ hostname, port }).catch((error) => {
  const refused = error instanceof Deno.errors.ConnectionRefused;
  const local = /^(localhost$|127\.|::1$)/.test(hostname);
  const where = hostname === "127.0.0.1" ? "" : ` --hostname ${hostname}`;
  const run = neighbourCommand("select.ts");
  const start = `; start a server first: ${run}${where} --port ${port}`;
  const remedy = refused && local && run ? start : "";
  const server = authority({ hostname, port });
  fail(`cannot connect to ${server}: ${reason(error)}${remedy}`);
});
const terminal = Deno.stdout.isTerminal()
  ? await import("./lib/prompt.ts")
  : undefined;
const prompt = terminal && Deno.stdin.isTerminal()
  ? new terminal.Prompt(":")
  : undefined;
// What a server sends must not drive the terminal.
const escaper = terminal && new terminal.Escaper();
let sentAll = false;
let lost: unknown; // why nothing more can be sent; what has come is shown first

/** Yields what is typed, or comes through a pipe. */
async function* input() {
  try {
    yield* prompt?.lines() ?? Deno.stdin.readable;
  } catch (error) {
    prompt?.close();
    fail(`cannot read stdin: ${reason(error)}`);
  }
}

/** Prints what has come. */
function show(data: Uint8Array) {
  if (prompt) prompt.show(data);
  else if (escaper) say(escaper.push(data), "");
  else print(data); // bytes, as they came
}

async function send() {
  for await (let data of input()) {
    while (data.length) data = data.subarray(await conn.write(data));
  }
  prompt?.close();
  if (prompt) Deno.exit(0); // Ctrl-D: no more answers are waited for
  sentAll = true;
  await conn.closeWrite(); // the server may still have something to say
}

send().catch((error) => lost ??= error);
const buffer = new Uint8Array(65536);
try {
  while (true) {
    const n = await conn.read(buffer);
    if (n === null) break; // the server has closed
    show(buffer.subarray(0, n));
  }
} catch (error) {
  lost ??= error;
}
if (prompt) prompt.close();
else if (escaper) say(escaper.end(), "");
if (lost) fail(`lost the server: ${reason(lost)}`);
if (!sentAll) warn("the server hung up");
Deno.exit(0);
