import { assert, assertEquals, assertMatch, equal } from "@std/assert";
import type { Update } from "../lib/watch/messages.ts";
import {
  connect,
  eventually,
  ioUring,
  pause,
  receive,
  rest,
  run,
  send,
  suite,
} from "./harness.ts";
import {
  alive,
  children,
  ONE,
  Page,
  watch,
  watchInHand,
  watchWith,
} from "./live_page.ts";

const test = suite("watch.ts");

/** What it answers to a request whose head is `lines`, without the last CRLF. */
async function answer(port: number, lines: string[]) {
  using conn = await connect(port);
  await send(conn, [...lines, "connection: close", "", ""].join("\r\n"));
  return await rest(conn);
}

/** The first line of what it answers: it may not read all of a request. */
async function statusLine(port: number, lines: string[]) {
  using conn = await connect(port);
  await send(conn, [...lines, "", ""].join("\r\n"));
  const chunk = new Uint8Array(4096);
  const n = await conn.read(chunk) ?? 0;
  return new TextDecoder().decode(chunk.subarray(0, n)).split("\r\n")[0];
}

test("it says in one line where it is, and that is nowhere else", async () => {
  await using server = await watch(ONE);
  const { port } = server;
  assertEquals(
    server.output(),
    `watch.ts: listening on http://127.0.0.1:${port}/\n`,
  );
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const bound = (await Deno.readTextFile("/proc/net/tcp")).split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) =>
      local?.endsWith(`:${hex}`) && state === "0A"
    )
    .map(([, local]) => local);
  assertEquals(bound, [`0100007F:${hex}`]);
  assert(!(await Deno.readTextFile("/proc/net/tcp6")).includes(`:${hex} 0000`));
});

test("what it cannot do, it says in one line", async () => {
  await using first = await watch(ONE);
  for (
    const [args, code, line] of [
      [["--only", "slect"], 2, /^watch.ts: --only takes .*not "slect".*\n$/],
      [["--port", "x"], 2, /^watch.ts: --port .*cannot be "x"; see --help\n$/],
      [
        ["--port", `${first.port}`, ...ONE],
        1,
        /^watch.ts: cannot listen on .*in use.*; try --port 0\n$/,
      ],
    ] as const
  ) {
    await using server = run("watch.ts", [...args]);
    assertEquals((await server.status).code, code);
    assertMatch(server.output(), line);
  }
});

test("without -A it says what to do", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-net", "watch.ts", "--port", "0"],
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(code, 1);
  assertEquals(
    new TextDecoder().decode(stderr),
    "watch.ts: starts the servers of all models: run with -A\n",
  );
});

