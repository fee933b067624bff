import { assert, assertEquals, assertMatch, equal } from "@std/assert";
import type {
  Command,
  Hello,
  Message,
  RecordedUpdate,
  Recording,
  Update,
} from "../lib/watch/messages.ts";
import {
  connect,
  eventually,
  ioUring,
  pause,
  receive,
  rest,
  root,
  run,
  type Running,
  send,
  start,
  suite,
} from "./harness.ts";

const test = suite("watch.ts");

/** watch.ts, stopped by Ctrl-C: killed outright, it could not stop its servers. */
async function watch(
  args: string[],
  shell?: (command: string) => string,
): Promise<Running> {
  const server = await start("watch.ts", args, shell);
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      if (alive(server.pid)) Deno.kill(server.pid, "SIGINT");
      await server.status;
      await server.stop();
    },
  };
}

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

/** The processes that a process has started. */
/** The servers that a process has started. */
const children = (pid: number) =>
  Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ")
    .filter((pid) => pid && isServer(pid)).map(Number);
const isServer = (pid: string) => {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes("--port");
  } catch {
    return false; // it has ended meanwhile
  }
};
const alive = (pid: number) => {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

/** Stands in for the page. */
class Page implements Disposable {
  hello?: Hello;
  update?: Update;
  errors: string[] = [];
  /** How many answers clients with names have got from elsewhere, by script. */
  readonly answeredElsewhere = new Map<string, number>();
  #socket: WebSocket;

  constructor({ port }: Running) {
    const headers = { origin: `http://127.0.0.1:${port}` };
    // Beside the page's own code, its WebSocket is that of a browser, which takes
    // no headers: Deno's does.
    const url = `ws://127.0.0.1:${port}/live`;
    this.#socket = Reflect.construct(WebSocket, [url, { headers }]);
    this.#socket.addEventListener("message", ({ data }) => {
      const message: Message = JSON.parse(data);
      if (message.type === "hello") this.hello = message;
      if (message.type === "update") this.#take(message);
      if (message.type === "error") this.errors.push(message.error);
    });
  }

  #take(update: Update) {
    this.update = update;
    for (const [script, { elsewhere }] of Object.entries(update.models)) {
      const before = this.answeredElsewhere.get(script) ?? 0;
      const answers = elsewhere.clients.flatMap(({ answers }) => answers);
      this.answeredElsewhere.set(script, before + answers.length);
    }
  }

  send(data: string | Uint8Array<ArrayBuffer>) {
    this.#socket.send(data);
  }

  command(command: Command) {
    this.send(JSON.stringify(command));
  }

  async until(what: string, check: (update: Update) => boolean) {
    await eventually(() => !!this.update && check(this.update), what);
  }

  async open() {
    await this.until(
      "all run",
      ({ models }) =>
        Object.values(models).every(({ status }) => status === "running"),
    );
  }

  [Symbol.dispose]() {
    this.#socket.close();
  }
}

const ONE = ["--only", "select"];

/** watch.ts with another script in the place of poll.ts. */
async function watchWith(
  poll: string,
  args: string[],
): Promise<Running> {
  const dir = await Deno.makeTempDir();
  for (const name of ["watch.ts", "util.ts", "epoll.ts", "deno.json"]) {
    await Deno.copyFile(
      new URL(`../${name}`, import.meta.url),
      `${dir}/${name}`,
    );
  }
  await Deno.symlink(new URL("../lib", import.meta.url), `${dir}/lib`);
  await Deno.writeTextFile(`${dir}/poll.ts`, poll);
  const server = await watch(
    args,
    (command) => `cd ${dir} && exec ${command}`,
  );
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** Hands each connection to a port of the test, after a line that tells which. */
const handsOver = (port: number) => `
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log("poll.ts: listening on 127.0.0.1:" + listener.addr.port);
  const kind = Deno.args.includes("--trace=json") ? "traced" : "untraced";
  for await (const conn of listener) {
    const test = await Deno.connect({ hostname: "127.0.0.1", port: ${port} });
    await test.write(new TextEncoder().encode(kind + "\\n"));
    conn.readable.pipeTo(test.writable).catch(() => {});
    test.readable.pipeTo(conn.writable).catch(() => {});
  }
`;

/** A client of watch.ts, as the server in the place of poll.ts sees it. */
class Asker {
  /** When each question came. */
  readonly asked: number[] = [];
  answered = 0;
  left = false;

  constructor(readonly conn: Deno.TcpConn, readonly answers: boolean) {}

  /** Takes its questions, until it leaves. */
  async read() {
    const chunk = new Uint8Array(1024);
    try {
      while (true) {
        const n = await this.conn.read(chunk);
        if (n === null) break;
        const questions = new TextDecoder().decode(chunk.subarray(0, n))
          .split("\n").length - 1;
        for (let i = 0; i < questions; i++) this.asked.push(performance.now());
        if (this.answers) await this.answer();
      }
    } catch { /* it has left with a reset */ }
    this.left = true;
    this.conn.close();
  }

  async answer() {
    this.answered++;
    await send(this.conn, "hello sir\n");
  }
}

/** watch.ts with a poll.ts whose clients talk to the test. */
async function watchInHand(answersTraced: boolean, ...args: string[]) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const traced: Asker[] = [];
  const untraced: Asker[] = [];
  const accept = async () => {
    for await (const conn of listener) {
      const isTraced = (await receive(conn, 7)).at(0) === "t".charCodeAt(0);
      if (!isTraced) await receive(conn, 2);
      const asker = new Asker(conn, answersTraced || !isTraced);
      (isTraced ? traced : untraced).push(asker);
      asker.read();
    }
  };
  accept();
  const server = await watchWith(
    handsOver(listener.addr.port),
    ["--only", "poll", ...args],
  );
  return {
    server,
    traced,
    untraced,
    /** How many clients each of the two servers has. */
    present: () =>
      [traced, untraced].map((askers) =>
        askers.filter(({ left }) => !left).length
      ),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      listener.close();
    },
  };
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

