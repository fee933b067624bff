import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  client,
  cpuTime,
  receive,
  reset,
  root,
  run,
  send,
  unused,
} from "./harness.ts";
import { Terminal, terminals } from "./terminal.ts";

const listen = () => Deno.listen({ hostname: "127.0.0.1", port: 0 });
const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("client.ts: in a pipe, bytes in and bytes out, to the last", async () => {
  using listener = listen();
  const text = "食堂 ".repeat(100_000) + "no newline";
  const talking = client(listener.addr.port, text);
  using conn = await listener.accept();
  const came = await receive(conn, bytes(text).length + 1);
  assertEquals(new TextDecoder().decode(came), text);
  // The answer comes long after the input has ended, and in odd pieces.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const answer = "好的\x1b[31m\r\0\n";
  for (const byte of bytes(answer)) await send(conn, Uint8Array.of(byte));
  conn.close();
  assertEquals(await talking, { code: 0, stdout: answer, stderr: "" });
});

Deno.test("client.ts: the server hangs up, or is lost", async () => {
  using listener = listen();
  for (const end of ["close", "reset"]) {
    await using it = run("client.ts", ["--port", `${listener.addr.port}`]);
    const conn = await listener.accept();
    await send(conn, "bye\n");
    await it.until("bye\n");
    if (end === "close") conn.close();
    else reset(conn);
    const code = (await it.status).code;
    assertEquals(
      [code, it.output()],
      end === "close" ? [0, "bye\nclient.ts: the server hung up\n"] : [
        1,
        "bye\nclient.ts: lost the server: connection reset by peer (ECONNRESET)\n",
      ],
    );
  }
});

Deno.test("client.ts: nobody listens", async () => {
  using free = await unused();
  const { port } = free;
  const npx = Deno.execPath().includes("node_modules") ? "npx -y " : "";
  const { code, stdout, stderr } = await client(port, "hi\n");
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  assertEquals(
    stderr,
    `client.ts: cannot connect to 127.0.0.1:${port}: connection refused (ECONNREFUSED); start a server first: ${npx}deno run -A select.ts --port ${port}\n`,
  );
});

Deno.test("client.ts: what does not listen elsewhere is not to be started here", async () => {
  const { address } =
    Deno.networkInterfaces().find(({ family, address }) =>
      family === "IPv4" && !address.startsWith("127.")
    ) ?? { address: "127.0.0.1" };
  if (address === "127.0.0.1") return console.log("there is no other address");
  using free = await unused();
  await using it = run("client.ts", [
    "--hostname",
    address,
    "--port",
    `${free.port}`,
  ]);
  assertEquals((await it.status).code, 1);
  assertMatch(it.output(), /: connection refused \(ECONNREFUSED\)\n$/);
});

const test = await terminals("client.ts at a terminal");

/** A client at a terminal of that width, and its server's end. */
async function typing(columns = 60, rows = 24) {
  const listener = listen();
  const terminal = await Terminal.open(columns, rows);
  const before = await terminal.settings();
  const { port } = listener.addr;
  await terminal.type(`clear; deno run -A client.ts --port ${port}\r`);
  const conn = await listener.accept();
  await terminal.stands(":", [0, 1]);
  return {
    terminal,
    conn,
    before,
    async [Symbol.asyncDispose]() {
      await terminal[Symbol.asyncDispose]();
      listener.close();
      try {
        conn.close();
      } catch { /* the test has closed it */ }
    },
  };
}

/** The process of that client. */
function pid(conn: Deno.TcpConn): number {
  const args = `client.ts\0--port\0${conn.localAddr.port}\0`;
  for (const { name } of Deno.readDirSync("/proc")) {
    try {
      if (Deno.readTextFileSync(`/proc/${name}/cmdline`).endsWith(args)) {
        return Number(name);
      }
    } catch { /* not a process, or one that has just ended */ }
  }
  throw new Error("the client does not run");
}

/** ASCII as it stands in rows. */
const wrapped = (text: string, columns: number) =>
  text.match(new RegExp(`.{1,${columns}}`, "g"))!.join("\n");