test("other sites get 403", async () => {
  const tunnel = ["--hostname", "0.0.0.0", "--allow-host", "localhost:9000"];
  await using server = await watch([...ONE, ...tunnel]);
  const { port } = server;
  const own = `host: 127.0.0.1:${port}`;
  const socket = [
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
  ];
  const origin = (host: string) => `origin: http://${host}`;
  const cases: [status: number, path: string, head: string[]][] = [
    [200, "/", [own]],
    [200, "/", [`host: localhost:${port}`, origin(`localhost:${port}`)]],
    [200, "/", ["host: localhost:9000", origin("localhost:9000")]],
    [200, "/", ["host: localhost:9000", "origin: https://localhost:9000"]],
    [403, "/", ["host: localhost:9000", origin(`localhost:${port}`)]],
    [403, "/", ["host: localhost:9001"]],
    [200, "/source/select.ts", [own]],
    [200, "/models/states.js", [own]],
    [200, "/recording", [own]],
    [403, "/recording", ["host: canteen.example"]],
    [403, "/recording", [own, "origin: https://canteen.example"]],
    [200, "/watch/page/page.js", [own]],
    [200, "/watch/page/style.css", [own]],
    [403, "/", [`host: canteen.example:${port}`]],
    [403, "/", ["host: 127.0.0.1:1"]],
    [403, "/", [own, "origin: https://canteen.example"]],
    [403, "/", [own, "origin: null"]],
    [403, "/", [own, origin(`localhost:${port}`)]],
    [403, "/watch/page/page.js", [own, "origin: https://canteen.example"]],
    [403, "/live", [own, ...socket]],
    [403, "/live", [own, "origin: https://canteen.example", ...socket]],
    [403, "/live", [
      `host: canteen.example`,
      origin("canteen.example"),
      ...socket,
    ]],
    [101, "/live", [own, origin(`127.0.0.1:${port}`), ...socket]],
    [101, "/live", [own, `origin: https://127.0.0.1:${port}`, ...socket]],
    [404, "/", [own, origin(`127.0.0.1:${port}`), ...socket]],
    [404, "/source/watch.ts", [own]],
    [404, "/source/../util.ts", [own]],
    [404, "/source/%2e%2e/util.ts", [own]],
    [404, "/watch/messages.ts", [own]],
    [404, "/watch/page/../messages.ts", [own]],
    [404, "/watch/page/%2e%2e/messages.ts", [own]],
    [404, "/watch/page/..%2fmessages.ts", [own]],
    [404, "/watch/page/nothing.js", [own]],
    [404, "/models/models.ts", [own]],
  ];
  for (const [status, path, head] of cases) {
    const line = await statusLine(port, [`GET ${path} HTTP/1.1`, ...head]);
    assertMatch(line, RegExp(`^HTTP/1.1 ${status} `), `${path} ${head}`);
  }
  const page = await answer(port, ["GET / HTTP/1.1", own]);
  assertMatch(
    page,
    /^content-security-policy: default-src 'none';.*'none'\r$/m,
  );
  assertMatch(page, /^x-frame-options: DENY\r$/m);
  assertMatch(page, /^x-content-type-options: nosniff\r$/m);
  assertMatch(await answer(port, ["POST / HTTP/1.1", own]), /^HTTP\/1.1 405 /);
});

test("a request that is none gets 400, and nothing is printed", async () => {
  await using server = await watch(ONE);
  const { port } = server;
  const printed = server.output();
  const own = [`host: 127.0.0.1:${port}`];
  const socket = [
    ...own,
    `origin: http://127.0.0.1:${port}`,
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
  ];
  const without = (name: string) =>
    socket.filter((line) => !line.startsWith(name));
  const long = "a".repeat(60_000);
  const cases: [status: number, request: string, head: string[]][] = [
    [400, "GET http://[", own],
    [400, "HEAD http://[", own],
    [400, "POST http://[", own],
    [400, "GET http://%/", own],
    [400, "GET http://canteen:99999/", own],
    [400, "GET http://[/live", socket],
    [400, "GET *", own],
    [400, "GET /a\0b", own],
    [400, `GET /${long}${"a".repeat(6000)}`, own],
    [400, "GET /live", without("connection")],
    [400, "GET /live", without("sec-websocket-key")],
    [403, "GET /", ["host: ["]],
    [403, "GET /", ["host:"]],
    [403, "GET http://[", ["host: ["]],
    [404, "GET //", own],
    [404, "GET //[", own],
    [404, "GET /%", own],
    [404, "GET /%E0%A4%A", own],
    [404, "GET /%00", own],
    [404, "GET /source/%", own],
    [404, "GET /watch/page/a%00.js", own],
    [404, `GET /${long}`, own],
    [404, `GET /watch/page/${long}.js`, own],
    [404, "GET //live", socket],
    [404, "GET /%", socket],
    [404, "HEAD /live", socket],
    [405, "OPTIONS *", own],
    [405, "DELETE /", own],
    [405, "get /", own],
    [405, "POST /live", socket],
  ];
  for (const [status, request, head] of cases) {
    const line = await statusLine(port, [`${request} HTTP/1.1`, ...head]);
    assertMatch(line, RegExp(`^HTTP/1.1 ${status} `), `${request} ${head}`);
  }
  assertMatch(
    await answer(port, ["GET / HTTP/1.1", ...own]),
    /^HTTP\/1.1 200 /,
  );
  assertMatch(
    await answer(port, ["PUT / HTTP/1.1", ...own]),
    /^allow: GET, HEAD\r$/m,
  );
  assertEquals(server.output(), printed);
});

