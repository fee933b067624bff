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
import {
  accept,
  descriptor,
  HELLO,
  libc,
  listen,
  say,
  serverOptions,
} from "./util.ts";

const options = serverOptions("serves one client at a time, by your answers");

const { fcntl } = libc({
  // int fcntl(int fd, int cmd, int arg);
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
});
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

const listener = descriptor(listen(options));
// Deno never blocks, so its listeners do not: accept would return with EAGAIN.
fcntl(listener, F_SETFL, fcntl(listener, F_GETFL, 0) & ~O_NONBLOCK);

const typed = lines();
while (true) {
  for (const peer of accept(listener, 0)) { // held here until someone connects
    while (true) {
      const message = peer.recv(); // held here until something comes
      if (message === null) continue; // a signal
      if (message.length === 0) break;
      peer.show(message, "client msg");
      peer.send(options.echo ? message : ask() ?? HELLO);
      while (peer.unsent) peer.send(); // cut short by a signal
    }
    peer.close();
  }
}

/** A line from the keyboard, or from a pipe; undefined once that has ended. */
function ask(): Uint8Array<ArrayBuffer> | undefined {
  say("your msg: ", "");
  const { value, done } = typed.next();
  if (!done) return new TextEncoder().encode(value + "\n");
  say("hello sir");
}

function* lines() {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(4096);
  let text = "";
  for (let n; (n = Deno.stdin.readSync(chunk));) {
    text += decoder.decode(chunk.subarray(0, n), { stream: true });
    const whole = text.split("\n");
    text = whole.pop()!;
    yield* whole;
  }
  if (text) yield text;
}
