/** What every server that says hello must do, whatever it waits in. */
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  altered,
  client,
  connect,
  cpuTime,
  eventually,
  exchange,
  memory,
  PATIENCE,
  pause,
  receive,
  reset,
  rest,
  send,
  sleeps,
  sockets,
  soon,
  start,
  suite,
} from "./harness.ts";

/** Tests of this file that may run at the same time. */
export const test = suite("at the same time");

export const HELLO = "hello sir\n";

/** Bytes without a repetition: if some are lost or moved, the rest differs. */
function pattern(size: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(size / 4);
  let x = 1;
  for (let i = 0; i < words.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    words[i] = x;
  }
  return new Uint8Array(words.buffer);
}

/** The sockets that a program gets which a process starts: no FD_CLOEXEC. */
function inherited(pid: number): string[] {
  const O_CLOEXEC = 0o2000000;
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => name)
    .filter((fd) => {
      try {
        const link = Deno.readLinkSync(`/proc/${pid}/fd/${fd}`);
        const info = Deno.readTextFileSync(`/proc/${pid}/fdinfo/${fd}`);
        const flags = parseInt(/flags:\s+(\d+)/.exec(info)![1], 8);
        return link.startsWith("socket:") && !(flags & O_CLOEXEC);
      } catch {
        return false; // it was closed meanwhile
      }
    });
}

/**
 * What gives the clients of a listener the least room for answers that there is:
 * a few kB instead of MBs. They inherit it. @see socket(7)
 */
const SMALL = `Deno.dlopen("libc.so.6", {
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
}).symbols.setsockopt(listener, 1, 7, new Int32Array(1), 4);`; // SO_SNDBUF

/** A message and its answer, in the protocol of a server. */
type Talk = (conn: Deno.Conn) => Promise<void>;
export const greet: Talk = async (conn) =>
  assertEquals(await exchange(conn, "hi\n"), HELLO);

