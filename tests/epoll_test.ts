import { assertEquals } from "@std/assert";
import { fills, greet, HELLO, serves, test } from "./server_tests.ts";
import { servesCrowds } from "./crowds.ts";
import {
  altered,
  connect,
  exchange,
  receive,
  rest,
  root,
  send,
  soon,
  start,
} from "./harness.ts";

serves("epoll.ts");
fills("epoll.ts", greet);
serves("epoll.ts", ["--edge"]);
servesCrowds("epoll.ts", ["--edge"]);

/** The calls by which a server takes 13 bytes, 4 at most with each recv. */
async function callsFor13Bytes(...args: string[]) {
  const flags = ["--buffer", "4", "--trace", "--quiet", ...args];
  await using server = await start("epoll.ts", flags);
  using conn = await connect(server.port);
  await send(conn, "is it ready?\n");
  await receive(conn, HELLO.length * 4);
  await server.until(/1 bytes "\\n"[^]*epoll_wait\([^)]*$/); // asleep again
  const output = server.output();
  return output.slice(output.indexOf("recv("))
    .match(/epoll_wait\(→|(?<=recv\(\d+, )\d|EAGAIN/g)!.join(" ");
}

test("epoll.ts: level-triggered, epoll_wait names a client until all is read", async () => {
  const again = " epoll_wait(→ ";
  assertEquals(await callsFor13Bytes(), ["4", "4", "4", "1"].join(again));
});

test("epoll.ts: --edge: epoll_wait names a client once, and all is read", async () => {
  assertEquals(await callsFor13Bytes("--edge"), "4 4 4 1 EAGAIN");
});

test("epoll.ts: --edge: all of every message is read, until EAGAIN", async () => {
  const flags = ["--edge", "--buffer", "4", "--trace", "--quiet"];
  await using server = await start("epoll.ts", flags);
  using conn = await connect(server.port);
  for (let i = 1; i <= 20; i++) {
    await send(conn, "is it ready?\n");
    // The first EAGAIN is that of accept4.
    const again = `(EAGAIN((?!EAGAIN)[^])*){${i + 1}}epoll_wait`;
    await server.until(new RegExp(again));
  }
  const output = server.output();
  const calls = output.slice(output.indexOf("recv("))
    .match(/(?<=recv\(\d+, )\d|EAGAIN|MOD/g)!.join(" ");
  assertEquals(calls, Array(20).fill("4 4 4 1 EAGAIN").join(" "));
});

test("epoll.ts: --edge: a message of more parts than are received at once is read to its end", async () => {
  const flags = ["--edge", "--buffer", "1", "--quiet"];
  await using server = await start("epoll.ts", flags);
  using conn = await connect(server.port);
  await send(conn, "x".repeat(200));
  const answers = receive(conn, HELLO.length * 200);
  await soon(answers, "the rest waits for the next message");
});

test("epoll.ts: --edge without the loop: the rest comes with the next message", async () => {
  const page = await Deno.readTextFile(new URL("epoll.ts", root));
  const [both] = page.match(/(^ +else if \(options\.edge.*\n){2}/m)!;
  await using copy = await altered("epoll.ts", both, "");
  await using server = await start(copy.script, ["--edge", "--buffer", "4"]);
  using conn = await connect(server.port);
  assertEquals(await exchange(conn, "is it ready?"), HELLO);
  await server.until(": is i\n");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals(server.output().includes("t re"), false);
  assertEquals(await exchange(conn, "well?"), HELLO);
  await server.until(": t re\n");
});

test("epoll.ts: --edge: a client that never stops sending does not keep the others waiting", async () => {
  await using server = await start("epoll.ts", [
    "--edge",
    "--buffer",
    "1",
    "--quiet",
  ]);
  const flooder = await connect(server.port);
  const flood = (async () => {
    const much = new Uint8Array(1 << 20);
    while (true) await send(flooder, much);
  })().catch(() => {});
  const reading = rest(flooder).catch(() => {});
  for (let i = 0; i < 5; i++) {
    using conn = await connect(server.port);
    const answer = exchange(conn, "x");
    assertEquals(await soon(answer, "the others wait"), HELLO);
  }
  await server.stop();
  await Promise.all([flood, reading]);
});
