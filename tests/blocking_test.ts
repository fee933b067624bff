import { assert, assertEquals } from "@std/assert";
import { HELLO, talks, test } from "./server_tests.ts";
import {
  connect,
  eventually,
  exchange,
  pause,
  receive,
  send,
  sleeps,
  start,
} from "./harness.ts";
import { Terminal, terminals } from "./terminal.ts";

talks("blocking.ts", [], "</dev/null");

test("blocking.ts: one client at a time, with the answers that you type", async () => {
  await using server = await start("blocking.ts");
  using second = await (async () => {
    using first = await connect(server.port);
    await send(first, "食堂开了吗?\n");
    await server.until("client msg: 食堂开了吗?\nyour msg: ");
    const second = await connect(server.port);
    await send(second, "me too\n");
    await server.write("开了\n");
    assertEquals(await receive(first, 7), new TextEncoder().encode("开了\n"));
    await pause(100);
    assertEquals(server.output().includes("me too"), false);
    return second;
  })();
  await server.until("client msg: me too\nyour msg: ");
  await server.write("now you");
  await server.end();
  assertEquals(await receive(second, 8), new TextEncoder().encode("now you\n"));
  const notice = "stdin has ended: from here on the answer is hello sir";
  for (let i = 0; i < 2; i++) {
    assertEquals(await exchange(second, "hi\n"), HELLO);
  }
  await server.until(notice);
  assertEquals(server.output().split(notice).length, 2);
});

/** The kernel's function in which a process sleeps; "0" if that is secret. */
const wchan = (pid: number) =>
  Deno.readTextFileSync(`/proc/${pid}/wchan`).trim();

test("blocking.ts: the thread is held by the kernel", async () => {
  await using server = await start(
    "blocking.ts",
    [],
    (c) => `exec ${c} </dev/null`,
  );
  const asleep = (place: RegExp) =>
    eventually(() => {
      const current = wchan(server.pid);
      return current === "0" || place.test(current);
    }, `it does not sleep in ${place}`);
  await asleep(/accept/);
  assert(await sleeps(server.pid), "it asks for clients again and again");
  using conn = await connect(server.port);
  assertEquals(await exchange(conn, "hi\n"), HELLO);
  await asleep(/wait_woken|sk_wait_data/); // for data of a socket
  assert(await sleeps(server.pid), "it asks for messages again and again");
});

const keys = await terminals("blocking.ts at a terminal");
const bytes = (text: string) => new TextEncoder().encode(text);

/** blocking.ts at a terminal, and its port. */
async function open(before = "", behind = "") {
  const terminal = await Terminal.open(120);
  const settings = await terminal.settings();
  const server = `${before}deno run -A blocking.ts --port 0${behind}`;
  await terminal.type(`clear; ${server}\r`);
  await terminal.until(/listening on .*:\d+\nin another terminal: .*$/);
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(terminal.screen())![1]);
  return { terminal, port, settings };
}

keys(
  "a line typed before there is a question is not taken for an answer",
  async () => {
    const { terminal, port } = await open();
    await using _ = terminal;
    await terminal.type("too early\r");
    await terminal.until(/too early$/);
    const first = await connect(port);
    using second = await connect(port);
    await send(first, "one\n");
    await send(second, "two\n");
    await terminal.until(/client msg: one\nyour msg:$/);
    await terminal.type("食堂\rahead\r");
    assertEquals(await receive(first, 7), bytes("食堂\n"));
    await terminal.until(/your msg: 食堂\nahead$/);
    first.close();
    await terminal.until(/client msg: two\nyour msg:$/);
    await terminal.type("for you\r");
    assertEquals(await receive(second, 8), bytes("for you\n"));
  },
);