for (const columns of [40, 60, 120]) {
  test(`an answer comes while something is being typed, ${columns} columns`, async () => {
    await using it = await typing(columns);
    const { terminal, conn } = it;
    const answered: string[] = [];
    // Nothing, a short draft, a row to the last column, two rows, three.
    for (
      const draft of [
        "",
        "is it ready?",
        "r".repeat(columns - 1),
        "w".repeat(columns + 10),
        "m".repeat(3 * columns - 7),
      ]
    ) {
      const end = draft.length + 1;
      const cursor = (): [number, number] => [
        answered.length + Math.floor(end / columns),
        end % columns,
      ];
      const stands = () =>
        [...answered, wrapped(":" + draft, columns)].join("\n");
      await terminal.type(draft);
      await terminal.stands(stands(), cursor());
      await send(conn, "hello sir\n");
      answered.push("hello sir");
      await terminal.stands(stands(), cursor());
      await send(conn, "two\nlines\n");
      answered.push("two", "lines");
      await terminal.stands(stands(), cursor());
      await terminal.type("\x15"); // Ctrl-U: away with it
      await terminal.stands([...answered, ":"].join("\n"));
    }
  });
}

test("wide characters: where a row ends, and no row too many", async () => {
  const draft = "食堂开了吗🚀✅é".repeat(5);
  for (
    const [columns, rows] of [
      [40, [
        ":食堂开了吗🚀✅é食堂开了吗🚀✅é食堂开了",
        "吗🚀✅é食堂开了吗🚀✅é食堂开了吗🚀✅é",
      ]],
      [41, [
        ":食堂开了吗🚀✅é食堂开了吗🚀✅é食堂开了吗",
        "🚀✅é食堂开了吗🚀✅é食堂开了吗🚀✅é",
      ]],
      [59, [
        ":食堂开了吗🚀✅é食堂开了吗🚀✅é食堂开了吗🚀✅é食堂开了吗🚀",
        "✅é食堂开了吗🚀✅é",
      ]],
    ] as const
  ) {
    await using it = await typing(columns);
    const { terminal, conn } = it;
    for (const character of draft) await terminal.type(character);
    await terminal.stands(rows.join("\n"));
    await terminal.type("\x1b[H"); // the key Home
    await terminal.stands(rows.join("\n"), [0, 1]);
    await terminal.type("\x1b[C"); // to the right
    await terminal.stands(rows.join("\n"), [0, 3]);
    await send(conn, "还没有 🚧\n");
    await terminal.stands(["还没有 🚧", ...rows].join("\n"), [1, 3]);
    await terminal.type("\x7f\x1b[F\x7f"); // Backspace, End, Backspace
    await terminal.type("\r");
    const line = bytes(draft.slice(1, -1) + "\n");
    assertEquals(await receive(conn, line.length), line);
  }
});

test("half a line, and then the rest", async () => {
  await using it = await typing(40);
  const { terminal, conn } = it;
  const food = bytes("食堂");
  await send(conn, food.subarray(0, 4)); // and half a character
  await terminal.stands("食:", [0, 3]);
  await terminal.type("draft");
  await send(conn, food.subarray(4));
  await terminal.stands("食堂:draft", [0, 10]);
  const long = "l".repeat(32);
  await send(conn, long + "more");
  await terminal.stands(`食堂${long}more\n:draft`, [1, 6]);
  await send(conn, "\r");
  await send(conn, "\nnext\x1b[2J\n");
  await terminal.stands(`食堂${long}more\nnext\\u{1b}[2J\n:draft`, [2, 6]);
});

