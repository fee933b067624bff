/**
 * Blocking I/O: each call holds the thread until it has what it was asked for,
 * a client, a message, room for the answer.
 *
 * In the canteen: you queue, and stand there until the food is on your tray.
 *
 *   deno run -A blocking.ts      and in other terminals: deno run -A client.ts
 *
 * Answer each message where the server runs. A second client is connected, for
 * the kernel queues it, but stands there until the first has left.
 */
import { libc, listen, Listener, say, serverOptions } from "./util.ts";

const { fcntl, sleep } = libc({
  // int fcntl(int fd, int cmd, int arg);
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // unsigned int sleep(unsigned int seconds);
  sleep: { parameters: ["u32"], result: "u32" },
});
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

const options = serverOptions("serves one client at a time, by your answers");
const listener = new Listener(listen(options));

// Deno never blocks, so its listeners do not: accept would return with EAGAIN.
const flags = fcntl(listener.fd, F_GETFL, 0);
fcntl(listener.fd, F_SETFL, flags & ~O_NONBLOCK);
const typed = lines();
const chunk = new Uint8Array(4096);
let ended = false;

while (true) {
  const peer = listener.accept(0); // held here until someone connects
  if (!peer) sleep(1); // no descriptor left: until a process gives one back
  while (peer && !peer.gone) {
    const message = peer.recv(); // held here until something comes
    if (!message) continue;
    peer.show(message, "client msg");
    peer.send(options.echo ? message : ask() ?? peer.answer(message));
    while (peer.unsent) peer.send(peer.unsent); // cut short by a signal
  }
}

/** A line from the keyboard, or from a pipe; undefined once that has ended. */
function ask(): Uint8Array<ArrayBuffer> | undefined {
  if (ended) return;
  say("your msg: ", "");
  const { value, done } = typed.next();
  if (done || !Deno.stdin.isTerminal()) say(value ?? "");
  if (!done) return new TextEncoder().encode(value + "\n");
  say("stdin has ended: from here on the answer is hello sir");
  ended = true;
}

/** What cannot be read, like a folder, has ended. */
function read(): number | null {
  try {
    return Deno.stdin.readSync(chunk);
  } catch {
    return null;
  }
}

function* lines() {
  const decoder = new TextDecoder();
  let text = "";
  for (let n; (n = read());) {
    const whole =
      (text + decoder.decode(chunk.subarray(0, n), { stream: true }))
        .split("\n");
    text = whole.pop()!;
    yield* whole;
  }
  if (text) yield text;
}
