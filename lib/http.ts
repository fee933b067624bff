/**
 * HTTP without the waiting, for epoll_http.ts: bytes in, bytes out. The grammar
 * is that of RFC 9112, strictly, with what RFC 9110 says of the fields that
 * frame a message. However the bytes are cut, they mean the same.
 */

/** A request that gets this status instead of an answer, and is the last. */
export class Refusal {
  constructor(readonly status: number, readonly why: string) {}
}

export interface Request {
  method: string;
  /** Of HTTP/1.0 and HTTP/1.1: 0 or 1. */
  minor: number;
  /** Whether the client takes another response on this connection. */
  keepAlive: boolean;
  /** The body, where there is one and bodies are kept. */
  body?: Uint8Array<ArrayBuffer>;
}

const MAX_HEAD = 16 * 1024;
const MAX_BODY = 1024 * 1024;
const MAX_CHUNK_LINE = 1024;

const [HTAB, LF, CR, SP, SLASH, COLON] = [9, 10, 13, 32, 47, 58];
// What a byte may be part of: a token (a method, the name of a field), a target
// (RFC 3986, and what browsers leave as it is in a query), a field's value.
const TOKEN = 1;
const TARGET = 2;
const VALUE = 4;
const NAME = 8; // of a host, most of the time
const is = new Uint8Array(256).map((_, byte) => {
  const word = byte > 0x20 && byte < 0x7f;
  const token = word &&
    !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(byte));
  const target = word && !'"#<>'.includes(String.fromCharCode(byte));
  const value = word || byte > 0x7f || byte === SP || byte === HTAB;
  const name = /[0-9A-Za-z.-]/.test(String.fromCharCode(byte));
  return (token ? TOKEN : 0) | (target ? TARGET : 0) | (value ? VALUE : 0) |
    (name ? NAME : 0);
});
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const quoted = '"(?:[\\t !#-\\[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"';
const CHUNK = RegExp(
  `^([0-9A-Fa-f]+)(?:[ \\t]*;[ \\t]*${token}` +
    `(?:[ \\t]*=[ \\t]*(?:${token}|${quoted}))?)*$`,
);
const FIELD = RegExp(`^${token}:[\\t -~\\x80-\\xff]*$`);
const HOST =
  /^(\[[0-9A-Fa-f:.]+\]|([\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:\d*)?$/;

// The fields that matter here. No two are of one length, so that for any other
// field its length is nearly always enough to pass it over.
const FIELDS: string[] = [];
for (
  const name of [
    "host",
    "expect",
    "connection",
    "content-length",
    "transfer-encoding",
  ]
) FIELDS[name.length] = name;

function bad(why: string): never {
  throw new Refusal(400, why);
}

/** The bytes as characters of the same number. */
function text(data: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += String.fromCharCode(data[i]);
  return text;
}

/** Whether these letters stand there, in capitals or not. */
function stands(data: Uint8Array, at: number, letters: string): boolean {
  for (let i = 0; i < letters.length; i++) {
    if ((data[at + i] | 0x20) !== letters.charCodeAt(i)) return false;
  }
  return true;
}

const list = (field: string) => field.split(/[ \t]*,[ \t]*/);
const nothing = new Uint8Array(0);

export class RequestReader {
  /** What is being read: nothing yet, a head, a body. */
  stage: "idle" | "head" | "body" = "idle";
  /** Of the request that is being read, once that is known. */
  method = "";
  /** Set when the client waits for `100 Continue`: nothing is read until then. */
  expectsContinue = false;
  #data: Uint8Array<ArrayBuffer> = nothing;
  #at = 0; // in #data: what stands before has been read
  #request!: Request; // the one that is being read
  #from = 0; // where its head begins in #data, and ends
  #to = 0;
  #host = false; // its fields, as far as they matter here
  #length?: string;
  #coding?: string;
  #connection?: string;
  #expect?: string;
  #chunk: "none" | "size" | "data" | "end" | "trailers" = "none";
  #left = 0; // of the body, or of its current chunk
  #size = 0; // of the chunks so far, then of the trailers
  #body: Uint8Array<ArrayBuffer> = nothing; // grows by doubling
  #kept = 0; // bytes of it

  constructor(readonly keepBodies: boolean) {}

  /** Adds what came. It is read in place: `keep` before it is overwritten. */
  push(data: Uint8Array<ArrayBuffer>) {
    if (this.#at < this.#data.length) {
      const rest = this.#data.subarray(this.#at);
      this.#data = new Uint8Array(rest.length + data.length);
      this.#data.set(rest);
      this.#data.set(data, rest.length);
    } else this.#data = data;
    this.#at = 0;
  }

  /** Copies what is not read yet: the buffer it came in is free again. */
  keep() {
    const all = this.#at === this.#data.length;
    this.#data = all ? nothing : this.#data.slice(this.#at);
    this.#at = 0;
  }

  /** The last request line and fields as they came, valid until `push`. */
  get head(): Uint8Array {
    return this.#data.subarray(this.#from, this.#to);
  }

  /** The next request, or why there is none; undefined until more has come. */
  next(): Request | Refusal | undefined {
    if (this.#at === this.#data.length && this.stage !== "body") return;
    try {
      if (this.stage !== "body" && !this.#readHead()) return;
      if (this.expectsContinue) return;
      if (this.stage === "body" && !this.#readBody()) return;
      this.stage = "idle";
      return this.#request;
    } catch (refusal) {
      if (refusal instanceof Refusal) return refusal;
      throw refusal;
    }
  }

  /** Starts at the first line every time: a head mostly comes in one piece. */
  #readHead(): boolean {
    const data = this.#data;
    const limit = this.#at + MAX_HEAD;
    let request: Request | undefined;
    let bareLF = false;
    this.method = "";
    for (let from = this.#at, lf = from;; from = ++lf) {
      while (lf < data.length && data[lf] !== LF) lf++;
      if (lf >= limit) throw new Refusal(431, `a head over ${MAX_HEAD} bytes`);
      if (lf === data.length) {
        if (lf > this.#at) this.stage = "head";
        return false;
      }
      const to = lf > from && data[lf - 1] === CR ? lf - 1 : lf;
      if (to === lf) bareLF = true;
      if (from < to) {
        if (request) this.#field(from, to);
        else request = this.#requestLine(this.#from = from, to);
      } else if (request) { // the empty line; before the request it is skipped
        this.#to = from;
        this.#at = lf + 1;
        this.#request = request;
        this.#frame(request);
        // People who type end their lines with a bare LF. Where something on
        // the way reads lines otherwise, a second request could be hidden
        // behind such a line: so there is none, the connection closes.
        if (bareLF) request.keepAlive = false;
        return true;
      }
    }
  }

  /** RFC 9112, 3: method SP request-target SP HTTP-version. */
  #requestLine(from: number, to: number): Request {
    const data = this.#data;
    let i = from;
    while (is[data[i]] & TOKEN) i++;
    const method = this.method = text(data, from, i);
    if (!method || data[i] !== SP) bad("no method before the first space");
    const target = ++i;
    while (is[data[i]] & TARGET) i++;
    if (i === target || data[i] !== SP) {
      bad("no request target after the method");
    }
    const minor = data[to - 1] - 48; // the digit's value
    const known = minor === 0 || minor === 1;
    if (!known || text(data, i + 1, to - 1) !== "HTTP/1.") {
      if (/^HTTP\/\d\.\d$/.test(text(data, i + 1, to))) {
        throw new Refusal(505, "HTTP/1.0 and HTTP/1.1 are understood");
      }
      bad("no HTTP version after the target");
    }
    if (method === "CONNECT") throw new Refusal(501, "no tunnels here");
    if (
      data[target] !== SLASH &&
      !/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?]/.test(text(data, target, i)) &&
      !(method === "OPTIONS" && text(data, target, i) === "*")
    ) bad("a request target that is neither a path nor a URI");
    this.#host = false;
    this.#length = this.#coding = undefined;
    this.#connection = this.#expect = undefined;
    return { method, minor, keepAlive: minor === 1 };
  }

  /** RFC 9112, 5: name ":" value, with optional white space around the value. */
  #field(from: number, to: number) {
    const data = this.#data;
    let i = from;
    while (is[data[i]] & TOKEN) i++;
    if (i === from && (data[i] === SP || data[i] === HTAB)) {
      bad("a folded field");
    }
    if (i === from || data[i] !== COLON) bad("no field name before the colon");
    const length = i++ - from;
    while (data[i] === SP || data[i] === HTAB) i++;
    const value = i;
    while (is[data[i]] & VALUE) i++;
    if (i !== to) bad("a control character in a field");
    while (i > value && (data[i - 1] === SP || data[i - 1] === HTAB)) i--;

    const name = FIELDS[length];
    if (name === undefined || !stands(data, from, name)) return;
    if (name === "host") {
      if (this.#host) bad("two Host fields");
      this.#host = true;
      let end = value;
      while (is[data[end]] & NAME) end++;
      if (data[end] === COLON) { while (data[++end] >= 48 && data[end] <= 57); }
      if (end === i || HOST.test(text(data, value, i))) return;
      bad("a Host that is no host");
    }
    const words = text(data, value, i).toLowerCase();
    const after = (before?: string) =>
      before === undefined ? words : `${before},${words}`;
    if (name === "transfer-encoding") this.#coding = after(this.#coding);
    else if (name === "connection") this.#connection = after(this.#connection);
    else if (name === "expect") this.#expect = after(this.#expect);
    else {
      if (!/^\d+$/.test(words)) bad("a Content-Length that is no number");
      if (this.#length !== undefined && this.#length !== words) {
        bad("two Content-Lengths that differ");
      }
      this.#length = words;
    }
  }

  /** RFC 9112, 6: where the message ends, and whether another may follow. */
  #frame(request: Request) {
    if (request.minor && !this.#host) bad("no Host field");
    if (this.#connection !== undefined) {
      const options = list(this.#connection);
      if (options.includes("close")) request.keepAlive = false;
      else if (options.includes("keep-alive")) request.keepAlive = true;
    }
    this.#chunk = "none";
    this.#left = this.#size = 0;
    this.#kept = 0;
    this.#body = nothing;
    if (this.#coding !== undefined) {
      // Two ways to find the end of a message are one way to smuggle another.
      if (this.#length !== undefined) {
        bad("both Transfer-Encoding and Content-Length");
      }
      if (!request.minor) bad("a Transfer-Encoding in HTTP/1.0");
      const codings = list(this.#coding);
      const last = codings.indexOf("chunked") === codings.length - 1;
      if (codings.includes("chunked") ? !last : codings.includes("")) {
        bad("a Transfer-Encoding that does not end in one chunked");
      }
      if (codings.length > 1 || !last) {
        throw new Refusal(501, "no transfer coding but chunked is understood");
      }
      this.#chunk = "size";
    } else if (this.#length !== undefined) this.#grow(Number(this.#length));
    else return;

    this.stage = "body";
    if (this.#expect === undefined || !request.minor) return;
    if (this.#expect !== "100-continue") {
      throw new Refusal(417, "no expectation but 100-continue can be met");
    }
    this.expectsContinue = this.#left > 0 || this.#chunk === "size";
  }

  /** Makes room for `more` bytes of the body. */
  #grow(more: number) {
    this.#left = more;
    this.#size += more;
    if (this.#size > MAX_BODY) {
      throw new Refusal(413, `a body over ${MAX_BODY} bytes`);
    }
  }

  /** RFC 9112, 6.2 and 7.1: by its length, or in chunks. */
  #readBody(): boolean {
    for (;;) {
      if (this.#chunk === "none" || this.#chunk === "data") {
        const part = this.#data.subarray(this.#at, this.#at + this.#left);
        if (this.keepBodies) this.#keepPart(part);
        this.#at += part.length;
        this.#left -= part.length;
        if (this.#left) return false;
        if (this.#chunk === "none") break;
        this.#chunk = "end";
      }
      const line = this.#line(
        this.#chunk === "trailers" ? MAX_HEAD : MAX_CHUNK_LINE,
      );
      if (line === undefined) return false;
      if (this.#chunk === "end") {
        if (line) bad("a chunk longer than it said");
        this.#chunk = "size";
      } else if (this.#chunk === "size") {
        const size = CHUNK.exec(line)?.[1] ?? bad("a chunk without a size");
        this.#grow(parseInt(size, 16));
        this.#chunk = this.#left ? "data" : "trailers";
        if (!this.#left) this.#size = 0;
      } else if (line) {
        if (!FIELD.test(line)) bad("a trailer that is no field");
        this.#size += line.length;
        if (this.#size > MAX_HEAD) {
          throw new Refusal(431, `trailers over ${MAX_HEAD} bytes`);
        }
      } else break;
    }
    if (this.keepBodies) this.#request.body = this.#body.slice(0, this.#kept);
    return true;
  }

  #keepPart(part: Uint8Array) {
    const old = this.#body;
    const size = this.#kept + part.length;
    if (size > old.length) {
      this.#body = new Uint8Array(Math.max(size, 2 * old.length));
      this.#body.set(old);
    }
    this.#body.set(part, this.#kept);
    this.#kept = size;
  }

  /** The next line of a chunked body; nobody types those: CRLF ends them. */
  #line(max: number): string | undefined {
    const lf = this.#data.indexOf(LF, this.#at);
    const end = lf === -1 ? this.#data.length : lf;
    if (end - this.#at > max) bad(`a line over ${max} bytes in a chunked body`);
    if (lf === -1) return;
    if (this.#data[lf - 1] !== CR || lf === this.#at) {
      bad("a LF without its CR");
    }
    const line = text(this.#data, this.#at, lf - 1);
    this.#at = lf + 1;
    return line;
  }
}

const STATUS: Record<number, string> = {
  200: "OK",
  400: "Bad Request",
  408: "Request Timeout",
  413: "Content Too Large",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};
const encode = (text: string) => new TextEncoder().encode(text);
const GO_ON = encode("HTTP/1.1 100 Continue\r\n\r\n");
const HELLO = encode("Hello, world!");

let second = 0;
let greeting: Uint8Array<ArrayBuffer>; // to most requests, for this second

/** A response; to HEAD, without the body that GET would get. */
function response(
  status: number,
  connection: string,
  body: Uint8Array,
  type = "text/plain; charset=utf-8",
  method = "GET",
): Uint8Array<ArrayBuffer> {
  const head = encode(
    `HTTP/1.1 ${status} ${STATUS[status]}\r\n` +
      `Date: ${new Date().toUTCString()}\r\n` +
      `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n` +
      (connection && `Connection: ${connection}\r\n`) + "\r\n",
  );
  if (method === "HEAD") return head;
  const whole = new Uint8Array(head.length + body.length);
  whole.set(head);
  whole.set(body, head.length);
  return whole;
}

/** What a client is told for whom there is no room. */
export const unavailable = (why: string) =>
  new TextDecoder().decode(response(503, "close", encode(`${why}\n`)));

/** The server's side of one connection. */
export class Exchange {
  /** Whether the last response is out: no more requests are read. */
  last = false;
  /** Counts requests and their parts: who stands still is slow, or idle. */
  steps = 0;
  #reader: RequestReader;
  #stage = "idle";

  /** Answers requests that have no body, or all without `echo`, with a greeting. */
  constructor(echo: boolean, readonly seen?: (head: Uint8Array) => void) {
    this.#reader = new RequestReader(echo);
  }

  /** Takes what came, in place: see `keep`. */
  take(data: Uint8Array<ArrayBuffer>) {
    if (!this.last) this.#reader.push(data);
  }

  /** The next bytes to send; undefined until more has come. */
  next(): Uint8Array<ArrayBuffer> | undefined {
    const reader = this.#reader;
    const request = this.last ? undefined : reader.next();
    if (reader.stage !== this.#stage || request) this.steps++;
    this.#stage = reader.stage;
    if (request instanceof Refusal) return this.#refuse(request);
    if (request) return this.#answer(request);
    if (!reader.expectsContinue) return;
    reader.expectsContinue = false;
    return GO_ON;
  }

  /** Copies what is not read yet: the buffer it came in is free again. */
  keep() {
    this.#reader.keep();
  }

  /** When time is up: what to say about it, if the client is owed a word. */
  late(seconds: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.last || (this.steps > 0 && this.#stage === "idle")) return;
    return this.#refuse(new Refusal(408, `no request within ${seconds} s`));
  }

  #answer(request: Request): Uint8Array<ArrayBuffer> {
    const { method, minor, keepAlive, body } = request;
    this.seen?.(this.#reader.head);
    this.last = !keepAlive;
    if (body) {
      const connection = !keepAlive ? "close" : minor ? "" : "keep-alive";
      return response(
        200,
        connection,
        body,
        "application/octet-stream",
        method,
      );
    }
    if (!keepAlive || !minor || method === "HEAD") {
      const connection = !keepAlive ? "close" : minor ? "" : "keep-alive";
      return response(200, connection, HELLO, undefined, method);
    }
    const now = Math.floor(Date.now() / 1000);
    if (now !== second) greeting = response(200, "", HELLO);
    second = now;
    return greeting;
  }

  #refuse({ status, why }: Refusal): Uint8Array<ArrayBuffer> {
    this.last = true;
    const body = encode(`${status} ${STATUS[status]}: ${why}\n`);
    return response(status, "close", body, undefined, this.#reader.method);
  }
}
