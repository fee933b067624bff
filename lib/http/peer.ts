/**
 * HTTP for epoll_http.ts. Its peers are like those of epoll.ts, but they answer
 * requests, have a time limit, and close the connection as HTTP demands. The
 * requests themselves are read in request.ts, and the responses written in
 * response.ts.
 */
import { compute, libc, log, Peer, printable } from "../../util.ts";
import { Memory, Refusal, type Request, RequestReader } from "./request.ts";
import {
  CONTINUE,
  currentSecond,
  refusal,
  responsesFor,
  STATUS,
} from "./response.ts";
import type { Bytes } from "./scan.ts";

const NO_PEERS: HttpPeer[] = [];

const LINGER = 2; // seconds that a client has to hang up, after the last response
const BATCH = 16 * 1024; // bytes of responses that are sent together
const MAX_TICK = 1000; // ms

/** Prints the head of a request as it came, under a rule. */
function printHead(head: Bytes) {
  log("-".repeat(40));
  for (const line of new TextDecoder().decode(head).trimEnd().split(/\r?\n/)) {
    log(printable(line));
  }
}

/** What all peers of a server share: options, a clock, memory for bodies. */
export class Http {
  /** How long a tick of the clock takes, in ms. */
  readonly tick: number;
  /**
   * Ticks since the start. The clock ticks at most once each time the server has
   * served the ready clients: while the server itself was stopped, no client's
   * time runs out.
   */
  now = 0;
  readonly timeout: number; // in ticks
  readonly linger: number; // in ticks
  readonly memory?: Memory; // with --echo
  readonly onHead?: (head: Bytes) => void; // without --quiet
  /**
   * Where responses are put that are sent together: after `BATCH` bytes, there is
   * room for one more, unless it is large and has a buffer of its own.
   */
  readonly outbox = new Uint8Array(2 * BATCH);
  #lastTick = performance.now();
  #second?: number; // of the responses, since the last wait
  #shutdown = libc({
    // int shutdown(int sockfd, int how);
    shutdown: { parameters: ["i32", "i32"], result: "i32" },
  }).shutdown;

  constructor(
    readonly options: {
      echo: boolean;
      quiet: boolean;
      work: number;
      timeout: number;
      bodies: number;
    },
  ) {
    const { echo, quiet, timeout, bodies } = options;
    this.tick = Math.ceil(Math.min(MAX_TICK, 1000 * timeout / 16));
    this.timeout = this.#ticks(timeout);
    this.linger = this.#ticks(LINGER);
    if (echo) this.memory = new Memory(bodies * 2 ** 20);
    if (!quiet) this.onHead = printHead;
    Peer.refusal = (why) => new TextDecoder().decode(refusal(503, `${why}\n`));
  }

  /** So many seconds in ticks: one more, as the current one has begun. */
  #ticks(seconds: number): number {
    return Math.ceil(1000 * seconds / this.tick) + 1;
  }

  /** The peers whose time is over. To be called once before each wait. */
  expired(peers: Map<number, HttpPeer>): HttpPeer[] {
    this.#second = undefined;
    const now = performance.now();
    if (now < this.#lastTick + this.tick) return NO_PEERS;
    this.#lastTick = now;
    this.now++;
    return [...peers.values()].filter((peer) => peer.deadline < this.now);
  }

  /** The second for the dates of responses: looked up once between two waits. */
  get second(): number {
    this.#second ??= currentSecond();
    return this.#second;
  }

  /**
   * RFC 9112, 9.6: ends the sending, and leaves the receiving open. If we closed
   * while the client still sends, the kernel would reset the connection, and the
   * client could lose the last response.
   */
  shutdown(fd: number) {
    const SHUT_WR = 1;
    this.#shutdown(fd, SHUT_WR); // an error comes back from the next recv
  }
}

/** A client that sends requests, and gets a response to each. */
export class HttpPeer extends Peer {
  deadline: number; // in ticks of Http.now
  #http: Http;
  #reader: RequestReader;
  #stage = ""; // of the reader, when it was last looked at
  #closing = false; // whether the last response has been made
  #large: Bytes | null = null; // a response that had no room in the outbox

