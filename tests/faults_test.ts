/**
 * What clients feel when a system call of a server fails. strace(1) makes it fail:
 * the kernel is not asked, and the server gets the errno that is injected.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  connect,
  eventually,
  exchange,
  exists,
  pause,
  reset,
  rest,
  run,
  send,
  sleeps,
  soon,
  start,
  suite,
} from "./harness.ts";
import { inject, serving } from "./inject.ts";

const test = suite("failing calls");

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HELLO = /^hello sir\n$/;

/** Calls that hold the thread of a server, and what can cut them short. */
const waits: [script: string, args: string[], calls: string, error: string][] =
  [
    ["select.ts", [], "pselect6|select", "EINTR"],
    ["poll.ts", [], "p?poll", "EINTR"],
    ["poll.ts", [], "recvfrom", "EAGAIN"], // ready, they say, and it is not
    ["select.ts", [], "recvfrom", "EAGAIN"],
    ["epoll.ts", [], "recvfrom", "EAGAIN"],
    ["epoll_http.ts", [], "recvfrom", "EAGAIN"],
    ["epoll.ts", [], "epoll_p?wait", "EINTR"],
    ["epoll.ts", ["--edge"], "epoll_p?wait", "EINTR"],
    ["coroutines.ts", [], "epoll_p?wait", "EINTR"],
    ["coroutines.ts", [], "recvfrom", "EAGAIN"],
    ["cores.ts", [], "epoll_p?wait|recvfrom", "EINTR"],
    ["epoll_http.ts", [], "epoll_p?wait", "EINTR"],
    ["blocking.ts", [], "accept4|recvfrom|sendto", "EINTR"],
    ["threads.ts", [], "p?poll|recvfrom|sendto", "EINTR"],
    ["io_uring.ts", [], "io_uring_enter", "EINTR"],
    ["io_uring.ts", [], "io_uring_enter", "EBUSY"],
    ["io_uring.ts", [], "io_uring_enter", "EAGAIN"],
  ];

/** Calls that wait for all clients, and can fail for good. */
const multiplexers = [
  ["select.ts", "pselect6|select"],
  ["poll.ts", "p?poll"],
  ["epoll.ts", "epoll_p?wait"],
  ["coroutines.ts", "epoll_p?wait"],
  ["epoll_http.ts", "epoll_p?wait"],
  ["io_uring.ts", "io_uring_enter"],
];

/** Servers whose calls are made in Workers. */
const WORKERS = ["threads.ts", "cores.ts"];

const servers: [script: string, args: string[]][] = [
  ["blocking.ts", []],
  ["threads.ts", []],
  ["nonblocking.ts", ["--interval", "0.02"]],
  ["select.ts", []],
  ["poll.ts", []],
  ["epoll.ts", []],
  ["epoll.ts", ["--edge"]],
  ["coroutines.ts", []],
  ["cores.ts", ["--workers", "1"]],
  ["signal.ts", ["--interval", "0.02"]],
  ["async.ts", []],
];

test("epoll.ts: as long as it refuses clients, it says so every five seconds, and how many", async () => {
  await using server = await start(
    "epoll.ts",
    ["--quiet"],
    (command) => `ulimit -n 40; exec ${command}`,
  );
  const conns: Deno.Conn[] = [];
  const warnings = () => server.output().match(/cannot accept/g)?.length ?? 0;
  const line = /cannot accept: .*, (\d+) so far; said every 5 s at most\n/g;
  while (warnings() < 2) {
    conns.push(await connect(server.port));
    await pause(50);
    assert(conns.length < 5000, server.output());
  }
  await server.until(/( so far.*\n[^]*){2}/);
  const counts = [...server.output().matchAll(line)].map(([, n]) => Number(n));
  assertEquals(counts[0], 1);
  assert(counts[1] > 1, server.output());
  assert(counts[1] < conns.length, server.output());
  for (const conn of conns) conn.close();
});