test("wrong messages get an answer and change nothing", async () => {
  await using server = await watch(ONE);
  using page = new Page(server);
  await page.open();
  const wrong = [
    "",
    "{",
    "null",
    "[]",
    '"connect"',
    "{}",
    '{"type":"rm"}',
    '{"type":"__proto__"}',
    '{"type":"connect"}',
    '{"type":"connect","client":"C"}',
    '{"type":"connect","client":["A"]}',
    '{"type":"connect","client":"A","port":22}',
    '{"type":"idle","by":1000000}',
    '{"type":"idle","by":-100}',
    '{"type":"load","on":1}',
    '{"type":"answer","script":"select.ts","text":"a\\nb"}',
    '{"type":"answer","script":"select.ts","text":"nobody asks"}',
    '{"type":"open","script":"../../etc/passwd"}',
    '{"type":"restart","script":"select.ts"}',
    '{"type":"ask","client":"A"}',
    " ".repeat(2000),
    new Uint8Array([123, 125]),
  ];
  for (const [i, message] of wrong.entries()) {
    page.send(message);
    await eventually(
      () => page.errors.length === i + 1,
      `${message}: no answer`,
    );
    assertMatch(page.errors[i], /^[^\n]{5,200}$/);
  }
  const { time } = page.update!;
  await page.until("an update", (update) => update.time > time);
  const { models, idle, load, autoAnswer, scene } = page.update!;
  const { A, B } = models["select.ts"].clients;
  assertEquals([A.status, B.status, idle.wanted], ["away", "away", 0]);
  assertEquals([load, autoAnswer, scene], [false, true, false]);
});

