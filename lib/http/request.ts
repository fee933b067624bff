/**
 * Bytes into HTTP requests. The grammar is that of RFC 9112, strictly, with
 * what RFC 9110 says of the fields that frame a message. However the bytes are
 * cut, they mean the same; each is looked at once, most of them four at a time.
 */

type Bytes = Uint8Array<ArrayBuffer>;

/** A request that gets this status instead of an answer, and is the last. */
export class Refusal {
  constructor(readonly status: number, readonly why: string) {}
}

export interface Request {
  /** One of `METHODS`. */
  method: string;
  /** Of the target, without its query; `*` means the server as a whole. */
  path: string;
  /** Of HTTP/1.0 and HTTP/1.1: 0 or 1. */
  minor: number;
  /** Whether the client takes another response on this connection. */
  keepAlive: boolean;
  /** The body, where there is one and bodies are kept. */
  body?: Bytes;
}

/** The methods that are known here; any other is refused. */
export const METHODS = ["GET", "HEAD", "POST", "PUT", "OPTIONS"];

const MAX_METHOD = 32; // bytes, as all that follow
const MAX_HEAD = 16 * 1024;
const MAX_BODY = 1024 * 1024;
const MAX_CHUNK_LINE = 1024;
const MAX_EXTENSIONS = 16 * 1024; // of all the chunks of a body

/** The memory that the bodies of all clients share. */
export class Memory {
  left: number;
  constructor(bytes: number) {
    this.left = bytes;
  }
}

// ------------------------------------------------------------------- grammar

const [HTAB, LF, CR, SP] = [9, 10, 13, 32];
const [DOT, SLASH, ZERO, ONE, COLON, QUESTION_MARK] = [
  ...new TextEncoder().encode("./01:?"),
];

// What a byte may be part of: a token (a method, the name of a field), a target
// (RFC 3986, and what browsers leave as it is in a query), a request line, the
// value of a field, the name of a host in its simplest form.
const TOKEN = 1;
const TARGET = 2;
const REQUEST_LINE = 4;
const VALUE = 8;
const HOSTNAME = 16;
const DIGIT = 32;
const kinds = new Uint8Array(256).map((_, byte) => {
  const char = String.fromCharCode(byte);
  return (/[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(char) ? TOKEN : 0) |
    (/[!$-;=?-~]/.test(char) ? TARGET : 0) |
    (/[ !$-;=?-~]/.test(char) ? REQUEST_LINE : 0) |
    (/[\t -~\x80-\xff]/.test(char) ? VALUE : 0) |
    (/[0-9A-Za-z.-]/.test(char) ? HOSTNAME : 0) |
    (/[0-9]/.test(char) ? DIGIT : 0);
});

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const quoted = '"(?:[\\t !#-\\[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"';
const CHUNK = RegExp(
  `^([0-9A-Fa-f]+)(?:[ \\t]*;[ \\t]*${token}` +
    `(?:[ \\t]*=[ \\t]*(?:${token}|${quoted}))?)*$`,
);
const FIELD = RegExp(`^${token}:`);
// RFC 3986, 3.2.2 and 3.2.3: a host, and maybe a port.
const unreserved = "[\\w.~!$&'()*+,;=-]";
const AUTHORITY = RegExp(
  `^(?:\\[(?:([0-9A-Fa-f:.]+)|[vV][0-9A-Fa-f]+\\.(?:${unreserved}|:)+)\\]|` +
    `(?:${unreserved}|%[0-9A-Fa-f]{2})*)(?::\\d*)?$`,
);
const ABSOLUTE = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?]+)([^?]*)/;

function isAuthority(name: string): boolean {
  const found = AUTHORITY.exec(name);
  return found !== null && (!found[1] || URL.canParse(`http://[${found[1]}]`));
}

/** The first byte from `at` on that is not of this kind, or `end`. */
function after(kind: number, data: Bytes, at: number, end: number): number {
  while (at < end && kinds[data[at]] & kind) at++;
  return at;
}

// Of the data that was looked at last: all clients share a buffer, mostly.
let viewed: Bytes | undefined;
let view: DataView;