if (!await exists("strace")) Deno.test.ignore("strace is missing", () => {});
else {
  for (const [script, args, calls, error] of waits) {
    const name = [script, ...args].join(" ");
    test(`${name}: no client notices that every other call is cut short by ${error}`, async () => {
      const http = script === "epoll_http.ts";
      await using server = await start(
        script,
        http ? args : [...args, "--echo"],
      );
      await using _ = await inject(server, {
        calls,
        error,
        when: "1+2",
        thread: WORKERS.includes(script) ? undefined : `${server.pid}`,
      });
      for (const visit of ["first", "second"]) {
        using conn = await connect(server.port);
        for (let i = 0; i < 3; i++) {
          const text = http ? GET : `${visit} ${i}`;
          const answer = await soon(exchange(conn, text), `answer ${i}`);
          if (http) assertMatch(answer, /^HTTP\/1.1 200 OK\r\n/);
          else assertEquals(answer, text);
        }
      }
      const output = await server.until(/(disconnected[^]*){2}/);
      assertEquals(output.match(/disconnected\n/g)?.length, 2, output);
      assert(!output.includes("cannot"), output);
    });
  }

  for (const [script, calls] of multiplexers) {
    test(`${script}: ends with one line when it cannot wait for its clients`, async () => {
      await using server = await start(script);
      await using _ = await inject(server, {
        calls,
        error: "EFAULT",
        when: "1+",
      });
      // Maybe it is in that call already: then the next one fails.
      const conn = await connect(server.port).catch(() => {});
      const { code } = await soon(server.status, "it goes on");
      conn?.close();
      assertEquals(code, 1);
      const line = `\n${script}: \\w+: bad address \\(EFAULT\\)\n$`;
      assertMatch(server.output(), RegExp(line));
    });
  }

  for (const [script, args] of servers) {
    const name = [script, ...args].join(" ");
    test(`${name}: a client whose connection breaks leaves with the reason, alone`, async () => {
      await using server = await start(
        script,
        args,
        (command) => `exec ${command} </dev/null`,
      );
      const reasons = [
        ["recvfrom", "ETIMEDOUT", "connection timed out (ETIMEDOUT)"],
        ["sendto", "EHOSTUNREACH", "no route to host (EHOSTUNREACH)"],
      ];
      for (const [calls, error, reason] of reasons) {
        // Deno's handler of signals calls sendto as well, and would get the error.
        if (script === "signal.ts" && calls === "sendto") continue;
        const conn = await connect(server.port);
        assertMatch(await exchange(conn, "first"), HELLO);
        const thread = serving(server);
        await using _ = await inject(server, { calls, error, thread });
        const { port } = conn.localAddr;
        await send(conn, "second").catch(() => {});
        if (calls === "sendto") await server.until(": second\n");
        if (calls === "recvfrom" || script === "async.ts") {
          await soon(rest(conn).catch(() => {}), "it is kept");
          conn.close();
        } else reset(conn); // of two reasons, the first one counts
        await server.until(`:${port} disconnected: ${reason}\n`);
      }
      using conn = await connect(server.port);
      assertMatch(await soon(exchange(conn, "hi\n"), "it waits"), HELLO);
    });
  }

  // Of the others, tests/robust_test.ts asks more. In blocking.ts, accept4 is
  // called already.
  for (const [script, args] of servers.slice(1, 5)) {
    test(`${script}: a client waits while the whole system has no descriptor left`, async () => {
      await using server = await start(
        script,
        args,
        (command) => `exec ${command} </dev/null`,
      );
      const thread = `${server.pid}`;
      const fault = { calls: "accept4", error: "ENFILE", thread };
      await using _ = await inject(server, fault);
      using conn = await connect(server.port);
      const answer = exchange(conn, "hi\n");
      assertMatch(await soon(answer, "the client is forgotten"), HELLO);
      await server.until(
        /cannot accept: too many open files in system \(ENFILE\)/,
      );
    });
  }

  test("nonblocking.ts: does not stay away from a client to whom the rest is sent", async () => {
    await using server = await start("nonblocking.ts", ["--buffer", "4"]);
    await server.until("waiting");
    const thread = `${server.pid}`;
    const fault = { calls: "sendto", error: "EAGAIN", thread };
    await using _ = await inject(server, fault);
    using conn = await connect(server.port);
    await send(conn, "one.two.");
    assertMatch(await server.until(": two."), /: one\.\n.*: two\.\n/);
  });

  for (const script of ["epoll.ts", "coroutines.ts", "epoll_http.ts"]) {
    test(`${script}: a client that epoll has no room for is told so, and the next one is served`, async () => {
      await using server = await start(script);
      const http = script === "epoll_http.ts";
      const told = http
        ? /^HTTP\/1.1 503 [^]*no space left on device/
        : /^no space left on device \(ENOSPC\)\n$/;
      const text = http ? GET : "hi\n";
      {
        // Once it serves somebody, it watches its listener.
        using first = await connect(server.port);
        await soon(exchange(first, text), "it waits");
        await using _ = await inject(server, {
          calls: "epoll_ctl",
          error: "ENOSPC",
          thread: `${server.pid}`,
        });
        using conn = await connect(server.port);
        assertMatch(await soon(rest(conn), "nobody tells it"), told);
      }
      const { port } = server;
      await server.until("cannot accept: no space left on device (ENOSPC)");
      await server.until(/disconnected: no space left on device \(ENOSPC\)\n/);
      using next = await connect(port);
      const answer = await soon(exchange(next, text), "it waits");
      assertMatch(answer, http ? /^HTTP\/1.1 200 / : HELLO);
    });
  }

  // The runtime can overwrite errno between a call and our look at it.
  const called = "accept4|recvfrom|sendto";
  for (
    const [script, args, calls] of [
      ["select.ts", [], "pselect6|select"],
      ["poll.ts", [], "p?poll"],
      ["epoll.ts", [], "epoll_p?wait"],
      ["epoll.ts", ["--edge"], "epoll_p?wait"],
      ["coroutines.ts", [], "epoll_p?wait"],
      ["cores.ts", ["--workers", "1"], "epoll_p?wait"],
      ["threads.ts", [], called],
      ["nonblocking.ts", ["--interval", "0.02"], called],
      ["signal.ts", ["--interval", "0.02"], called],
    ] as [string, string[], string][]
  ) {
    const name = [script, ...args].join(" ");
    test(`${name}: an errno that a call cannot have costs nobody anything`, async () => {
      await using server = await start(script, [...args, "--echo"]);
      using first = await connect(server.port);
      assertEquals(await exchange(first, "warm up"), "warm up");
      await using _ = await inject(server, {
        calls: `${called}|${calls}`,
        error: "ENOENT",
        when: "1+2",
        // Deno's handler of signals calls recvfrom and sendto as well.
        thread: serving(server),
      });
      using second = await connect(server.port);
      for (let i = 0; i < 5; i++) {
        for (const conn of [first, second]) {
          const answer = exchange(conn, `message ${i}`);
          assertEquals(await soon(answer, "it waits"), `message ${i}`);
        }
      }
      await first.closeWrite();
      assertEquals(await soon(rest(first), "it is kept"), "");
      await server.until(`:${first.localAddr.port} disconnected\n`);
      assert(!/ENOENT|cannot/.test(server.output()), server.output());
    });
  }

  for (const script of ["select.ts", "threads.ts"]) {
    test(`${script}: a client that cannot be received from, ever, leaves alone`, async () => {
      await using server = await start(script);
      using first = await connect(server.port);
      assertMatch(await exchange(first, "hi\n"), HELLO);
      {
        await using _ = await inject(server, {
          calls: "recvfrom",
          error: "ENOENT",
          when: "1+",
          thread: serving(server),
        });
        await send(first, "hi\n");
        const reason = "no such file or directory (ENOENT)";
        await server.until(`disconnected: ${reason}\n`);
      }
      using second = await connect(server.port);
      assertMatch(await exchange(second, "hi\n"), HELLO);
      assert(await sleeps(server.pid), "it spins");
    });
  }

  for (
    const [script, args, calls, error, told] of [
      ["threads.ts", [], "clone3?", "EAGAIN", "no more threads: "],
      // One worker, or the other's first epoll_ctl might fail, for the listener.
      ["cores.ts", ["--workers", "1"], "epoll_ctl", "ENOSPC", ""],
      ["signal.ts", [], "fcntl", "ENOMEM", ""],
    ] satisfies [string, string[], string, string, string][]
  ) {
    test(`${script}: a client that there is no room for is told so, and the next one is served`, async () => {
      await using server = await start(script, args);
      using first = await connect(server.port);
      assertMatch(await exchange(first, "hi\n"), HELLO);
      {
        // Of the two calls of fcntl, the second one needs memory.
        const when = calls === "fcntl" ? "2" : "1";
        // The Worker of cores.ts makes the call; of threads.ts, the main thread.
        const thread = script === "cores.ts" ? serving(server) : undefined;
        await using _ = await inject(server, { calls, error, when, thread });
        using second = await connect(server.port);
        const refusal = await soon(rest(second), "nobody tells it");
        assertMatch(refusal, RegExp(`^${told}.* \\(${error}\\)\n$`));
      }
      assertMatch(await exchange(first, "still there?\n"), HELLO);
      using third = await connect(server.port);
      assertMatch(await exchange(third, "hi\n"), HELLO);
    });
  }

  for (const script of ["epoll.ts", "coroutines.ts", "epoll_http.ts"]) {
    test(`${script}: it does not listen in vain when watches are used up`, async () => {
      // Which epoll_ctl is its own, of the same thread as epoll_create1(0)?
      const file = await Deno.makeTempFile();
      const trace = `strace -D -f -o ${file} -e trace=epoll_create1,epoll_ctl`;
      const mine = /^(\d+) +epoll_create1\(0\)[^]*events=EPOLLIN,/m;
      let text = "";
      {
        await using _server = await start(
          script,
          [],
          (command) => `exec ${trace} ${command}`,
        );
        await eventually(() => {
          text = Deno.readTextFileSync(file);
          return mine.test(text);
        }, "it does not watch its listener");
      }
      await Deno.remove(file);
      const [before, thread] = mine.exec(text)!;
      const all = text.slice(0, text.indexOf(before) + before.length);
      const own = all.match(RegExp(`^${thread} +epoll_ctl`, "gm"))!;
      const fault = `inject=epoll_ctl:error=ENOSPC:when=${own.length}`;
      await using server = run(
        script,
        ["--port", "0"],
        (command) => `exec strace -D -f -o /dev/null -e ${fault} ${command}`,
      );
      assertEquals((await soon(server.status, "it listens in vain")).code, 1);
      const line = `\n${script}: epoll_ctl: no space left .*\\(ENOSPC\\)\n$`;
      assertMatch(server.output(), RegExp(line));
    });
  }
}
