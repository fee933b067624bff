/**
 * The grammar of HTTP/1.1 (RFC 9112) as tables and patterns, and functions that
 * scan bytes by it. Each takes bytes from the offset `start` to the offset `end`,
 * which is not included.
 */

export type Bytes = Uint8Array<ArrayBuffer>;

const HTAB = 9;
export const LF = 10;
export const CR = 13;
export const SP = 32;
export const DOT = 46;
export const SLASH = 47;
export const ZERO = 48;
export const ONE = 49;
export const COLON = 58;
export const QUESTION_MARK = 63;

// What a byte can be part of: a bit for each.
export const TOKEN = 1; // a method, the name of a field
export const TARGET = 2; // RFC 3986, and what browsers leave unescaped in a query
export const REQUEST_LINE = 4;
export const VALUE = 8; // of a field
export const HOSTNAME = 16; // the simplest form of one
export const DIGIT = 32;

const patterns: [kind: number, pattern: RegExp][] = [
  [TOKEN, /[!#$%&'*+.^_`|~0-9A-Za-z-]/],
  [TARGET, /[!$-;=?-~]/],
  [REQUEST_LINE, /[ !$-;=?-~]/],
  [VALUE, /[\t -~\x80-\xff]/],
  [HOSTNAME, /[0-9A-Za-z.-]/],
  [DIGIT, /[0-9]/],
];
const kinds = new Uint8Array(256).map((_, byte) => {
  let bits = 0;
  for (const [kind, pattern] of patterns) {
    if (pattern.test(String.fromCharCode(byte))) bits |= kind;
  }
  return bits;
});

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const quoted = '"(?:[\\t !#-\\[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"';
/** RFC 9112, 7.1: the size of a chunk, in hexadecimal digits, and extensions. */
export const CHUNK_LINE = RegExp(
  `^([0-9A-Fa-f]+)(?:[ \\t]*;[ \\t]*${token}` +
    `(?:[ \\t]*=[ \\t]*(?:${token}|${quoted}))?)*$`,
);
/** RFC 9112, 5: how a line begins that is a field. */
export const FIELD_LINE = RegExp(`^${token}:`);
/** RFC 9112, 3.2.2: a target that is a URI, its authority and its path. */
export const ABSOLUTE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?]+)([^?]*)/;

const unreserved = "[\\w.~!$&'()*+,;=-]";
const AUTHORITY = RegExp(
  `^(?:\\[(?:([0-9A-Fa-f:.]+)|[vV][0-9A-Fa-f]+\\.(?:${unreserved}|:)+)\\]|` +
    `(?:${unreserved}|%[0-9A-Fa-f]{2})*)(?::\\d*)?$`,
);

/** RFC 3986, 3.2.2 and 3.2.3: whether this is a host, with or without a port. */
export function isAuthority(name: string): boolean {
  const found = AUTHORITY.exec(name);
  if (found === null) return false;
  const ipv6 = found[1];
  return ipv6 === undefined || URL.canParse(`http://[${ipv6}]`);
}

export function isBlank(byte: number): boolean {
  return byte === SP || byte === HTAB;
}

export function isDigit(byte: number): boolean {
  return (kinds[byte] & DIGIT) !== 0;
}

/** The offset of the first byte that is not of this kind; `end` if all are. */
export function skip(
  kind: number,
  data: Bytes,
  start: number,
  end: number,
): number {
  let offset = start;
  while (offset < end && kinds[data[offset]] & kind) offset++;
  return offset;
}

// A view of the data that was scanned last. Mostly it is the same data again:
// the server receives from all clients into one buffer.
let viewed: Bytes | undefined;
let view: DataView;

/**
 * What `skip(VALUE, …)` returns, but looks at four bytes at a time: most bytes
 * of a head are values of fields.
 */
export function skipValue(data: Bytes, start: number, end: number): number {
  if (data !== viewed) {
    viewed = data;
    view = new DataView(data.buffer);
  }
  const words = view;
  const last = end - 4;
  let offset = start;
  while (offset <= last) {
    const word = words.getInt32(offset, true);
    // The subtraction sets the high bit of each byte below 0x20, the addition
    // that of 0x7f. A carry can set the high bit of an allowed byte as well, but
    // never clears that of a forbidden one.
    const suspects = ((word - 0x20202020) | (word + 0x01010101)) &
      ~word & 0x80808080;
    if (suspects === 0) {
      offset += 4;
    } else {
      const lowest = suspects & -suspects;
      offset += (31 - Math.clz32(lowest)) >> 3;
      if (!(kinds[data[offset]] & VALUE)) return offset;
      offset++;
    }
  }
  return skip(VALUE, data, offset, end);
}

/**
 * Whether these bytes are the word. With `caseBit` 0x20 a capital letter counts
 * as the small one that the word has.
 */
export function equals(
  data: Bytes,
  start: number,
  end: number,
  word: string,
  caseBit = 0,
): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) {
    if ((data[start + i] | caseBit) !== word.charCodeAt(i)) return false;
  }
  return true;
}

/** These bytes as a string: one character for each byte. */
export function text(data: Bytes, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(data[i]);
  return text;
}
