import { Buffer } from "node:buffer";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fills, greet, serves, test } from "./server_tests.ts";
import { servesCrowds } from "./crowds.ts";
import {
  connect,
  eventually,
  exchange,
  exists,
  ioUring,
  pause,
  receive,
  root,
  send,
  start,
} from "./harness.ts";

serves("io_uring.ts");
fills("io_uring.ts", greet);
servesCrowds("io_uring.ts");

test("io_uring.ts: more messages at once than its rings have entries", async () => {
  await using server = await start("io_uring.ts", ["--echo", "--quiet"]);
  const conns = await Promise.all(
    Array.from({ length: 500 }, () => connect(server.port)),
  );
  for (const conn of conns) await exchange(conn, "hi");
  for (let round = 0; round < 3; round++) {
    Deno.kill(server.pid, "SIGSTOP");
    const text = `${round}`.repeat(65536); // four times what one receive takes
    const sending = Promise.all(conns.map((conn) => send(conn, text)));
    // Where the kernel has no room for all of it, some are not done by then.
    await Promise.race([sending, pause(1000)]);
    Deno.kill(server.pid, "SIGCONT");
    await Promise.all(conns.map(async (conn) => {
      const back = await receive(conn, text.length);
      assert(new TextDecoder().decode(back) === text);
    }));
    await sending;
  }
  for (const conn of conns) conn.close();
});

test("io_uring.ts: bytes that did not fit are sent before later ones", async () => {
  await using server = await start("io_uring.ts", ["--echo", "--quiet"]);
  await Promise.all([1, 2].map(async (i) => {
    using conn = await connect(server.port);
    // How much the kernels hold depends on their settings, and on which side is
    // faster: we send until nothing moves any more.
    const size = 5000 + i; // words
    const piece = (offset: number) =>
      new Uint32Array(size).map((_, word) => i * (offset + word));
    let sent = 0;
    let enough = false;
    const sending = (async () => {
      while (!enough) {
        const words = piece(sent);
        await send(conn, new Uint8Array(words.buffer));
        sent += words.length;
        await pause(0);
      }
    })();
    for (let last = -1; last !== sent; await pause(100)) last = sent;
    enough = true;
    for (let offset = 0; offset < sent; offset += size) {
      const back = await receive(conn, 4 * size);
      const expected = new Uint8Array(piece(offset).buffer);
      const same = Buffer.compare(back, expected) === 0;
      assert(same, `not in order at word ${offset}`);
    }
    await sending;
  }));
});

test("io_uring.ts: one request accepts all clients, however many come and go", async () => {
  const merged = (command: string) => `exec ${command} 2>&1`;
  const flags = ["--trace", "--quiet"];
  await using server = await start("io_uring.ts", flags, merged);
  for (let i = 0; i < 5; i++) {
    using conn = await connect(server.port);
    await exchange(conn, "hi");
  }
  const closed = () => server.output().match(/ close\(/g)?.length;
  await eventually(() => closed() === 5, "not all were seen to leave");
  const requests = server.output().match(/ACCEPT \d+(?=[,;])/g)!;
  assertEquals(requests.length, 1, server.output());
});

/**
 * Runs the script where io_uring_setup fails with that errno; returns its status
 * and output. Containers forbid calls by a seccomp filter; it outlives execv.
 */
async function withoutRing(errno: number) {
  const IO_URING_SETUP = 425;
  const SECCOMP_RET_ALLOW = 0x7fff0000;
  const SECCOMP_RET_ERRNO = 0x50000;
  const code = `
    const { prctl, execv } = Deno.dlopen("libc.so.6", {
      prctl: {
        parameters: ["i32", "usize", "buffer", "usize", "usize"],
        result: "i32",
      },
      execv: { parameters: ["buffer", "buffer"], result: "i32" },
    }).symbols;
    const address = (data) =>
      Deno.UnsafePointer.value(Deno.UnsafePointer.of(data));
    // struct sock_filter { u16 code; u8 jt, jf; u32 k; }: load the number of
    // the call; unless it is this one, skip one; fail; allow.
    const filter = new Uint32Array([
      0x20, 0, 0x15 | 1 << 24, ${IO_URING_SETUP},
      6, ${SECCOMP_RET_ERRNO | errno}, 6, ${SECCOMP_RET_ALLOW},
    ]);
    prctl(38, 1n, null, 0n, 0n); // PR_SET_NO_NEW_PRIVS
    prctl(22, 2n, new BigUint64Array([4n, address(filter)]), 0n, 0n); // PR_SET_SECCOMP
    const words = [Deno.execPath(), "run", "-A", "io_uring.ts", "--port", "0"]
      .map((word) => new TextEncoder().encode(word + "\\0"));
    execv(words[0], new BigUint64Array([...words.map(address), 0n]));
  `;
  const { code: status, stdout, stderr } = await new Deno.Command(
    Deno.execPath(),
    { args: ["eval", code], cwd: root, env: { NO_COLOR: "1" } },
  ).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return [status, text(stdout) + text(stderr)] as const;
}

test("io_uring.ts: where it is forbidden or too old, one line", async () => {
  const EPERM = 1;
  const EINVAL = 22;
  const ENOSYS = 38;
  const texts: [number, string][] = [
    [EPERM, "operation not permitted (EPERM): forbidden here, "],
    [EINVAL, "invalid argument (EINVAL): this kernel is older than 6.1; "],
    [ENOSYS, "function not implemented (ENOSYS): not in this kernel, "],
  ];
  await Promise.all(texts.map(async ([errno, text]) => {
    const [status, output] = await withoutRing(errno);
    assertStringIncludes(output, `io_uring.ts: io_uring_setup: ${text}`);
    assert(/^[^\n]*; async\.ts runs here too\n$/.test(output), output);
    assertEquals(status, 1);
  }));
});

Deno.test({
  name: "io_uring.ts: fewer than 0.3 system calls a message",
  ignore: !ioUring || !await exists("strace"),
  async fn() {
    await using server = await start("io_uring.ts", ["--echo", "--quiet"]);
    const conns = await Promise.all(
      Array.from({ length: 64 }, () => connect(server.port)),
    );
    for (const conn of conns) await exchange(conn, "warm up");
    const strace = new Deno.Command("strace", {
      args: ["-c", "-U", "calls,name", "-p", `${server.pid}`],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    await eventually(
      () =>
        /TracerPid:\t[1-9]/.test(
          Deno.readTextFileSync(`/proc/${server.pid}/status`),
        ),
      "strace does not attach",
    );
    const rounds = 20;
    for (let round = 0; round < rounds; round++) {
      // Stopped, it finds the messages of all at once, as a busy server does.
      Deno.kill(server.pid, "SIGSTOP");
      const text = `${round} `.padEnd(64, "x");
      for (const conn of conns) await send(conn, text);
      Deno.kill(server.pid, "SIGCONT");
      for (const conn of conns) {
        assertEquals(
          new TextDecoder().decode(await receive(conn, 64)),
          text,
        );
      }
    }
    strace.kill("SIGINT");
    const { stderr } = await strace.output();
    const table = new TextDecoder().decode(stderr);
    const calls = Number(/(\d+) total/.exec(table)![1]);
    const each = calls / (conns.length * rounds);
    assert(each < 0.3, `${each} a message:\n${table}`);
    for (const conn of conns) conn.close();
  },
});
