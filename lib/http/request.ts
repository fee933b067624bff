/**
 * Reads HTTP requests from bytes: strictly by RFC 9112, with what RFC 9110 says
 * of the fields that frame a message. In whatever pieces the bytes come, they
 * mean the same; and each byte is looked at once.
 */
import {
  ABSOLUTE_URI,
  type Bytes,
  CHUNK_LINE,
  COLON,
  CR,
  DIGIT,
  DOT,
  equals,
  FIELD_LINE,
  HOSTNAME,
  isAuthority,
  isBlank,
  isDigit,
  LF,
  ONE,
  QUESTION_MARK,
  REQUEST_LINE,
  skip,
  skipValue,
  SLASH,
  SP,
  TARGET,
  text,
  TOKEN,
  ZERO,
} from "./scan.ts";

/** Why a request is refused. It is the last one of its connection. */
export class Refusal {
  constructor(readonly status: number, readonly why: string) {}
}

export interface Request {
  /** One of `METHODS`. */
  method: string;
  /** The path of the target, without its query; `*` means the whole server. */
  path: string;
  /** 0 for HTTP/1.0, 1 for HTTP/1.1. */
  minor: number;
  /** Whether another request can follow on this connection. */
  keepAlive: boolean;
  /**
   * The body, if the request has one and bodies are kept; `HEADROOM` bytes before
   * it are free. It is valid until the next call of `next`, of any reader.
   */
  body?: Bytes;
}

/** The methods that the server knows. It refuses all others. */
export const METHODS = ["GET", "HEAD", "POST", "PUT", "OPTIONS"];

// The most bytes that each of these can have.
const MAX_METHOD = 32;
const MAX_HEAD = 16 * 1024;
const MAX_BODY = 1024 * 1024;
const MAX_CHUNK_LINE = 1024;
const MAX_EXTENSIONS = 16 * 1024; // of all chunks of a body together

/** Bytes that are free before a body, so that the head of a response fits. */
export const HEADROOM = 256;

/**
 * The memory that the bodies of all clients share. A small body that came in one
 * piece needs none of it: it is answered at once. What its client then does not
 * read is kept like any small response, and is not counted either.
 */
export class Memory {
  constructor(public available: number) {}
}

// The fields that are read here, by the length of their names. No two names have
// the same length, so that the length alone tells most other fields apart.
const FIELDS: (string | undefined)[] = Array(64).fill(undefined);
for (
  const name of [
    "host",
    "expect",
    "connection",
    "content-length",
    "transfer-encoding",
  ]
) {
  FIELDS[name.length] = name;
}
const CASE_BIT = 0x20; // makes a capital letter a small one

// A view of the buffer into which the server receives. It is kept, because to
// make one for each message would take a tenth of the time of a request.
const NOTHING = new Uint8Array(0);
let receiveBuffer: ArrayBuffer = NOTHING.buffer;
let received: Bytes = NOTHING;

// To make a buffer for a body would take longer than to read the whole request.
// So a small body that has come in one piece is put into this one.
const SMALL_BODY = 8 * 1024;
const smallBody = new Uint8Array(HEADROOM + SMALL_BODY);

/**
 * Reads the requests of one client. The reader is itself the request that was
 * read last: an object for each would cost more than to read its head.
 */
export class RequestReader implements Request {
  /** What is being read: nothing yet, a head, a body. */
  stage: "idle" | "head" | "body" = "idle";
  method = "";
  path = "";
  minor = 1;
  keepAlive = true;
  body?: Bytes = undefined;
  /**
   * Whether the client waits for `100 Continue`. The body is read once the
   * caller has set this to false.
   */
  expectsContinue = false;

  // What has come and is not read yet: #data from #offset to #end.
  #data: Bytes = NOTHING;
  #offset = 0;
  #end = 0;
  #borrowed = false; // whether #data is the server's, until keepUnread()

  // Of a head that is not complete, both counted from #offset:
  #lineStart = 0; // where its last line begins
  #scanned = 0; // how far that line was scanned