test("A and B are real clients, and the trace shows them", async () => {
  await using server = await watch([
    "--only",
    ioUring ? "select,io_uring" : "select",
  ]);
  using page = new Page(server);
  await page.open();
  page.command({ type: "open", script: "select.ts" });
  page.command({ type: "connect", client: "A" });
  page.command({ type: "ask", client: "A" });
  await page.until(
    "A is answered",
    ({ models }) =>
      Object.values(models).every(({ clients }) =>
        clients.A.status === "answered"
      ),
  );
  const source = await Deno.readTextFile(
    new URL("../select.ts", import.meta.url),
  );
  const line = source.split("\n").findIndex((line) =>
    line.includes("= select(")
  );
  await page.until(
    "the trace has it, and the server sleeps again",
    ({ models }) => {
      const { calls = [], positions = [], threads } = models["select.ts"];
      const has = (call: RegExp) => calls.some((line) => call.test(line));
      return has(/recv\(\d+, 13 bytes/) &&
        has(/send\(\d+, 10 bytes "hello sir\\n"/) &&
        equal(positions, [{ line: line + 1, thread: "", kind: "in" }]) &&
        equal(threads.map(({ current }) => current?.state), ["all"]);
    },
  );
});

test("an answer can be typed, or is typed by itself", async () => {
  await using server = await watch(["--only", "blocking,threads"]);
  using page = new Page(server);
  await page.open();
  const { models = [], defaultAnswer } = page.hello ?? {};
  assertEquals(
    models.map(({ script, threadPerClient, typesAnswers }) => [
      script,
      threadPerClient,
      typesAnswers,
    ]),
    [["blocking.ts", false, true], ["threads.ts", true, false]],
  );
  const sends = (text: string) =>
    page.until(`${text} is sent`, ({ models }) => {
      const { awaitsAnswer, calls = [], clients } = models["blocking.ts"];
      return !awaitsAnswer && clients.A.status === "answered" &&
        calls.some((line) => line.includes(` send(`) && line.includes(text));
    });
  page.command({ type: "open", script: "blocking.ts" });
  page.command({ type: "autoAnswer", on: false });
  page.command({ type: "connect", client: "A" });
  page.command({ type: "ask", client: "A" });
  await page.until(
    "it waits at the keyboard, for A",
    ({ models }) => {
      const { awaitsAnswer, threads } = models["blocking.ts"];
      const { state, call, role } = threads[0]?.current ?? {};
      return awaitsAnswer && equal([state, call, role], ["one", "read", "A"]);
    },
  );
  page.command({ type: "answer", script: "blocking.ts", text: "soup" });
  await sends("soup");
  page.command({ type: "ask", client: "A" });
  await page.until(
    "it waits again",
    ({ models }) => models["blocking.ts"].awaitsAnswer,
  );
  page.command({ type: "autoAnswer", on: true });
  await sends(defaultAnswer!);
});

test("a model that cannot run has its reason, and the rest runs", async () => {
  await using server = await watchWith(
    `console.error("poll.ts: the kernel <b>has</b> no poll"); Deno.exit(1);`,
    ["--only", "poll,epoll"],
  );
  using page = new Page(server);
  await page.until(
    "both are clear",
    ({ models }) =>
      Object.values(models).every(({ status }) => status !== "starting"),
  );
  const { "poll.ts": poll, "epoll.ts": epoll } = page.update!.models;
  assertEquals(poll.status, "failed");
  assertEquals(poll.reason, "the kernel <b>has</b> no poll");
  assertEquals(epoll.status, "running");
});

test("a script may print objects, as one does to see them", async () => {
  await using server = await watchWith(
    `const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    console.log("poll.ts: listening on 127.0.0.1:" + listener.addr.port);
    for await (const conn of listener) {
      console.error({ port: conn.remoteAddr.port });
      console.error(JSON.stringify({ port: conn.remoteAddr.port }));
      conn.readable.pipeTo(conn.writable);
    }`,
    ["--only", "poll"],
  );
  using page = new Page(server);
  await page.open();
  page.command({ type: "connect", client: "A" });
  page.command({ type: "ask", client: "A" });
  await page.until(
    "A is answered",
    ({ models }) => models["poll.ts"].clients.A.status === "answered",
  );
});

test("Ctrl-C leaves nothing behind", () => leavesNothing("SIGINT"));

test("killed by SIGKILL, it leaves no server behind", () =>
  leavesNothing("SIGKILL"));

async function leavesNothing(signal: Deno.Signal) {
  await using server = await watch(["--only", "blocking,async"]);
  using page = new Page(server);
  await page.open();
  page.command({ type: "idle", by: 100 });
  page.command({ type: "load", on: true });
  await eventually(
    () => children(server.pid).length === 4,
    "both, and both without a trace",
  );
  const pids = children(server.pid);
  Deno.kill(server.pid, signal);
  const { code } = await server.status;
  if (signal === "SIGINT") assertEquals(code, 130);
  await eventually(() => !pids.some(alive), "a server is left");
}

test("clients from elsewhere have names, and more of them are counted", async () => {
  await using server = await watch(["--only", "select,async,io_uring"]);
  using page = new Page(server);
  await page.open();
  page.command({ type: "connect", client: "A" });
  page.command({ type: "idle", by: 100 });
  await page.until(
    "all are idle",
    ({ models }) =>
      Object.values(models).every(({ idle, clients }) =>
        idle.connected === 100 && clients.A.status === "connected"
      ),
  );
  const names = (update: Update) =>
    Object.values(update.models).map(({ elsewhere: { clients, more } }) =>
      `${clients.map(({ name }) => name).join("")}+${more}`
    );
  const scripts = Object.keys(page.update!.models);
  const ports = scripts.map((script) => page.update!.models[script].port);
  const conns = await Promise.all(
    ports.flatMap((port) => Array.from({ length: 5 }, () => connect(port))),
  );
  // They ask before anybody knows whose clients they are: that counts as well.
  for (const conn of conns) {
    await send(conn, "hi\n");
    assert((await receive(conn, 10)).length > 0);
  }
  await page.until(
    "they are there",
    (update) => names(update).every((all) => all === "CDE+2"),
  );
  for (const conn of conns) {
    await send(conn, "hi\n");
    assert((await receive(conn, 10)).length > 0);
  }
  for (const script of scripts) {
    await eventually(
      () => page.answeredElsewhere.get(script) === 6,
      `${script} answers nobody`,
    );
  }
  for (const conn of conns) conn.close();
  await page.until(
    "they have left",
    (update) => names(update).every((all) => all === "+0"),
  );
});

test("more idle clients than there are descriptors are refused", async () => {
  await using server = await watch(
    ONE,
    (command) => `ulimit -n 700; exec ${command}`,
  );
  using page = new Page(server);
  await page.open();
  page.command({ type: "idle", by: 100 });
  page.command({ type: "idle", by: 100 });
  page.command({ type: "idle", by: 100 });
  await eventually(() => page.errors.length === 1, "no answer");
  assertMatch(page.errors[0], /^200 idle clients .* have 700 descriptors$/);
  await page.until("200", ({ idle, models }) => {
    const { connected, reason } = models["select.ts"].idle;
    return equal([idle, connected, reason], [
      { wanted: 200, most: 200, descriptors: 700 },
      200,
      undefined,
    ]);
  });
});

test("A connects and leaves in haste, and no connection is left", async () => {
  await using hand = await watchInHand(true);
  using page = new Page(hand.server);
  await page.open();
  for (let round = 0; round < 300; round++) {
    page.command({ type: "connect", client: "A" });
    if (round % 2) await pause(0); // it leaves while it connects, or just before
    page.command({ type: "leave", client: "A" });
    if (round % 3) await pause(1);
  }
  page.command({ type: "connect", client: "A" });
  page.command({ type: "ask", client: "A" });
  await page.until(
    "A is answered",
    ({ models }) => models["poll.ts"].clients.A.status === "answered",
  );
  await eventually(
    () => equal(hand.present(), [1, 0]),
    "connections are left that belong to nobody",
  );
});

test("the scene: A connects first, B asks first, and both leave", async () => {
  await using hand = await watchInHand(true, "--beat", "0.2");
  const { traced } = hand;
  using page = new Page(hand.server);
  await page.open();
  let secondAskedFirst = 0;
  for (let round = 0; round < 3; round++) {
    page.command({ type: "scene" });
    await page.until("it is played", ({ scene }) => scene);
    await page.until("it is over", ({ scene }) => !scene);
    const [A, B] = traced.slice(-2);
    assertEquals(traced.length, 2 * (round + 1));
    assertEquals([A.asked.length, B.asked.length], [1, 1]);
    if (B.asked[0] < A.asked[0]) secondAskedFirst++;
    await eventually(() => A.left && B.left, "they stay");
  }
  // On a busy machine, this test may read both questions at once.
  assert(secondAskedFirst > 0, "A asks first");
});

test("a scene that is broken off is over at once", async () => {
  await using hand = await watchInHand(true, "--beat", "1000");
  const { server } = hand;
  using page = new Page(server);
  await page.open();
  page.command({ type: "scene" });
  await page.until("it is played", ({ scene }) => scene);
  page.command({ type: "connect", client: "A" });
  await page.until("it is over", ({ scene }) => !scene);
  await eventually(() => equal(hand.present(), [1, 0]), "A has not connected");
});

Deno.test.ignore(
  "watch.ts: its page in a browser: deno task browser",
  () => {},
);