test("stdin is a pipe: what comes does not drive the terminal", async () => {
  using listener = listen();
  await using terminal = await Terminal.open(40);
  const { port } = listener.addr;
  const command = `deno run -A client.ts --port ${port}`;
  await terminal.type(`clear; printf 'hi\\n' | ${command} | cat\r`);
  {
    using conn = await listener.accept();
    assertEquals(await receive(conn, 4), bytes("hi\n")); // and no more
    await send(conn, "\x1b[2Jraw: bytes in a pipe\n");
  }
  await terminal.until(/^\n?raw: bytes in a pipe\n\$$/);
  await terminal.type(`clear; printf 'hi\\n' | ${command}\r`);
  {
    using conn = await listener.accept();
    assertEquals(await receive(conn, 4), bytes("hi\n")); // and no more
    const food = bytes("食堂");
    await send(conn, "one\ttab\x1b]0;title\x07\n\x1b[2J\u202e");
    await terminal.until(/202e\}$/);
    await send(conn, food.subarray(0, 4)); // and half a character
    await terminal.until(/食$/);
    await send(conn, food.subarray(4));
    await send(conn, "\r");
    await terminal.until(/食堂$/);
    await send(conn, "\n\rend\r\r\n");
    await terminal.until(/end\\u\{d\}$/);
    await send(conn, food.subarray(0, 2)); // its end never comes
  }
  await terminal.stands(
    "one     tab\\u{1b}]0;title\\u{7}\n" +
      "\\u{1b}[2J\\u{202e}食堂\n\\u{d}end\\u{d}\n�$",
  );
});

test("several lines are pasted, and what is not a line yet stays", async () => {
  await using it = await typing();
  const { terminal, conn } = it;
  await terminal.type("one\rtwo\rthr");
  assertEquals(await receive(conn, 8), bytes("one\ntwo\n"));
  await terminal.stands(":one\n:two\n:thr", [2, 4]);
  await terminal.type("ee\r\x1b[A"); // the key for the line before
  assertEquals(await receive(conn, 6), bytes("three\n"));
  await terminal.stands(":one\n:two\n:three\n:three", [3, 6]);
});

test("a paste longer than the screen, an answer longer than memory of it", async () => {
  await using it = await typing(40, 10);
  const { terminal, conn } = it;
  const paste = "p".repeat(50_000);
  await terminal.type(paste + "END");
  await terminal.until(/p\n?E\n?N\n?D$/);
  await terminal.type("\r");
  assertEquals(await receive(conn, paste.length + 4), bytes(paste + "END\n"));
  await terminal.until(/p\n?E\n?N\n?D\n:$/);
  await terminal.type("draft");
  await send(conn, "y".repeat(1_000_000) + "END");
  await terminal.until(/y\n?E\n?N\n?D\n?:draft$/);
  const ms = cpuTime(pid(conn));
  assert(ms < 4000, `the client was busy for ${ms} ms`); // quadratic: 9 s and more
});

test("the window changes its width", async () => {
  await using it = await typing();
  const { terminal, conn } = it;
  await send(conn, "one\ntwo\npart ");
  let draft = "d".repeat(90);
  await terminal.type(draft);
  await terminal.stands(`one\ntwo\n${wrapped("part :" + draft, 60)}`);
  for (const columns of [61, 40, 120, 60, 30, 60]) {
    await terminal.resize(columns);
    const rows = wrapped("part :" + draft, columns);
    await terminal.stands(`one\ntwo\n${rows}`);
  }
  // And before that is drawn something comes from both sides.
  let shown = "one\ntwo";
  for (const columns of [50, 70, 30, 60]) {
    await terminal.resize(columns);
    await terminal.type("d");
    await send(conn, `of ${columns}\npart `);
    shown += `\npart of ${columns}`;
    draft += "d";
    await terminal.stands(`${shown}\n${wrapped("part :" + draft, columns)}`);
  }
});

test("Ctrl-Z stops all of the job; fg brings back prompt and draft", async () => {
  await using it = await typing();
  const { terminal, conn, before } = it;
  const server = listen();
  // As npx does: something else has started Deno, and waits for it.
  await terminal.type("\x03");
  await terminal.stands("$");
  const command = `deno run -A client.ts --port ${server.addr.port}`;
  await terminal.type(`clear; sh -c '${command}; echo ended'\r`);
  using second = await server.accept();
  server.close();
  conn.close();
  await terminal.stands(":");
  const draft = "d".repeat(70);
  await terminal.type(draft + "\x1b[D"); // to the left
  await terminal.stands(wrapped(":" + draft, 60), [1, 10]);
  for (let i = 0; i < 2; i++) {
    await terminal.type("\x1a");
    await terminal.stopped(/d{11}\n[^d][^$]*Stopped[^$]*\n\$$/);
    assertEquals(await terminal.settings(), before);
    await terminal.type("clear\r");
    await terminal.stands("$");
    await send(second, `while you were away\n`);
    await terminal.type("fg\r");
    await terminal.until(/fg\nsh -c[^$]+while you were away\n:d{59}\nd{11}$/);
    await terminal.type("\x0c"); // Ctrl-L
    await terminal.stands(wrapped(":" + draft, 60), [1, 10]);
  }
  await terminal.type("!\r");
  const line = bytes(`${"d".repeat(69)}!d\n`);
  assertEquals(await receive(second, line.length), line);
  await terminal.type("\x04");
  await terminal.stands(`:${"d".repeat(59)}\n${"d".repeat(10)}!d\nended\n$`);
  assertEquals(await terminal.settings(), before);
});

