/** Time limits of clients that are no longer there. */
import { assertEquals } from "@std/assert";
import { connect, exchange, rest, soon, start, suite } from "./harness.ts";

const test = suite("time limits");

test("epoll_http.ts: time does not run out for a client that has left", async () => {
  await using server = await start("epoll_http.ts", ["--timeout", "0.5"]);
  const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const leaves = await connect(server.port);
  await exchange(leaves, get);
  using stays = await connect(server.port);
  await exchange(stays, get); // its time ends later, or with that of the other
  leaves.close();
  await soon(rest(stays), "its time does not run out");
  const output = await server.until(`:${stays.localAddr.port} disconnected`);
  const left = output.split("\n").filter((line) => /disconnected/.test(line));
  assertEquals(left.map((line) => line.replace(/.*(?=:)/, "")), [
    `:${leaves.localAddr.port} disconnected`,
    `: timed out`,
  ]);
});
