/** The READMEs are right about the scripts, and the files are where they belong. */
import { existsSync } from "node:fs";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { models } from "../lib/models/models.ts";
import { connect, exchange, root, run, start, suite } from "./harness.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(path, root));
const PAGES = [
  ["README.md", "README.zh-CN.md"],
  ...[...Deno.readDirSync(new URL("docs/", root))]
    .filter(({ name }) => /^\w+\.md$/.test(name))
    .map((
      { name },
    ) => [`docs/${name}`, `docs/${name}`.replace(".", ".zh-CN.")]),
];

const blocks = (text: string) => text.match(/^```.*?^```/gms) ?? [];
const prose = (text: string) => text.replaceAll(/^```.*?^```/gms, "");
const headings = (text: string) => prose(text).match(/^#+ .*/gm) ?? [];
/** As GitHub makes one of a heading. */
const anchor = (heading: string) =>
  heading.replace(/^#+ /, "").toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
const links = (text: string) =>
  [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link);
/** Flags in code, where one is named. */
const flags = (text: string) => {
  const code = [...blocks(text), ...prose(text).match(/`[^`]+`/g) ?? []];
  return new Set(code.join(" ").match(/(?<![\w-])--[a-z][a-z-]+/g));
};

Deno.test("READMEs: both languages have the same sections, code and pictures", () => {
  for (const [english, chinese] of PAGES) {
    const [en, zh] = [read(english), read(chinese)];
    const levels = (text: string) =>
      headings(text).map((heading) =>
        /\w+\.ts$/.exec(heading)?.[0] ?? heading.replace(/ .*/, "")
      );
    assertEquals(levels(zh), levels(en));
    const code = (text: string) =>
      blocks(text).map((block) => block.replaceAll(/\s+# .*/g, ""));
    assertEquals(code(zh), code(en));
    const targets = (text: string) =>
      links(text).map((link) => link.replace(".zh-CN.", ".").split("#")[0])
        .filter((link) => link !== english.split("/").at(-1));
    assertEquals(targets(zh), targets(en));
    const table = /<!-- bench -->.*<!-- \/bench -->/s;
    const numbers = (text: string) => table.exec(text)?.[0].match(/\d+\.\d\d/g);
    assertEquals(numbers(zh), numbers(en));
  }
});

Deno.test("READMEs: every link of our own leads somewhere", () => {
  for (const page of PAGES.flat()) {
    for (const link of links(read(page))) {
      if (/^https?:/.test(link)) continue;
      const [path, fragment] = link.split("#");
      const target = new URL(path || page, path ? new URL(page, root) : root);
      assert(
        existsSync(target),
        `${page}: ${link} is not there`,
      );
      if (!fragment) continue;
      const anchors = headings(Deno.readTextFileSync(target)).map(anchor);
      assert(
        anchors.includes(decodeURIComponent(fragment)),
        `${page}: ${link}`,
      );
    }
  }
});

Deno.test("READMEs: every flag is one that a script has", async () => {
  // Flags of Deno, npm, Docker, WSL and curl; and one that no --help lists.
  const others =
    "help init allow-net allow-ffi allow-read watch parallel rm name security-opt install ppid";
  const known = new Set(others.split(" ").map((name) => `--${name}`));
  const scripts = [...Deno.readDirSync(root)].map(({ name }) => name)
    .filter((name) => name.endsWith(".ts") && name !== "util.ts");
  const helps = await Promise.all(
    scripts.map(async (script) => {
      const help = run(script, ["--help"]);
      assertEquals((await help.status).code, 0, script);
      return help.output();
    }),
  );
  for (
    const text of [
      ...helps,
      read("exercises/exercise.ts"),
      read("bench/bench.ts"),
    ]
  ) {
    for (const flag of text.match(/--[a-z][a-z-]+/g) ?? []) known.add(flag);
  }
  for (const page of PAGES.flat()) {
    for (const flag of flags(read(page))) {
      assert(known.has(flag), `${page}: no script has ${flag}`);
    }
  }
});

Deno.test("READMEs: the canteen is the same everywhere", () => {
  const plain = (text: string) => text.replaceAll(/\s+(\* )?/g, " ");
  for (const { script, canteen } of models) {
    const row = (text: string) =>
      text.split("\n").find((line) =>
        line.startsWith("| `") && line.includes(`\`${script}\``)
      ) ?? "";
    assert(row(read("README.md")).includes(`| ${canteen.en} `), script);
    assert(row(read("README.zh-CN.md")).includes(`| ${canteen.zh} `), script);
    const header = plain(read(script).split("*/")[0]);
    assert(header.includes(`In the canteen: ${canteen.en}`), script);
  }
});

