import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Play, svg } from "../lib/figure.ts";
import { eventually, run } from "./harness.ts";

const root = new URL("..", import.meta.url);

/** What compare.ts writes, and how it ends. */
async function compare(args: string[], cwd: URL | string = root) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "compare.ts", ...args],
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

const waited = ({ clients }: Play) =>
  clients.map(({ asked, answered }) => answered - asked);

/** Throws unless every tag is closed, in order, and text and values escaped. */
function wellFormed(xml: string) {
  const open: string[] = [];
  let roots = 0;
  const rest = xml.replace(
    /<(\/?)([a-z]+)((?: [\w:-]+="(?:[^<>&"]|&#\d+;)*")*)(\/?)>/gi,
    (_, end, name, _attributes, empty) => {
      if (!end && !open.length) roots++;
      if (end) assertEquals(open.pop(), name);
      else if (!empty) open.push(name);
      return "";
    },
  );
  assertEquals(open, []);
  assertEquals(roots, 1);
  assertEquals(rest.match(/[<>]|&(?!#\d+;)/g), null);
}

Deno.test("compare.ts: what it shows is what happened", async (test) => {
  const names =
    "blocking nonblocking select poll epoll_http signal async io_uring".split(
      " ",
    );
  const played = await Promise.all(names.map(async (name) => {
    const { code, stdout, stderr } = await compare(["--json", "--only", name]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const { plays, missing } = JSON.parse(stdout);
    assertEquals(missing, []);
    assertEquals(plays.length, 1);
    return [name, plays[0]] as [string, Play];
  }));
  const plays = Object.fromEntries(played);
  const { blocking, nonblocking, signal, async, ...rest } = plays;

  await test.step("the blocking server is held by one client", () => {
    const [first, second] = blocking.clients;
    assert(second.asked < first.asked);
    assert(second.answered >= first.left, "served before the first has left");
    const held = blocking.spans.find(({ from, to }) =>
      from <= second.asked && second.asked < to
    );
    assertEquals(held?.state, "asleep");
    assertEquals(held?.call, "recv");
    assertEquals(held?.client, 0);
  });

  await test.step("the non-blocking one answers at its next visit", () => {
    for (const { asked, answered } of nonblocking.clients) {
      const visit = nonblocking.spans.find(({ call, from }) =>
        call && from > asked
      )!;
      assert(answered > visit.from);
      assert(answered - visit.from < 150, "not at the next visit");
    }
    assert(nonblocking.spans.some(({ state }) => state === "playing"));
  });

  await test.step("the others answer at once", () => {
    const bound = waited(blocking)[1] / 3;
    for (const [name, play] of Object.entries({ ...rest, async })) {
      assert(Math.max(...waited(play)) < bound, `${name}: ${waited(play)}`);
    }
  });

  await test.step("held, or free", () => {
    for (const play of [blocking, ...Object.values(rest)]) {
      assert(play.held > 0.7, `${play.script}: ${play.held}`);
      assert(play.calls! > 5);
    }
    for (const { held, script } of [nonblocking, signal, async]) {
      assert(held < 0.3, `${script}: ${held}`);
    }
    assertEquals(async.calls, null);
    for (const { spans } of [signal, async]) {
      assert(spans.some(({ state }) => state === "free"));
    }
  });

  await test.step("a lane has no holes and nothing twice", () => {
    for (const { script, spans, from, to } of Object.values(plays)) {
      let last = from;
      for (const span of spans) {
        assert(Math.abs(span.from - last) < 0.01, `${script} at ${last}`);
        assert(span.to >= span.from);
        last = span.to;
      }
      assert(Math.abs(to - last) < 0.01);
    }
  });

  await test.step("the picture: well-formed, words as words", () => {
    const picture = svg(Object.values(plays), 'a <system> & its "name"');
    wellFormed(picture);
    const words = picture.replace(/<style>.*<\/style>/s, "")
      .replace(/<[^>]+>/g, "\n");
    for (const { script, model, canteen } of Object.values(plays)) {
      assert(canteen.length > 30 && model);
      for (const text of [script, model, canteen]) {
        assert(words.includes(text), `${text} is not there`);
      }
    }
    assert(picture.includes("prefers-color-scheme: dark"));
    assert(words.includes("asleep in recv, for the first client alone"));
  });
});

Deno.test("compare.ts: --only, a picture, and models that cannot play", async () => {
  const dir = await Deno.makeTempDir();
  try {
    for (const { name } of Deno.readDirSync(root)) {
      if (!/^(compare|figure|util|trace|select)\.ts$|^deno\./.test(name)) {
        continue;
      }
      await Deno.copyFile(new URL(name, root), `${dir}/${name}`);
    }
    await Deno.writeTextFile(
      `${dir}/poll.ts`,
      'console.error("poll.ts: forbidden here"); Deno.exit(1);',
    );
    const args = ["--only", "select.ts, poll,epoll_http", "--beat", "0.1"];
    const { code, stdout, stderr } = await compare(
      [...args, "--svg", "picture.svg"],
      dir,
    );
    const [poll, epoll, ...more] = stderr.split("\n");
    assertEquals(poll, "compare.ts: without poll.ts: forbidden here");
    assertMatch(epoll, /^compare.ts: without epoll_http.ts: Module not found/);
    assertEquals(more, [""]);
    assertEquals(code, 0);
    assertMatch(stdout, /^thread .*▒ asleep in select ▒/m);
    assertMatch(stdout, /^select.ts( +[\d.]+ ms){2} +\d+ +\d+ % +[\d.]+ ms$/m);
    assert(!stdout.includes("\x1b") && !stdout.includes("poll.ts"));
    for (const line of stdout.split("\n")) assert(line.length <= 80, line);
    wellFormed(await Deno.readTextFile(`${dir}/picture.svg`));
    const none = await compare(["--only", "poll"], dir);
    assertEquals({ code: none.code, stdout: none.stdout }, {
      code: 1,
      stdout: "",
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("compare.ts: bad flags and models get one line", async () => {
  const usage: [string[], RegExp][] = [
    [
      ["--only", "select,pol"],
      /--only takes blocking, .*, not "pol"; see --help/,
    ],
    [["--only", ""], /--only takes a value; see --help/],
    [["--beat", "0"], /--beat takes a number above 0.*, not "0"; see --help/],
    [["--svg"], /--svg takes a value; see --help/],
    [["--json=yes"], /--json takes no value; see --help/],
    [["--trace"], /unknown argument --trace; see --help/],
  ];
  await Promise.all(usage.map(async ([args, line]) => {
    const { code, stdout, stderr } = await compare(args);
    assertEquals({ code, stdout }, { code: 2, stdout: "" });
    assertMatch(stderr, RegExp(`^compare.ts: ${line.source}[^\n]*\n$`));
  }));
});

Deno.test("compare.ts: Ctrl-C leaves no process behind", async () => {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(`/proc/${path}`);
    } catch {
      return ""; // gone
    }
  };
  const alive = (pid: string) => /^State:\s+[^Z]/m.test(read(`${pid}/status`));
  await Promise.all((["SIGINT", "SIGTERM"] as const).map(async (signal) => {
    await using comparing = run("compare.ts", ["--only", "select"]);
    const { pid } = comparing;
    let children: string[] = [];
    await eventually(() => {
      const threads = [...Deno.readDirSync(`/proc/${pid}/task`)];
      children = threads.flatMap(({ name }) =>
        read(`${pid}/task/${name}/children`).split(" ").filter((id) => id)
      );
      return children.some(alive);
    }, "it starts nothing");
    Deno.kill(pid, signal);
    assertEquals(
      (await comparing.status).code,
      signal === "SIGINT" ? 130 : 143,
    );
    assertEquals(comparing.output(), "");
    await eventually(() => !children.some(alive), "a server is left");
  }));
});
