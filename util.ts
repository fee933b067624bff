/**
 * What the servers share: how to accept a client, and how to receive from it,
 * send to it and close it. A function that has the name of a system call makes
 * that call and handles its errors; accept and close also print what happened.
 *
 * Flags, output, Deno's listener and libc: see lib/.
 */
import { certain, EMFILE, errno, openTraced } from "./lib/libc.ts";
import { strerror, tryAgain } from "./lib/libc.ts";
import { address, addrlen, lastDescriptor, sockaddr } from "./lib/listener.ts";
import {
  log,
  printable,
  quiet,
  say,
  sleep,
  warnCannotAccept,
} from "./lib/output.ts";

export { COUNT, flags, PORT, serverFlags } from "./lib/cli.ts";
export { neighbourCommand, stdin } from "./lib/cli.ts";
export { checked, errno, interrupted, strerror } from "./lib/libc.ts";
export { address, authority, descriptor, listen } from "./lib/listener.ts";
export { fail, log, print, printable, reason, say } from "./lib/output.ts";
export { warn, warnCannotAccept } from "./lib/output.ts";
export { compute } from "./lib/time.ts";
export { prepareWorkers, startWorker } from "./lib/worker.ts";

/** The answer of every server, unless --echo is given. */
export const HELLO = new TextEncoder().encode("hello sir\n");

// Lengths are 32 bits here, where C has size_t and ssize_t: 64 bits would be
// BigInts, which take 1.8 µs more for each request.
const openCalls = () =>
  openTraced({
    // int accept4(int sockfd, struct sockaddr *addr, socklen_t *addrlen,
    //             int flags);
    accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
    // ssize_t recv(int sockfd, void *buf, size_t len, int flags);
    recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
    // ssize_t send(int sockfd, const void *buf, size_t len, int flags);
    send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
    // int close(int fd);
    close: { parameters: ["i32"], result: "i32" },
  });
let calls: ReturnType<typeof openCalls>;

/** The highest descriptor we may have: only a client that we refuse gets it. */
export let lastFd = 0;

/** Opens functions of libc: of these types, and those of accept and Peer. */
export function libc<const S extends Deno.ForeignLibraryInterface>(types: S) {
  if (!calls) {
    calls = openCalls();
    lastFd = lastDescriptor();
  }
  return openTraced(types);
}

const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

/**
 * Accepts at most 64 waiting clients, so that connected ones get their turn. A
 * client that gets the last descriptor is told that there is none left, and
 * closed. `flags`: 0 makes recv and send of these peers wait. @see accept4(2)
 */
export function* accept(listener: number, flags = SOCK_NONBLOCK) {
  const all = flags | SOCK_CLOEXEC;
  let accepted = 0;
  // A refused client does not count as accepted, but as a try.
  for (let tries = 0; tries < 1024 && accepted < 64; tries++) {
    const fd = certain(() => calls.accept4(listener, sockaddr, addrlen(), all));
    if (fd === -1) {
      if (tryAgain()) return; // EAGAIN: no client waits any more
      warnCannotAccept(strerror(errno())); // ENFILE, for example
      sleep(10); // ms: the client still waits, and without this we would spin
      return;
    }
    const peer = new Peer(fd, address(sockaddr));
    log(`got connection from ${peer.name}`);
    if (fd < lastFd) {
      accepted++;
      yield peer;
    } else peer.refuse(strerror(EMFILE));
  }
}

/**
 * A connected client. When it is readable, call `recv`, and `close` if the
 * message is empty. While something is `unsent`, do not call `recv`; when the
 * client is writable, call `send` for the rest.
 */
export class Peer {
  /** The text for a client that we refuse. The HTTP server replaces this. */
  static refusal = (why: string) => `${why}\n`;
  /** What send could not send yet, for want of room. */
  unsent: Uint8Array<ArrayBuffer> | null = null;
  #error = ""; // why nothing more can be received or sent
  #decoder?: TextDecoder; // keeps the first bytes of a character that was cut

  /** `fd`: -1 in async.ts, where Deno has it. `name`: the client's address. */
  constructor(readonly fd: number, readonly name: string) {}

  /**
   * Receives into the buffer, and returns the part of it that was filled; null
   * if nothing has come yet, empty if the client has left or the connection is
   * broken: then close it. @see recv(2)
   */
  recv(buffer: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | null {
    const n = certain(() => calls.recv(this.fd, buffer, buffer.length, 0));
    if (n === -1) {
      if (tryAgain()) return null;
      this.#error ||= strerror(errno());
    }
    return buffer.subarray(0, Math.max(n, 0));
  }

  /** Sends a message, or the unsent rest; keeps what is left. @see send(2) */
  send(message = this.unsent!) {
    const n = certain(() => calls.send(this.fd, message, message.length, 0));
    if (n === message.length) {
      this.unsent = null;
    } else if (n === -1 && !tryAgain()) {
      // The connection is broken: soon recv says so, and the peer is closed.
      this.#error ||= strerror(errno());
      this.unsent = null;
    } else {
      const rest = message.subarray(Math.max(n, 0));
      // A copy: the buffer that the message is in will be used again.
      this.unsent = message === this.unsent ? rest : rest.slice();
    }
  }

  /** Prints what was received as an escaped line, unless --quiet is given. */
  show(message: Uint8Array, label = this.name) {
    if (quiet) return; // to decode costs as much as to receive
    this.#decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
    const text = this.#decoder.decode(message, { stream: true });
    if (text) say(`${label}: ${printable(text)}`);
  }

  /** Tells a client why it cannot stay, and closes it. */
  refuse(why: string) {
    warnCannotAccept(why);
    this.send(new TextEncoder().encode(Peer.refusal(why)));
    this.close(why);
  }

  /** Gives the descriptor back: it may be the next client's. @see close(2) */
  close(why = this.#error) {
    if (this.fd !== -1) calls.close(this.fd);
    const leftover = this.#decoder?.decode(); // the rest of it never came
    if (leftover) log(`${this.name}: ${leftover}`);
    log(`${this.name} disconnected${why && `: ${why}`}`);
  }
}