Deno.test("READMEs: of a reasonable length, and a screen before the first picture", () => {
  for (const page of PAGES[0]) {
    const lines = read(page).split("\n");
    assert(lines.length <= 421, `${page}: ${lines.length}`);
    const picture = lines.findIndex((line) => line.startsWith("[!["));
    assert(picture > 0 && picture < 40, `${page}: ${picture}`);
  }
  for (const { name } of Deno.readDirSync(new URL("docs/", root))) {
    if (!/^bench-.*svg$/.test(name)) continue;
    const [, width] = /<svg[^>]* width="([\d.]+)"/.exec(read(`docs/${name}`))!;
    assert(Number(width) <= 900, `${name}: ${width}`);
  }
});

Deno.test("READMEs: what is to be changed is there to be changed", () => {
  const source = new Map([
    ["blocking.ts", "fcntl(listener, F_SETFL"],
    ["poll.ts", "watch(peer.fd, POLLIN"],
    ["epoll.ts", "else if (options.edge"],
    ["signal.ts", "watch(peer.fd)"],
    ["coroutines.ts", "yield; // until something comes"],
    ["async.ts", "serve(conn)"],
  ]);
  for (const [script, line] of source) {
    assert(read(script).includes(line), `${script}: ${line}`);
    for (const page of PAGES[0]) {
      const section = read(page).split(`### ${script}\n`)[1].split("\n#")[0];
      assert(section.includes(`\`${line}`), `${page}: ${script}`);
    }
  }
});

// Files by their paths from the root; the import map's names are no files.
const files = ["./", "lib/", "exercises/", "bench/"].flatMap(sources);

function sources(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, root))].flatMap((entry) => {
    const path = folder.replace("./", "") + entry.name;
    if (entry.isDirectory && folder !== "./" && entry.name !== "node_modules") {
      return sources(`${path}/`);
    }
    return /\.[jt]s$/.test(entry.name) ? [path] : [];
  });
}

/** The files of ours that a file imports, statically or when it needs them. */
function imports(path: string): string[] {
  const specifiers = /\b(?:from|import)\s*\(?\s*"(\.[^"]+)"/g;
  return [...read(path).matchAll(specifiers)].map(([, specifier]) =>
    new URL(specifier, new URL(path, root)).href.replace(root.href, "")
  );
}

Deno.test("files: none imports itself in a circle", () => {
  const done = new Set<string>();
  const visit = (path: string, importers: string[]) => {
    assert(!importers.includes(path), [...importers, path].join(" -> "));
    if (done.has(path)) return;
    for (const imported of imports(path)) visit(imported, [...importers, path]);
    done.add(path);
  };
  for (const path of files) visit(path, []);
  assert(done.has("lib/output.ts") && done.has("lib/prompt.ts"));
});

Deno.test("files: a page imports from util.ts, and nothing imports from tests/", () => {
  const more: Record<string, RegExp> = {
    "util.ts": /^lib\/\w+\.ts$/,
    "epoll_http.ts": /^lib\/http\/peer\.ts$/,
    "client.ts": /^lib\/prompt\.ts$/,
    "compare.ts": /^lib\//,
    "watch.ts": /^lib\//,
  };
  for (const path of files) {
    for (const imported of imports(path)) {
      const line = `${path} imports ${imported}`;
      assert(!imported.startsWith("tests/"), line);
      if (path.includes("/") || imported === "util.ts") continue;
      assert(more[path]?.test(imported), line);
    }
  }
});