/** Tests for a server that serves many clients at once. */
export function serves(script: string, args: string[] = []) {
  talks(script, args);
  const up = (...more: string[]) => start(script, [...args, ...more]);

  test(`${script}: two clients at once, each gets its own answers`, async () => {
    await using server = await up("--echo");
    using first = await connect(server.port);
    using second = await connect(server.port);
    assertEquals(await exchange(second, "second"), "second");
    assertEquals(await exchange(first, "first"), "first");
    assertEquals(await exchange(second, "again"), "again");
    const output = await server.until(/: again\n/);
    for (const conn of [first, second]) {
      const { port } = conn.localAddr;
      assertStringIncludes(output, `got connection from 127.0.0.1:${port}\n`);
    }
    assertStringIncludes(output, `127.0.0.1:${first.localAddr.port}: first\n`);
    const kept = inherited(server.pid);
    assertEquals(kept, [], "a program that it starts would hold connections");
  });

  test(`${script}: two clients send halves of a character, and each is shown whole`, async () => {
    await using server = await up();
    using first = await connect(server.port);
    using second = await connect(server.port);
    const halves: [Deno.Conn, Uint8Array][] = [
      [first, Uint8Array.of(0xc3)],
      [second, Uint8Array.of(0xc3)],
      [first, Uint8Array.of(0xa9)], // é
      [second, Uint8Array.of(0xb6)], // ö
    ];
    for (const [conn, half] of halves) {
      await send(conn, half);
      await receive(conn, HELLO.length);
    }
    await server.until(`:${first.localAddr.port}: é\n`);
    await server.until(`:${second.localAddr.port}: ö\n`);
  });

  test(`${script}: a client that never reads waits alone, and may leave, or read all of its answers later`, async () => {
    await using server = await up("--echo", "--quiet");
    using glutton = await connect(server.port);
    const data = pattern(24 << 20);
    const piece = (offset: number) =>
      data.subarray(offset % data.length, offset % data.length + 65536);
    // How much both kernels hold depends on their settings: we send until
    // nothing moves any more.
    const rude = await connect(server.port);
    send(rude, data).catch(() => {}); // it is reset before all is sent
    let sent = 0;
    let enough = false;
    const sending = (async () => {
      for (; !enough; sent += 65536) await send(glutton, piece(sent));
    })();
    sending.catch(() => {}); // what fails below is to be seen, and not this
    for (let last = -1; last !== sent; await pause(100)) {
      last = sent;
      assert(memory(server.pid) < 250, "it keeps what it cannot send");
    }
    enough = true;
    const all = sent + 65536; // with the piece that is being sent
    const other = await connect(server.port);
    assertEquals(await exchange(other, "still there?"), "still there?");
    // As many bytes as one recv takes: they must not become the glutton's.
    const chatter = new Uint8Array(65536).fill(0x2e);
    for (let i = 0; i < 3; i++) {
      const sending = send(other, chatter);
      const back = await receive(other, chatter.length);
      assert(Buffer.compare(back, chatter) === 0, "another's bytes came back");
      await sending;
    }
    const before = sockets(server.pid);
    reset(rude);
    await eventually(
      () => sockets(server.pid) === before - 1,
      "a client that is reset while it gets an answer is kept",
    );
    assert(await sleeps(server.pid), "it spins");
    other.close();
    await eventually(
      () => sockets(server.pid) === before - 2,
      "a client that leaves is kept",
    );
    for (let offset = 0; offset < all; offset += 65536) {
      const back = await receive(glutton, 65536);
      const same = Buffer.compare(back, piece(offset)) === 0;
      assert(same, `other bytes at ${offset}`);
    }
    await sending;
    assert(await sleeps(server.pid), "it spins when all is sent");
    assertEquals(await exchange(glutton, "more"), "more");
  });

  // Deno does not tell the descriptor that async.ts would set this for.
  if (script === "async.ts") return;
  test(`${script}: answers that take many sends are whole, while others talk`, async () => {
    const begin = "const listener = descriptor(listen(options));";
    await using copy = await altered(script, begin, `${begin} ${SMALL}`);
    const flags = [...args, "--echo", "--quiet", "--buffer"];
    await using small = await start(copy.script, [...flags, "8192"]);
    using alone = await connect(small.port);
    await send(alone, pattern(1 << 16)); // all of it, and only then it reads
    const back = await soon(receive(alone, 1 << 16), "the rest is forgotten");
    const same = Buffer.compare(pattern(1 << 16), back) === 0;
    assert(same, "other bytes came back");
    // And here even a part of what one recv takes is too much for one send.
    await using server = await start(copy.script, [...flags, "300000"]);
    const sizes = [1 << 20, 1 << 20, 16];
    await Promise.all(sizes.map(async (size, i) => {
      using conn = await connect(server.port);
      const data = pattern(size + 4 * i);
      const sending = send(conn, data);
      const back = await receive(conn, data.length);
      await sending;
      assert(Buffer.compare(data, back) === 0, "other bytes came back");
      assertEquals(await exchange(conn, "more"), "more");
    }));
  });
}

