import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { fills, stands, test } from "./common.ts";
import {
  client,
  connect,
  cpuTime,
  memory,
  pause,
  receive,
  reset,
  rest,
  type Running,
  send,
  sockets,
  start,
} from "./harness.ts";

const HELLO = "Hello, world!";
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const post = (head: string, body = "") =>
  `POST / HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n${body}`;
const chunked = (body: string) => post("Transfer-Encoding: chunked", body);
const up = (...args: string[]) => start("epoll_http.ts", args);

/** One response, read to the end that its Content-Length gives it. */
async function response(conn: Deno.Conn, method = "GET") {
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    const byte = await receive(conn, 1);
    if (!byte.length) return { status: 0, head, body: "" };
    head += String.fromCharCode(byte[0]);
  }
  const status = Number(/^HTTP\/1\.1 (\d{3}) [A-Z]/.exec(head)?.[1]);
  const length = Number(/^Content-Length: (\d+)\r$/m.exec(head)?.[1] ?? 0);
  const body = await receive(conn, method === "HEAD" ? 0 : length);
  return { status, head, body: new TextDecoder().decode(body) };
}

const talk = async (conn: Deno.Conn) => {
  await send(conn, GET);
  assertEquals((await response(conn)).body, HELLO);
};
stands("epoll_http.ts", talk);
fills("epoll_http.ts", talk);

/** What comes back for these bytes, until the server hangs up. */
async function reply(server: Running, bytes: string | Uint8Array) {
  using conn = await connect(server.port);
  await send(conn, bytes).catch(() => {});
  await conn.closeWrite().catch(() => {});
  return await rest(conn).catch((error) => `lost: ${error}`);
}
/** The status codes in a reply. */
const codes = (text: string) =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((found) => Number(found[1]));

test("epoll_http.ts: fetch, client.ts by hand, and a page as it should be", async () => {
  await using server = await up();
  const page = await fetch(`http://127.0.0.1:${server.port}/some/where?x=y`);
  assertEquals(await page.text(), HELLO);
  assertEquals(page.headers.get("content-type"), "text/plain; charset=utf-8");
  const date = page.headers.get("date")!;
  assertEquals(new Date(date).toUTCString(), date);
  assert(Math.abs(Date.parse(date) - Date.now()) < 5000, date);
  assertMatch(server.output(), /\n-{40}\nGET \/some\/where\?x=y HTTP\/1.1\n/);

  const { code, stdout } = await client(server.port, "GET / HTTP/1.0\n\n");
  assertEquals(code, 0);
  assertMatch(stdout, /^HTTP\/1.1 200 OK\r\n(.+\r\n)+\r\nHello, world!$/);
  assertStringIncludes(stdout, "\r\nConnection: close\r\n");
});

test("epoll_http.ts: a head in any number of pieces", async () => {
  await using server = await up();
  for (const head of [GET, GET.replaceAll("\r", ""), "\r\n" + GET]) {
    for (let cut = 1; cut < head.length; cut++) {
      using conn = await connect(server.port);
      conn.setNoDelay();
      await send(conn, head.slice(0, cut));
      await pause(0);
      await send(conn, head.slice(cut));
      assertEquals((await response(conn)).body, HELLO);
    }
  }
});