  #inFields = false; // whether the request line has been read
  #bareLF = false; // whether a line ended without CR
  // What the fields of this request say:
  #hasHost = false;
  #asksToClose = false;
  #asksToKeepAlive = false;
  #contentLength?: string;
  #transferEncoding?: string;
  #expect?: string;

  #bodyReader?: Iterator<void>; // yields when it needs more data
  #bodyBuffer: Bytes = NOTHING; // HEADROOM, then the body; its size doubles
  #bodySize = 0; // bytes of the body that are in there

  /**
   * With `memory`, the reader keeps bodies; else it skips them. It calls `onHead`
   * with each head before it reads the body; those bytes are valid during the
   * call only.
   */
  constructor(
    readonly memory?: Memory,
    readonly onHead?: (head: Bytes) => void,
  ) {}

  /**
   * Adds what was received. It is read from the caller's buffer: before the
   * caller receives into that buffer again, it has to call `keepUnread`.
   */
  push(data: Bytes) {
    const unread = this.#end - this.#offset;
    if (unread === 0) {
      if (data.buffer !== receiveBuffer) {
        receiveBuffer = data.buffer;
        received = new Uint8Array(receiveBuffer);
      }
      this.#data = received;
      this.#borrowed = true;
      this.#offset = data.byteOffset;
      this.#end = data.byteOffset + data.length;
      return;
    }
    const { length } = data;
    if (this.#borrowed || this.#end + length > this.#data.length) {
      // Twice what is needed: data that comes byte by byte is seldom copied.
      this.#copyUnread(2 * (unread + length));
    }
    this.#data.set(data, this.#end);
    this.#end += length;
  }

  /** Whether something has come that is not read yet. */
  get hasUnread(): boolean {
    return this.#offset < this.#end;
  }

  /** Copies what is not read yet, so that the caller can use its buffer again. */
  keepUnread() {
    const unread = this.#end - this.#offset;
    if (unread === 0) {
      this.#data = NOTHING;
      this.#offset = 0;
      this.#end = 0;
    } else if (this.#borrowed) {
      this.#copyUnread(unread);
    }
  }