/** `after(VALUE, …)`, but four bytes at a time: most of a head is values. */
function afterValue(data: Bytes, at: number, end: number): number {
  if (data !== viewed) {
    viewed = data;
    view = new DataView(data.buffer);
  }
  const words = view;
  for (const last = end - 4; at <= last;) {
    const four = words.getInt32(at, true);
    // Taking 0x20 away gives a high bit to a byte below that, adding 1 to 0x7f.
    // A carry may make an innocent byte look guilty, but none the other way.
    const high = ((four - 0x20202020) | (four + 0x01010101)) &
      ~four & 0x80808080;
    if (high === 0) at += 4;
    else {
      at += (31 - Math.clz32(high & -high)) >> 3; // the first of the guilty
      if (!(kinds[data[at]] & VALUE)) return at;
      at++;
    }
  }
  return after(VALUE, data, at, end);
}

/** Whether these bytes are that word; `fold` is 0x20 to take capitals as small. */
function spells(
  data: Bytes,
  from: number,
  to: number,
  word: string,
  fold = 0,
): boolean {
  if (to - from !== word.length) return false;
  for (let i = 0; i < word.length; i++) {
    if ((data[from + i] | fold) !== word.charCodeAt(i)) return false;
  }
  return true;
}

/** The bytes as characters of the same number. */
function text(data: Bytes, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += String.fromCharCode(data[i]);
  return text;
}

// The fields that matter here, by their length: they are of different ones, so
// that for any other field its length is mostly enough to pass it over.
const FIELDS: (string | undefined)[] = Array(64).fill(undefined);
for (
  const name of [
    "host",
    "expect",
    "connection",
    "content-length",
    "transfer-encoding",
  ]
) FIELDS[name.length] = name;

const isBlank = (byte: number) => byte === SP || byte === HTAB;

function bad(why: string): never {
  throw new Refusal(400, why);
}

// -------------------------------------------------------------------- reader

const nothing = new Uint8Array(0);

// The buffer that messages come in, the same for all clients: to keep a view of
// the whole costs nothing, to keep one of each message a tenth of a request.
let whole: Bytes = nothing;
let buffer: ArrayBuffer = whole.buffer;

/** So many bytes are free before a body: room for the head of a response. */
export const HEADROOM = 256;

/**
 * Reads requests, and is the last one that it has read: to make an object of
 * each would cost more than to look at its head.
 */
export class RequestReader implements Request {
  /** What is being read: nothing yet, a head, a body. */
  stage: "idle" | "head" | "body" = "idle";
  method = "";
  path = "";
  minor = 1;
  keepAlive = true;
  body?: Bytes = undefined;
  /** Set when the client waits for `100 Continue`: nothing is read until then. */
  expectsContinue = false;

  #data: Bytes = nothing;
  #lent = false; // whether it is only ours until `keep`
  #at = 0; // what stands before in #data has been read
  #end = 0; // what stands from here on has not come yet

  // In a head that is not whole: where its last line begins, and how far that
  // has been looked at; both from #at.
  #line = 0;
  #scanned = 0;

  #inFields = false; // its first line is read
  #bareLF = false;
  #host = false; // its fields, as far as they matter here
  #close = false;
  #persist = false;
  #length?: string;
  #coding?: string;
  #expect?: string;

  #rest?: Iterator<void>; // reads its body: `yield` is to wait for more
  #kept: Bytes = nothing; // its body so far: grows by doubling
  #size = 0; // bytes of it

  /**
   * Keeps bodies if there is `memory` for them. Shows each head to `seen`, as
   * it came, before its body is read; what it gets is valid during the call.
   */
  constructor(
    readonly memory?: Memory,
    readonly seen?: (head: Bytes) => void,
  ) {}

  /** Adds what came. It is read where it lies: see `keep`. */
  push(data: Bytes) {
    const unread = this.#end - this.#at;
    if (unread === 0) {
      if (data.buffer !== buffer) {
        buffer = data.buffer;
        whole = new Uint8Array(buffer);
      }
      this.#data = whole;
      this.#lent = true;
      this.#at = data.byteOffset;
      this.#end = data.byteOffset + data.length;
      return;
    }
    const { length } = data;
    if (this.#lent || this.#end + length > this.#data.length) {
      this.#move(2 * (unread + length)); // seldom, if it comes byte by byte
    }
    this.#data.set(data, this.#end);
    this.#end += length;
  }

