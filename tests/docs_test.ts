/** What the READMEs say of the scripts, and of each other, is so. */
import { existsSync } from "node:fs";
import { assert, assertEquals } from "@std/assert";
import { models } from "../lib/models/models.ts";
import { run } from "./harness.ts";

const root = new URL("..", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, root));
const PAGES = [
  ["README.md", "README.zh-CN.md"],
  ["docs/lesson.md", "docs/lesson.zh-CN.md"],
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
    const where = (text: string) =>
      links(text).map((link) => link.replace(".zh-CN.", ".").split("#")[0]);
    assertEquals(
      where(zh).filter((link) => link !== english.split("/").at(-1)),
      where(en).filter((link) => link !== english.split("/").at(-1)),
    );
    const own = /<!-- bench -->.*<!-- \/bench -->/s;
    const numbers = (text: string) => own.exec(text)?.[0].match(/\d+\.\d\d/g);
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
      const anchors = headings(read(page)).map(anchor);
      assert(
        anchors.includes(decodeURIComponent(fragment)),
        `${page}: ${link}`,
      );
    }
  }
});

Deno.test("READMEs: every flag is one that a script has", async () => {
  // Of Deno, npm, Docker, WSL and curl; and of what no --help tells.
  const others =
    "help allow-net allow-ffi allow-read rm name security-opt install";
  const known = new Set(others.split(" ").map((name) => `--${name}`));
  const scripts = [...Deno.readDirSync(root)].map(({ name }) => name)
    .filter((name) => name.endsWith(".ts") && name !== "util.ts");
  const helps = await Promise.all(
    [...scripts, "tests/crowd.ts"].map(async (script) => {
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
      assert(known.has(flag), `${page}: ${flag} is nobody's`);
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

Deno.test("READMEs: what is to be changed is there to be changed", () => {
  const source = new Map([
    ["blocking.ts", "fcntl(listener, F_SETFL"],
    ["poll.ts", "watch(peer.fd, POLLIN"],
    ["epoll.ts", "else if (options.edge"],
    ["signal.ts", "watch(peer.fd);"],
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

/** How many lines of two texts are the same, in the same order, as for diff(1). */
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