// Each request with what it gets, and the section that says so.
const OK = 200;
const refused: [string, string, number | number[]][] = [
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
  ["RFC 9112, 2.3: version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505],
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
    "RFC 9112, 3.1: a method of any name",
    "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    OK,
  ],
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
    "RFC 9112, 6.1: another coding",
    post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
    501,
  ],
  ["RFC 9112, 6.1: identity", post("Transfer-Encoding: identity"), 501],
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
    "RFC 9112, 6.1: chunked with a letter too many",
    post("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    501,
  ],
  [
    "RFC 9112, 6.1: chunked behind a no-break space",
    post("Transfer-Encoding: \xa0chunked", "0\r\n\r\n"),
    501,
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
  ["RFC 9112, 7.1.2: trailers", chunked("0\r\nX: y\r\nZ:\r\n\r\n"), OK],
  ["RFC 9112, 7.1.2: a trailer that is none", chunked("0\r\nX y\r\n\r\n"), 400],
  [
    "RFC 6585, 5: a head too long",
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(16384)}\r\n\r\n`,
    431,
  ],
  ["RFC 6585, 5: a target too long", `GET /${"x".repeat(17000)}`, 431],
  [
    "RFC 6585, 5: trailers too long",
    chunked("0\r\n" + `X: ${"y".repeat(1000)}\r\n`.repeat(20) + "\r\n"),
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

const latin1 = (text: string) =>
  Uint8Array.from(text, (char) => char.charCodeAt(0));

test("epoll_http.ts: the grammar, row by row, whole and in pieces", async () => {
  await using server = await up("--quiet");
  await Promise.all(refused.map(async ([name, request, expected]) => {
    const bytes = latin1(request);
    assertEquals(codes(await reply(server, bytes)), [expected].flat(), name);
  }));
  await Promise.all(refused.map(async ([name, request, expected]) => {
    if (request.length > 5000) return;
    using conn = await connect(server.port);
    conn.setNoDelay();
    const answer = rest(conn);
    for (const byte of latin1(request)) {
      await send(conn, Uint8Array.of(byte)).catch(() => {});
    }
    await conn.closeWrite().catch(() => {});
    assertEquals(codes(await answer), [expected].flat(), `${name}, in pieces`);
  }));
});

test("epoll_http.ts: HEAD has the fields and no body", async () => {
  await using server = await up();
  using conn = await connect(server.port);
  await send(conn, GET.replace("GET", "HEAD"));
  const { head } = await response(conn, "HEAD");
  assertStringIncludes(head, `\r\nContent-Length: ${HELLO.length}\r\n`);
  await talk(conn); // the next response begins right behind
  assertMatch(
    await reply(server, "HEAD / HTTP/1.1\r\nX : y\r\n\r\n"),
    /^HTTP\/1.1 400 Bad Request\r\n(.+\r\n)+\r\n$/,
  );
});

test("epoll_http.ts: --echo answers with the body, however it came", async () => {
  await using server = await up("--echo", "--quiet");
  using conn = await connect(server.port);
  await send(conn, post("Content-Length: 6", "食堂"));
  assertEquals((await response(conn)).body, "食堂");
  await send(conn, chunked("3;x\r\n食\r\n3\r\n堂\r\n0\r\nX: y\r\n\r\n"));
  assertEquals((await response(conn)).body, "食堂");
  await send(conn, post("Content-Length: 0"));
  assertEquals((await response(conn)).body, "");
  await talk(conn);
  const whole = crypto.getRandomValues(new Uint8Array(65536));
  const body = new Uint8Array(1 << 20).map((_, i) =>
    whole[i % 65536] ^ i >> 16
  );
  for (const method of ["POST", "PUT"]) {
    const page = await fetch(`http://127.0.0.1:${server.port}/`, {
      method,
      body,
    });
    assertEquals(await page.bytes(), body);
  }
});

test("epoll_http.ts: 100 Continue, before the body and not without one", async () => {
  await using server = await up("--echo");
  using conn = await connect(server.port);
  await send(conn, post("Expect: 100-Continue\r\nContent-Length: 3"));
  assertEquals((await response(conn)).status, 100);
  await send(conn, "abc");
  assertEquals((await response(conn)).body, "abc");
  await send(conn, post("Expect: 100-continue\r\nContent-Length: 0"));
  assertEquals((await response(conn)).status, 200);
});

test("epoll_http.ts: pipelined requests of a client that does not read", async () => {
  await using server = await up("--echo", "--quiet");
  using conn = await connect(server.port);
  const count = 40;
  const body = "x".repeat(1 << 20);
  const sending = send(
    conn,
    post(`Content-Length: ${body.length}`, body).repeat(count),
  );
  await pause(300);
  const before = cpuTime(server.pid);
  using other = await connect(server.port);
  await talk(other);
  await pause(200);
  assert(cpuTime(server.pid) - before < 150, "it spins");
  assert(memory(server.pid) < 250, `${memory(server.pid)} MB`);
  for (let i = 0; i < count; i++) {
    assertEquals((await response(conn)).body, body);
  }
  await sending;
});

test("epoll_http.ts: a refusal reaches who is still sending", async () => {
  await using server = await up("--quiet");
  for (let i = 0; i < 5; i++) {
    using conn = await connect(server.port);
    const sending = send(
      conn,
      post("Content-Length: 20000000", "x".repeat(8 << 20)),
    )
      .then(() => conn.closeWrite()).catch(() => {});
    assertEquals(codes(await rest(conn)), [413]);
    await sending;
  }
});

