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
  checked,
  compute,
  descriptor,
  flags,
  HELLO,
  libc,
  listen,
  say,
  serverFlags,
  stdin,
} from "./util.ts";

const options = flags(
  "serves one client at a time, by your answers",
  serverFlags,
);

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
const fileFlags = checked("fcntl", fcntl(listener, F_GETFL, 0));
checked("fcntl", fcntl(listener, F_SETFL, fileFlags & ~O_NONBLOCK));

const buffer = new Uint8Array(options.buffer); // what recv fills
const decoder = new TextDecoder();
let typed = ""; // read, but not yet part of an answer
let stdinEnded = false;

while (true) {
  // Held here until someone connects; 0: without SOCK_NONBLOCK, so recv waits.
  for (const peer of accept(listener, 0)) {
    while (true) {
      const message = peer.recv(buffer); // held here until something comes
      if (message === null) continue; // cut short by a signal
      if (message.length === 0) break;
      peer.show(message, "client msg");
      compute(options.work);
      peer.send(options.echo ? message : await ask() ?? HELLO);
      while (peer.unsent) peer.send(); // cut short by a signal
    }
    peer.close();
  }
}

/**
 * Returns the line you type, or the next line of a pipe; null if there is none
 * any more. We await it: no listener for SIGCONT would run while a read(2) held
 * the thread.
 */
async function ask(): Promise<Uint8Array<ArrayBuffer> | null> {
  if (stdinEnded) return null;
  const chunk = new Uint8Array(4096);
  const atTerminal = Deno.stdin.isTerminal();
  // What was typed before there was a question is nobody's answer. If this
  // fails, the terminal is gone, and read says so.
  if (atTerminal) tcflush(STDIN, TCIFLUSH);
  // After Ctrl-Z and fg we ask again, in the same line if it is still there.
  const askAgain = () => say("\ryour msg: ", "");
  Deno.addSignalListener("SIGCONT", askAgain);
  say("your msg: ", "");
  while (!typed.includes("\n")) {
    const n = await stdin.read(chunk).catch(() => null); // null: a folder, say
    if (n === null) break; // stdin has ended
    typed += decoder.decode(chunk.subarray(0, n), { stream: true });
  }
  Deno.removeSignalListener("SIGCONT", askAgain);
  stdinEnded = typed === "";
  const [line] = typed.split("\n", 1);
  const answer = `${line}\n`;
  typed = typed.slice(answer.length);
  if (stdinEnded || !atTerminal) say(answer, "");
  if (!stdinEnded) return new TextEncoder().encode(answer);
  say("stdin has ended: from here on the answer is hello sir");
  return null;
}
