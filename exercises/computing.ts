/**
 * A first server that has to compute: a client sends a number, and gets how
 * many primes there are below it. Deno waits for all clients at once.
 *
 *   deno run -A exercises/computing.ts    and: deno run -A client.ts, twice
 *
 * One client asks for 10000000, and meanwhile the other for 100. What is wrong:
 * deno task exercise computing
 *
 * From the article: none of its servers computes; whoever puts real work into
 * one of their loops has this fault.
 */
import { chosenPort } from "./libc.ts";

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) {
    if (n % divisor === 0) return false;
  }
  return true;
}

function primesBelow(limit: number): number {
  let count = 0;
  for (let n = 2; n < limit; n++) {
    if (isPrime(n)) count++;
  }
  return count;
}

async function serve(conn: Deno.Conn) {
  const buffer = new Uint8Array(1024);
  while (true) {
    const size = await conn.read(buffer);
    if (size === null) break; // the client has left
    const limit = Number(new TextDecoder().decode(buffer.subarray(0, size)));
    console.log(`primes below ${limit}?`);
    const count = primesBelow(limit);
    await conn.write(new TextEncoder().encode(`${count}\n`));
  }
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: chosenPort() });
console.log(`listening on 127.0.0.1:${listener.addr.port}`);

for await (const conn of listener) {
  console.log(`got connection from 127.0.0.1:${conn.remoteAddr.port}`);
  serve(conn).catch(() => console.log("crashed")).finally(() => conn.close());
}
