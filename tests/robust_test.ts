/** How servers stand small limits, odd surroundings and unfriendly clients. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  altered,
  connect,
  eventually,
  exchange,
  memory,
  pause,
  receive,
  reset,
  run,
  send,
  sleeps,
  soon,
  start,
  suite,
  unused,
} from "./harness.ts";
import { processState } from "../lib/proc.ts";
import { execWith, limit, RLIMIT_FSIZE } from "./limits.ts";

const test = suite("at the same time");

const HELLO = "hello sir\n";
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const patient = ["--interval", "0.01"];
/** Every server of many clients: what to say to it, and what it answers. */
const servers: [
  script: string,
  args: string[],
  text: string,
  answer: RegExp,
][] = [
  ["nonblocking.ts", patient, "hi\n", /^hello sir\n$/],
  ["select.ts", [], "hi\n", /^hello sir\n$/],
  ["poll.ts", [], "hi\n", /^hello sir\n$/],
  ["epoll.ts", [], "hi\n", /^hello sir\n$/],
  ["coroutines.ts", [], "hi\n", /^hello sir\n$/],
  ["epoll_http.ts", ["--timeout", "60"], GET, /^HTTP\/1.1 200 /],
  ["signal.ts", [], "hi\n", /^hello sir\n$/],
  ["async.ts", [], "hi\n", /^hello sir\n$/],
  ["io_uring.ts", [], "hi\n", /^hello sir\n$/],
];

for (const [script, args, text, answer] of servers) {
  test(`${script}: room for a client is used at once`, async () => {
    await using server = await start(
      script,
      [...args, "--quiet"],
      (command) => `ulimit -n 40; exec ${command}`,
    );
    // Each client connects again until it is answered, and stays.
    const connected: Deno.Conn[] = [];
    let ended = false;
    const insist = async () => {
      while (!ended) {
        const conn = await connect(server.port);
        const reply = await exchange(conn, text).catch(() => "");
        if (answer.test(reply)) {
          connected.push(conn);
          return;
        }
        conn.close();
        await pause(50);
      }
    };
    const clients = Array.from({ length: 32 }, () => insist().catch(() => {}));
    await server.until("cannot accept: too many open files (EMFILE)");
    const begin = performance.now();
    const waits: number[] = [];
    // A client that is late because others have the CPU may try again.
    const short = () => waits.filter((wait) => wait < 700).length;
    while (short() < 4) {
      assert(waits.length < 15, `${waits} ms until there was room`);
      await eventually(() => connected.length > 0, "nobody is answered");
      connected.shift()!.close();
      const closed = performance.now();
      const before = connected.length;
      await eventually(() => connected.length > before, "nobody gets in");
      waits.push(performance.now() - closed);
    }
    // Clients that come and go at the limit get no line each.
    for (let i = 0; i < 100; i++) {
      const conn = await connect(server.port);
      if (i % 8 === 0) connected.shift()?.close();
      conn.close();
    }
    const seconds = (performance.now() - begin) / 1000;
    const lines = server.output().match(/EMFILE/g)!.length;
    assert(lines <= 2 + seconds / 2, server.output());
    ended = true;
    await server.stop();
    await Promise.all(clients);
    for (const conn of connected) conn.close();
  });
}

// In the others, somebody else accepts, or a round may have begun already.
const sleepers = [
  "select.ts",
  "poll.ts",
  "epoll.ts",
  "coroutines.ts",
  "epoll_http.ts",
];
for (const [script, args, text, answer] of servers) {
  if (!sleepers.includes(script)) continue;
  test(`${script}: where clients have left, the next one gets in at once`, async () => {
    await using server = await start(
      script,
      [...args, "--quiet"],
      (command) => `ulimit -n 40; exec ${command}`,
    );
    const conns: Deno.TcpConn[] = [];
    while (!server.output().includes("cannot accept")) {
      const conn = await connect(server.port);
      conns.push(conn);
      await exchange(conn, text).catch(() => {}); // the last one is refused
    }
    assert(await sleeps(server.pid), "it spins");
    Deno.kill(server.pid, "SIGSTOP");
    const stopped = () => processState(server.pid) === "T";
    await eventually(stopped, "it goes on");
    for (const conn of conns.slice(0, -1)) reset(conn);
    conns.at(-1)!.close();
    using next = await connect(server.port);
    await send(next, text);
    Deno.kill(server.pid, "SIGCONT");
    const reply = new Uint8Array(1000);
    const n = await soon(next.read(reply), "it waits");
    assertMatch(new TextDecoder().decode(reply.subarray(0, n ?? 0)), answer);
  });
}

