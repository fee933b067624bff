/**
 * What the servers share: how to accept a client, and how to receive from it,
 * send to it and close it. What is named like a system call makes that call,
 * and handles what can go wrong with it; nothing else.
 *
 * The rest of what a page imports from here is explained in lib/: flags and
 * output, Deno's listener, libc.
 */
import { EMFILE, errno, openTraced, strerror, tryAgain } from "./lib/libc.ts";
import {
  address,
  addrlen,
  highestDescriptor,
  sockaddr,
} from "./lib/listener.ts";
import {
  log,
  printable,
  quiet,
  say,
  sleep,
  warnCannotAccept,
} from "./lib/output.ts";

export { COUNT, flags, PORT, serverFlags } from "./lib/cli.ts";
export { denoCommand, stdin } from "./lib/cli.ts";
export { errno, interrupted, strerror } from "./lib/libc.ts";
export { address, authority, descriptor, listen } from "./lib/listener.ts";
export { fail, log, print, printable, reason, say } from "./lib/output.ts";
export { warn, warnCannotAccept } from "./lib/output.ts";

/** The answer of every server, unless --echo is given. */
export const HELLO = new TextEncoder().encode("hello sir\n");

// Lengths are 32 bits here, where C has size_t and ssize_t: 64 bits would become
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

/** The highest descriptor: it is kept for clients that cannot stay. */
export let lastFd = 0;

/** Functions of libc, by their types; and from now on accept and Peer work. */
export function libc<const S extends Deno.ForeignLibraryInterface>(types: S) {
  if (!calls) {
    calls = openCalls();
    lastFd = highestDescriptor();
  }
  return openTraced(types);
}

const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

/**
 * Accepts at most 64 waiting clients, so that connected ones get their turn.
 * With no descriptor left for a client, the client is told so. `flags`: 0 makes
 * recv and send of these peers wait. @see accept4(2)
 */
export function* accept(listener: number, flags = SOCK_NONBLOCK) {
  let accepted = 0;
  for (let tries = 0; tries < 1024 && accepted < 64; tries++) {
    const all = flags | SOCK_CLOEXEC;
    const fd = calls.accept4(listener, sockaddr, addrlen(), all);
    if (fd === -1) {
      if (tryAgain()) return; // EAGAIN: nobody waits any more
      warnCannotAccept(strerror(errno())); // ENFILE, say
      sleep(10); // the client still waits: the loop comes back at once
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
 * A connected client. When it is readable, `recv`, and `close` it if the message
 * is empty. While something is `unsent`, do not `recv`: when it is writable,
 * `send` that.
 */
export class Peer {
  /** What a client is sent that cannot stay; HTTP has a form of its own. */
  static refusal = (why: string) => `${why}\n`;
  /** What send could not send yet, for want of room. */
  unsent: Uint8Array<ArrayBuffer> | null = null;
  #error = ""; // why nothing more can be received or sent
  #decoder?: TextDecoder; // keeps the first half of a character

  /** `fd`: -1 where Deno keeps the descriptor. `name`: the client's address. */
  constructor(readonly fd: number, readonly name: string) {}

  /**
   * Receives into the buffer, and returns the part of it that was filled; null
   * if nothing has come yet, empty if the client has left. @see recv(2)
   */
  recv(buffer: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | null {
    const n = calls.recv(this.fd, buffer, buffer.length, 0);
    if (n === -1) {
      if (tryAgain()) return null;
      this.#error ||= strerror(errno());
    }
    return buffer.subarray(0, Math.max(n, 0));
  }

  /** Sends a message, or what is unsent; keeps what does not fit. @see send(2) */
  send(message = this.unsent!) {
    const n = calls.send(this.fd, message, message.length, 0);
    if (n === message.length) {
      this.unsent = null;
    } else if (n === -1 && !tryAgain()) {
      this.#error ||= strerror(errno()); // recv will fail as well, and tell
      this.unsent = null;
    } else {
      const rest = message.subarray(Math.max(n, 0));
      // What is unsent is ours. A message is in a buffer that is used again.
      this.unsent = message === this.unsent ? rest : rest.slice();
    }
  }

  /** Prints a message, escaped, unless --quiet: its pieces as they come. */
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
    const half = this.#decoder?.decode(); // of a character that was cut
    if (half) log(`${this.name}: ${half}`);
    log(`${this.name} disconnected${why && `: ${why}`}`);
  }
}
