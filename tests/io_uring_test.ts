import { Buffer } from "node:buffer";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fills, greet, serves, test } from "./server_tests.ts";
import { crowds } from "./crowds.ts";
import {
  connect,
  eventually,
  exchange,
  exists,
  ioUring,
  pause,
  receive,
  send,
  start,
} from "./harness.ts";

serves("io_uring.ts");
fills("io_uring.ts", greet);
crowds("io_uring.ts");

test("io_uring.ts: more at once than its rings have entries", async () => {
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

test("io_uring.ts: what did not fit goes out before what came later", async () => {
  await using server = await start("io_uring.ts", ["--echo", "--quiet"]);
  await Promise.all([1, 2].map(async (i) => {
    using conn = await connect(server.port);
    // How much the kernels hold depends on their settings, and on who was
    // faster: we send until nothing moves any more, however much that is.
    const piece = (at: number) =>
      new Uint32Array(5000 + i).map((_, word) => i * (at + word));
    let [sent, enough] = [0, false];
    const sending = (async () => {
      while (!enough) {
        const words = piece(sent);
        await send(conn, new Uint8Array(words.buffer));
        sent += words.length;
        await pause(0);
      }
    })();
    for (let last = -1; last !== sent; await pause(100)) last = sent; // stuck
    enough = true;
    for (let at = 0; at < sent; at += 5000 + i) {
      const back = await receive(conn, 4 * (5000 + i));
      const due = new Uint8Array(piece(at).buffer);
      assert(Buffer.compare(back, due) === 0, `not in order at word ${at}`);
    }
    await sending;
  }));
});

const root = new URL("..", import.meta.url);

/**
 * What the script says, and how it ends, where io_uring_setup fails: a seccomp
 * filter is what containers forbid it with, and it outlives execv.
 */
async function withoutRing(errno: number) {
  const [SETUP, ALLOW, ERRNO] = [425, 0x7fff0000, 0x50000];
  const code = `
    const { prctl, execv } = Deno.dlopen("libc.so.6", {
      prctl: {
        parameters: ["i32", "usize", "buffer", "usize", "usize"],
        result: "i32",
      },
      execv: { parameters: ["buffer", "buffer"], result: "i32" },
    }).symbols;
    const at = (data) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(data));
    // struct sock_filter { u16 code; u8 jt, jf; u32 k; }: load the number of
    // the call; unless it is this one, skip one; fail; allow.
    const filter = new Uint32Array([
      0x20, 0, 0x15 | 1 << 24, ${SETUP}, 6, ${ERRNO | errno}, 6, ${ALLOW},
    ]);
    prctl(38, 1n, null, 0n, 0n); // PR_SET_NO_NEW_PRIVS
    prctl(22, 2n, new BigUint64Array([4n, at(filter)]), 0n, 0n); // PR_SET_SECCOMP
    const words = [Deno.execPath(), "run", "-A", "io_uring.ts", "--port", "0"]
      .map((word) => new TextEncoder().encode(word + "\\0"));
    execv(words[0], new BigUint64Array([...words.map(at), 0n]));
  `;
  const { code: status, stdout, stderr } = await new Deno.Command(
    Deno.execPath(),
    { args: ["eval", code], cwd: root, env: { NO_COLOR: "1" } },
  ).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return [status, text(stdout) + text(stderr)] as const;
}

test("io_uring.ts: where it is forbidden or too old, one line", async () => {
  const [EPERM, EINVAL, ENOSYS] = [1, 22, 38];
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
      // Stopped, it finds what all have said at once, as a busy server does.
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
