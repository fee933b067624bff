/** Good and bad requests, and the status codes that a server has to answer. */

export const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
export const post = (head: string, body = "") =>
  `POST / HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n${body}`;
export const chunked = (body: string) =>
  post("Transfer-Encoding: chunked", body);

/** The text as bytes: a byte for each character. */
export const latin1 = (text: string) =>
  Uint8Array.from(text, (char) => char.charCodeAt(0));

/** A name, mostly with the section of an RFC; a request; its status codes. */
export type Row = [string, string, number | number[]];

const OK = 200;
export const rows: Row[] = [
  ["RFC 9112, 2.2: an empty line before", "\r\n" + GET, OK],
  ["RFC 9112, 2.2: bare LF", "GET / HTTP/1.1\nHost: a\n\n", OK],
  [
    "RFC 9112, 2.2: bare CR in the request line",
    "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 2.2: bare CR in a field",
    "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 2.2: space before the first field",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    400,
  ],
  ["RFC 9112, 2.3: version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
  ["RFC 9110, 2.5: version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", OK],
  ["RFC 9112, 2.3: version 0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505],
  [
    "RFC 9112, 2.3: version in small letters",
    "GET / http/1.1\r\nHost: a\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 2.3: version with two digits",
    "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    400,
  ],
  ["RFC 9112, 3: two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["RFC 9112, 3: a tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  [
    "RFC 9112, 3: a space at the end",
    "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    400,
  ],
  ["RFC 9112, 3: no version", "GET /\r\nHost: a\r\n\r\n", 400],
  ["RFC 9112, 3: no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["RFC 9112, 3: rubbish", "\x16\x03\x01\x02\0\x01\0\x01\xfc\n", 400],
  [
    "RFC 9112, 3.1: a method that is no token",
    "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    400,
  ],
  [
    "RFC 9110, 9.1: a method of any name",
    "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    501,
  ],
  [
    "RFC 9110, 9.1: a method in small letters",
    "get / HTTP/1.1\r\nHost: a\r\n\r\n",
    501,
  ],
  ["RFC 9110, 9.3.8: TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501],
  ["RFC 9112, 3: a method without end", "A".repeat(20000), 501],
  ["RFC 9112, 3: a target without end", `HEAD /${"x".repeat(17000)}`, 414],
  ["RFC 9112, 3.2: no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  [
    "RFC 9112, 3.2: two Hosts",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 3.2: two Hosts in 1.0",
    "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 3.2: a Host that is none",
    "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    400,
  ],
  ["RFC 9112, 3.2: an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", OK],
  ...["[::1]", "[::1]:80", "[::ffff:1.2.3.4]", "[v1.x]", "a:", "%41_~!"]
    .map((host): Row => [
      `RFC 9110, 7.2: Host: ${host}`,
      `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      OK,
    ]),
  ...["[::1", "[:::]", "[v1]", "[]", "[::1]x", "a:b", "a:80abc", "u@a", "%4"]
    .map((host): Row => [
      `RFC 9110, 7.2: Host: ${host}`,
      `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      400,
    ]),
  ["RFC 9112, 3.2: no Host in 1.0", "GET / HTTP/1.0\r\n\r\n", OK],
  [
    "RFC 9112, 3.2: a target without /",
    "GET index HTTP/1.1\r\nHost: a\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 3.2: a target with a control character",
    "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 3.2: a target with a fragment",
    "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    400,
  ],
  [
    "RFC 9110, 4.2.1: a target without an authority",
    "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 3.2.2: an absolute target",
    "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    OK,
  ],
  ...["http://a", "http://a?x", "HTTP://a:80/", "http://[::1]:80/?x"].map(
    (target): Row => [
      `RFC 9112, 3.2.2: ${target}`,
      `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`,
      OK,
    ],
  ),
  ...[
    "http://:80/",
    "http://[::1/",
    "http://h:80abc/",
    "s://]ufd/:",
    "http://u:p@h/",
    "http://@h/",
    "http:/a",
    "http:a",
    "//a",
  ].map((target): Row => [
    `RFC 9110, 4.2.1 and 4.2.4: ${target}`,
    `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`,
    target === "//a" ? 404 : 400,
  ]),
  ["a path that leads nowhere", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 404],
  ["a query", "GET /?x=/y HTTP/1.1\r\nHost: a\r\n\r\n", OK],
  [
    "RFC 9112, 3.2.3: CONNECT",
    "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    501,
  ],
  ["RFC 9112, 3.2.4: OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", OK],
  ["RFC 9112, 3.2.4: GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  [
    "RFC 9112, 5.1: space before the colon",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    400,
  ],
  ["RFC 9112, 5.1: no name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400],
  [
    "RFC 9112, 5.1: no colon",
    "GET / HTTP/1.1\r\nHost: a\r\nfield\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 5.1: white space around the value",
    "GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n",
    OK,
  ],
  [
    "RFC 9112, 5.2: a folded field",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    400,
  ],
  [
    "RFC 9110, 5.5: NUL in a value",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\0\r\n\r\n",
    400,
  ],
  [
    "RFC 9110, 5.5: obs-text in a value",
    "GET / HTTP/1.1\r\nHost: a\r\nX: \xe4\r\n\r\n",
    OK,
  ],
  [
    "RFC 9110, 5.6.2: a name that is no token",
    "GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n",
    400,
  ],
  ["RFC 9110, 8.6: a length", post("Content-Length: 3", "abc"), OK],
  [
    "RFC 9110, 8.6: the same length twice",
    post("Content-Length: 3\r\nContent-Length: 3", "abc"),
    OK,
  ],
  [
    "RFC 9110, 8.6: two lengths",
    post("Content-Length: 3\r\nContent-Length: 4", "abcd"),
    400,
  ],
  [
    "RFC 9110, 8.6: a list of lengths",
    post("Content-Length: 3, 4", "abcd"),
    400,
  ],
  ["RFC 9110, 8.6: a sign", post("Content-Length: +3", "abc"), 400],
  ["RFC 9110, 8.6: a negative length", post("Content-Length: -1"), 400],
  ["RFC 9110, 8.6: hexadecimal", post("Content-Length: 0x3", "abc"), 400],
  ["RFC 9110, 8.6: no digits", post("Content-Length:"), 400],
  [
    "RFC 9110, 8.6: 2^64 + 3",
    post("Content-Length: 18446744073709551619", "abc"),
    413,
  ],
  [
    "RFC 9110, 8.6: a length nobody can count",
    post(`Content-Length: ${"9".repeat(400)}`),
    413,
  ],
  ["RFC 9110, 15.5.14: a body too long", post("Content-Length: 1048577"), 413],
  [
    "RFC 9112, 6.1: length and coding",
    post("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    400,
  ],
  [
    "RFC 9112, 6.1: a coding before chunked",
    post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
    501,
  ],
  ["RFC 9112, 6.3: another coding", post("Transfer-Encoding: gzip"), 400],
  ["RFC 9112, 6.3: identity", post("Transfer-Encoding: identity"), 400],
  [
    "RFC 9112, 6.1: chunked twice",
    post(
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      "0\r\n\r\n",
    ),
    400,
  ],
  [
    "RFC 9112, 6.3: chunked not last",
    post("Transfer-Encoding: chunked, gzip", "0\r\n\r\n"),
    400,
  ],
  [
    "RFC 9112, 6.3: chunked with a letter too many",
    post("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    400,
  ],
  [
    "RFC 9112, 6.3: chunked behind a no-break space",
    post("Transfer-Encoding: \xa0chunked", "0\r\n\r\n"),
    400,
  ],
  [
    "RFC 9112, 6.1: a coding in 1.0",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  [
    "RFC 9112, 7: codings in capitals",
    post("transfer-encoding: CHUNKED", "0\r\n\r\n"),
    OK,
  ],
  [
    "RFC 9112, 7.1: chunks",
    chunked("3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n"),
    OK,
  ],
  [
    "RFC 9112, 7.1: a chunk with a sign",
    chunked("+3\r\nabc\r\n0\r\n\r\n"),
    400,
  ],
  ["RFC 9112, 7.1: a chunk with 0x", chunked("0x3\r\nabc\r\n0\r\n\r\n"), 400],
  ["RFC 9112, 7.1: a chunk of no size", chunked("\r\nabc\r\n0\r\n\r\n"), 400],
  [
    "RFC 9112, 7.1: a chunk with a space",
    chunked("3 \r\nabc\r\n0\r\n\r\n"),
    400,
  ],
  [
    "RFC 9112, 7.1: a chunk longer than it said",
    chunked("2\r\nabc\r\n0\r\n\r\n"),
    400,
  ],
  ["RFC 9112, 7.1: bare LF in chunks", chunked("3\nabc\n0\n\n"), 400],
  ["RFC 9112, 7.1: a chunk too long", chunked("100001\r\n"), 413],
  [
    "RFC 9112, 7.1: a chunk nobody can count",
    chunked("fffffffffffffffffff\r\n"),
    413,
  ],
  [
    "RFC 9112, 7.1.1: extensions",
    chunked('3;a;b=c ; d = "e\\"f"\r\nabc\r\n0;x\r\n\r\n'),
    OK,
  ],
  [
    "RFC 9112, 7.1.1: extensions that are none",
    chunked("3;a b\r\nabc\r\n0\r\n\r\n"),
    400,
  ],
  [
    "RFC 9112, 7.1.1: extensions without end",
    chunked("3;" + "a".repeat(2000) + "\r\nabc\r\n0\r\n\r\n"),
    400,
  ],
  [
    "RFC 9112, 7.1.1: extensions without end, in many chunks",
    chunked(`1;${"a".repeat(1000)}\r\nx\r\n`.repeat(17) + "0\r\n\r\n"),
    400,
  ],
  [
    "RFC 9112, 7.1: zeros without end, in many chunks",
    chunked(`${"0".repeat(1000)}1\r\nx\r\n`.repeat(17) + "0\r\n\r\n"),
    400,
  ],
  ["RFC 9112, 7.1: CR without LF", chunked("3\r\nabc\rx0\r\n\r\n"), 400],
  [
    "RFC 9112, 7.1: a control character in an extension",
    chunked("3;\x01\r\nabc\r\n0\r\n\r\n"),
    400,
  ],
  ["RFC 9112, 7.1.2: trailers", chunked("0\r\nX: y\r\nZ:\r\n\r\n"), OK],
  ["RFC 9112, 7.1.2: a trailer that is none", chunked("0\r\nX y\r\n\r\n"), 400],
  [
    "RFC 6585, 5: a head too long",
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(16384)}\r\n\r\n`,
    431,
  ],
  [
    "RFC 6585, 5: trailers too long",
    chunked("0\r\n" + `X: ${"y".repeat(1000)}\r\n`.repeat(20) + "\r\n"),
    431,
  ],
  [
    "RFC 6585, 5: a trailer too long",
    chunked(`0\r\nX: ${"y".repeat(17000)}\r\n\r\n`),
    431,
  ],
  [
    "RFC 6585, 5: a head as long as may be",
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(16384 - 32)}\r\n\r\n`,
    OK,
  ],
  [
    "RFC 9110, 10.1.1: an expectation",
    post("Content-Length: 1\r\nExpect: 100-continue", "a"),
    [100, 200],
  ],
  [
    "RFC 9110, 10.1.1: in 1.0",
    "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na",
    OK,
  ],
  [
    "RFC 9110, 10.1.1: another expectation",
    post("Content-Length: 1\r\nExpect: tea", "a"),
    417,
  ],
  [
    "RFC 9110, 10.1.1: refused before the body",
    post("Content-Length: 9999999\r\nExpect: 100-continue"),
    413,
  ],
  ...[
    "Expect: 100-continue,",
    "Expect: , 100-continue\t,,100-Continue",
    "Expect: 100-continue\r\nExpect: 100-continue",
    "Expect:\r\nExpect: 100-continue",
  ].map((field): Row => [
    `RFC 9110, 5.6.1.2 and 10.1.1: ${field}`,
    post(`Content-Length: 1\r\n${field}`, "a"),
    [100, 200],
  ]),
  ...["Expect:", "Expect: ,", "Expect: ,\t,\r\nExpect:"].map((field): Row => [
    `RFC 9110, 5.6.1.2 and 10.1.1: ${field}`,
    post(`Content-Length: 1\r\n${field}`, "a"),
    OK,
  ]),
  ...[
    "Expect: 100-continue, tea",
    "Expect: ,tea",
    "Expect: 100-continue\r\nExpect: tea",
    "Expect: 100-continue 100-continue",
  ].map((field): Row => [
    `RFC 9110, 10.1.1: ${field}`,
    post(`Content-Length: 1\r\n${field}`, "a"),
    417,
  ]),
  ...[
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: , chunked",
    "Transfer-Encoding: ,\t,Chunked ,, ,",
    "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: ,",
  ].map((field): Row => [
    `RFC 9110, 5.6.1.2: ${field}`,
    post(field, "3\r\nabc\r\n0\r\n\r\n") + GET,
    [200, 200],
  ]),
  ...[
    "Transfer-Encoding:",
    "Transfer-Encoding: ,",
    "Transfer-Encoding:\r\nTransfer-Encoding:",
    "Transfer-Encoding:\r\nContent-Length: 5",
    "Content-Length: 5\r\nTransfer-Encoding: ,",
    "Transfer-Encoding: chunked,\r\nContent-Length: 5",
    "Transfer-Encoding: chunked,,chunked",
    "Transfer-Encoding: chunked, gzip,",
    "Transfer-Encoding: chunked, ,gzip",
  ].map((field): Row => [
    `RFC 9112, 6.3: nothing hides behind ${field}`,
    post(field, "0\r\n\r\n") + GET,
    400,
  ]),
  [
    "RFC 9112, 6.1: an empty coding, gzip, chunked",
    post("Transfer-Encoding: ,gzip,,chunked,", "0\r\n\r\n"),
    501,
  ],
  [
    "RFC 9112, 7.1: a request is no chunk",
    post("Transfer-Encoding: chunked,", GET),
    400,
  ],
  [
    "RFC 9110, 8.6: a Content-Length is no list",
    post("Content-Length: 3,", "abc"),
    400,
  ],
  [
    "RFC 9110, 5.6.1.2: nothing after close between commas",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: ,close ,\r\n\r\n" + GET,
    OK,
  ],
  [
    "RFC 9110, 5.6.1.2: 1.0 that asks to stay, between commas",
    "GET / HTTP/1.0\r\nConnection: , keep-alive,\r\n\r\n" + GET,
    [200, 200],
  ],
  [
    "RFC 9112, 9.3.2: pipelined",
    GET + post("Content-Length: 3", "abc") + chunked("0\r\n\r\n") + GET,
    [200, 200, 200, 200],
  ],
  ["RFC 9112, 9.3.2: nothing after a broken one", GET + "oops\r\n\r\n" + GET, [
    200,
    400,
  ]],
  [
    "RFC 9112, 9.6: nothing after close",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n" + GET,
    OK,
  ],
  ["RFC 9112, 9.3: nothing after 1.0", "GET / HTTP/1.0\r\n\r\n" + GET, OK],
  [
    "RFC 9112, 9.3: 1.0 that asks to stay",
    "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" + GET,
    [200, 200],
  ],
  [
    "RFC 9112, 2.2: nothing hides behind a bare LF",
    "GET / HTTP/1.1\nHost: a\n\n" + GET,
    OK,
  ],
  ["a request cut off", "GET / HTTP/1.1\r\nHost: a\r\n", []],
];

/** Returns a function for random integers below a limit, set by a seed: mulberry32. */
export function randomly(seed: number) {
  return (below: number) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) % below;
  };
}

const short = rows.map((row) => row[1]).filter((text) => text.length < 1000);
const pieces = [
  "\r\n",
  "\n",
  "\r",
  "\0",
  " ",
  ":",
  ",",
  "\t",
  "\r\n\r\n",
  "0",
  "5",
  "chunked",
  "HEAD",
  "HTTP/1.1",
  "http://a:1/b",
  "Connection: close\r\n",
  "Content-Length: 5\r\n",
  "Expect: 100-continue\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Host: b\r\n",
  "\x7f",
  "\xff~",
  "\xff",
  GET,
];

/** One or two of the requests, with one to four mistakes in them. */
export function mutant(random: (below: number) => number): string {
  let text = short[random(short.length)] +
    (random(2) ? short[random(short.length)] : "");
  const mistakes = 1 + random(4);
  for (let i = 0; i < mistakes; i++) {
    const offset = random(text.length + 1);
    const kind = random(4); // 0 and 1: a piece is put in; 2: a byte; 3: nothing
    let inserted = "";
    if (kind < 2) inserted = pieces[random(pieces.length)];
    else if (kind === 2) inserted = String.fromCharCode(random(256));
    const removed = kind === 0 ? 0 : random(3);
    text = text.slice(0, offset) + inserted + text.slice(offset + removed);
  }
  return text;
}
