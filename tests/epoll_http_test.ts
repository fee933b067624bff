import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { fills, stands, test } from "./server_tests.ts";
import {
  altered,
  client,
  connect,
  eventually,
  memory,
  PATIENCE,
  pause,
  receive,
  reset,
  rest,
  type Running,
  send,
  sleeps,
  sockets,
  start,
} from "./harness.ts";
import {
  chunked,
  GET,
  latin1,
  mutant,
  post,
  randomly,
  rows,
} from "./http_cases.ts";

const HELLO = "Hello, world!";
/** Starts a server with a timeout that even a busy machine does not reach. */
const up = (...args: string[]) =>
  start("epoll_http.ts", ["--timeout", "60", ...args]);

/** Reads one response, as long as its Content-Length says. */
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

/** Sends these bytes; returns all that the server answers until it hangs up. */
async function reply(server: Running, bytes: string | Uint8Array) {
  using conn = await connect(server.port);
  await send(conn, bytes).catch(() => {});
  await conn.closeWrite().catch(() => {});
  return await rest(conn).catch((error) => `lost: ${error}`);
}
/** The status codes in a reply. */
const codes = (text: string) =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((found) => Number(found[1]));

test("epoll_http.ts: fetch and a request typed into client.ts get the page", async () => {
  await using server = await up();
  const page = await fetch(`http://127.0.0.1:${server.port}/?x=/y`);
  assertEquals(await page.text(), HELLO);
  assertEquals(page.headers.get("content-type"), "text/plain; charset=utf-8");
  const date = page.headers.get("date")!;
  assertEquals(new Date(date).toUTCString(), date);
  assert(Math.abs(Date.parse(date) - Date.now()) < 5000, date);
  await server.until(/\n-{40}\nGET \/\?x=\/y HTTP\/1.1\n/);

  const { code, stdout } = await client(server.port, "GET / HTTP/1.0\n\n");
  assertEquals(code, 0);
  assertMatch(stdout, /^HTTP\/1.1 200 OK\r\n(.+\r\n)+\r\nHello, world!$/);
  assertStringIncludes(stdout, "\r\nConnection: close\r\n");
});