Deno.test("util.ts has at most 160 lines", () => {
  const lines = read("util.ts").trimEnd().split("\n").length;
  assert(lines <= 160, `${lines}`);
});

Deno.test("pages: neighbours differ in how they wait, and have the rest in common", () => {
  const body = (script: string) => read(script).split("*/\n")[1].split("\n");
  for (const [one, other] of [["select", "poll"], ["poll", "epoll"]]) {
    const pages = [body(`${one}.ts`), body(`${other}.ts`)];
    const common = longest(pages[0], pages[1]);
    for (const page of pages) {
      assert(2 * common >= page.length, `${one} ${other}`);
    }
  }
});

Deno.test("pages: no line is too long for a terminal of 80 columns", () => {
  for (const { name } of Deno.readDirSync(root)) {
    if (!name.endsWith(".ts")) continue;
    for (const line of read(name).split("\n")) {
      assert(line.length <= 80, `${name}: ${line}`);
    }
  }
});

const test = suite("copies, as the README says");
const GET = "GET / HTTP/1.0\r\n\r\n";

/** A script with util.ts, lib/ and the documented deno.json in an empty folder. */
async function copyOf(script: string) {
  const dir = await Deno.makeTempDir();
  const { success } = await new Deno.Command("cp", {
    args: ["-r", script, "util.ts", "lib", dir],
    cwd: root,
  }).output();
  assert(success);
  const section = read("docs/machines.md")
    .split("## Copies and dependencies\n")[1];
  const [, config] = /^```json\n(.*?)^```/ms.exec(section)!;
  await Deno.writeTextFile(`${dir}/deno.json`, config);
  return {
    path: `${dir}/${script}`,
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

for (const { script, sceneFlags } of models) {
  test(`${script}: a copy serves, and has --trace`, async () => {
    await using copy = await copyOf(script);
    await using server = await start(
      copy.path,
      ["--trace", ...(sceneFlags?.(0.1) ?? [])],
      (command) => `exec ${command} </dev/null`,
    );
    using conn = await connect(server.port);
    const http = script === "epoll_http.ts";
    const answer = await exchange(conn, http ? GET : "hi\n");
    assertStringIncludes(answer, http ? "200 OK" : "hello sir\n");
    await server.until(/ (send\(|write\(|.*SEND)/);
  });
}

test("select.ts: a copy has --help and --trace=json, and refuses bad flags", async () => {
  await using copy = await copyOf("select.ts");
  const [help, misuse] = [
    run(copy.path, ["--help"]),
    run(copy.path, ["--prot"]),
  ];
  assertEquals((await help.status).code, 0);
  assertStringIncludes(help.output(), "\n  --port ");
  assertEquals((await misuse.status).code, 2);
  assertEquals(
    misuse.output(),
    'select.ts: unknown argument "--prot"; see --help\n',
  );
  await using server = await start(copy.path, ["--trace=json"]);
  await server.until('"call":"select"');
});

test("client.ts: a copy talks to a server", async () => {
  await using copy = await copyOf("client.ts");
  await using server = await start("select.ts");
  const client = run(copy.path, ["--port", `${server.port}`]);
  await client.write("hi\n");
  await client.end();
  assertEquals((await client.status).code, 0);
  assertEquals(client.output(), "hello sir\n");
});

/** How many lines two texts have in common, in the same order. @see diff(1) */
function longest(one: string[], other: string[]): number {
  let row = new Array(other.length + 1).fill(0);
  for (const line of one) {
    const next = [0];
    for (let i = 0; i < other.length; i++) {
      next.push(line === other[i] ? row[i] + 1 : Math.max(row[i + 1], next[i]));
    }
    row = next;
  }
  return row[other.length];
}
