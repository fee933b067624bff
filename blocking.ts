/**
 * Blocking I/O: each call holds the thread until it has what it was asked for,
 * a client, a message, room for the answer.
 *
 * In the canteen: you queue, and stand there until the food is on your tray.
 *
 *   deno run -A blocking.ts      and in other terminals: deno run -A client.ts
 *
 * Type each answer in the terminal of the server. A second client is connected,
 * too, for the kernel queues it, but stands there until the first has left.
 */
import {
  accept,
  common,
  descriptor,
  flags,
  HELLO,
  libc,
  listen,
  say,
} from "./util.ts";

const options = flags("serves one client at a time, by your answers", common);

const { fcntl, tcflush } = libc({
  // int fcntl(int fd, int cmd, int arg);
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int tcflush(int fd, int queue_selector);
  tcflush: { parameters: ["i32", "i32"], result: "i32" },
});
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const STDIN = 0;
const TCIFLUSH = 0;

const listener = descriptor(listen(options));
// Deno makes its listeners non-blocking; with O_NONBLOCK cleared, accept waits.
fcntl(listener, F_SETFL, fcntl(listener, F_GETFL, 0) & ~O_NONBLOCK);

const chunk = new Uint8Array(4096);
const decoder = new TextDecoder();
let typed = ""; // read, but not yet part of an answer
let ended = false;

while (true) {
  // Held here until someone connects; 0: without SOCK_NONBLOCK, so recv waits.
  for (const peer of accept(listener, 0)) {
    while (true) {
      const message = peer.recv(); // held here until something comes
      if (message === null) continue; // cut short by a signal
      if (message.length === 0) break;
      peer.show(message, "client msg");
      peer.send(options.echo ? message : await ask() ?? HELLO);
      while (peer.unsent) peer.send(); // cut short by a signal
    }
    peer.close();
  }
}

/**
 * The line you type, or the next one of a pipe; null once there is none. Here
 * we await: no listener for SIGCONT would run while read held the thread.
 */
async function ask(): Promise<Uint8Array<ArrayBuffer> | null> {
  if (ended) return null;
  const atTerminal = Deno.stdin.isTerminal();
  // What was typed before there was a question is nobody's answer.
  if (atTerminal) tcflush(STDIN, TCIFLUSH);
  // Again, after Ctrl-Z and fg; over the first one if that was just before it.
  const again = () => say("\ryour msg: ", "");
  Deno.addSignalListener("SIGCONT", again);
  say("your msg: ", "");
  while (!typed.includes("\n")) {
    const n = await Deno.stdin.read(chunk).catch(() => null);
    if (n === null) break; // the end, or nothing that can be read: a folder
    typed += decoder.decode(chunk.subarray(0, n), { stream: true });
  }
  Deno.removeSignalListener("SIGCONT", again);
  ended = typed === "";
  const [line] = typed.split("\n", 1);
  const answer = `${line}\n`;
  typed = typed.slice(answer.length);
  if (ended || !atTerminal) say(answer, "");
  if (!ended) return new TextEncoder().encode(answer);
  say("stdin has ended: from here on the answer is hello sir");
  return null;
}