  /** Whether something has come that is not read yet. */
  get more(): boolean {
    return this.#at < this.#end;
  }

  /** Copies what is not read yet: the buffer it came in is free again. */
  keep() {
    const unread = this.#end - this.#at;
    if (unread === 0) {
      this.#data = nothing;
      this.#at = this.#end = 0;
    } else if (this.#lent) this.#move(unread);
  }

  #move(size: number) {
    const unread = this.#data.subarray(this.#at, this.#end);
    this.#data = new Uint8Array(size);
    this.#data.set(unread);
    this.#lent = false;
    this.#at = 0;
    this.#end = unread.length;
  }

  /** The client has left: its body is not needed any more. */
  free() {
    if (this.memory) this.memory.left += this.#kept.length;
    this.#kept = nothing;
    this.#size = 0;
    this.body = undefined;
  }

  /**
   * The next request, or why there is none; undefined until more has come. The
   * body of the last one is forgotten.
   */
  next(): Request | Refusal | undefined {
    try {
      if (this.stage === "idle" && !this.#begin()) return;
      if (this.stage === "head" && !this.#readHead()) return;
      if (this.expectsContinue) return;
      if (this.#rest && !this.#rest.next().done) return;
    } catch (refusal) {
      if (refusal instanceof Refusal) return refusal;
      throw refusal;
    }
    if (this.#rest) {
      this.#rest = undefined;
      const end = HEADROOM + this.#size;
      if (this.memory) this.body = this.#kept.subarray(HEADROOM, end);
    }
    this.stage = "idle";
    return this;
  }

  /** RFC 9112, 2.2: empty lines before a request are skipped. */
  #begin(): boolean {
    if (this.body) this.free();
    const data = this.#data;
    const last = this.#end - 1;
    let at = this.#at;
    for (; at <= last; at++) {
      if (data[at] === LF) this.#bareLF = true;
      else if (data[at] === CR && at < last && data[at + 1] === LF) at++;
      else break;
    }
    this.#at = at;
    if (at > last || (at === last && data[at] === CR)) return false;
    this.stage = "head";
    this.method = "";
    this.#inFields = false;
    this.#line = this.#scanned = 0;
    return true;
  }

  /** Goes on where the last look at this head has ended. */
  #readHead(): boolean {
    const data = this.#data;
    const start = this.#at;
    const end = Math.min(this.#end, start + MAX_HEAD);
    let line = start + this.#line;
    let at = start + this.#scanned;
    for (;;) {
      at = this.#inFields
        ? afterValue(data, at, end)
        : after(REQUEST_LINE, data, at, end);
      const to = at;
      if (at < end && data[at] === CR) at++;
      if (at === end) {
        if (end === start + MAX_HEAD) this.#tooLong(line, to);
        this.#line = line - start;
        this.#scanned = to - start;
        return false;
      }
      if (data[at] !== LF) this.#stray(line, to);
      if (at === to) this.#bareLF = true;
      at++;
      if (line === to) break; // an empty line ends the head
      if (this.#inFields) this.#field(line, to);
      else this.#requestLine(line, to);
      line = at;
    }
    this.seen?.(data.subarray(start, line));
    this.#at = at;
    this.#frame();
    return true;
  }

  /** A byte that cannot be there. With HEAD, the refusal has no body. */
  #stray(line: number, at: number): never {
    if (this.#inFields) bad("a control character in a field");
    this.#readMethod(line, at);
    bad("a request line with a character that no target has");
  }

  #tooLong(line: number, at: number): never {
    if (this.#inFields) throw new Refusal(431, `a head over ${MAX_HEAD} bytes`);
    this.#readMethod(line, at);
    throw new Refusal(414, `a target over ${MAX_HEAD} bytes`);
  }

  /** RFC 9110, 9.1. Returns where it ends. */
  #readMethod(from: number, to: number): number {
    const data = this.#data;
    const at = after(TOKEN, data, from, to);
    if (at - from <= MAX_METHOD) {
      if (at === from || data[at] !== SP) {
        bad("no method before the first space");
      }
      for (const method of METHODS) {
        if (!spells(data, from, at, method)) continue;
        this.method = method;
        return at;
      }
    }
    throw new Refusal(501, `no method but ${METHODS.join(", ")}`);
  }

  /** RFC 9112, 3: method SP request-target SP HTTP-version. */
  #requestLine(from: number, to: number) {
    const data = this.#data;
    const target = this.#readMethod(from, to) + 1;
    const at = after(TARGET, data, target, to);
    if (at === target || data[at] !== SP) {
      bad("no request target after the method");
    }
    const major = at + 6;
    if (
      to !== major + 3 || !spells(data, at + 1, major, "HTTP/") ||
      !(kinds[data[major]] & kinds[data[major + 2]] & DIGIT) ||
      data[major + 1] !== DOT
    ) bad("no HTTP version after the target");
    if (data[major] !== ONE) {
      throw new Refusal(505, "HTTP/1.0 and HTTP/1.1 are understood");
    }
    this.#host = this.#close = this.#persist = false;
    this.#length = this.#coding = this.#expect = undefined;
    // RFC 9110, 2.5: HTTP/1.2 would be understood by who understands 1.1.
    this.minor = data[major + 2] === ZERO ? 0 : 1;
    this.path = this.#path(target, at);
    this.#inFields = true;
  }

  /** RFC 9112, 3.2: of a path, a URI, or `*`. */
  #path(from: number, to: number): string {
    const data = this.#data;
    if (data[from] === SLASH) {
      let end = from;
      while (end < to && data[end] !== QUESTION_MARK) end++;
      return text(data, from, end);
    }
    const target = text(data, from, to);
    if (target === "*" && this.method === "OPTIONS") return target;
    const [, authority, path] = ABSOLUTE.exec(target) ??
      bad("a request target that is neither a path nor a URI");
    // RFC 9110, 4.2.1 and 4.2.4: a host must be named, and a user must not.
    if (authority.startsWith(":") || !isAuthority(authority)) {
      bad("a URI with a host that is none");
    }
    return path || "/";
  }

