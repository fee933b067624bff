import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  traceCalls,
  type TraceEvent,
  type TraceWarning,
} from "../lib/trace.ts";
import {
  client,
  connect,
  eventually,
  exchange,
  exists,
  reset,
  type Running,
  start,
  suite,
} from "./harness.ts";
import { type Straced, straced } from "./strace.ts";

const root = new URL("..", import.meta.url);
const test = suite("--trace");

/** A line of the trace without its times. */
const call = (line: string) =>
  /^ +\d+\.\d{6} {2}(.*?)( {2}[\d.]+ ms)?$/.exec(line)?.[1] ?? "";

/** stdout and stderr in the order in which they were written. */
const merged = (command: string) => `exec ${command} 2>&1`;

/** What a server with --trace=json has written so far: whole lines. */
const events = (server: Running): TraceEvent[] =>
  server.output().split("\n").slice(0, -1)
    .flatMap((line) => line.match(/\{"time".*\}$/) ?? []) // also after a prompt
    .map((line): TraceEvent | TraceWarning => JSON.parse(line))
    .filter((line): line is TraceEvent => "call" in line);

test("each call as it returns, a wait while it lasts", async () => {
  await using server = await start("select.ts", ["--trace", "--quiet"], merged);
  await server.until(/ select\(\[\d+\]$/); // asleep, and the line not ended
  using conn = await connect(server.port);
  await exchange(conn, "hi\n");
  const output = await server.until(/send\(.*\n.*select\(\[\d+, \d+\]$/);
  const [listener, peer] = /\[(\d+), (\d+)\]$/.exec(output)!.slice(1);
  // From the first line on: how the listener was found is no part of it.
  assertEquals(output.split("\n").map(call).filter((line) => line), [
    `select([${listener}] → [${listener}])`,
    `accept4(${listener} → ${peer})`,
    `accept4(${listener}) EAGAIN`,
    `select([${listener}, ${peer}] → [${peer}])`,
    `recv(${peer}, 3 bytes "hi\\n")`,
    `send(${peer}, 10 bytes "hello sir\\n")`,
    `select([${listener}, ${peer}]`,
  ]);
});

test("io_uring_enter is written with its requests and completions", async () => {
  await using server = await start(
    "io_uring.ts",
    ["--trace", "--quiet"],
    merged,
  );
  await server.until(/ACCEPT \d+; wait for 1$/);
  const conn = await connect(server.port);
  await exchange(conn, "hi\n");
  await server.until(/SEND \d+ → 10\)[^\n]*\n[^\n]*io_uring_enter\([^\n]*$/);
  conn.close();
  const output = await server.until(/ close\(.*\n.*io_uring_enter\(.*$/);
  const [, listener, peer] = /ACCEPT (\d+) → (\d+)/.exec(output)!;
  const calls = output.split("\n").map(call)
    .filter((line) => line.startsWith("io_uring_enter"));
  const requests = calls.map((line) => line.split("; wait for 1")[0]).join(
    "\n",
  );
  for (
    const request of [`ACCEPT ${listener}`, `RECV ${peer}`, `SEND ${peer}`]
  ) {
    assert(requests.includes(request), requests);
  }
  const completions = calls.map((line) => line.split("wait for 1 → ")[1] ?? "");
  assertEquals(completions, [
    `ACCEPT ${listener} → ${peer})`,
    `RECV ${peer} → 3)`,
    `SEND ${peer} → 10)`,
    `RECV ${peer} → 0)`,
    "", // asleep
  ]);
});

test("blocking.ts waits for the keyboard", async () => {
  await using server = await start("blocking.ts", ["--trace=json", "--quiet"]);
  using conn = await connect(server.port);
  await conn.write(new TextEncoder().encode("hi\n"));
  await server.until('"call":"read","phase":"call"');
  await server.write("here you are\n");
  await server.until(/"call":"read","phase":"return".*\n/);
  const read = events(server).find(({ call, phase }) =>
    call === "read" && phase === "return"
  )!;
  assertEquals([read.args, read.result], ["0", 13]);
});

test("async.ts: promises, and how long the thread is free", async () => {
  await using server = await start("async.ts", ["--trace=json", "--quiet"]);
  using conn = await connect(server.port);
  await server.until('"call":"read","phase":"call"');
  await new Promise((resolve) => setTimeout(resolve, 200));
  await exchange(conn, "hi\n");
  await server.until(/"call":"write","phase":"return".*\n/);
  const lines = events(server);
  assertEquals(
    lines.map(({ call, phase }) => `${call} ${phase}`).slice(0, 7),
    [
      "accept call",
      "accept return",
      "read call",
      "accept call",
      "read return",
      "write call",
      "write return",
    ],
  );
  const { result, waited = 0, ticks = 0 } = lines[4];
  assertEquals(result, 3);
  assert(waited >= 200 && ticks >= 5, JSON.stringify(lines[4]));
});

test("threads.ts: the thread that makes each call", async () => {
  await using server = await start("threads.ts", ["--trace=json", "--quiet"]);
  using first = await connect(server.port);
  using second = await connect(server.port);
  await Promise.all([exchange(first, "hi\n"), exchange(second, "ho\n")]);
  await eventually(
    () => events(server).filter(({ call }) => call === "recv").length >= 6,
    "not all asleep again",
  );
  const lines = events(server);
  const accepted = lines.filter(({ call, phase, result }) =>
    call === "accept4" && phase === "return" && Number(result) > 0
  );
  assert(accepted.every(({ thread }) => thread === undefined));
  for (const { result, port } of accepted) {
    const own = lines.filter(({ call, args }) =>
      /^(recv|send)$/.test(call) && args.split(",")[0] === `${result}`
    );
    assertEquals(own.map(({ call, phase }) => `${call} ${phase}`), [
      "recv call",
      "recv return",
      "send call",
      "send return",
      "recv call",
    ]);
    const names = new Set(own.map(({ thread }) => thread));
    assertEquals([...names], [`${result} 127.0.0.1:${port}`]);
  }
  const [poll] = lines.filter(({ call }) => call === "poll");
  assertEquals([poll.promised, poll.phase], [true, "call"]);
});

test("json: the line of the script that makes a call; warnings are lines, too", async () => {
  await using server = await start(
    "select.ts",
    ["--trace=json", "--quiet"],
    (command) => `ulimit -n 40; exec ${command}`,
  );
  const conns: Deno.TcpConn[] = [];
  try {
    for (let i = 0; i < 40; i++) conns.push(await connect(server.port));
    await server.until(/cannot accept[^\n]*\n/);
  } finally {
    for (const conn of conns) conn.close();
  }
  const lines = server.output().split("\n").slice(0, -1)
    .filter((line) => !/^select.ts: listening|^in another/.test(line))
    .map((line): TraceEvent | TraceWarning => JSON.parse(line));
  const warnings = lines.filter((line): line is TraceWarning =>
    "warning" in line
  );
  assertMatch(warnings[0].warning, /^select.ts: cannot accept: .*EMFILE/);
  const text = await Deno.readTextFile(new URL("select.ts", root));
  for (const line of lines) {
    if ("warning" in line || line.phase === "return") continue;
    const [, row] = /^select\.ts:(\d+)$/.exec(line.source ?? "") ?? [];
    const name = line.call.replace("4", ""); // accept, in the script
    if (["select", "accept4", "recv"].includes(line.call)) {
      const found = text.split("\n")[Number(row) - 1];
      assert(
        found?.includes(`${name}(`),
        `${line.call} of ${line.source}: ${found}`,
      );
    }
  }
});

Deno.test("--trace: errno is what the call has left, whatever writing does", () => {
  const errno = new Int32Array(1);
  const ECONNRESET = 104;
  const EAGAIN = 11;
  const { recv } = traceCalls(
    {
      recv: () => {
        errno[0] = ECONNRESET;
        return -1;
      },
    },
    { recv: { parameters: ["i32"], result: "i32" } },
    errno,
  );
  using _stderr = replaced(Deno.stderr, "writeSync", (bytes: Uint8Array) => {
    errno[0] = EAGAIN;
    return bytes.length;
  });
  assertEquals(recv(5), -1);
  assertEquals(errno[0], ECONNRESET);
});

/** Replaces a method until it is disposed. */
function replaced<T, K extends keyof T>(target: T, key: K, method: T[K]) {
  const original = target[key];
  target[key] = method;
  return { [Symbol.dispose]: () => void (target[key] = original) };
}

test("the trace needs no permission of its own", async () => {
  await using server = await start(
    "nonblocking.ts",
    ["--trace", "--interval", "0.1"],
    (command) => `exec ${command.replace("'-A'", "--allow-net --allow-ffi")}`,
  );
  using conn = await connect(server.port);
  await exchange(conn, "hi\n"); // EAGAIN ends each of its rounds, not the server
  await server.until(/recv\(\d+\) EAGAIN/);
  await exchange(conn, "hi\n");
});

// What the kernel is asked for where libc's function has another name.
const KERNEL: Record<string, string> = {
  select: "pselect6",
  recv: "recvfrom",
  send: "sendto",
};
// Calls whose first argument is the descriptor that they are about.
const ABOUT_ONE =
  /^(accept4|recvfrom|sendto|close|getpeername|shutdown|fcntl)$/;
// Calls that the runtime makes as well, for itself.
const OTHERS = /^(mmap|read|epoll_create1)$/;

/** The end of the trace of a server that has served all, and sleeps. */
const SLEEPS: Record<string, RegExp> = {
  select: /"call":"select","phase":"call"[^\n]*\n$/,
  poll: /"call":"poll","phase":"call"[^\n]*\n$/,
  epoll: /"call":"epoll_wait","phase":"call"[^\n]*\n$/,
  coroutines: /"call":"epoll_wait","phase":"call"[^\n]*\n$/,
  epoll_http: /"call":"epoll_wait","phase":"call"[^\n]*\n$/,
  blocking: /"call":"accept4","phase":"call"[^\n]*\n$/,
  nonblocking: /ECONNRESET[^]*"accept4","phase":"return"[^\n]*EAGAIN[^\n]*\n$/,
  signal: /ECONNRESET[^]*"accept4","phase":"return"[^\n]*EAGAIN[^\n]*\n$/,
  io_uring: /"call":"io_uring_enter","phase":"call"[^\n]*\n$/,
  threads: /ECONNRESET[^]*"call":"close","phase":"return"[^\n]*\n/,
};
if (!await exists("strace")) Deno.test.ignore("strace is missing", () => {});
else {
  for (const [script, asleep] of Object.entries(SLEEPS)) {
    test(`${script}.ts: the calls that strace sees, one by one`, async () => {
      const file = await Deno.makeTempFile();
      const interval = script === "nonblocking" ? ["--interval", "0.7"] : [];
      await using server = await start(
        `${script}.ts`,
        ["--trace=json", "--quiet", ...interval],
        (command) =>
          `exec strace -D -f -T -ttt -o ${file} ${command} </dev/null`,
      );
      if (script === "epoll_http") {
        const page = await fetch(`http://127.0.0.1:${server.port}/`);
        await page.text();
        await server.until('"call":"send","phase":"return"');
      } else {
        await client(server.port, "hi\n");
        const conn = await connect(server.port);
        await exchange(conn, "hi\n");
        reset(conn);
        await server.until("ECONNRESET");
      }
      await server.until(asleep);
      if (script === "select" || script === "poll") {
        await eventually(
          () => {
            const nfds = Deno.readTextFileSync(file).match(
              /(?<=pselect6\()\d+|(?<= poll\(\[.*\], )\d+(?=, -1)/g,
            );
            return nfds !== null && nfds.at(-1) === nfds[0];
          },
          "the kernel has to look at the descriptors of clients that have left",
        );
      }
      await server.stop();
      let strace = "";
      await eventually(() => {
        strace = Deno.readTextFileSync(file);
        return strace.includes("+++ killed");
      }, "strace does not end");
      await Deno.remove(file);

      const line = (call: string, fd: string, outcome: unknown) =>
        `${call}(${ABOUT_ONE.test(call) ? fd : ""}) = ${outcome}`;
      const lines = events(server).filter(({ phase, call, promised }) =>
        phase === "return" && !OTHERS.test(call) && !promised
      ).map(({ call, args, result, error, thread = "" }) => ({
        thread,
        line: line(
          KERNEL[call] ?? call,
          args.split(/[, ]/)[0],
          error ?? result,
        ),
      }));
      assert(lines.length >= 8, server.output());
      const names = new Set(lines.map(({ line }) => line.split(" =")[0]));
      // Not what the runtime does before the script begins to, nor what it does
      // with descriptors of its own, which have had and will have our numbers.
      const calls = straced(strace);
      const main = calls[0].thread;
      const begin = calls.findIndex(({ call, args, thread }) =>
        thread === main && (call === "getsockname" && args.startsWith("3,") ||
          call === "io_uring_setup")
      );
      assert(begin > 0);
      const accepted = new Set<string>();
      const clients = new Set(
        events(server).flatMap(({ requests = [] }) => requests)
          .filter(({ op }) => op === "ACCEPT").map(({ result }) => `${result}`),
      );
      let entered = false;
      const ours = ({ call, args, result }: Straced) => {
        if (call === "accept4" && result > 0) accepted.add(`${result}`);
        if (call === "io_uring_enter") entered = true;
        if (!/^(recv|send|close)/.test(call)) return true;
        const fd = args.split(",")[0];
        // Which client io_uring has accepted, only its completions know.
        if (script === "io_uring") return clients.has(fd) && entered;
        return call === "close" ? accepted.delete(fd) : accepted.has(fd);
      };
      const seen = calls.slice(begin).filter(ours).map(
        ({ call, args, result, error, thread }) => ({
          thread: thread === main ? "" : `${thread}`,
          line: line(call, args.split(",")[0], error ?? result),
        }),
      ).filter(({ thread, line }) =>
        names.has(line.split(" =")[0]) && (!thread || script === "threads")
      );
      // Threads run side by side: each has an order of its own.
      const groups = (list: typeof lines) =>
        [...Map.groupBy(list, ({ thread }) => thread).values()]
          .map((group) => group.map(({ line }) => line));
      // A thread writes the return of a call after strace has seen it: the last
      // line of a thread that was stopped in between is missing.
      const expected = groups(seen);
      const actual = groups(lines);
      for (const [i, group] of expected.entries()) {
        if (group.length === actual[i]?.length + 1) group.pop();
      }
      assertEquals(actual, expected);
    });
  }
}
