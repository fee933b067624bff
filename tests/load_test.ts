/** watch.ts: idle clients, load, and what an answer costs. */
import { assert, assertEquals, equal } from "@std/assert";
import type { Update } from "../lib/watch/messages.ts";
import { eventually, send, suite } from "./harness.ts";
import { children, ONE, Page, watch, watchInHand } from "./live_page.ts";

const test = suite("watch.ts under load");

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