  /** RFC 9112, 5: name ":" value, with optional white space around the value. */
  #field(line: number, end: number) {
    const data = this.#data;
    const colon = after(TOKEN, data, line, end);
    if (colon === line || data[colon] !== COLON) {
      if (isBlank(data[line])) bad("a folded field");
      bad("no field name before the colon");
    }
    const name = FIELDS[colon - line];
    if (name === undefined || !spells(data, line, colon, name, 0x20)) return;
    let from = colon + 1;
    let to = end;
    while (from < to && isBlank(data[from])) from++;
    while (from < to && isBlank(data[to - 1])) to--;
    if (name === "host") return this.#readHost(from, to);
    // What nearly every browser says is worth no string.
    if (name === "connection" && spells(data, from, to, "keep-alive", 0x20)) {
      this.#persist = true;
      return;
    }
    const value = text(data, from, to).toLowerCase();
    if (name === "connection") {
      const options = list(value);
      if (options.includes("close")) this.#close = true;
      if (options.includes("keep-alive")) this.#persist = true;
    } else if (name === "transfer-encoding") {
      this.#coding = joined(this.#coding, value);
    } else if (name === "expect") {
      this.#expect = joined(this.#expect, value);
    } else {
      if (!/^\d+$/.test(value)) bad("a Content-Length that is no number");
      if (this.#length !== undefined && this.#length !== value) {
        bad("two Content-Lengths that differ");
      }
      this.#length = value;
    }
  }

  /** RFC 9112, 3.2. */
  #readHost(from: number, to: number) {
    if (this.#host) bad("two Host fields");
    this.#host = true;
    const data = this.#data;
    let at = after(HOSTNAME, data, from, to);
    if (at < to && data[at] === COLON) at = after(DIGIT, data, at + 1, to);
    if (at < to && !isAuthority(text(data, from, to))) {
      bad("a Host that is no host");
    }
  }

  /** RFC 9112, 6.3: where the message ends; 9.3: whether another may follow. */
  #frame() {
    if (this.minor && !this.#host) bad("no Host field");
    // People who type end their lines with a bare LF. Where something on the
    // way reads lines otherwise, a second request could be hidden behind such
    // a line: so there is none, the connection closes.
    this.keepAlive = !this.#close && !this.#bareLF &&
      (this.minor === 1 || this.#persist);
    this.#bareLF = false;
    this.stage = "body";
    if (this.#coding !== undefined) {
      // Two ways to find the end of a message are one way to smuggle another.
      if (this.#length !== undefined) {
        bad("both Transfer-Encoding and Content-Length");
      }
      if (!this.minor) bad("a Transfer-Encoding in HTTP/1.0");
      const codings = list(this.#coding);
      if (codings.indexOf("chunked") !== codings.length - 1) {
        bad("a Transfer-Encoding that does not end in one chunked");
      }
      if (codings.length > 1) {
        throw new Refusal(501, "no transfer coding but chunked is understood");
      }
      this.#rest = this.#readChunks();
    } else if (this.#length !== undefined) {
      const length = Number(this.#length);
      if (length > MAX_BODY) tooMuch();
      this.#rest = this.#readBytes(length);
    } else return;

    if (this.#expect === undefined || !this.minor) return;
    if (this.#expect !== "100-continue") {
      throw new Refusal(417, "no expectation but 100-continue can be met");
    }
    this.expectsContinue = this.#length === undefined || +this.#length > 0;
  }

  /** RFC 9112, 6.2. */
  *#readBytes(length: number, most = length): Generator<void, void> {
    for (;;) {
      const end = Math.min(this.#end, this.#at + length);
      const part = this.#data.subarray(this.#at, end);
      if (this.memory) this.#keepPart(this.memory, part, most);
      length -= part.length;
      this.#at = end;
      if (!length) return;
      yield;
    }
  }

  /** RFC 9112, 7.1: chunks, the last of them empty, and trailers. */
  *#readChunks(): Generator<void, void> {
    const extended = new Refusal(400, "a chunk with too many extensions");
    const longer = new Refusal(400, "a chunk longer than it said");
    const trailing = new Refusal(431, `trailers over ${MAX_HEAD} bytes`);
    let extensions = 0;
    for (let total = 0;;) {
      const line = yield* this.#readLine(MAX_CHUNK_LINE, extended);
      const digits = CHUNK.exec(line)?.[1] ?? bad("a chunk without a size");
      const size = parseInt(digits, 16);
      total += size;
      if (total > MAX_BODY) tooMuch();
      // Nor may zeros before the size go on for ever.
      extensions += line.length - size.toString(16).length;
      if (extensions > MAX_EXTENSIONS) throw extended;
      if (!size) break;
      yield* this.#readBytes(size, MAX_BODY);
      yield* this.#readLine(0, longer);
    }
    for (let left = MAX_HEAD;;) {
      const line = yield* this.#readLine(left, trailing);
      if (!line) return;
      if (!FIELD.test(line)) bad("a trailer that is no field");
      left -= line.length + 2;
    }
  }

  /** A line of a chunked body, of `max` bytes. Nobody types those: CRLF ends them. */
  *#readLine(max: number, tooLong: Refusal): Generator<void, string> {
    for (let scanned = 0;;) {
      const data = this.#data;
      const line = this.#at;
      const end = Math.min(this.#end, line + max + 1);
      const to = afterValue(data, line + scanned, end);
      if (to > line + max) throw tooLong;
      const more = this.#end - to;
      if (more > 0 && data[to] !== CR) bad("a line that does not end in CRLF");
      if (more > 1) {
        if (data[to + 1] !== LF) bad("a CR without its LF in a chunked body");
        this.#at = to + 2;
        return text(data, line, to);
      }
      scanned = to - line;
      yield;
    }
  }

  /** Of a body that has `most` bytes at most. */
  #keepPart(memory: Memory, part: Bytes, most: number) {
    const old = this.#kept;
    const end = HEADROOM + this.#size;
    if (end + part.length > old.length) {
      const room = Math.max(
        end + part.length,
        Math.min(2 * old.length, HEADROOM + most),
      );
      if (room - old.length > memory.left) {
        throw new Refusal(503, "too many bodies at once");
      }
      memory.left -= room - old.length;
      this.#kept = new Uint8Array(room);
      this.#kept.set(old);
    }
    this.#kept.set(part, end);
    this.#size += part.length;
  }
}

function tooMuch(): never {
  throw new Refusal(413, `a body over ${MAX_BODY} bytes`);
}

const list = (field: string) => field.split(/[ \t]*,[ \t]*/);

/** RFC 9110, 5.3: several fields of one name are one list. */
const joined = (before: string | undefined, value: string) =>
  before === undefined ? value : `${before},${value}`;
