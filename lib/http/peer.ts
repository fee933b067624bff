/**
 * HTTP for epoll_http.ts. Its peers are like those of epoll.ts, but they answer
 * requests, have a time limit, and close the connection as HTTP demands. The
 * requests themselves are read in request.ts.
 */
import { libc, log, Peer, printable } from "../../util.ts";
import type { Bytes } from "./scan.ts";
import {
  HEADROOM,
  Memory,
  METHODS,
  Refusal,
  type Request,
  RequestReader,
} from "./request.ts";

const STATUS: Record<number, string> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};
const TEXT = "Content-Type: text/plain; charset=utf-8\r\n";
const BYTES = "Content-Type: application/octet-stream\r\n";
const ALLOW = `Allow: ${METHODS.join(", ")}\r\n`;
const CLOSE = "Connection: close\r\n";
const KEEP_ALIVE = "Connection: keep-alive\r\n";

const CONTINUE = encode("HTTP/1.1 100 Continue\r\n\r\n");
const HELLO = encode("Hello, world!");
const NOTHING = new Uint8Array(0);
const NO_PEERS: HttpPeer[] = [];

const LINGER = 2; // seconds that a client has to hang up, after the last response
const BATCH = 16 * 1024; // bytes of responses that are sent together
const MAX_TICK = 1000; // ms

function encode(text: string): Bytes {
  return new TextEncoder().encode(text);
}

function concatenate(parts: Bytes[]): Bytes {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  const whole = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/**
 * A response with these fields. To HEAD, it has the Content-Length of the body
 * that GET would get, and no body.
 */
function response(
  status: number,
  fields: string,
  body: Bytes,
  method = "GET",
): Bytes {
  const head = encode(
    `HTTP/1.1 ${status} ${STATUS[status]}\r\n` +
      `Date: ${new Date().toUTCString()}\r\n${fields}` +
      `Content-Length: ${body.length}\r\n\r\n`,
  );
  if (method === "HEAD") return head;
  // The body of a request has free bytes before it. The head of the response
  // goes there, and the body need not be copied.
  const start = HEADROOM - head.length;
  if (body.byteOffset !== HEADROOM || start < 0) {
    return concatenate([head, body]);
  }
  const whole = new Uint8Array(body.buffer, start, head.length + body.length);
  whole.set(head);
  return whole;
}

/** The field that tells the client whether the connection stays open. */
function connectionField({ keepAlive, minor }: Request): string {
  if (!keepAlive) return CLOSE;
  return minor === 0 ? KEEP_ALIVE : ""; // HTTP/1.1 stays open by default
}

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
  #lastTick = Date.now();
  #greeting = NOTHING;
  #greetingSecond = 0; // the second that is its date
  #greetingChecked = false; // whether its date was compared since the last wait
  #shutdown = libc({
    // int shutdown(int sockfd, int how);
    shutdown: { parameters: ["i32", "i32"], result: "i32" },
  }).shutdown;

  constructor(
    readonly options: {
      echo: boolean;
      quiet: boolean;
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
    Peer.refusal = (why) =>
      new TextDecoder().decode(
        response(503, TEXT + CLOSE, encode(`${why}\n`)),
      );
  }

  /** So many seconds in ticks: one more, as the current one has begun. */
  #ticks(seconds: number): number {
    return Math.ceil(1000 * seconds / this.tick) + 1;
  }

  /** The peers whose time is over. To be called once before each wait. */
  expired(peers: Map<number, HttpPeer>): HttpPeer[] {
    const now = Date.now();
    this.#greetingChecked = false;
    // A clock that was set back ticks as well, and starts anew from there.
    const ticks = now < this.#lastTick || now >= this.#lastTick + this.tick;
    if (!ticks) return NO_PEERS;
    this.#lastTick = now;
    this.now++;
    return [...peers.values()].filter((peer) => peer.deadline < this.now);
  }

  /**
   * The response to most requests. Its date is compared with the clock only once
   * between two waits.
   */
  get greeting(): Bytes {
    if (!this.#greetingChecked) {
      const second = Math.floor(Date.now() / 1000);
      if (second !== this.#greetingSecond) {
        this.#greeting = response(200, TEXT, HELLO);
        this.#greetingSecond = second;
      }
      this.#greetingChecked = true;
    }
    return this.#greeting;
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

  /** The next bytes to send; null until more has come. */
  answer(): Bytes | null {
    const reader = this.#reader;
    const first = this.#nextResponse();
    if (first === null || !reader.hasUnread || first.length > BATCH) {
      return first;
    }
    // Small responses to requests that came together are sent together.
    const all = [first];
    let size = first.length;
    while (size < BATCH) {
      const next = this.#nextResponse();
      if (next === null) break;
      all.push(next);
      size += next.length;
    }
    return all.length === 1 ? first : concatenate(all);
  }

  /** Sends a response, or what is unsent of one; after the last, shuts down. */
  override send(message = this.unsent!) {
    const isRest = message === this.unsent;
    // Nothing changes a response that was made: what does not fit need not be
    // copied, as Peer would do with a message.
    this.unsent = message;
    super.send();
    if (this.unsent !== null) {
      this.#reader.keepUnread();
      const progress = !isRest || this.unsent.length < message.length;
      if (progress) this.#renewDeadline(this.#http.timeout);
    } else if (this.#closing) {
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

  #respond(request: Request): Bytes {
    const { method, path, minor, keepAlive, body } = request;
    this.#closing = !keepAlive;
    if (path === "/" && method === "GET" && minor && keepAlive && !body) {
      return this.#http.greeting;
    }
    const connection = connectionField(request);
    const respond = (status: number, fields: string, body: Bytes) =>
      response(status, fields + connection, body, method);
    if (method === "OPTIONS" && (path === "/" || path === "*")) {
      return respond(200, ALLOW, NOTHING);
    }
    if (path !== "/") {
      return respond(404, TEXT, encode("404 Not Found: there is only /\n"));
    }
    return body ? respond(200, BYTES, body) : respond(200, TEXT, HELLO);
  }

  #refuse({ status, why }: Refusal): Bytes {
    this.#closing = true;
    const { method } = this.#reader;
    this.#reader.freeBody();
    log(`${this.name}: ${status} ${STATUS[status]}: ${why}`);
    const body = encode(`${status} ${STATUS[status]}: ${why}\n`);
    return response(status, TEXT + CLOSE, body, method);
  }
}