Deno.test("epoll_http.ts: slow and silent clients are not waited for", async () => {
  await using server = await up("--timeout", "0.4", "--echo", "--quiet");
  const late = async (...parts: string[]) => {
    using conn = await connect(server.port);
    const answer = rest(conn);
    for (const part of parts) {
      await send(conn, part).catch(() => {}); // its time may be over
      await pause(100);
    }
    return codes(await answer);
  };
  const slow = late(
    "GET",
    " /",
    " HTT",
    "P/1",
    ".1\r",
    "\nHo",
    "st: ",
    "a\r",
    "\n\r\n",
  );
  const [silent, head, body, chunks, kept, unread] = await Promise.all([
    late(),
    late("GET / HTTP/1.1\r\n"),
    late(post("Content-Length: 10", "abc")),
    late(chunked("5\r\nabc")),
    late(GET),
    (async () => {
      using conn = await connect(server.port);
      const flood = post("Content-Length: 1000000", "x".repeat(1e6)).repeat(40);
      await send(conn, flood).catch(() => {});
      return await rest(conn).catch(() => "").then((text) =>
        text.length < 39e6
      );
    })(),
  ]);
  assertEquals(silent, [408]);
  assertEquals(head, [408]);
  assertEquals(body, [408]);
  assertEquals(chunks, [408]);
  assertEquals(kept, [200]); // no second word to who asked for nothing
  assert(unread, "who does not read was waited for");
  assertEquals(await slow, [408]); // a byte now and then buys no time
  using conn = await connect(server.port);
  await talk(conn);
  await pause(250);
  await talk(conn); // but every request does
  await pause(250);
  await talk(conn);
});

test("epoll_http.ts: resets at every stage, and nothing is left of them", async () => {
  await using server = await up("--echo", "--quiet");
  using conn = await connect(server.port);
  await talk(conn);
  const before = sockets(server.pid);
  const big = post("Content-Length: 1000000", "x".repeat(1e6));
  const stages = [
    "",
    "GET",
    GET,
    post("Content-Length: 5", "ab"),
    big,
    big.repeat(9),
  ];
  for (let i = 0; i < 30; i++) {
    for (const bytes of stages) {
      const conn = await connect(server.port);
      const sending = send(conn, bytes).catch(() => {});
      await pause(i % 3);
      reset(conn);
      await sending;
    }
  }
  for (let tries = 0; sockets(server.pid) > before; tries++) {
    assert(
      tries < 300,
      `${sockets(server.pid) - before} sockets are left open`,
    );
    await pause(10);
  }
  await talk(conn);
});

test("epoll_http.ts: mutated requests get an answer, the same in any pieces", async () => {
  const seed = Number(Deno.env.get("SEED") ?? Date.now() % 1e9);
  let state = seed;
  const random = (below: number) => { // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) % below;
  };
  await using server = await up("--quiet", "--echo");
  const valid = refused.filter((row) => row[1].length < 1000).map((row) =>
    row[1]
  );
  const tokens = [
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
    "HTTP/1.1",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: b\r\n",
    "\xff",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  ];
  const mutate = () => {
    let text = valid[random(valid.length)] +
      (random(2) ? valid[random(valid.length)] : "");
    for (let n = random(4); n >= 0; n--) {
      const at = random(text.length + 1);
      const kind = random(4);
      const put = kind < 2
        ? tokens[random(tokens.length)]
        : String.fromCharCode(random(256));
      text = text.slice(0, at) + (kind === 3 ? "" : put) +
        text.slice(at + (kind ? random(3) : 0));
    }
    return text;
  };
  const plain = (text: string) => text.replace(/^Date: .*\r\n/gm, "");
  const one = async () => {
    const request = mutate();
    const bytes = latin1(request);
    const about = `SEED=${seed}: ${JSON.stringify(request)}`;
    const whole = await reply(server, bytes);
    assert(
      codes(whole).every((code) => code === 100 || (code >= 200 && code < 600)),
      about,
    );
    assert(whole === "" || whole.startsWith("HTTP/1.1 "), `${about}: ${whole}`);
    using conn = await connect(server.port);
    conn.setNoDelay();
    const answer = rest(conn).catch((error) => `lost: ${error}`);
    for (let at = 0; at < bytes.length;) {
      const next = at + 1 + random(20);
      await send(conn, bytes.subarray(at, next)).catch(() => {});
      if (random(4) === 0) await pause(0);
      at = next;
    }
    await conn.closeWrite().catch(() => {});
    assertEquals(plain(await answer), plain(whole), about);
  };
  for (let i = 0; i < 600; i += 20) {
    await Promise.all(Array.from({ length: 20 }, one));
  }
  using conn = await connect(server.port);
  await talk(conn);
});
