import { assertEquals, assertStringIncludes } from "@std/assert";
import { fills, greet, HELLO, serves, test } from "./server_tests.ts";
import { servesCrowds } from "./crowds.ts";
import {
  altered,
  connect,
  eventually,
  exchange,
  receive,
  rest,
  send,
  sockets,
  soon,
  start,
} from "./harness.ts";

serves("coroutines.ts");
fills("coroutines.ts", greet);
servesCrowds("coroutines.ts");

test("coroutines.ts: when a coroutine throws, only its client has to leave", async () => {
  const show = "peer.show(message);";
  const spill = `if (message[0] === 0x21) throw new Error("Spilled"); ${show}`;
  await using copy = await altered("coroutines.ts", show, spill);
  await using server = await start(copy.script);
  const before = sockets(server.pid);
  using first = await connect(server.port);
  assertEquals(await exchange(first, "hi\n"), HELLO);
  using second = await connect(server.port);
  await send(second, "!");
  assertEquals(await soon(rest(second), "it is kept"), "");
  const name = `127.0.0.1:${second.localAddr.port}`;
  await server.until(`${name} disconnected: spilled\n`);
  assertEquals(await exchange(first, "still there?\n"), HELLO);
  await eventually(() => sockets(server.pid) === before + 1, "it is kept");
});

test("coroutines.ts: a client that leaves and one that gets its descriptor are not mixed up", async () => {
  await using server = await start("coroutines.ts", ["--echo", "--trace"]);
  using stays = await connect(server.port);
  assertEquals(await exchange(stays, "a"), "a");
  const leaves = await connect(server.port);
  assertEquals(await exchange(leaves, "b"), "b");
  // All of it in one round: one leaves, one comes, one has said something.
  Deno.kill(server.pid, "SIGSTOP");
  leaves.close();
  using comes = await connect(server.port);
  await send(comes, "c");
  await send(stays, "d");
  Deno.kill(server.pid, "SIGCONT");
  assertEquals(new TextDecoder().decode(await receive(stays, 1)), "d");
  assertEquals(new TextDecoder().decode(await receive(comes, 1)), "c");
  assertEquals(await exchange(stays, "e"), "e");
  assertEquals(await exchange(comes, "f"), "f");
  const output = server.output();
  const fds = [...output.matchAll(/accept4\(\d+ → (\d+)\)/g)];
  assertEquals(fds[1][1], fds[2][1], "it has another descriptor");
});

test("coroutines.ts: reads nothing from a client that does not read, and goes on where it stopped", async () => {
  await using server = await start("coroutines.ts", [
    "--echo",
    "--quiet",
    "--trace",
  ]);
  using conn = await connect(server.port);
  const sending = send(conn, new Uint8Array(20 << 20));
  sending.catch(() => {}); // what fails below is to be seen, and not this
  const output = await server.until(/MOD \d+ EPOLLOUT\)[^]*epoll_wait\($/);
  assertStringIncludes(output, "epoll_ctl(MOD");
  const chunk = new Uint8Array(1 << 20);
  for (let received = 0; received < 20 << 20;) {
    received += await conn.read(chunk) ?? 0;
  }
  await sending;
  await server.until(/MOD \d+ EPOLLIN\)[^]*epoll_wait\($/);
});