keys("Ctrl-Z, and fg: the question stands there again", async () => {
  const { terminal, port, settings } = await open("sh -c '", "; echo ended'");
  await using _ = terminal;
  using conn = await connect(port);
  for (let i = 0; i < 2; i++) {
    await send(conn, `hungry ${i}\n`);
    await terminal.until(new RegExp(`client msg: hungry ${i}\nyour msg:$`));
    await terminal.type("dra\x1a");
    await terminal.stopped();
    await terminal.type("clear\r");
    await terminal.stands("$");
    await terminal.type("fg\r");
    await terminal.until(/^\$ fg\nsh -c .*\nyour msg:$/);
    await terminal.type("soup\r");
    assertEquals(await receive(conn, 5), bytes("soup\n"));
  }
  // And no question while it waits for a message.
  await terminal.type("\x1a");
  await terminal.stopped();
  await terminal.type("clear\r");
  await terminal.stands("$");
  await terminal.type("fg\r");
  await send(conn, "more\n");
  await terminal.until(/^\$ fg\nsh -c .*\nclient msg: more\nyour msg:$/);
  await terminal.type("\x04"); // Ctrl-D
  assertEquals(await receive(conn, 10), bytes(HELLO));
  await terminal.until(/your msg:\nstdin has ended: .* hello sir$/);
  await terminal.type("\x03");
  await terminal.until(/\n\$$/);
  assertEquals(await terminal.settings(), settings);
});

test("blocking.ts: asks once, also when stopped and continued with a message", async () => {
  await using server = await start("blocking.ts");
  using conn = await connect(server.port);
  for (let i = 0; i < 500; i++) {
    Deno.kill(server.pid, "SIGSTOP");
    await send(conn, `message ${i}\n`);
    Deno.kill(server.pid, "SIGCONT");
    await server.until(`client msg: message ${i}\nyour msg: `);
    await server.write("well\n");
    assertEquals(await receive(conn, 5), bytes("well\n"));
  }
  // A second one stands over the first, not beside it.
  assertEquals(server.output().includes("your msg: your msg: "), false);
});

test("blocking.ts: a pipe of lines that end in CRLF has not ended", async () => {
  await using server = await start("blocking.ts");
  await server.write("one\r\ntwo\r\n");
  using conn = await connect(server.port);
  for (const answer of ["one\r\n", "two\r\n"]) {
    assertEquals(await exchange(conn, "hi\n"), answer);
  }
});

test("blocking.ts: stopped and continued, it repeats the question, and only once", async () => {
  await using server = await start("blocking.ts");
  using conn = await connect(server.port);
  for (let i = 0; i < 5; i++) {
    await send(conn, `message ${i}\n`);
    await server.until(`client msg: message ${i}\nyour msg: `);
    Deno.kill(server.pid, "SIGCONT");
    await server.until(`client msg: message ${i}\nyour msg: \ryour msg: `);
    await server.write("well\n");
    assertEquals(await receive(conn, 5), bytes("well\n"));
  }
  const repeated = server.output().match(/\ryour msg: /g)!;
  assertEquals(repeated.length, 5, server.output());
});

test("blocking.ts: a long answer has no broken characters, and the next one is not lost", async () => {
  await using server = await start("blocking.ts");
  using conn = await connect(server.port);
  // Where one read of the answer ends, there is half a character.
  const long = `it is ${"食".repeat(3000)}\n`;
  await send(conn, "hi\n");
  await server.until("your msg: ");
  await server.write(`${long}and more\n`);
  const answer = await receive(conn, bytes(long).length);
  assertEquals(new TextDecoder().decode(answer), long);
  assertEquals(await exchange(conn, "hi\n"), "and more\n");
});

test("blocking.ts: where stdin cannot be read, the answer is hello sir", async () => {
  await using server = await start(
    "blocking.ts",
    [],
    (command) => `exec ${command} </`, // a folder
  );
  using conn = await connect(server.port);
  for (let i = 0; i < 2; i++) {
    assertEquals(await exchange(conn, "hi\n"), HELLO);
  }
  await server.until("stdin has ended");
});