for (
  const script of [
    "nonblocking.ts",
    "select.ts",
    "poll.ts",
    "epoll.ts",
    "coroutines.ts",
    "signal.ts",
  ]
) {
  test(`${script}: connected clients are served while 500 more are accepted`, async () => {
    const args = script === "nonblocking.ts" ? patient : [];
    await using server = await start(script, args);
    using connected = await connect(server.port);
    assertEquals(await exchange(connected, "hi\n"), HELLO);
    Deno.kill(server.pid, "SIGSTOP");
    const waiting = await Promise.all( // as many as the backlog holds
      Array.from({ length: 500 }, () => connect(server.port)),
    );
    // More than one recv takes: what is left is for the next round.
    const talking = send(connected, "x".repeat(400_000));
    await pause(50);
    Deno.kill(server.pid, "SIGCONT");
    await talking;
    await eventually(
      () => server.output().match(/got connection/g)?.length === 501,
      "not all are accepted",
    );
    const [, before] = server.output().split(": hi\n");
    const events = before.match(/got connection|: x/g)!;
    const last = events.lastIndexOf("got connection");
    const between = events.slice(0, last).filter((what) => what === ": x");
    assert(
      between.length > 1,
      `${between.length} messages before all are accepted`,
    );
    for (const conn of waiting) conn.close();
  });
}

for (const script of ["poll.ts", "async.ts"]) {
  test(`${script}: a stdout that does not block gets each byte once`, async () => {
    const server = new Deno.Command("sh", {
      args: [
        "-c",
        execWith("nonblocking")(
          `'${Deno.execPath()}' run -A ${script} --port 0 --echo`,
        ),
      ],
      cwd: new URL("..", import.meta.url),
      stdout: "piped",
    }).spawn();
    const output = server.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    let text = "";
    const until = async (enough: () => boolean) => {
      while (!enough()) {
        const { value, done } = await output.read();
        assert(!done, "it has ended");
        text += value;
        assert(text.length < 1e6, "output is repeated");
        await pause(1);
      }
    };
    await until(() => /in another/.test(text));
    using conn = await connect(Number(/:(\d+)\n/.exec(text)![1]));
    const message = "¤".repeat(100_000); // 200,000 bytes
    const sending = send(conn, message);
    await pause(300); // nobody reads, and the pipe is full
    const answer = receive(conn, 200_000);
    const printed = () => text.match(/¤/g)?.length ?? 0;
    await until(() => printed() >= message.length);
    await sending;
    assertEquals((await answer).length, 200_000);
    await send(conn, "end\n");
    await until(() => text.endsWith(": end\n"));
    assertEquals(printed(), message.length);
    server.kill("SIGKILL");
    await output.cancel();
    await server.status;
  });
}

test("poll.ts: goes on when stderr is full", async () => {
  await using server = await start(
    "poll.ts",
    [],
    (command) => `ulimit -n 30; exec ${command} 2>/dev/full`,
  );
  const conns = [];
  for (let i = 0; i < 40; i++) conns.push(await connect(server.port));
  await pause(100);
  assertEquals(await exchange(conns[0], "hi\n"), HELLO);
  for (const conn of conns) conn.close();
});

test("select.ts: a listener that does not fit into an fd_set", async () => {
  const { status, output } = run(
    "select.ts",
    ["--port", "0"],
    execWith("descriptors 1100"),
  );
  assertEquals((await soon(status, "it runs")).code, 1);
  assertStringIncludes(output(), "fd_set");
});

test("an inherited socket is not the listener", async () => {
  const many = Array.from({ length: 40 }, (_, i) => 2 * i + 11).join();
  const changes = ["connection 12", "connection 13", "connection 14"];
  changes.push(`connection ${many}`, `listener ${many}`);
  await Promise.all(changes.map(async (change) => {
    using free = await unused();
    const { port } = free;
    await using _server = await start(
      "poll.ts",
      ["--port", `${port}`],
      execWith(change.replace("connection", `$& ${port}`)),
    );
    using conn = await connect(port);
    const answer = await soon(
      exchange(conn, "hi\n"),
      `${change} is taken for it`,
    );
    assertEquals(answer, HELLO);
  }));
});

test("threads.ts: too few descriptors to begin with", async () => {
  const { status, output } = run(
    "threads.ts",
    ["--port", "0"],
    (command) => `ulimit -n 24; exec ${command}`,
  );
  const { code } = await soon(status, output());
  assertEquals(code, 1);
  assertMatch(output(), /^threads.ts: too few descriptors for 1 Workers: /m);
});

for (const script of ["poll.ts", "io_uring.ts"]) {
  test(`${script}: another part of the process has even the last descriptor`, async () => {
    await using server = await start(
      script,
      [],
      (command) => `ulimit -n 40; ${execWith("listener 39")(command)}`,
    );
    const conns: Deno.Conn[] = [];
    for (let i = 0; i < 40; i++) conns.push(await connect(server.port));
    await server.until("cannot accept: too many open files (EMFILE)");
    assertEquals(await exchange(conns[0], "hi\n"), HELLO);
    assert(await sleeps(server.pid), "it spins");
    const accepted = () => server.output().match(/got connection/g)!.length;
    const full = accepted();
    conns[0].close(); // no client could be refused: the next one still waits
    await eventually(() => accepted() === full + 1, "nobody gets in any more");
    for (const conn of conns.slice(1)) conn.close();
  });
}