/** Tests for any server, also one that serves clients one by one. */
export function talks(script: string, args: string[] = [], input = "") {
  stands(script, greet, args, input);
  const up = (...more: string[]) =>
    start(script, [...args, ...more], (command) => `exec ${command} ${input}`);

  test(`${script}: a conversation with client.ts`, async () => {
    await using server = await up();
    const { code, stdout, stderr } = await client(server.port, "hi\n");
    assertEquals({ code, stdout, stderr }, {
      code: 0,
      stdout: HELLO,
      stderr: "",
    });
    const output = await server.until("disconnected");
    assertStringIncludes(
      output,
      `${script}: listening on 127.0.0.1:${server.port}\n`,
    );
    assertStringIncludes(
      output,
      `deno run -A client.ts --port ${server.port}\n`,
    );
    assert(/got connection from 127\.0\.0\.1:\d+\n/.test(output));
    assert(/: hi\n/.test(output));
  });

  test(`${script}: clients leave, in peace or by reset`, async () => {
    await using server = await up();
    {
      using conn = await connect(server.port);
      assertEquals(await exchange(conn, "warm up\n"), HELLO);
    }
    await server.until("disconnected");
    const before = sockets(server.pid);
    for (let i = 0; i < 20; i++) {
      const conn = await connect(server.port);
      assertEquals(await exchange(conn, "hi\n"), HELLO);
      if (i % 2) reset(conn);
      else conn.close();
    }
    // Some have gone before the server gets to accept them.
    Deno.kill(server.pid, "SIGSTOP");
    for (let i = 0; i < 5; i++) {
      const hasty = await connect(server.port);
      await send(hasty, "hi\n");
      reset(hasty);
    }
    Deno.kill(server.pid, "SIGCONT");
    {
      using conn = await connect(server.port);
      assertEquals(await exchange(conn, "still there?"), HELLO);
    }
    const count = (word: string) => server.output().split(word).length - 1;
    await eventually(
      () =>
        count("still there?") === 1 && count("got") === count("disconnected"),
      `not all were seen to leave:\n${server.output()}`,
    );
    assert(count("disconnected") >= 22);
    assertEquals(count("cannot"), 0, server.output());
    // Each line of a client that was reset says so: those of 12 others do not.
    assertEquals(count("disconnected\n"), 12, server.output());
    const resets = count(": connection reset by peer (ECONNRESET)\n");
    assert(resets >= 10, server.output());
    await eventually(
      () => sockets(server.pid) === before,
      "descriptors are left open",
    );
  });

  test(`${script}: a client that has stopped sending still gets the answer`, async () => {
    await using server = await up();
    using conn = await connect(server.port);
    await send(conn, "hi\n");
    await conn.closeWrite();
    assertEquals(await rest(conn), HELLO);
  });

  test(`${script}: characters cut into pieces, rubbish made harmless`, async () => {
    await using server = await up();
    using conn = await connect(server.port);
    for (const byte of new TextEncoder().encode("食堂🍜")) {
      await send(conn, Uint8Array.of(byte));
      assertEquals(
        await receive(conn, HELLO.length),
        new TextEncoder().encode(HELLO),
      );
    }
    const output = await server.until("🍜");
    assertStringIncludes(output, ": 食\n");
    assert(!output.includes("\ufffd"), output);
    assert(!/(:\d+|client msg): \n/.test(output), output);
    await exchange(conn, "two\nlines \x1b[2J\0\x07\r\x9b\u202e");
    const bytes =
      ": two\\nlines \\u{1b}[2J\\u{0}\\u{7}\\u{d}\\u{9b}\\u{202e}\n";
    assertStringIncludes(await server.until("202e"), bytes);
    await send(conn, Uint8Array.of(0xff));
    await server.until(": \ufffd\n");
    await send(conn, Uint8Array.of(0x78, 0xc3)); // x, half a character, the end
    await conn.closeWrite();
    const { port } = conn.localAddr;
    const end = `: x\n[^]*:${port}: \ufffd\n[^]*:${port} disconnected\n`;
    await server.until(RegExp(end));
    {
      using telnet = await connect(server.port); // its lines end in CRLF
      await exchange(telnet, "\ufeffa\tb\u2028\u2029\u2066\r\n");
      const { port } = telnet.localAddr;
      const shown = ": \ufeffa\tb\\u{2028}\\u{2029}\\u{2066}\n";
      await server.until(script === "blocking.ts" ? shown : `:${port}${shown}`);
    }
    using wordy = await connect(server.port); // a megabyte without a newline
    const answers = rest(wordy);
    await send(wordy, "x".repeat(1 << 20));
    await wordy.closeWrite();
    assertEquals((await answers).replaceAll(HELLO, ""), "");
    await server.until(`${wordy.localAddr.port} disconnected`);
    const long = server.output().match(/x{2,}/g)!.join("");
    assertEquals(long.length, 1 << 20);
  });

  test(`${script}: --echo of 20 MB, byte for byte, in little time and memory`, async () => {
    // So much is received at once that the rest of it takes more than one send.
    const buffer = ["--buffer", "1000000"];
    await using server = await up("--echo", "--quiet", ...buffer);
    using conn = await connect(server.port);
    const data = pattern(20 << 20);
    const before = cpuTime(server.pid);
    const sending = send(conn, data);
    const back = await receive(conn, data.length);
    await sending;
    assert(Buffer.compare(data, back) === 0, "other bytes came back");
    assert(memory(server.pid) < 250, `${memory(server.pid)} MB`);
    const time = cpuTime(server.pid) - before;
    assert(time < 400, `${time} ms of CPU, to print nothing`);
    assert(!/got connection/.test(server.output()), "--quiet");
  });
}