test("epoll_http.ts: a connection that stays open: new dates, and HTTP/1.0 is told", async () => {
  await using server = await up("--echo", "--quiet");
  using conn = await connect(server.port);
  const requests = [GET, post("Content-Length: 3", "abc")];
  const dates = async () => {
    const dates: number[] = [];
    for (const request of requests) {
      await send(conn, request);
      const { head } = await response(conn);
      dates.push(Date.parse(/^Date: (.*)\r$/m.exec(head)![1]));
    }
    return dates;
  };
  const first = await dates();
  await pause(1100);
  for (const [i, date] of (await dates()).entries()) {
    assert(date > first[i], `the date stays: ${requests[i]}`);
  }
  await send(conn, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const { head } = await response(conn);
  assertStringIncludes(head, "\r\nConnection: keep-alive\r\n");
});

test("epoll_http.ts: a request in two pieces is answered, wherever it is cut", async () => {
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

test("epoll_http.ts: good and bad requests get the right status, whole or byte by byte", async () => {
  await using server = await up("--quiet");
  await Promise.all(rows.map(async ([name, request, expected]) => {
    const bytes = latin1(request);
    assertEquals(codes(await reply(server, bytes)), [expected].flat(), name);
  }));
  await Promise.all(rows.map(async ([name, request, expected]) => {
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

test("epoll_http.ts: HEAD gets the fields and no body, refused or not", async () => {
  await using server = await up("--quiet");
  using conn = await connect(server.port);
  await send(conn, GET.replace("GET", "HEAD"));
  const { head } = await response(conn, "HEAD");
  assertStringIncludes(head, `\r\nContent-Length: ${HELLO.length}\r\n`);
  await talk(conn); // the next response begins right after it
  for (
    const [request, status] of [
      ["HEAD / HTTP/1.1\r\nX : y\r\n\r\n", 400],
      ["HEAD /\x7f HTTP/1.1\r\n\r\n", 400],
      [`HEAD /${"x".repeat(20000)}`, 414],
      ["HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404],
    ] as const
  ) {
    const text = await reply(server, request);
    assertEquals(codes(text), [status]);
    assertMatch(text, /^(.+\r\n)+\r\n$/);
  }
});

test("epoll_http.ts: 503 for a client that finds no descriptor left", async () => {
  await using server = await start(
    "epoll_http.ts",
    ["--timeout", "60", "--quiet"],
    (command) => `ulimit -n 40; exec ${command}`,
  );
  const conns = [];
  for (let i = 0; i < 40; i++) conns.push(await connect(server.port));
  const { status, head, body } = await response(conns.at(-1)!);
  assertEquals(status, 503);
  assertStringIncludes(head, "\r\nConnection: close\r\n");
  assertEquals(body, "too many open files (EMFILE)\n");
  for (const conn of conns) conn.close();
});

test("epoll_http.ts: OPTIONS tells which methods the server knows", async () => {
  await using server = await up("--quiet");
  for (const target of ["/", "*"]) {
    using conn = await connect(server.port);
    await send(conn, GET.replace("GET /", `OPTIONS ${target}`));
    const { status, head, body } = await response(conn);
    assertEquals({ status, body }, { status: 200, body: "" });
    assertStringIncludes(head, "\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n");
    await talk(conn);
  }
});

test("epoll_http.ts: prints the request, and no forged one from its body", async () => {
  await using server = await up();
  using conn = await connect(server.port);
  await send(conn, post("Content-Length: 80").replace("/", "/upload"));
  await server.until("POST /upload HTTP/1.1\nHost: a\nContent-Length: 80\n");
  await send(conn, GET.replace("/", "/forged").padEnd(80, "x"));
  assertEquals((await response(conn)).status, 404);
  await talk(conn);
  const output = await server.until("GET / HTTP");
  const shown = output.match(/(?<=-{40}\n).*/g);
  assertEquals(shown, ["POST /upload HTTP/1.1", "GET / HTTP/1.1"]);
});

test("epoll_http.ts: a TLS client, or rubbish, is refused at once", async () => {
  await using server = await up("--quiet");
  for (const start of ["\x16\x03\x01\x02\0\x01\0\x01\xfc", "GET /\x80"]) {
    using conn = await connect(server.port);
    await send(conn, latin1(start));
    assertEquals(codes(await rest(conn)), [400]); // and we have not hung up
  }
});

test("epoll_http.ts: 503 if there is no memory left for a body, 200 when there is again", async () => {
  await using server = await up("--echo", "--quiet", "--bodies", "1");
  const body = "x".repeat(700_000);
  const request = post(`Content-Length: ${body.length + 1}`, body);
  using first = await connect(server.port);
  await send(first, request);
  await pause(100);
  {
    using second = await connect(server.port);
    await send(second, request).catch(() => {});
    assertEquals((await response(second)).status, 503);
  }
  await send(first, "y");
  assertEquals((await response(first)).body, body + "y");
  await send(first, request + "z"); // its own memory is free again
  assertEquals((await response(first)).body, body + "z");
  {
    using gone = await connect(server.port);
    await send(gone, request);
    await pause(100);
    reset(gone);
  }
  using last = await connect(server.port);
  await send(last, request + "!");
  assertEquals((await response(last)).body, body + "!");
});

test("epoll_http.ts: a body that was answered takes no memory from others", async () => {
  await using server = await up("--echo", "--quiet", "--bodies", "1");
  const body = "x".repeat(700_000);
  const request = (field: string) =>
    post(`Content-Length: ${body.length}${field}`, body);
  const conns: Deno.Conn[] = [];
  // None of them hangs up, or asks for anything more.
  for (const field of ["\r\nConnection: close", ""]) {
    for (let i = 0; i < 3; i++) {
      const conn = await connect(server.port);
      conns.push(conn);
      await send(conn, request(field));
      assertEquals((await response(conn)).body, body, `${conns.length}`);
    }
  }
  // Nor does one that was refused in the middle.
  const size = 300_000;
  const bad = `${size.toString(16)}\r\n${"x".repeat(size)}oops`;
  for (let i = 0; i < 4; i++) {
    const conn = await connect(server.port);
    conns.push(conn);
    await send(conn, chunked(bad));
    assertEquals((await response(conn)).status, 400);
  }
  for (const conn of conns) conn.close();
});

test("epoll_http.ts: a body that the client has not read yet still takes memory", async () => {
  await using server = await up("--echo", "--quiet", "--bodies", "1");
  const body = "x".repeat(700_000);
  const request = post(`Content-Length: ${body.length}`, body);
  using slow = await connect(server.port);
  const count = 40; // more than the kernel takes for a client
  const sending = send(slow, request.repeat(count));
  sending.catch(() => {}); // if the test fails before it awaits this
  assert(await sleeps(server.pid), "it spins");
  const status = async () => {
    using conn = await connect(server.port);
    await send(conn, request).catch(() => {});
    return (await response(conn)).status;
  };
  // On a busy machine, the slow client may still have been sending.
  for (let tries = 0; await status() !== 503; tries++) {
    assert(tries < 20, "a body is kept, and not counted");
    await sleeps(server.pid);
  }
  for (let i = 0; i < count; i++) {
    assertEquals((await response(slow)).body, body);
  }
  await sending;
  assertEquals(await status(), 200);
});

test("epoll_http.ts: a large body among small ones is answered in its turn, and all of it", async () => {
  await using server = await up("--echo", "--quiet");
  const small = (text: string) => post("Content-Length: 3", text);
  const large = "x".repeat(40_000) + "y"; // all come in one piece
  for (const field of ["", "\r\nConnection: close"]) {
    using conn = await connect(server.port);
    const last = post(`Content-Length: ${large.length}${field}`, large);
    const answers = (async () => {
      for (const body of ["abc", "def", "ghi", large]) {
        assertEquals((await response(conn)).body, body);
      }
    })();
    await send(conn, ["abc", "def", "ghi"].map(small).join("") + last);
    await answers;
    if (field) assertEquals(await rest(conn), "");
    else await talk(conn);
  }
});

test("epoll_http.ts: --echo answers with the body, sent with a length or in chunks", async () => {
  await using server = await up("--echo", "--quiet");
  using conn = await connect(server.port);
  await send(conn, post("Content-Length: 6", "食堂"));
  assertEquals((await response(conn)).body, "食堂");
  await send(conn, chunked("3;x\r\n食\r\n3\r\n堂\r\n0\r\nX: y\r\n\r\n"));
  assertEquals((await response(conn)).body, "食堂");
  for (const empty of [post("Content-Length: 0"), chunked("0\r\n\r\n")]) {
    await send(conn, empty);
    const { status, body } = await response(conn);
    assertEquals({ status, body }, { status: 200, body: "" });
  }
  await send(conn, post("Content-Length: 3", "abc").replace("POST", "GET"));
  assertEquals((await response(conn)).body, "abc");
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

test("epoll_http.ts: a client that waits for 100 Continue gets it, if it has a body", async () => {
  await using server = await up("--echo");
  using conn = await connect(server.port);
  await send(conn, post("Expect: 100-Continue\r\nContent-Length: 3"));
  assertEquals((await response(conn)).status, 100);
  await send(conn, "abc");
  assertEquals((await response(conn)).body, "abc");
  // The next request does not expect it.
  await send(conn, post("Content-Length: 3", "def"));
  assertEquals((await response(conn)).body, "def");
  await send(conn, post("Expect: 100-continue\r\nContent-Length: 0"));
  assertEquals((await response(conn)).status, 200);
});

test("epoll_http.ts: pipelined requests of a client that does not read wait, in little memory", async () => {
  await using server = await up("--echo", "--quiet");
  using conn = await connect(server.port);
  const count = 40;
  const body = "x".repeat(1 << 20);
  const sending = send(
    conn,
    post(`Content-Length: ${body.length}`, body).repeat(count),
  );
  sending.catch(() => {}); // if the test fails before it awaits this
  await pause(300);
  using other = await connect(server.port);
  await talk(other);
  // What the server received last must not be overwritten by another's bytes.
  const chatter = "y".repeat(300_000);
  await send(other, post(`Content-Length: ${chatter.length}`, chatter));
  assertEquals((await response(other)).body, chatter);
  assert(await sleeps(server.pid), "it spins");
  assert(memory(server.pid) < 250, `${memory(server.pid)} MB`);
  for (let i = 0; i < count; i++) {
    assertEquals((await response(conn)).body, body);
  }
  await sending;
});

test("epoll_http.ts: small responses of a client that does not read wait unchanged", async () => {
  await using server = await up("--echo", "--quiet");
  using slow = await connect(server.port);
  const count = 200_000; // 24 MB of responses: more than the kernel takes
  const sending = send(slow, GET.repeat(count));
  sending.catch(() => {}); // if the test fails before it awaits this
  assert(await sleeps(server.pid), "it spins");
  using other = await connect(server.port);
  const body = "x".repeat(5000);
  await send(other, post(`Content-Length: ${body.length}`, body).repeat(3));
  for (let i = 0; i < 3; i++) {
    assertEquals((await response(other)).body, body);
  }
  await send(other, GET);
  const { head } = await response(other);
  const date = /(?<=\r\nDate: ).*(?=\r\n)/g;
  const one = (head + HELLO).replace(date, "");
  const all = await receive(slow, count * (head.length + HELLO.length));
  await sending;
  const undated = new TextDecoder().decode(all).replaceAll(date, "");
  assert(undated === one.repeat(count), "other bytes came");
});

test("epoll_http.ts: requests that come together are answered in one send", async () => {
  await using server = await up("--quiet", "--trace");
  using conn = await connect(server.port);
  const sizes = () =>
    [...server.output().matchAll(/ send\(\d+, (\d+) bytes/g)]
      .map((found) => Number(found[1]));
  await talk(conn);
  await server.until(/ send\(\d+, \d+ bytes .*ms/);
  const [size] = sizes();
  await send(conn, GET.repeat(16));
  await receive(conn, 16 * size);
  await server.until(` ${16 * size} bytes`);
  // Of very many, the server does not keep all responses before it sends one.
  const count = 2000;
  await send(conn, GET.repeat(count));
  await receive(conn, count * size);
  assert(Math.max(...sizes()) < 16 * 1024 + size, `${sizes()}`);
});

test("epoll_http.ts: after the last response the server hangs up at once", async () => {
  await using server = await up("--quiet");
  const before = sockets(server.pid);
  const last = GET.replace("\r\n", "\r\nConnection: close\r\n");
  using answered = await connect(server.port);
  using refused = await connect(server.port);
  await send(answered, last);
  await send(refused, "GET / \0");
  assertEquals(codes(await rest(answered)), [200]);
  assertEquals(codes(await rest(refused)), [400]);
  // It has stopped sending, and still receives: for two seconds, not sixty.
  assertEquals(sockets(server.pid), before + 2);
  await eventually(
    () => sockets(server.pid) === before,
    "it waits for clients that do not hang up",
  );
});

test("epoll_http.ts: a refusal reaches a client that is still sending", async () => {
  await using server = await up("--quiet");
  const piece = new Uint8Array(1 << 20);
  const before = memory(server.pid);
  for (let i = 0; i < 5; i++) {
    using conn = await connect(server.port);
    const sending = (async () => {
      await send(conn, post("Content-Length: 99999999"));
      const count = i === 0 ? 90 : 8;
      for (let sent = 0; sent < count; sent++) await send(conn, piece);
      await conn.closeWrite();
    })().catch(() => {}); // a busy server hangs up after two seconds
    assertEquals(codes(await rest(conn)), [413]);
    await sending;
    // What comes after the refusal is not kept.
    const kept = memory(server.pid) - before;
    assert(kept < 50, `${kept} MB`);
  }
});

test("epoll_http.ts: a clock that is set back, or forward, ends no connection", async () => {
  for (const hours of [-1, 1]) {
    // Each look at the clock shows another hour.
    await using copy = await altered(
      "epoll_http.ts",
      "const http = ",
      `const { now } = Date;
      let looks = 0;
      Date.now = () => now() + ${hours} * 3_600_000 * looks++;
      const http = `,
    );
    const args = ["--timeout", "60", "--quiet"];
    await using server = await start(copy.script, args);
    using slow = await connect(server.port);
    await send(slow, "GET / HTTP/1.1\r\n");
    using conn = await connect(server.port);
    const dates: number[] = [];
    for (let i = 0; i < 100; i++) {
      await send(conn, GET);
      const { head } = await response(conn);
      dates.push(Date.parse(/^Date: (.*)\r$/m.exec(head)![1]));
    }
    await send(slow, "Host: a\r\n\r\n");
    assertEquals((await response(slow)).status, 200, `${hours} h each`);
    assertEquals(dates, dates.toSorted((a, b) => (a - b) * hours));
    assertEquals(new Set(dates).size, dates.length);
  }
});

test("epoll_http.ts: nobody's time runs out while the server is stopped", async () => {
  await using server = await up("--timeout", "1.6", "--quiet", "--echo");
  const all = (some: Deno.Conn[], text: string) =>
    Promise.all(some.map((conn) => send(conn, text).catch(() => {})));
  /** What the clients get, and for how many ms the server was not stopped. */
  const attempt = async () => {
    const start = performance.now();
    const conns = await Promise.all(
      Array.from({ length: 150 }, () => connect(server.port)),
    );
    // Some have sent only a part of their request.
    const slow = conns.slice(0, 20);
    await Promise.all(conns.map((conn) => talk(conn).catch(() => {})));
    await all(slow, post("Content-Length: 3", "a"));
    Deno.kill(server.pid, "SIGSTOP");
    const stopped = performance.now();
    await all(conns.slice(20), GET);
    await pause(2200);
    const resumed = performance.now();
    Deno.kill(server.pid, "SIGCONT");
    await all(slow, "bc");
    const ran = stopped - start + performance.now() - resumed;
    const statuses = await Promise.all(conns.map(async (conn) => {
      const { status } = await response(conn).catch(() => ({ status: 0 }));
      conn.close();
      return status;
    }));
    return { statuses, ran };
  };
  for (let tries = 0;; tries++) {
    const { statuses, ran } = await attempt();
    if (statuses.every((status) => status === 200)) break;
    // On a busy machine, their time may have run out before or after it.
    assert(ran > 1400 && tries < 20, `${statuses} after ${ran} ms`);
  }
});

test("epoll_http.ts: slow and silent clients time out, busy ones do not", async () => {
  const large = post("Content-Length: 1000000", "x".repeat(1e6)).repeat(40);
  const flood = new TextEncoder().encode(large); // before a client waits: 40 MB
  await using server = await up("--timeout", "1", "--echo", "--quiet");
  /** Sends these parts, and no more; they are to get these status codes. */
  const late = async (
    expected: number[],
    parts: string[],
    tries = 0,
  ): Promise<void> => {
    const start = performance.now();
    using conn = await connect(server.port);
    const answer = rest(conn);
    let sent = 0;
    for (const part of parts) {
      await send(conn, part).catch(() => {}); // its time may be over
      sent = performance.now() - start;
      await pause(200);
    }
    const statuses = codes(await answer.catch(() => ""));
    if (`${statuses}` === `${expected}`) return;
    const busy = sent > 850 && tries < 20; // a busy machine: it was too late
    assert(busy, `${statuses} to ${JSON.stringify(parts)}`);
    return late(expected, parts, tries + 1);
  };
  /** Sends a byte now and then, until the server hangs up. */
  const dribbling = async () => {
    using conn = await connect(server.port);
    let over = false;
    const answer = rest(conn).finally(() => {
      over = true;
    });
    await send(conn, "GET / HTTP/1.1\r\nX: ");
    const end = performance.now() + PATIENCE;
    while (!over) {
      assert(performance.now() < end, "each byte renews the timeout");
      await send(conn, "x").catch(() => {});
      await pause(200);
    }
    assertEquals(codes(await answer), [408]);
  };
  /** Three requests, with less than the timeout between two of them. */
  const asking = async (tries = 0): Promise<void> => {
    // The server gives a new second to each request: not before it is sent.
    let renewed = performance.now();
    using conn = await connect(server.port);
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      await send(conn, GET).catch(() => {}); // its time may be over
      const late = performance.now() - renewed;
      const { status } = await response(conn).catch(() => ({ status: 0 }));
      if (status !== 200) {
        assert(late > 850 && tries < 20, `closed after ${late} ms`);
        return asking(tries + 1); // a busy machine: it was too late
      }
      renewed = start;
      await pause(600);
    }
  };
  /** Does not read: is not waited for. */
  const unread = async () => {
    using conn = await connect(server.port);
    await send(conn, flood).catch(() => {});
    const text = await rest(conn).catch(() => "");
    assert(text.length < 39e6, "a client that does not read was waited for");
  };
  await Promise.all([
    late([408], []),
    late([408], ["GET / HTTP/1.1\r\n"]),
    late([200, 408], [GET, "GET / HTTP/1.1\r\n"]),
    late([408], [post("Content-Length: 10", "abc")]),
    late([408], [chunked("5\r\nabc")]),
    late([200], [GET]), // and no 408 to a client that asks for nothing
    late([200], [GET, "\r\n"]), // an empty line is no request
    unread(),
    dribbling(), // a byte does not renew the timeout
    asking(), // a request does
  ]);
});

test("epoll_http.ts: a client that was told to leave has two seconds, also with a short --timeout", async () => {
  await using server = await up("--timeout", "1", "--quiet");
  const before = sockets(server.pid);
  /** For how many ms a client is connected that gets this response. */
  const stay = async (request: string, status: number): Promise<number> => {
    const start = performance.now();
    using conn = await connect(server.port);
    await send(conn, request);
    const [code] = codes(await rest(conn));
    // On a busy machine, a whole request may come too late.
    if (code !== status && code === 408) return stay(request, status);
    assertEquals(code, status);
    await eventually(() => sockets(server.pid) === before, "it stays");
    return performance.now() - start;
  };
  const last = GET.replace("\r\n", "\r\nConnection: close\r\n");
  const answered = await stay(last, 200);
  assert(answered > 1900, `closed after ${answered} ms`);
  const timedOut = await stay("GET", 408);
  assert(timedOut > 2900, `closed after ${timedOut} ms`);
});

const libc = Deno.dlopen("libc.so.6", {
  // int socket(int domain, int type, int protocol);
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *val, socklen_t n);
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  // int connect(int sockfd, const struct sockaddr *addr, socklen_t addrlen);
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // ssize_t send(int sockfd, const void *buf, size_t len, int flags);
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // ssize_t recv(int sockfd, void *buf, size_t len, int flags);
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

/**
 * A connection as over a slow line: of what the server sends, the kernel takes
 * some ten kB at once, and not megabytes.
 */
class NarrowConnection implements Disposable {
  #fd: number;

  constructor(port: number) {
    const AF_INET = 2;
    const SOCK_STREAM = 1;
    const SOCK_CLOEXEC = 0o2000000; // other files start servers meanwhile
    this.#fd = libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const [SOL_SOCKET, SO_RCVBUF] = [1, 8];
    libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUF, Int32Array.of(4096), 4);
    const [IPPROTO_TCP, TCP_MAXSEG] = [6, 2];
    libc.setsockopt(this.#fd, IPPROTO_TCP, TCP_MAXSEG, Int32Array.of(536), 4);
    const address = new DataView(new ArrayBuffer(16));
    address.setUint16(0, AF_INET, true);
    address.setUint16(2, port);
    address.setUint32(4, 0x7f000001);
    assertEquals(libc.connect(this.#fd, address, 16), 0);
  }

  /** Sends all of it. Returns whether the kernel has taken it: false where the
   * server has hung up. */
  send(text: string): boolean {
    let rest = new TextEncoder().encode(text);
    while (rest.length > 0) {
      const n = libc.send(this.#fd, rest, rest.length, 0);
      if (n === -1) return false;
      rest = rest.subarray(n);
    }
    return true;
  }

  /** Receives `size` bytes at most. Returns how many: 0 at the end; or -1. */
  receive(size: number): number {
    const MSG_DONTWAIT = 0x40;
    return libc.recv(this.#fd, new Uint8Array(size), size, MSG_DONTWAIT);
  }

  [Symbol.dispose]() {
    libc.close(this.#fd);
  }
}

test("epoll_http.ts: a client that reads slowly, and goes on reading, gets all", async () => {
  const timeout = 1000; // ms
  await using server = await up("--timeout", "1", "--echo", "--quiet");
  const body = "x".repeat(1 << 20);
  const read = async (tries = 0): Promise<void> => {
    using conn = new NarrowConnection(server.port);
    const begin = performance.now();
    const isSent = conn.send(post(`Content-Length: ${body.length}`, body));
    const sendTime = performance.now() - begin;
    const times: number[] = []; // when something was read: 5 kB each time
    let received = 0;
    let n = isSent ? -1 : 0;
    while (n !== 0 && received < body.length) {
      await pause(7);
      n = conn.receive(body.length);
      received += Math.max(n, 0);
      times.push(performance.now());
    }
    if (received >= body.length) return;
    // The server can send more after some 25 of them.
    const late = sendTime > timeout / 2 ||
      times.some((time, i) => time - times[i - 25] > timeout / 2);
    assert(late && tries < 20, `it got ${received} bytes`);
    return read(tries + 1); // a busy machine: we have read too slowly
  };
  await read();
});

test("epoll_http.ts: clients that reset at any moment leave nothing behind", async () => {
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
  await eventually(
    () => sockets(server.pid) <= before,
    "sockets are left open",
  );
  await talk(conn);
});

test("epoll_http.ts: broken requests get the same answer in any pieces", async () => {
  const first = Number(Deno.env.get("SEED") ?? Date.now() % 1e9);
  await using server = await up("--quiet", "--echo");
  const plain = (text: string) => text.replace(/^Date: .*\r\n/gm, "");
  const one = async (seed: number) => {
    const random = randomly(seed);
    const request = mutant(random);
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
    let start = 0;
    while (start < bytes.length) {
      const end = start + 1 + random(20);
      await send(conn, bytes.subarray(start, end)).catch(() => {});
      if (random(4) === 0) await pause(0);
      start = end;
    }
    await conn.closeWrite().catch(() => {});
    assertEquals(plain(await answer), plain(whole), about);
  };
  for (let i = 0; i < 600; i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, k) => one(first + i + k)));
  }
  using conn = await connect(server.port);
  await talk(conn);
});