test("load switched off and on many times at once is load once", async () => {
  await using hand = await watchInHand(true);
  const { server, traced, untraced } = hand;
  using page = new Page(server);
  await page.open();
  for (let i = 0; i < 20; i++) {
    page.command({ type: "load", on: true });
    page.command({ type: "load", on: false });
  }
  page.command({ type: "load", on: true });
  const present = () => untraced.filter(({ left }) => !left);
  await eventually(
    () => (present().at(0)?.asked.length ?? 0) > 1,
    "the untraced server is not asked",
  );
  assertEquals(present().length, 1);
  const [{ asked }] = present();
  // It is asked for 40 ms at a time, and rests for 80 ms after that.
  const from = asked.at(-1)!;
  await eventually(() => asked.at(-1)! > from + 3000, "it is not asked");
  const times = asked.filter((time) => time >= from);
  let rested = 0;
  for (const [i, time] of times.entries()) {
    const gap = time - (times[i - 1] ?? time);
    if (gap > 60) rested += gap;
  }
  const share = rested / (times.at(-1)! - from);
  assert(share > 0.2, `it rests for ${share} of the time`);
  // A asks one question at a time.
  const [A] = traced;
  assertEquals(traced.length, 1);
  await page.until(
    "A asks without pause",
    ({ models }) => models["poll.ts"].clients.A.status === "load",
  );
  assert(A.asked.length - A.answered <= 1);
});