for (const script of ["select.ts", "threads.ts", "cores.ts"]) {
  test(`${script}: ends with a line when there is no room for its output`, async () => {
    const file = await Deno.makeTempFile();
    await using full = run(
      script,
      ["--port", "0"],
      // SIGXFSZ would end it without a word.
      (command) => `trap '' XFSZ; exec ${command} >${file}`,
    );
    const printed = () => Deno.readTextFileSync(file);
    const listens = /listening on .*:(\d+)\n/;
    await eventually(() => listens.test(printed()), "it does not listen");
    using conn = await connect(Number(listens.exec(printed())![1]));
    assertEquals(await exchange(conn, "hi\n"), HELLO);
    limit(full.pid, printed().length, RLIMIT_FSIZE);
    // In threads.ts a Worker prints it.
    await send(conn, "there is no room for this");
    assertEquals((await soon(full.status, "it goes on")).code, 1);
    assertMatch(
      full.output(),
      RegExp(`^${script}: file too large \\(.*\\)\\n$`),
    );
    await Deno.remove(file);
  });
}

for (const script of ["signal.ts", "epoll.ts", "async.ts"]) {
  test(`${script}: a client waits while there is no descriptor at all`, async () => {
    const args = script === "signal.ts" ? ["--interval", "0.5"] : [];
    await using server = await start(script, args);
    using first = await connect(server.port);
    assertEquals(await exchange(first, "hi\n"), HELLO);
    limit(server.pid, 10); // all below are in use
    using conn = await connect(server.port);
    const answer = exchange(conn, "hi\n");
    await server.until("cannot accept: too many open files (EMFILE)");
    limit(server.pid, 1000);
    assertEquals(
      await soon(answer, "the client that waited is forgotten"),
      HELLO,
    );
  });
}

const ipv6 = Deno.networkInterfaces().some(({ address }) => address === "::1");
if (!ipv6) console.log("no IPv6 here: its addresses are not tried");
for (const script of ipv6 ? ["select.ts", "async.ts"] : []) {
  test(`${script}: how to reach an IPv6 listener, and names of its clients`, async () => {
    await using server = await start(script, ["--hostname", "::"]);
    const { port } = server;
    await server.until(`client.ts --hostname :: --port ${port}\n`);
    for (
      const [hostname, name] of [
        ["127.0.0.1", "[::ffff:127.0.0.1]"],
        ["::1", "[::1]"],
      ]
    ) {
      using conn = await Deno.connect({ hostname, port });
      await server.until(`connection from ${name}:${conn.localAddr.port}\n`);
    }
  });
}

test("io_uring.ts: 500 clients that never read cost little memory", async () => {
  await using server = await start("io_uring.ts", ["--echo", "--quiet"]);
  using friend = await connect(server.port);
  await exchange(friend, "first");
  const before = memory(server.pid);
  const data = new Uint8Array(2 << 20);
  let sent = 0; // in pieces, until no kernel has room for more
  const conns = await Promise.all(
    Array.from({ length: 500 }, async () => {
      const conn = await connect(server.port);
      const sendAll = async () => {
        for (let rest = data; rest.length;) {
          const n = await conn.write(rest.subarray(0, 65536));
          rest = rest.subarray(n);
          sent += n;
        }
      };
      sendAll().catch(() => {});
      return conn;
    }),
  );
  for (let last = -1; last !== sent; await pause(100)) last = sent;
  assertEquals(await exchange(friend, "still there?"), "still there?");
  const grown = memory(server.pid) - before;
  for (const conn of conns) conn.close();
  assert(grown < 30, `${grown} MB`);
});

test("io_uring.ts: where no memory may be locked, a line says so", async () => {
  const { status, output } = run(
    "io_uring.ts",
    ["--port", "0"],
    (command) => `ulimit -l 0; ${execWith("unprivileged")(command)}`,
  );
  assertEquals((await status).code, 1);
  assert(/^io_uring\.ts: .*ENOMEM.*ulimit -l.*\n$/.test(output()), output());
});

for (const script of ["select.ts", "poll.ts", "epoll.ts"]) {
  test(`${script}: the descriptor of a client that has left may become a file's`, async () => {
    // A file takes the place of each client that leaves.
    const gone = "peers.delete(fd);";
    const file = `Deno.openSync("/dev/null");`;
    await using copy = await altered(script, gone, `${gone} ${file}`);
    await using server = await start(copy.script, ["--quiet"]);
    for (let i = 0; i < 5; i++) {
      const conns = await Promise.all(
        Array.from({ length: 5 }, () => connect(server.port)),
      );
      for (const conn of conns) assertEquals(await exchange(conn, "x"), HELLO);
      Deno.kill(server.pid, "SIGSTOP"); // all leave at once
      for (const conn of conns) conn.close();
      Deno.kill(server.pid, "SIGCONT");
    }
    using conn = await connect(server.port);
    assertEquals(await exchange(conn, "x"), HELLO);
  });
}
