/**
 * HTTP for epoll_http.ts, whose peers give other answers than those of epoll.ts:
 * to requests, within a time, and with a proper end. What a request may look
 * like is in request.ts.
 */
import { libc, log, Peer, printable } from "../../util.ts";
import {
  HEADROOM,
  Memory,
  METHODS,
  Refusal,
  type Request,
  RequestReader,
} from "./request.ts";

type Bytes = Uint8Array<ArrayBuffer>;

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

const encode = (text: string): Bytes => new TextEncoder().encode(text);
const GO_ON = encode("HTTP/1.1 100 Continue\r\n\r\n");
const HELLO = encode("Hello, world!");
const NOTHING = new Uint8Array(0);
const NOBODY: HttpPeer[] = [];

function joined(parts: Bytes[]): Bytes {
  const whole = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A response with these fields; to HEAD, without the body GET would get. */
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
  // What came as a body has room before it: a head fits, and nothing is copied.
  const start = HEADROOM - head.length;
  if (body.byteOffset !== HEADROOM || start < 0) return joined([head, body]);
  const whole = new Uint8Array(body.buffer, start, head.length + body.length);
  whole.set(head);
  return whole;
}

/** Shows a request as it came. */
function show(head: Bytes) {
  log("-".repeat(40));
  for (const line of new TextDecoder().decode(head).trimEnd().split(/\r?\n/)) {
    log(printable(line));
  }
}

const LINGER = 2; // seconds that a client may take to hang up
const BATCH = 16 * 1024; // bytes of responses that go out together

/** What the peers of a server have in common. */
export class Http {
  /** So long a clock ticks, in ms. */
  readonly tick: number;
  /**
   * Ticks since the start. There is one at most each time the server has looked
   * at who is ready: while it was stopped, nobody's time ran out.
   */
  now = 0;
  readonly timeout: number; // in ticks, as the next
  readonly linger: number;
  readonly memory?: Memory;
  readonly show?: typeof show;
  #ticked = Date.now();
  #greeting = NOTHING;
  #second = 0; // when it was made
  #fresh = false; // whether that is now
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
    this.tick = Math.ceil(Math.min(1000, 1000 * timeout / 16));
    const ticks = (seconds: number) =>
      Math.ceil(1000 * seconds / this.tick) + 1;
    this.timeout = ticks(timeout);
    this.linger = ticks(LINGER);
    if (echo) this.memory = new Memory(bodies * 2 ** 20);
    if (!quiet) this.show = show;
    Peer.refusal = (why) =>
      new TextDecoder().decode(
        response(503, TEXT + CLOSE, encode(`${why}\n`)),
      );
  }

  /** Those of the peers whose time is over. To be called before each wait. */
  late(peers: Map<number, HttpPeer>): HttpPeer[] {
    const now = Date.now();
    this.#fresh = false;
    if (now >= this.#ticked && now < this.#ticked + this.tick) return NOBODY;
    this.#ticked = now;
    this.now++;
    return [...peers.values()].filter((peer) => peer.due < this.now);
  }

  /** What most requests get, with the time in it: looked at once a wait. */
  get greeting(): Bytes {
    if (!this.#fresh) {
      const second = Math.floor(Date.now() / 1000);
      if (second !== this.#second) this.#greeting = response(200, TEXT, HELLO);
      this.#second = second;
      this.#fresh = true;
    }
    return this.#greeting;
  }

  /** RFC 9112, 9.6: stops sending; to close at once could take back the last. */
  shutdown(fd: number) {
    const SHUT_WR = 1;
    this.#shutdown(fd, SHUT_WR); // or it has hung up: recv will tell
  }
}

/** A client that sends requests, and gets a response to each. */
export class HttpPeer extends Peer {
  due: number; // in ticks of `Http.now`
  #http: Http;
  #reader: RequestReader;
  #stage = "";
  #last = false; // whether its last response is on the way

  constructor({ fd, name }: Peer, http: Http) {
    super(fd, name);
    this.#http = http;
    this.#reader = new RequestReader(http.memory, http.show);
    this.due = http.now + http.timeout;
  }

  /** Takes what came: requests, or pieces of them. */
  take(message: Bytes) {
    if (!this.#last) this.#reader.push(message);
  }

  /** The next bytes to send; null until more has come. */
  answer(): Bytes | null {
    const reader = this.#reader;
    const first = this.#next();
    // Small responses to requests that came together go out together.
    if (first === null || !reader.more || first.length > BATCH) return first;
    const all = [first];
    let size = first.length;
    while (size < BATCH) {
      const next = this.#next();
      if (next === null) break;
      all.push(next);
      size += next.length;
    }
    return all.length === 1 ? first : joined(all);
  }

  override send(message = this.unsent!) {
    const before = message === this.unsent ? message.length : Infinity;
    this.unsent = message; // what does not fit need not be copied
    super.send();
    if (this.unsent !== null) {
      this.#reader.keep();
      if (this.unsent.length < before) this.#renew(this.#http.timeout);
    } else if (this.#last) {
      this.#http.shutdown(this.fd);
      this.#renew(this.#http.linger);
    }
  }

  #renew(ticks: number) {
    this.due = this.#http.now + ticks;
  }

  override close(why?: string) {
    this.#reader.free();
    super.close(why);
  }

  /** Its time is over: whether it is to be closed, and not only told so. */
  expire(): boolean {
    const { timeout } = this.#http.options;
    const idle = this.#stage === "idle"; // it was answered
    if (this.unsent || this.#last || idle) return true;
    this.send(this.#refuse(new Refusal(408, `no request within ${timeout} s`)));
    return this.unsent !== null;
  }

  #next(): Bytes | null {
    if (this.#last) return null;
    const reader = this.#reader;
    const request = reader.next();
    if (request !== undefined || reader.stage !== this.#stage) {
      // A byte now and then buys no time: to get on does.
      this.#stage = reader.stage;
      this.#renew(this.#http.timeout);
    }
    if (request instanceof Refusal) return this.#refuse(request);
    if (request !== undefined) return this.#respond(request);
    if (reader.expectsContinue) {
      reader.expectsContinue = false;
      return GO_ON;
    }
    reader.keep();
    return null;
  }

  #respond({ method, path, minor, keepAlive, body }: Request): Bytes {
    this.#last = !keepAlive;
    if (path === "/" && method === "GET" && minor && keepAlive && !body) {
      return this.#http.greeting;
    }
    const connection = !keepAlive
      ? CLOSE
      : minor
      ? ""
      : "Connection: keep-alive\r\n";
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
    this.#last = true;
    const { method } = this.#reader;
    this.#reader.free();
    log(`${this.name}: ${status} ${STATUS[status]}: ${why}`);
    const body = encode(`${status} ${STATUS[status]}: ${why}\n`);
    return response(status, TEXT + CLOSE, body, method);
  }
}