  #copyUnread(capacity: number) {
    const unread = this.#data.subarray(this.#offset, this.#end);
    this.#data = new Uint8Array(capacity);
    this.#data.set(unread);
    this.#borrowed = false;
    this.#offset = 0;
    this.#end = unread.length;
  }

  /** Gives the memory back of a body that is no longer needed. */
  freeAnswered() {
    if (this.body) this.freeBody();
  }

  /** Gives the memory of the body back, also of one that is being read. */
  freeBody() {
    if (this.memory) this.memory.available += this.#bodyBuffer.length;
    this.#bodyBuffer = NOTHING;
    this.#bodySize = 0;
    this.body = undefined;
  }

  /**
   * Returns the next request, or why it is refused; undefined if more data is
   * needed. Frees the body of the request before.
   */
  next(): Request | Refusal | undefined {
    try {
      if (this.stage === "idle" && !this.#beginHead()) return;
      if (this.stage === "head" && !this.#readHead()) return;
      if (this.expectsContinue) return;
      if (!this.#readBody()) return;
    } catch (refusal) {
      if (refusal instanceof Refusal) return refusal;
      throw refusal;
    }
    this.stage = "idle";
    return this;
  }

  // ------------------------------------------------------------------- head

  /**
   * RFC 9112, 2.2: skips the empty lines before a request. Returns whether a head
   * begins after them.
   */
  #beginHead(): boolean {
    this.freeAnswered();
    const data = this.#data;
    const last = this.#end - 1;
    let offset = this.#offset;
    while (offset <= last) {
      if (data[offset] === LF) {
        this.#bareLF = true;
        offset++;
      } else if (
        data[offset] === CR && offset < last && data[offset + 1] === LF
      ) {
        offset += 2;
      } else break;
    }
    this.#offset = offset;
    if (offset > last || (offset === last && data[offset] === CR)) return false;
    this.stage = "head";
    this.method = "";
    this.#inFields = false;
    this.#lineStart = 0;
    this.#scanned = 0;
    return true;
  }

  /**
   * Reads lines of the head, from where the last call stopped. Returns whether
   * the head is complete.
   */
  #readHead(): boolean {
    const data = this.#data;
    const start = this.#offset;
    const end = Math.min(this.#end, start + MAX_HEAD);
    let lineStart = start + this.#lineStart;
    let offset = start + this.#scanned;
    while (true) {
      offset = this.#inFields
        ? skipValue(data, offset, end)
        : skip(REQUEST_LINE, data, offset, end);
      const lineEnd = offset;
      if (offset < end && data[offset] === CR) offset++;
      if (offset === end) {
        if (end === start + MAX_HEAD) this.#refuseLength(lineStart, lineEnd);
        this.#lineStart = lineStart - start;
        this.#scanned = lineEnd - start;
        return false;
      }
      if (data[offset] !== LF) this.#refuseByte(lineStart, lineEnd);
      if (offset === lineEnd) this.#bareLF = true;
      offset++;
      if (lineStart === lineEnd) break; // an empty line ends the head
      if (this.#inFields) this.#readField(lineStart, lineEnd);
      else this.#readRequestLine(lineStart, lineEnd);
      lineStart = offset;
    }
    this.onHead?.(data.subarray(start, lineStart));
    this.#offset = offset;
    this.#frameMessage();
    return true;
  }

  /**
   * Refuses a byte that no line can have there. Reads the method first: to HEAD,
   * a refusal has no body.
   */
  #refuseByte(lineStart: number, lineEnd: number): never {
    if (this.#inFields) badRequest("a control character in a field");
    this.#readMethod(lineStart, lineEnd);
    badRequest("a request line with a character that no target has");
  }

  #refuseLength(lineStart: number, lineEnd: number): never {
    if (this.#inFields) throw new Refusal(431, `a head over ${MAX_HEAD} bytes`);
    this.#readMethod(lineStart, lineEnd);
    throw new Refusal(414, `a target over ${MAX_HEAD} bytes`);
  }

  /** RFC 9110, 9.1. Returns the offset of the space after the method. */
  #readMethod(start: number, lineEnd: number): number {
    const data = this.#data;
    const end = skip(TOKEN, data, start, lineEnd);
    if (end - start <= MAX_METHOD) {
      if (end === start || data[end] !== SP) {
        badRequest("no method before the first space");
      }
      for (const method of METHODS) {
        if (!equals(data, start, end, method)) continue;
        this.method = method;
        return end;
      }
    }
    throw new Refusal(501, `no method but ${METHODS.join(", ")}`);
  }

  /** RFC 9112, 3: method SP request-target SP HTTP-version. */
  #readRequestLine(lineStart: number, lineEnd: number) {
    const data = this.#data;
    const target = this.#readMethod(lineStart, lineEnd) + 1;
    const targetEnd = skip(TARGET, data, target, lineEnd);
    if (targetEnd === target || data[targetEnd] !== SP) {
      badRequest("no request target after the method");
    }
    const version = targetEnd + 1;
    const major = version + "HTTP/".length;
    const dot = major + 1;
    const minor = major + 2;
    if (
      lineEnd !== minor + 1 || !equals(data, version, major, "HTTP/") ||
      !isDigit(data[major]) || data[dot] !== DOT || !isDigit(data[minor])
    ) {
      badRequest("no HTTP version after the target");
    }
    if (data[major] !== ONE) {
      throw new Refusal(505, "HTTP/1.0 and HTTP/1.1 are understood");
    }
    this.#hasHost = false;
    this.#asksToClose = false;
    this.#asksToKeepAlive = false;
    this.#contentLength = undefined;
    this.#transferEncoding = undefined;
    this.#expect = undefined;
    // RFC 9110, 2.5: a request of HTTP/1.2 can be read as one of HTTP/1.1.
    this.minor = data[minor] === ZERO ? 0 : 1;
    this.path = this.#readPath(target, targetEnd);
    this.#inFields = true;
  }

  /** RFC 9112, 3.2: the path in a target that is a path, a URI or `*`. */
  #readPath(start: number, end: number): string {
    const data = this.#data;
    if (data[start] === SLASH) {
      let pathEnd = start;
      while (pathEnd < end && data[pathEnd] !== QUESTION_MARK) pathEnd++;
      return text(data, start, pathEnd);
    }
    const target = text(data, start, end);
    if (target === "*" && this.method === "OPTIONS") return target;
    const found = ABSOLUTE_URI.exec(target);
    if (found === null) {
      badRequest("a request target that is neither a path nor a URI");
    }
    const authority = found[1];
    const path = found[2];
    // RFC 9110, 4.2.1 and 4.2.4: it has to name a host, and cannot name a user.
    if (authority.startsWith(":") || !isAuthority(authority)) {
      badRequest("a URI with a host that is none");
    }
    return path || "/";
  }

  /** RFC 9112, 5: name ":" value, with optional white space around the value. */
  #readField(lineStart: number, lineEnd: number) {
    const data = this.#data;
    const colon = skip(TOKEN, data, lineStart, lineEnd);
    if (colon === lineStart || data[colon] !== COLON) {
      if (isBlank(data[lineStart])) badRequest("a folded field");
      badRequest("no field name before the colon");
    }
    const name = FIELDS[colon - lineStart];
    if (name === undefined) return;
    if (!equals(data, lineStart, colon, name, CASE_BIT)) return;
    let start = colon + 1;
    let end = lineEnd;
    while (start < end && isBlank(data[start])) start++;
    while (start < end && isBlank(data[end - 1])) end--;
    this.#takeField(name, start, end);
  }

  /** Remembers the value of one of `FIELDS`. */
  #takeField(name: string, start: number, end: number) {
    const data = this.#data;
    if (name === "host") {
      this.#readHost(start, end);
      return;
    }
    if (name === "content-length") {
      this.#readContentLength(start, end);
      return;
    }
    // Nearly every browser sends this one: no string is made for it.
    if (
      name === "connection" && equals(data, start, end, "keep-alive", CASE_BIT)
    ) {
      this.#asksToKeepAlive = true;
      return;
    }
    const value = text(data, start, end).toLowerCase();
    if (name === "connection") {
      const options = splitList(value);
      if (options.includes("close")) this.#asksToClose = true;
      if (options.includes("keep-alive")) this.#asksToKeepAlive = true;
    } else if (name === "transfer-encoding") {
      this.#transferEncoding = appendToList(this.#transferEncoding, value);
    } else {
      this.#expect = appendToList(this.#expect, value);
    }
  }

  /** RFC 9110, 8.6. */
  #readContentLength(start: number, end: number) {
    const data = this.#data;
    if (start === end || skip(DIGIT, data, start, end) < end) {
      badRequest("a Content-Length that is no number");
    }
    const value = text(data, start, end);
    if (this.#contentLength !== undefined && this.#contentLength !== value) {
      badRequest("two Content-Lengths that differ");
    }
    this.#contentLength = value;
  }

  /** RFC 9112, 3.2. */
  #readHost(start: number, end: number) {
    if (this.#hasHost) badRequest("two Host fields");
    this.#hasHost = true;
    const data = this.#data;
    // Most hosts are a name and a port: no string is made for them.
    let offset = skip(HOSTNAME, data, start, end);
    if (offset < end && data[offset] === COLON) {
      offset = skip(DIGIT, data, offset + 1, end);
    }
    if (offset < end && !isAuthority(text(data, start, end))) {
      badRequest("a Host that is no host");
    }
  }

  /**
   * RFC 9112, 6.3 and 9.3: decides where the message ends, and whether another
   * one can follow.
   */
  #frameMessage() {
    if (this.minor === 1 && !this.#hasHost) badRequest("no Host field");
    // People who type end their lines with a bare LF. A proxy that does not take
    // LF for the end of a line could overlook a second request behind such a
    // line (request smuggling): so no second one is read, and we close.
    this.keepAlive = !this.#asksToClose && !this.#bareLF &&
      (this.minor === 1 || this.#asksToKeepAlive);
    this.#bareLF = false;
    this.stage = "body";
    if (this.#transferEncoding !== undefined) {
      this.#checkTransferEncoding(this.#transferEncoding);
    } else if (this.#contentLength === undefined) {
      return; // no body
    } else if (Number(this.#contentLength) > MAX_BODY) {
      refuseBody();
    }

    if (this.#expect === undefined || this.minor === 0) return;
    const expectations = splitList(this.#expect);
    if (expectations.some((member) => member !== "100-continue")) {
      throw new Refusal(417, "no expectation but 100-continue can be met");
    }
    const isEmpty = Number(this.#contentLength) === 0; // chunks are to come
    this.expectsContinue = expectations.length > 0 && !isEmpty;
  }

  /**
   * RFC 9112, 6.1 and 7: chunked, alone, is the only coding that is read.
   *
   * What no two programs read alike could hide a request from one of them
   * (request smuggling). So a Transfer-Encoding counts as soon as the field is
   * there: beside a Content-Length it is refused whatever it says, and an empty
   * one is refused in any case, as its last coding is not chunked. In `chunked,`
   * the empty member is ignored, as RFC 9110, 5.6.1.2 demands. Should a program
   * before us take no such field for chunked, it would send requests where we
   * read chunks, and no request begins like one: we refuse it, and close.
   */
  #checkTransferEncoding(value: string) {
    if (this.#contentLength !== undefined) {
      badRequest("both Transfer-Encoding and Content-Length");
    }
    if (this.minor === 0) badRequest("a Transfer-Encoding in HTTP/1.0");
    const codings = splitList(value);
    const last = codings.length - 1; // -1 if there is none
    if (last === -1 || codings.indexOf("chunked") !== last) {
      badRequest("a Transfer-Encoding that does not end in one chunked");
    }
    if (codings.length > 1) {
      throw new Refusal(501, "no transfer coding but chunked is understood");
    }
  }

  // ------------------------------------------------------------------- body

  /** Reads the body, if there is one. Returns whether it is complete. */
  #readBody(): boolean {
    if (this.#bodyReader === undefined) {
      if (this.#transferEncoding !== undefined) {
        this.#bodyReader = this.#readChunks();
      } else if (this.#contentLength !== undefined) {
        const length = Number(this.#contentLength);
        if (this.#takeSmallBody(length)) return true;
        this.#bodyReader = this.#readBytes(length);
      } else return true;
    }
    if (!this.#bodyReader.next().done) return false;
    this.#bodyReader = undefined;
    if (this.memory) {
      const buffer = this.#bodySize > 0 ? this.#bodyBuffer : smallBody;
      this.body = buffer.subarray(HEADROOM, HEADROOM + this.#bodySize);
    }
    return true;
  }

  /** Takes a small body, if all of it has come; returns whether it has. */
  #takeSmallBody(length: number): boolean {
    const start = this.#offset;
    const end = start + length;
    if (length > SMALL_BODY || end > this.#end) return false;
    if (this.memory) {
      smallBody.set(this.#data.subarray(start, end), HEADROOM);
      this.body = smallBody.subarray(HEADROOM, HEADROOM + length);
    }
    this.#offset = end;
    return true;
  }

  /**
   * RFC 9112, 6.2: reads so many bytes of a body that has `maxBody` bytes at most.
   */
  *#readBytes(length: number, maxBody = length): Generator<void, void> {
    let missing = length;
    while (true) {
      const end = Math.min(this.#end, this.#offset + missing);
      const part = this.#data.subarray(this.#offset, end);
      if (this.memory) this.#store(this.memory, part, maxBody);
      missing -= part.length;
      this.#offset = end;
      if (missing === 0) return;
      yield;
    }
  }

  /** RFC 9112, 7.1: reads chunks, of which the last is empty, and trailers. */
  *#readChunks(): Generator<void, void> {
    const extended = new Refusal(400, "a chunk with too many extensions");
    const longer = new Refusal(400, "a chunk longer than it said");
    let bodySize = 0;
    let extensions = 0;
    while (true) {
      const line = yield* this.#readLine(MAX_CHUNK_LINE, extended);
      const found = CHUNK_LINE.exec(line);
      if (found === null) badRequest("a chunk without a size");
      const size = parseInt(found[1], 16);
      bodySize += size;
      if (bodySize > MAX_BODY) refuseBody();
      // Zeros before the size are counted as well: they could have no end.
      extensions += line.length - size.toString(16).length;
      if (extensions > MAX_EXTENSIONS) throw extended;
      if (size === 0) break;
      yield* this.#readBytes(size, MAX_BODY);
      yield* this.#readLine(0, longer);
    }
    yield* this.#skipTrailers();
  }

  /** RFC 9112, 7.1.2: checks the fields after the last chunk. None is used. */
  *#skipTrailers(): Generator<void, void> {
    const tooLong = new Refusal(431, `trailers over ${MAX_HEAD} bytes`);
    let available = MAX_HEAD;
    while (true) {
      const line = yield* this.#readLine(available, tooLong);
      if (line === "") return;
      if (!FIELD_LINE.test(line)) badRequest("a trailer that is no field");
      available -= line.length + "\r\n".length;
    }
  }

  /**
   * Reads a line of a chunked body, of `maxLength` bytes at most. Only CRLF ends
   * it: no person types such a line.
   */
  *#readLine(maxLength: number, tooLong: Refusal): Generator<void, string> {
    let scanned = 0;
    while (true) {
      const data = this.#data;
      const start = this.#offset;
      const maxEnd = Math.min(this.#end, start + maxLength + 1);
      const lineEnd = skipValue(data, start + scanned, maxEnd);
      if (lineEnd > start + maxLength) throw tooLong;
      const unread = this.#end - lineEnd;
      if (unread > 0 && data[lineEnd] !== CR) {
        badRequest("a line that does not end in CRLF");
      }
      if (unread > 1) {
        if (data[lineEnd + 1] !== LF) {
          badRequest("a CR without its LF in a chunked body");
        }
        this.#offset = lineEnd + 2;
        return text(data, start, lineEnd);
      }
      scanned = lineEnd - start;
      yield;
    }
  }

  /** Stores a part of a body that has `maxBody` bytes at most. */
  #store(memory: Memory, part: Bytes, maxBody: number) {
    const old = this.#bodyBuffer;
    const end = HEADROOM + this.#bodySize;
    const needed = end + part.length;
    if (needed > old.length) {
      const doubled = Math.min(2 * old.length, HEADROOM + maxBody);
      const capacity = Math.max(needed, doubled);
      if (capacity - old.length > memory.available) {
        throw new Refusal(503, "too many bodies at once");
      }
      memory.available -= capacity - old.length;
      this.#bodyBuffer = new Uint8Array(capacity);
      this.#bodyBuffer.set(old);
    }
    this.#bodyBuffer.set(part, end);
    this.#bodySize += part.length;
  }
}

function badRequest(why: string): never {
  throw new Refusal(400, why);
}

function refuseBody(): never {
  throw new Refusal(413, `a body over ${MAX_BODY} bytes`);
}

/** RFC 9110, 5.6.1.2: the members of a list, without the empty ones. */
function splitList(value: string): string[] {
  return value.match(/[^, \t](?:[^,]*[^, \t])?/g) ?? [];
}

/** RFC 9110, 5.3: several fields of one name are one list. */
function appendToList(list: string | undefined, value: string): string {
  return list === undefined ? value : `${list},${value}`;
}