/** Tests for any server at all, given a way to talk to it. */
export function stands(
  script: string,
  talk: Talk,
  args: string[] = [],
  input = "",
) {
  test(`${script}: goes on after signals that it does not use, and ends at Ctrl-C`, async () => {
    await using server = await start(
      script,
      args,
      (command) => `exec ${command} ${input}`,
    );
    using conn = await connect(server.port);
    await talk(conn);
    for (
      const signal of ["SIGSTOP", "SIGCONT", "SIGWINCH", "SIGCHLD"] as const
    ) {
      Deno.kill(server.pid, signal);
      await pause(20);
    }
    await talk(conn);
    Deno.kill(server.pid, "SIGINT");
    assertEquals((await server.status).signal, "SIGINT");
  });

  test(`${script}: ends quietly when nobody reads its output`, async () => {
    await using server = await start(
      script,
      args,
      // Of its status, the shell tells: head(1) has one of its own.
      (command) => `(${command} ${input}; echo status $? >&2) | head -1`,
    );
    let ended = false;
    server.status.then(() => ended = true);
    // It notices when it has something to print, and head(1) has really gone.
    for (const end = performance.now() + PATIENCE; !ended; await pause(10)) {
      assert(performance.now() < end, "it does not end");
      const conn = await connect(server.port).catch(() => {});
      if (conn) await talk(conn).catch(() => {});
      conn?.close();
    }
    const SIGPIPE = 13; // a shell says 128 more, as it does of `yes`
    const lines = server.output().split("\n").slice(1);
    assertEquals(lines, [`status ${128 + SIGPIPE}`, ""], server.output());
  });
}

/** Tests what a server does when it has no descriptor left for a client. */
export function fills(script: string, talk: Talk, args: string[] = []) {
  test(`${script}: out of descriptors, it tells clients that cannot stay, and goes on`, async () => {
    const began = performance.now();
    await using server = await start(
      script,
      args,
      (command) => `ulimit -n 40; exec ${command}`,
    );
    const conns = [];
    for (let i = 0; i < 40; i++) conns.push(await connect(server.port));
    await server.until(
      "cannot accept: too many open files (EMFILE), 1 so far",
    );
    await talk(conns[0]);
    assertStringIncludes(await rest(conns.at(-1)!), "too many open files");
    assert(await sleeps(server.pid), "it spins");
    // A client leaves: there is room at once.
    conns[0].close();
    for (let tries = 0;; tries++) {
      const next = await connect(server.port);
      const answered = await talk(next).then(() => true, () => false);
      next.close();
      if (answered) break;
      assert(tries < 50, "nobody gets in any more");
      await pause(10);
    }
    const warnings = server.output().match(/cannot accept/g)!.length;
    const seconds = (performance.now() - began) / 1000;
    assert(warnings <= 1 + seconds / 5, server.output());
    for (const conn of conns.slice(1)) conn.close();
  });
}