test("a stop from elsewhere, and on again", async () => {
  await using it = await typing();
  const { terminal, conn, before } = it;
  await terminal.type("draft");
  await terminal.stands(":draft");
  Deno.kill(pid(conn), "SIGSTOP");
  await terminal.stopped(/Stopped[^$]*\n\$$/);
  await terminal.type("stty sane; clear; fg\n");
  await terminal.until(/^[^\n]*client.ts[^\n]*\n:draft$/);
  await terminal.type("\x03");
  await terminal.until(/:draft\n\$$/);
  assertEquals(await terminal.settings(), before);
});

const ends: [
  string,
  string,
  (it: Awaited<ReturnType<typeof typing>>) => unknown,
][] = [
  ["Ctrl-C", "0", ({ terminal }) => terminal.type("\x03")],
  ["Ctrl-D", "0", ({ terminal }) => terminal.type("\x15\x04")],
  ["the server hangs up", "0", ({ conn }) => conn.close()],
  ["the server is lost", "1", ({ conn }) => reset(conn)],
  ["kill -TERM", "143", ({ conn }) => Deno.kill(pid(conn), "SIGTERM")],
  ["kill -INT", "130", ({ conn }) => Deno.kill(pid(conn), "SIGINT")],
  ["kill -HUP", "129", ({ conn }) => Deno.kill(pid(conn), "SIGHUP")],
];
for (const [end, status, make] of ends) {
  test(`it leaves the terminal as it was: ${end}`, async () => {
    await using it = await typing(80);
    const { terminal, conn, before } = it;
    await send(conn, "part ");
    await terminal.type("draft");
    await terminal.stands("part :draft");
    assert(
      await terminal.settings() !== before,
      "the terminal was not changed",
    );
    await make(it);
    const said = {
      "the server hangs up": "client.ts: the server hung up\n",
      "the server is lost":
        "client.ts: lost the server: connection reset by peer (ECONNRESET)\n",
    }[end] ?? "";
    const stays = end === "Ctrl-D" ? "part" : "part :draft";
    await terminal.stands(`${stays}\n${said}$`);
    assertEquals(await terminal.settings(), before);
    await terminal.run("echo $?", `${stays}\n${said}$ echo $?\n${status}\n$`);
  });
}

test("a copy of client.ts, util.ts and lib/ has its prompt", async () => {
  const folder = await Deno.makeTempDir();
  const files = ["client.ts", "util.ts", "lib"]
    .map((name) => new URL(name, root).pathname);
  const copy = new Deno.Command("cp", { args: ["-r", ...files, folder] });
  assert((await copy.output()).success, "cp fails");
  using listener = listen();
  try {
    await using terminal = await Terminal.open(100);
    // The root's deno.json says where @std/cli is, without JSR.
    const config = new URL("deno.json", root).pathname;
    const command = `deno run -A --config ${config} client.ts`;
    const { port } = listener.addr;
    await terminal.type(`cd ${folder}; clear; ${command} --port ${port}\r`);
    await terminal.stands(":", [0, 1]);
    using conn = await listener.accept();
    await terminal.type("hi\r");
    assertEquals(await receive(conn, 3), bytes("hi\n"));
    await terminal.type("draft");
    await send(conn, "hello sir\n");
    await terminal.stands(":hi\nhello sir\n:draft", [2, 6]);
    await terminal.type("\x15\x04"); // Ctrl-U, Ctrl-D
    await terminal.stands(":hi\nhello sir\n$");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