test("load switched off and on while an answer is still to come", async () => {
  await using hand = await watchInHand(false);
  const { server, traced } = hand;
  using page = new Page(server);
  await page.open();
  const status = () => page.update!.models["poll.ts"].clients.A.status;
  page.command({ type: "load", on: true });
  await eventually(() => traced.at(0)?.asked.length === 1, "A does not ask");
  const [A] = traced;
  for (let i = 0; i < 5; i++) {
    page.command({ type: "load", on: false });
    page.command({ type: "load", on: true });
  }
  await eventually(() => status() === "waiting", "A does not wait");
  assertEquals(A.asked.length, 1, "it asks again, with no answer yet");
  for (let answers = 1; answers < 5; answers++) {
    await A.answer();
    await eventually(() => A.asked.length === answers + 1, "A asks no more");
  }
  // The load ends while A waits: that answer still comes, and then it rests.
  await page.until("A waits", () => status() === "waiting");
  page.command({ type: "load", on: false });
  await page.until("it is off", ({ load }) => !load);
  assertEquals(status(), "waiting");
  await A.answer();
  await page.until("A is answered", () => status() === "answered");
  const asked = A.asked.length;
  page.command({ type: "ask", client: "A" });
  await eventually(() => A.asked.length === asked + 1, "A does not ask");
  await page.until("A waits", () => status() === "waiting");
  await A.answer();
  await page.until("A is answered", () => status() === "answered");
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

test("when nobody looks, nothing is asked", async () => {
  await using server = await watch(ONE);
  using page = new Page(server);
  await page.open();
  page.command({ type: "load", on: true });
  await page.until(
    "A asks",
    ({ models }) => models["select.ts"].clients.A.status === "load",
  );
  page[Symbol.dispose]();
  await eventually(
    () => children(server.pid).length === 1,
    "the untraced server is left",
  );
});

test("idle clients come in haste, and the untraced server has as many", async () => {
  await using hand = await watchInHand(true);
  const { server } = hand;
  using page = new Page(server);
  await page.open();
  page.command({ type: "idle", by: 100 });
  page.command({ type: "load", on: true });
  page.command({ type: "idle", by: 100 });
  page.command({ type: "idle", by: 100 });
  const have = (count: number) =>
    eventually(
      () => equal(hand.present(), [count, count]),
      `they do not both have ${count}`,
    );
  await have(301);
  for (const by of [100, 100, -100, -100, 100] as const) {
    page.command({ type: "idle", by });
  }
  await have(401);
  for (const by of [-100, 100, -100, -100] as const) {
    page.command({ type: "idle", by });
  }
  await have(201);
  await page.until("it is measured", ({ models }) => {
    const { calls, cpu } = models["poll.ts"].metrics ?? {};
    return calls !== null && cpu !== null;
  });
});

test("a model that is started again gets what the others have", async () => {
  await using hand = await watchInHand(true);
  const { server, traced } = hand;
  using page = new Page(server);
  // All of this is asked for while the model does not run yet.
  await page.until("it is there", () => true);
  page.command({ type: "idle", by: 100 });
  page.command({ type: "load", on: true });
  const asks = async (from: number) => {
    await eventually(
      () => equal(hand.present(), [101, 101]),
      "not 101 clients",
    );
    await eventually(
      () => traced.slice(from).some(({ asked }) => asked.length > 1),
      "A does not ask",
    );
  };
  await asks(0);
  for (let round = 0; round < 2; round++) {
    for (const pid of children(server.pid)) Deno.kill(pid, "SIGKILL");
    await page.until(
      "it has ended",
      ({ models }) => models["poll.ts"].status === "ended",
    );
    await eventually(() => equal(hand.present(), [0, 0]), "clients are left");
    const before = traced.length;
    page.errors.length = 0;
    page.command({ type: "restart", script: "poll.ts" });
    page.command({ type: "restart", script: "poll.ts" });
    await asks(before);
    assertEquals(page.errors, ["poll.ts has not ended"]);
    assertEquals(children(server.pid).length, 2);
  }
});

test("the server turns A away: why, in one line, and A can come again", async () => {
  await using hand = await watchInHand(true);
  const { traced } = hand;
  using page = new Page(hand.server);
  await page.open();
  page.command({ type: "load", on: true });
  await eventually(() => (traced.at(0)?.answered ?? 0) > 1, "A does not ask");
  await traced[0].conn.closeWrite();
  const A = () => page.update!.models["poll.ts"].clients.A;
  await page.until("A is gone", () => A().status === "ended");
  page.command({ type: "connect", client: "A" });
  await eventually(() => (traced.at(1)?.answered ?? 0) > 1, "A does not ask");
  page.command({ type: "leave", client: "A" }); // and the load is over
  await page.until(
    "A has left",
    ({ load }) => !load && A().status === "away",
  );
  page.command({ type: "connect", client: "A" });
  await eventually(() => traced.length === 3, "A does not connect");
  await page.until("A is connected", () => A().status === "connected");
  await send(traced[2].conn, "full\x1b[2J\u202e, sorry\n");
  await traced[2].conn.closeWrite();
  await page.until("A is gone", () => A().status === "ended");
  assertEquals(A().reason, "full\\u{1b}[2J\\u{202e}, sorry");
});

test("what an answer costs, in calls and in µs", async () => {
  await using server = await watch(["--only", "select"]);
  using page = new Page(server);
  await page.open();
  page.command({ type: "load", on: true });
  const metrics = () => page.update!.models["select.ts"].metrics;
  await page.until("it is measured", () => {
    const { calls, cpu } = metrics() ?? {};
    return typeof calls === "number" && typeof cpu === "number";
  });
  const { calls, cpu } = metrics()!;
  // For each answer select, recv and send; one may have been half done.
  assert(calls! > 2.5 && calls! < 3.5, `${calls} calls`);
  assert(cpu! > 5 && cpu! < 5000, `${cpu} µs`);
});

test("where A is not answered, nothing is measured, and it is said why", async () => {
  await using server = await watch(["--only", "blocking,threads"]);
  using page = new Page(server);
  await page.open();
  const model = (script: string) => page.update!.models[script];
  page.command({ type: "idle", by: 100 });
  await page.until("threads.ts is full", ({ models }) => {
    const { connected, reason } = models["threads.ts"].idle;
    return connected === 32 && reason === "every thread is taken (32)";
  });
  page.command({ type: "load", on: true });
  await page.until(
    "A is not answered",
    ({ models }) =>
      models["blocking.ts"].metrics?.isUnanswered === true &&
      models["threads.ts"].clients.A.status === "ended",
  );
  const { cpu, calls } = model("blocking.ts").metrics!;
  assertEquals([cpu, calls], [null, null]);
  assertEquals(model("threads.ts").metrics, undefined);
  assertEquals(
    model("threads.ts").clients.A.reason,
    "every thread is taken (32)",
  );
  page.command({ type: "ask", client: "A" });
  await eventually(() => page.errors.length === 1, "nothing is said");
  page.command({ type: "idle", by: -100 });
  await page.until(
    "nobody is idle",
    ({ models }) =>
      Object.values(models).every(({ idle }) =>
        !idle.connected && !idle.reason
      ),
  );
  const isAnswered = ({ models }: Update) =>
    Object.values(models).every(({ metrics, clients }) =>
      metrics && !metrics.isUnanswered && clients.A.status === "load"
    );
  await page.until("there is room for A now", isAnswered);
  page.command({ type: "load", on: false });
  page.command({ type: "leave", client: "A" });
  page.command({ type: "load", on: true });
  await page.until("A is answered", isAnswered);
  page.command({ type: "connect", client: "A" });
  await eventually(() => page.errors.length === 2, "nothing is said");
  assertEquals(new Set(page.errors), new Set(["A asks without pause already"]));
});

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

/** The recording in a page that was saved, and its messages. */
async function recordingIn(html: string) {
  const [, json] = /id="recording">(.*?)<\/script>/.exec(html)!;
  const recording: Recording = JSON.parse(json);
  const bytes = Uint8Array.fromBase64(recording.messages);
  const stream = new Blob([bytes]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  const lines = (await new Response(stream).text()).split("\n");
  const messages: (RecordedUpdate | { type: "sceneResult" })[] = lines
    .map((line) => JSON.parse(line));
  const updates = messages.filter((message) => message.type === "update");
  return { ...recording, messages, updates };
}

test("--record plays a programme, and saves it as one file", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/run.html`;
    const args = ["--only", "blocking,epoll", "--beat", "0.1"];
    await using server = run("watch.ts", [...args, "--record", file]);
    assertEquals((await server.status).code, 0, server.output());
    assertMatch(server.output(), /recorded .*run.html: \d+ kB\n$/);
    const html = await Deno.readTextFile(file);
    assert(!/(src|href)="(?!data:|\/recording)/.test(html), "it needs others");
    const { hello, chapters, sources, messages, updates } = await recordingIn(
      html,
    );
    assertEquals(
      hello.models.map(({ script }) => script),
      ["blocking.ts", "epoll.ts"],
    );
    assertEquals(
      chapters.map(({ name, only }) => [name.en, only?.length]),
      [
        ["the scene", undefined],
        ["500 idle", undefined],
        ["as fast as they can", undefined],
        ["the scene, slowly", 2],
      ],
    );
    for (const [script, source] of Object.entries(sources)) {
      assertEquals(source, await Deno.readTextFile(new URL(script, root)));
    }
    const results = messages.filter(({ type }) => type === "sceneResult");
    assertEquals(results.length, 2);
    const epoll = updates.map(({ models }) => models["epoll.ts"]);
    assert(epoll.some(({ idle }) => idle?.connected === 500), "nobody idle");
    assert(epoll.some(({ metrics }) => metrics?.cpu), "nothing measured");
    assert(epoll.some(({ positions }) => positions?.[0]?.kind === "in"));
    const calls = epoll.flatMap(({ calls = [] }) => calls);
    assert(calls.some((call) => `${call}`.includes("epoll_wait(")));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

test("--record says in one line that it cannot write there", async () => {
  await using server = run("watch.ts", [...ONE, "--record", "/proc/run.html"]);
  assertEquals((await server.status).code, 1);
  assertMatch(
    server.output(),
    /^watch.ts: cannot write \/proc\/run.html: .*\n$/,
  );
});

test("what was to be seen can be saved while it goes on", async () => {
  await using server = await watch(ONE);
  const { port } = server;
  using page = new Page(server);
  await page.open();
  page.command({ type: "connect", client: "A" });
  await page.until(
    "A is connected",
    ({ models }) => models["select.ts"].clients.A.status === "connected",
  );
  const response = await fetch(`http://127.0.0.1:${port}/recording`);
  assertMatch(
    response.headers.get("content-disposition")!,
    /^attachment; filename="watch-[\d-]+\.html"$/,
  );
  const { hello, updates, recorded, machine } = await recordingIn(
    await response.text(),
  );
  assertEquals(hello.session, page.hello!.session);
  assertMatch(machine, /^Deno \d.* linux \d.*, \d+ CPUs?$/);
  assert(Math.abs(recorded - Date.now()) < 60_000);
  const changes = updates.map(({ models }) => models["select.ts"]);
  assertEquals(
    changes.map(({ status }) => status).filter((status) => status).at(-1),
    "running",
  );
  assertEquals(changes.at(-1)!.port, undefined); // as before
  assert(changes.some(({ clients }) => clients?.A.status === "connected"));
});

// In a configuration of its own, for the driver of the browser is large.
Deno.test.ignore(
  "watch.ts: its page in a browser: deno task browser",
  () => {},
);