  constructor({ fd, name }: Peer, http: Http) {
    super(fd, name);
    this.#http = http;
    this.#reader = new RequestReader(http.memory, http.onHead);
    this.deadline = http.now + http.timeout;
  }

  /** Takes what was received: requests, or pieces of them. */
  push(message: Bytes) {
    if (!this.#closing) this.#reader.push(message);
  }

  /**
   * The next bytes to send; null until more has come. They are to be sent before
   * another peer is asked: small responses of all peers are made in one buffer.
   */
  answer(): Bytes | null {
    let response = this.#large ?? this.#nextResponse();
    this.#large = null;
    if (response === null || !this.#reader.hasUnread) return response;
    if (response.length > BATCH) return response;
    // Small responses to requests that came together are sent together.
    const { outbox } = this.#http;
    let size = 0;
    while (response !== null) {
      if (size + response.length > outbox.length) {
        this.#large = response;
        break;
      }
      outbox.set(response, size);
      size += response.length;
      response = size < BATCH ? this.#nextResponse() : null;
    }
    return outbox.subarray(0, size);
  }

  /** Sends a response, or what is unsent of one; after the last, shuts down. */
  override send(message = this.unsent!) {
    const isRest = message === this.unsent;
    // A large response has a buffer of its own, which nothing changes: what does
    // not fit need not be copied, as Peer would do with a message.
    if (message.length > this.#http.outbox.length) this.unsent = message;
    super.send(message);
    if (this.unsent !== null) {
      this.#reader.keepUnread();
      const progress = !isRest || this.unsent.length < message.length;
      if (progress) this.#renewDeadline(this.#http.timeout);
      return;
    }
    if (this.#large !== null) return;
    this.#reader.freeAnswered();
    if (this.#closing) {
      this.#http.shutdown(this.fd);
      this.#renewDeadline(this.#http.linger);
    }
  }

  #renewDeadline(ticks: number) {
    this.deadline = this.#http.now + ticks;
  }

  override close(why?: string) {
    this.#reader.freeBody();
    super.close(why);
  }

  /** Handles a timeout; returns whether to close the connection. */
  expire(): boolean {
    // A client that was answered, and asks for nothing, is told nothing.
    const idle = this.#stage === "idle";
    if (this.unsent !== null || this.#closing || idle) return true;
    const { timeout } = this.#http.options;
    this.send(this.#refuse(new Refusal(408, `no request within ${timeout} s`)));
    return this.unsent !== null;
  }

  #nextResponse(): Bytes | null {
    if (this.#closing) return null;
    const reader = this.#reader;
    const request = reader.next();
    if (request !== undefined || reader.stage !== this.#stage) {
      // A whole head or body renews the deadline; a single byte does not, or a
      // client could hold the connection for ever.
      this.#stage = reader.stage;
      this.#renewDeadline(this.#http.timeout);
    }
    if (request instanceof Refusal) return this.#refuse(request);
    if (request !== undefined) return this.#respond(request);
    if (reader.expectsContinue) {
      reader.expectsContinue = false;
      return CONTINUE;
    }
    reader.keepUnread();
    return null;
  }

  #respond({ method, path, minor, keepAlive, body }: Request): Bytes {
    this.#closing = !keepAlive;
    compute(this.#http.options.work);
    const { second } = this.#http;
    const responses = responsesFor(keepAlive, minor);
    if (method === "OPTIONS" && (path === "/" || path === "*")) {
      return responses.methods.at(second, method);
    }
    if (path !== "/") return responses.notFound.at(second, method);
    if (body) return responses.echo(body, second, method);
    return responses.page.at(second, method);
  }

  #refuse({ status, why }: Refusal): Bytes {
    this.#closing = true;
    const { method } = this.#reader;
    this.#reader.freeBody();
    const reason = `${status} ${STATUS[status]}: ${why}`;
    log(`${this.name}: ${reason}`);
    return refusal(status, `${reason}\n`, method);
  }
}
