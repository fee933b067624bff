import {
  assert,
  assertEquals,
  assertObjectMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  Memory,
  Refusal,
  type Request,
  RequestReader,
} from "../lib/http/request.ts";
import {
  chunked,
  GET,
  latin1,
  mutant,
  post,
  randomly,
  rows,
} from "./http_cases.ts";

const characters = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");

/**
 * What a reader makes of these bytes if they come cut at these offsets, through
 * a buffer that is overwritten each time, as a server's is.
 */
function read(bytes: Uint8Array, cuts: Iterable<number> = []): string[] {
  const reader = new RequestReader(
    new Memory(2 ** 24),
    (head) => results.push(characters(head)),
  );
  const results: string[] = [];
  const inbox = new Uint8Array(65536);
  let start = 0;
  for (const cut of [...cuts, bytes.length]) {
    inbox.fill(0x41).set(bytes.subarray(start, cut));
    reader.push(inbox.subarray(0, cut - start));
    start = cut;
    let more = true;
    while (more) {
      const request = reader.next();
      if (request instanceof Refusal) {
        return [
          ...results,
          `${request.status} ${reader.method} ${request.why}`,
        ];
      }
      more = request !== undefined || reader.expectsContinue;
      if (reader.expectsContinue) results.push("100");
      reader.expectsContinue = false;
      if (!request) continue;
      const { method, path, minor, keepAlive, body } = request;
      results.push([method, path, minor, keepAlive].join(" "));
      if (body) results.push(characters(body));
      if (!keepAlive) return results;
    }
    reader.keepUnread();
  }
  return [...results, reader.stage];
}

const everyOffset = (bytes: Uint8Array) => bytes.keys();

Deno.test("request.ts: a request means the same, cut at any offset or at all", () => {
  for (const [name, request] of rows) {
    const bytes = latin1(request);
    const whole = read(bytes);
    assertEquals(read(bytes, everyOffset(bytes)), whole, name);
    if (bytes.length > 1000) continue;
    for (const cut of bytes.keys()) {
      assertEquals(read(bytes, [cut]), whole, `${name}, cut at ${cut}`);
    }
  }
});

Deno.test("request.ts: a broken request means the same in any pieces", () => {
  const seed = Number(Deno.env.get("SEED") ?? Date.now() % 1e9);
  const random = randomly(seed);
  for (let i = 0; i < 5000; i++) {
    const request = mutant(random);
    const bytes = latin1(request);
    const whole = read(bytes);
    const about = `SEED=${seed}: ${JSON.stringify(request)}`;
    const cuts = [...bytes.keys()].filter(() => random(10) === 0);
    assertEquals(read(bytes, cuts), whole, about);
    assertEquals(read(bytes, everyOffset(bytes)), whole, about);
  }
});

/** The shortest of nine times, in ms: the others were disturbed. */
const shortest = (time: () => number) =>
  Math.min(...Array.from({ length: 9 }, time));

