/**
 * The one client for all servers: what you type is sent, a line at a time, and
 * what comes back is printed as it comes.
 *
 *   deno run -A client.ts                        to a server on this machine
 *   printf 'hi\n' | deno run -A client.ts        in a pipe: bytes in, bytes out
 *   deno run -A client.ts --port 8080            then: GET / HTTP/1.0, Enter twice
 */
import * as readline from "node:readline";
import process from "node:process";
import {
  authority,
  fail,
  options,
  print,
  printable,
  reason,
  say,
  warn,
} from "./util.ts";

const { hostname, port } = options("talks to one of the servers", {
  hostname: ["127.0.0.1", "address to connect to"],
  port: [5666, "port to connect to"],
});

const conn = await Deno.connect({ hostname, port }).catch((error) =>
  fail(`cannot connect to ${authority({ hostname, port })}: ${reason(error)}`)
);
const atTerminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
let sentAll = false;

async function send(data: Uint8Array) {
  while (data.length) data = data.subarray(await conn.write(data));
}

/** Bytes in, bytes out. At the end of the input the server may finish. */
async function pipe() {
  const input = Deno.stdin.readable[Symbol.asyncIterator]();
  const next = () =>
    input.next().catch((error) => fail(`cannot read stdin: ${reason(error)}`));
  for (let chunk; !(chunk = await next()).done;) await send(chunk.value);
  sentAll = true;
  await conn.closeWrite();
}

/** A prompt that what comes from the server does not tear apart. */
function terminal() {
  const { stdin: input, stdout: output } = process;
  const rl = readline.createInterface({ input, output, prompt: ":" });
  const decoder = new TextDecoder();
  let partial = "";
  rl.prompt();
  return { show, type, end };

  async function type() {
    for await (const line of rl) {
      partial = "";
      rl.setPrompt(":");
      rl.prompt(true); // more may have been typed already
      await send(new TextEncoder().encode(line + "\n"));
    }
    say("");
    Deno.exit(0);
  }

  /** Leaves the terminal as it was, and the cursor on a line of its own. */
  function end() {
    rl.setPrompt(printable(partial));
    rl.prompt(true);
    rl.close();
    say("");
  }

  function show(data: Uint8Array) {
    readline.moveCursor(output, 0, -rl.getCursorPos().rows);
    readline.cursorTo(output, 0);
    readline.clearScreenDown(output);
    const lines = (partial + decoder.decode(data, { stream: true })).split(
      "\n",
    );
    partial = lines.pop()!;
    for (const line of lines) say(printable(line + "\n"));
    // A line that is not complete yet stands before the prompt.
    rl.setPrompt(printable(partial) + ":");
    rl.prompt(true);
  }
}

const { type, show, end } = atTerminal
  ? terminal()
  : { type: pipe, show: print, end: () => {} };
let lost: unknown; // why nothing more can be sent: what has come is shown first
const typing = type();
typing.catch((error) => lost ??= error);

try {
  const inbox = new Uint8Array(65536);
  for (let n; (n = await conn.read(inbox));) show(inbox.subarray(0, n));
} catch (error) {
  lost ??= error;
}
end();
if (lost) fail(`lost the server: ${reason(lost)}`);
if (!sentAll) warn("the server hung up");
Deno.exit(0);
