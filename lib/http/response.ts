/**
 * Writes HTTP responses. To encode a head and to make a buffer for it takes
 * longer than to read a request: so what is sent often is kept, until its date
 * changes.
 */
import { HEADROOM, METHODS } from "./request.ts";
import type { Bytes } from "./scan.ts";

/** The reason phrase of each status code that the server sends. */
export const STATUS: Record<number, string> = {
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

export const CONTINUE = encode("HTTP/1.1 100 Continue\r\n\r\n");
const HELLO = encode("Hello, world!");
const NOT_FOUND = encode("404 Not Found: there is only /\n");
const NOTHING = new Uint8Array(0);

function encode(text: string): Bytes {
  return new TextEncoder().encode(text);
}

/** Now, in whole seconds since 1970: the time that a date can tell. */
export function currentSecond(): number {
  return Math.floor(Date.now() / 1000);
}

/** A head up to its last field, Content-Length, which gets its value later. */
function headOf(status: number, fields: string, second: number): Bytes {
  const date = new Date(1000 * second).toUTCString();
  return encode(
    `HTTP/1.1 ${status} ${STATUS[status]}\r\n` +
      `Date: ${date}\r\n${fields}Content-Length: `,
  );
}

/**
 * Writes a head before a body that has `HEADROOM` free bytes before it: so the
 * body need not be copied. To HEAD, the response has the same Content-Length, and
 * no body.
 */
function putBefore(body: Bytes, head: Bytes, method: string): Bytes {
  const end = `${body.length}\r\n\r\n`;
  const size = head.length + end.length;
  const sentBody = method === "HEAD" ? 0 : body.length;
  const response = new Uint8Array(
    body.buffer,
    body.byteOffset - size,
    size + sentBody,
  );
  response.set(head);
  for (let i = 0; i < end.length; i++) {
    response[head.length + i] = end.charCodeAt(i);
  }
  return response;
}

/** A copy of the body, with free bytes before it. */
function withHeadroom(body: Bytes): Bytes {
  const buffer = new Uint8Array(HEADROOM + body.length);
  buffer.set(body, HEADROOM);
  return buffer.subarray(HEADROOM);
}

/** The last response of a connection: why a request, or a client, is refused. */
export function refusal(status: number, why: string, method = "GET"): Bytes {
  const head = headOf(status, TEXT + CLOSE, currentSecond());
  return putBefore(withHeadroom(encode(why)), head, method);
}

/** The head of many responses, with the date of the second it was made for. */
class DatedHead {
  #second = NaN;
  #bytes = NOTHING;

  constructor(readonly status: number, readonly fields: string) {}

  at(second: number): Bytes {
    if (second !== this.#second) {
      this.#bytes = headOf(this.status, this.fields, second);
      this.#second = second;
    }
    return this.#bytes;
  }
}

/** A response that is sent many times: only its date changes. */
class DatedResponse {
  #second = NaN;
  #whole = NOTHING;
  #head = NOTHING;

  constructor(
    readonly status: number,
    readonly fields: string,
    readonly body: Bytes,
  ) {}

  /** The bytes to send in this second; to HEAD, without the body. */
  at(second: number, method: string): Bytes {
    if (second !== this.#second) {
      const head = headOf(this.status, this.fields, second);
      const whole = putBefore(withHeadroom(this.body), head, "GET");
      this.#whole = whole;
      this.#head = whole.subarray(0, whole.length - this.body.length);
      this.#second = second;
    }
    return method === "HEAD" ? this.#head : this.#whole;
  }
}

/** All responses with the same Connection field, or with none. */
class Responses {
  readonly page: DatedResponse;
  readonly notFound: DatedResponse;
  readonly methods: DatedResponse; // to OPTIONS
  readonly #echo: DatedHead;

  constructor(connection: string) {
    this.page = new DatedResponse(200, TEXT + connection, HELLO);
    this.notFound = new DatedResponse(404, TEXT + connection, NOT_FOUND);
    this.methods = new DatedResponse(200, ALLOW + connection, NOTHING);
    this.#echo = new DatedHead(200, BYTES + connection);
  }

  /** A response with the body of a request, in the same bytes. */
  echo(body: Bytes, second: number, method: string): Bytes {
    return putBefore(body, this.#echo.at(second), method);
  }
}
const staying = new Responses(""); // in HTTP/1.1, connections do by default
const stayingOld = new Responses(KEEP_ALIVE);
const closing = new Responses(CLOSE);

/** The responses that tell a client whether the connection stays open. */
export function responsesFor(keepAlive: boolean, minor: number): Responses {
  if (!keepAlive) return closing;
  return minor === 0 ? stayingOld : staying;
}