Deno.test("request.ts: a long head that comes byte by byte takes no more time a byte", () => {
  const reader = new RequestReader();
  const time = (size: number) => {
    const bytes = latin1(
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(size)}\r\n\r\n`,
    );
    const byte = new Uint8Array(1);
    const start = performance.now();
    for (const value of bytes) {
      byte[0] = value;
      reader.push(byte);
      if (reader.next()) return performance.now() - start;
      reader.keepUnread();
    }
    throw new Error("no request");
  };
  const best = (size: number) => shortest(() => time(size));
  best(1000); // compiles it
  const short = best(1000);
  const long = best(16000);
  assert(long < 16 * 4 * short, `${short} ms for 1 kB, ${long} ms for 16 kB`);
});

Deno.test("request.ts: a long list takes no more time a byte", () => {
  for (const name of ["Connection", "Transfer-Encoding", "Expect"]) {
    for (const filling of [" ", "\t", ",", " ,", "a "]) {
      const time = (size: number) => {
        const list = "a" + filling.repeat(size / filling.length) + "a";
        const start = performance.now();
        for (let i = 0; i < 16000; i += size) {
          read(latin1(post(`Content-Length: 1\r\n${name}: ${list}`, "x")));
        }
        return performance.now() - start;
      };
      const best = (size: number) => shortest(() => time(size));
      best(1000); // compiles it
      const short = best(1000);
      const long = best(16000);
      const about = `${short} ms in 16 lists, ${long} ms in one`;
      assert(long < 4 * short, `${name}, ${JSON.stringify(filling)}: ${about}`);
    }
  }
});

Deno.test("request.ts: bytes that no request has are refused before their line ends", () => {
  const hello = latin1("\x16\x03\x01\x02\0\x01\0\x01\xfc");
  assertEquals(read(hello)[0].slice(0, 4), "400 ");
  for (const start of ["GET /\x80", "GET /\0", "GET / HTTP/1.1\r\nX: \x01"]) {
    const [refusal] = read(latin1(start + "x".repeat(100)));
    assertStringIncludes(refusal, "400 ", JSON.stringify(start));
  }
});

Deno.test("request.ts: empty lines between requests are no request", () => {
  for (const lines of ["\r\n", "\r\n\r\n", "\r", "\n"]) {
    assertEquals(read(latin1(GET + lines)).at(-1), "idle");
  }
  assertEquals(read(latin1(GET + "\r\nG")).at(-1), "head");
});

Deno.test("request.ts: a forged head in a body is not taken for one", () => {
  const request = post("Content-Length: 80");
  const forged = GET.padEnd(80, "x");
  const bytes = latin1(request + forged);
  const results = read(bytes, [request.length]);
  assertEquals(results[0] + "\r\n", request);
  assertEquals(results.slice(1), ["POST / 1 true", forged, "idle"]);
});

Deno.test("request.ts: bodies of all clients share the memory", () => {
  const memory = new Memory(100_000);
  const a = new RequestReader(memory);
  const b = new RequestReader(memory);
  const body = "x".repeat(60_000);
  const start = latin1(post("Content-Length: 60001", body));
  a.push(start);
  assertEquals(a.next(), undefined);
  b.push(start);
  assertObjectMatch(b.next()!, { status: 503 });
  b.freeBody();
  a.push(latin1("x"));
  assertEquals((a.next() as Request).body?.length, 60_001);
  assertEquals(a.next(), undefined); // its body is no longer needed
  assertEquals(memory.available, 100_000);

  const c = new RequestReader(memory);
  c.push(latin1(chunked(`ea60\r\n${body}`)));
  assertEquals(c.next(), undefined);
  assert(memory.available < 50_000);
  c.freeBody();
  assertEquals(memory.available, 100_000);
});

Deno.test("request.ts: a body that comes byte by byte is seldom copied", () => {
  const memory = new Memory(100_000);
  const reader = new RequestReader(memory);
  const sizes = new Set<number>();
  reader.push(latin1(chunked("2710\r\n")));
  for (let i = 0; i < 10_000; i++) {
    assertEquals(reader.next(), undefined);
    reader.keepUnread();
    reader.push(Uint8Array.of(i));
    sizes.add(memory.available);
  }
  assert(sizes.size < 20, `${sizes.size} copies`);
});

Deno.test("request.ts: a head that comes byte by byte is seldom copied", () => {
  const { set } = Uint8Array.prototype;
  let copied = 0;
  Uint8Array.prototype.set = function (data, offset) {
    copied += data.length;
    set.call(this, data, offset);
  };
  try {
    const bytes = latin1(GET.replace("a", "a".repeat(10_000)));
    assertEquals(read(bytes, everyOffset(bytes))[1], "GET / 1 true");
    assert(copied < 6 * bytes.length, `${copied} bytes`);
  } finally {
    Uint8Array.prototype.set = set;
  }
});
