/**
 * Blocking I/O with a thread for each client: each call holds its thread, as in
 * blocking.ts, but no other client needs that thread.
 *
 * In the canteen: you send a friend to every window, and each stands there
 * until the food is on the tray.
 *
 *   deno run -A threads.ts       and in other terminals: deno run -A client.ts
 *
 * The price: a thread for every connected client, busy or not. Here a thread is
 * a Worker of Deno's, with a JavaScript engine of its own: it takes 10 to 20 ms
 * to start, and 8 MB.
 */
import {
  accept,
  checked,
  compute,
  COUNT,
  descriptor,
  flags,
  HELLO,
  libc,
  listen,
  log,
  Peer,
  prepareWorkers,
  reason,
  serverFlags,
} from "./util.ts";

const options = flags("serves each client in a thread of its own", {
  ...serverFlags,
  threads: [256, "how many there may be", COUNT],
});

const { getrlimit, poll } = libc({
  // int getrlimit(int resource, struct rlimit *rlim);
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout);
  poll: {
    parameters: ["buffer", "u32", "i32"],
    result: "i32",
    nonblocking: true, // another thread of Deno's waits in it; here, a promise
  },
});

/** What a Worker has to say to the thread that started it, and about itself. */
declare const self: {
  name: string;
  postMessage(message: string): void;
  close(): void;
};

// Every thread runs this file. The main thread has no name; that of a Worker
// tells it the descriptor and the address of its client.
if (self.name) {
  const [fd, name] = self.name.split(" ");
  serve(new Peer(Number(fd), name));
  self.postMessage("over");
  self.close();
} else await main();

/**
 * The main thread accepts. It awaits poll: in accept4 itself it would not hear
 * which threads have ended.
 */
async function main() {
  const POLLIN = 1;
  const RLIMIT_NOFILE = 7;
  const PER_THREAD = 8; // descriptors: a Worker's 6, the client's, a spare one
  prepareWorkers(import.meta.url, 1);
  const listener = descriptor(listen(options));
  const pollfd = new Int32Array([listener, POLLIN]); // see poll.ts
  const rlimit = new BigUint64Array(2);

  /** How many threads there may be, by descriptors: the limit may change. */
  function room() {
    checked("getrlimit", getrlimit(RLIMIT_NOFILE, rlimit));
    return Math.floor((Number(rlimit[0]) - listener) / PER_THREAD) - 1;
  }
  let threads = 0;

  while (true) {
    await poll(pollfd, 1, -1); // if it fails, accept says why, and sleeps
    for (const peer of accept(listener, 0)) { // 0: without SOCK_NONBLOCK
      if (threads >= Math.min(options.threads, room())) {
        peer.refuse(`every thread is taken (${threads})`);
        continue;
      }
      const name = `${peer.fd} ${peer.name}`;
      let thread: Worker;
      try {
        thread = new Worker(import.meta.url, { type: "module", name });
      } catch (error) {
        peer.refuse(`no more threads: ${reason(error)}`); // ulimit -u, say
        continue;
      }
      log(`threads: ${++threads}`);
      thread.onmessage = () => log(`threads: ${--threads}`);
      thread.onerror = (error) => { // an error in this file as it is by now
        error.preventDefault(); // only that thread ends
        peer.close("its thread failed");
        log(`threads: ${--threads}`);
      };
    }
  }
}

/** A client's own thread: while a call holds it, no other client waits. */
function serve(peer: Peer) {
  const buffer = new Uint8Array(options.buffer); // what recv fills
  while (true) {
    const message = peer.recv(buffer); // held here until something comes
    if (message === null) continue; // cut short by a signal
    if (message.length === 0) break;
    peer.show(message);
    compute(options.work);
    peer.send(options.echo ? message : HELLO);
    while (peer.unsent) peer.send(); // cut short by a signal
  }
  peer.close();
}
