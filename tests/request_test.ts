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
 * What a reader makes of these bytes if they come cut in these places, through
 * a buffer that is overwritten each time, as a server does it.
 */
function read(bytes: Uint8Array, cuts: Iterable<number> = []): string[] {
  const reader = new RequestReader(
    new Memory(2 ** 24),
    (head) => said.push(characters(head)),
  );
  const said: string[] = [];
  const inbox = new Uint8Array(65536);
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    inbox.fill(0x41).set(bytes.subarray(from, cut));
    reader.push(inbox.subarray(0, cut - from));
    from = cut;
    for (let more = true; more;) {
      const request = reader.next();
      if (request instanceof Refusal) {
        return [...said, `${request.status} ${reader.method} ${request.why}`];
      }
      more = request !== undefined || reader.expectsContinue;
      if (reader.expectsContinue) said.push("100");
      reader.expectsContinue = false;
      if (!request) continue;
      const { method, path, minor, keepAlive, body } = request;
      said.push([method, path, minor, keepAlive].join(" "));
      if (body) said.push(characters(body));
      if (!keepAlive) return said;
    }
    reader.keepUnread();
  }
  return [...said, reader.stage];
}

const everywhere = (bytes: Uint8Array) => bytes.keys();

Deno.test("request.ts: every request, cut in each place and in all", () => {
  for (const [name, request] of rows) {
    const bytes = latin1(request);
    const whole = read(bytes);
    assertEquals(read(bytes, everywhere(bytes)), whole, name);
    if (bytes.length > 1000) continue;
    for (const cut of bytes.keys()) {
      assertEquals(read(bytes, [cut]), whole, `${name}, cut at ${cut}`);
    }
  }
});

Deno.test("request.ts: mutants mean the same in any pieces", () => {
  const seed = Number(Deno.env.get("SEED") ?? Date.now() % 1e9);
  const random = randomly(seed);
  for (let i = 0; i < 5000; i++) {
    const request = mutant(random);
    const bytes = latin1(request);
    const whole = read(bytes);
    const about = `SEED=${seed}: ${JSON.stringify(request)}`;
    const cuts = [...bytes.keys()].filter(() => random(10) === 0);
    assertEquals(read(bytes, cuts), whole, about);
    assertEquals(read(bytes, everywhere(bytes)), whole, about);
  }
});

Deno.test("request.ts: a byte is looked at once, however it comes", () => {
  const reader = new RequestReader();
  const time = (size: number) => {
    const bytes = latin1(
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(size)}\r\n\r\n`,
    );
    const byte = new Uint8Array(1);
    const from = performance.now();
    for (byte[0] of bytes) {
      reader.push(byte);
      if (reader.next()) return performance.now() - from;
      reader.keepUnread();
    }
    throw new Error("no request");
  };
  const best = (size: number) =>
    Math.min(...Array.from({ length: 9 }, () => time(size)));
  best(1000); // compiles it
  const [short, long] = [best(1000), best(16000)];
  assert(long < 16 * 4 * short, `${short} ms for 1 kB, ${long} ms for 16 kB`);
});

Deno.test("request.ts: what cannot be a request is refused at once", () => {
  const hello = latin1("\x16\x03\x01\x02\0\x01\0\x01\xfc");
  assertEquals(read(hello)[0].slice(0, 4), "400 ");
  for (const start of ["GET /\x80", "GET /\0", "GET / HTTP/1.1\r\nX: \x01"]) {
    const [said] = read(latin1(start + "x".repeat(100)));
    assertStringIncludes(said, "400 ", JSON.stringify(start));
  }
});

Deno.test("request.ts: empty lines between requests are no request", () => {
  for (const lines of ["\r\n", "\r\n\r\n", "\r", "\n"]) {
    assertEquals(read(latin1(GET + lines)).at(-1), "idle");
  }
  assertEquals(read(latin1(GET + "\r\nG")).at(-1), "head");
});

Deno.test("request.ts: the head is shown, not what comes behind it", () => {
  const request = post("Content-Length: 80");
  const forged = GET.padEnd(80, "x");
  const bytes = latin1(request + forged);
  const said = read(bytes, [request.length]);
  assertEquals(said[0] + "\r\n", request);
  assertEquals(said.slice(1), ["POST / 1 true", forged, "idle"]);
});

Deno.test("request.ts: bodies of all clients share the memory", () => {
  const memory = new Memory(100_000);
  const [a, b] = [new RequestReader(memory), new RequestReader(memory)];
  const body = "x".repeat(60_000);
  const start = latin1(post("Content-Length: 60001", body));
  a.push(start);
  assertEquals(a.next(), undefined);
  b.push(start);
  assertObjectMatch(b.next()!, { status: 503 });
  b.freeBody();
  a.push(latin1("x"));
  assertEquals((a.next() as Request).body?.length, 60_001);
  assertEquals(a.next(), undefined); // the body is answered, and not needed
  assertEquals(memory.available, 100_000);

  const c = new RequestReader(memory);
  c.push(latin1(chunked(`ea60\r\n${body}`)));
  assertEquals(c.next(), undefined);
  assert(memory.available < 50_000);
  c.freeBody();
  assertEquals(memory.available, 100_000);
});
