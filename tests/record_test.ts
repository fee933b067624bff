/** watch.ts --record, and pages that are saved. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { RecordedUpdate, Recording } from "../lib/watch/messages.ts";
import { root, run, suite } from "./harness.ts";
import { ONE, Page, watch } from "./live_page.ts";

const test = suite("watch.ts: recordings");

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
