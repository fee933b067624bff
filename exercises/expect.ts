/**
 * What a check does: it starts a script as a process, is its client over real
 * sockets, and says what went wrong, in both languages.
 */
import { connect, send } from "../lib/connection.ts";
import type { Language, Words } from "../lib/models/states.js";
import { processState, sockets } from "../lib/proc.ts";
import { cpuTime, scriptCommand } from "../lib/process.ts";
import { type RecordedProcess, startRecordedServer } from "../lib/recorded.ts";
import { pause } from "../lib/time.ts";

/** What went wrong, and what the server had printed until then. */
export class Symptom extends Error {
  readonly printed: string;
  constructor(server: RecordedProcess, readonly words: Words) {
    super(words.en);
    this.printed = server.output();
  }
}

/** One thing that a server must do. */
export interface Check {
  title: Words;
  /** What the server should do, as a sentence without its subject. */
  should: Words;
  /** How one might go about it: shown where --hint is given. */
  hint: Words;
  /**
   * Talks to the server, in the learner's language; throws a Symptom if the
   * server does not do what it should.
   */
  run(server: RecordedProcess, language: Language): Promise<void>;
}

/**
 * Starts the script and tries the check on it. Returns what the server did
 * instead, and the last lines that it printed; undefined if all is well.
 * `command` makes the command that runs a script.
 */
export async function failure(
  script: string,
  check: Check,
  language: Language,
  command = scriptCommand,
): Promise<string | undefined> {
  let server: RecordedProcess;
  try {
    const start = command(script, "--port", "0");
    server = await startRecordedServer(start, { name: script });
  } catch (error) {
    const why = (error as Error).message.trimEnd();
    return { en: `it did not start: ${why}`, zh: `启动失败：${why}` }[language];
  }
  try {
    await check.run(server, language);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return await describe(server, error, language);
  } finally {
    await server.stop();
  }
}

/** What the error says and the server has printed, for the learner. */
async function describe(
  server: RecordedProcess,
  error: Error,
  language: Language,
) {
  await pause(50); // the server may be about to die
  const isSymptom = error instanceof Symptom;
  let symptom = isSymptom ? error.words[language] : error.message;
  let printed = isSymptom ? error.printed : server.output();
  if ("ZX".includes(processState(server.pid))) {
    const { code } = await server.status; // its last words included
    symptom = {
      en: `it died, with status ${code}`,
      zh: `进程退出了，状态码为 ${code}`,
    }[language];
    printed = server.output();
  }
  const lastLines = printed.trimEnd().split("\n")
    .filter((line, i, lines) => line !== lines[i - 1]) // "waiting", say
    .slice(-10);
  return [
    symptom,
    { en: "it printed:", zh: "打印了：" }[language],
    ...lastLines.map((line) => `  | ${line.slice(0, 100)}`),
  ].join("\n");
}

/** Whether the kernel has the server running, or waiting for a processor. */
function isAwake(server: RecordedProcess): boolean {
  return processState(server.pid) === "R";
}

/**
 * Yields every 10 ms, until at 70 of these looks the server was asleep, and none
 * of its threads had computed since the look before, however long a busy machine
 * needs for that: a server that has done nothing by then will not do it later.
 */
async function* looks(server: RecordedProcess): AsyncGenerator<void> {
  let asleep = 0;
  for (let count = 0; asleep < 70 && count < 1500; count++) {
    yield;
    const before = cpuTime(server.pid);
    await pause(10);
    const computes = cpuTime(server.pid) - before > 1; // a Worker, it may be
    if (!isAwake(server) && !computes) asleep++;
  }
}

/** The promise's result; undefined if the server does nothing for it. */
export async function resultOf<T>(
  server: RecordedProcess,
  promise: Promise<T>,
): Promise<T | undefined> {
  let settled = false;
  promise.catch(() => {}).then(() => settled = true);
  for await (const _ of looks(server)) {
    if (settled) return await promise;
  }
}

/** Waits until the server has printed the text. */
export async function expectPrinted(
  server: RecordedProcess,
  text: string,
  symptom: Words,
) {
  const printed = server.until(text).then(() => true, () => false);
  if (!await resultOf(server, printed)) throw new Symptom(server, symptom);
}

/** Waits until the server has accepted a client. */
export async function expectAccepted(server: RecordedProcess) {
  await expectPrinted(server, "got connection", {
    en: "it never accepted a client",
    zh: "没有接受客户端的连接",
  });
}

/**
 * Waits for exactly this answer, in as many pieces as it comes. `said` is what
 * the client has said, as the beginning of a sentence.
 */
export async function expectAnswer(
  server: RecordedProcess,
  conn: Deno.Conn,
  said: Words,
  expected: string,
) {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1024);
  let answer = "";
  while (answer.length < expected.length && expected.startsWith(answer)) {
    const read = conn.read(buffer).catch(() => null); // null: it hung up
    const size = await resultOf(server, read);
    if (size === undefined && answer === "") {
      throw new Symptom(server, {
        en: `${said.en} got no answer`,
        zh: `${said.zh}没有收到响应`,
      });
    }
    if (size === null) {
      throw new Symptom(server, {
        en: `${said.en} was hung up on`,
        zh: `${said.zh}连接却被关闭了`,
      });
    }
    if (size === undefined) break; // it got the beginning only
    answer += decoder.decode(buffer.subarray(0, size), { stream: true });
  }
  if (answer === expected) return;
  const got = shown(answer);
  const wanted = shown(expected);
  throw new Symptom(server, {
    en: `${said.en} got "${got}" instead of "${wanted}"`,
    zh: `${said.zh}收到的是“${got}”，而不是“${wanted}”`,
  });
}

/** The beginning of a text, with its newlines to be seen except the last. */
function shown(text: string): string {
  return text.replace(/\n$/, "").replaceAll("\n", "\\n").slice(0, 60);
}

/**
 * The client sends a text and expects "hello sir": or `typed` if that is given,
 * as somebody types it into the server's terminal.
 */
export async function expectHello(
  server: RecordedProcess,
  conn: Deno.Conn,
  client: Words,
  text: string,
  typed = "",
) {
  const said = {
    en: `${client.en} said "${text}", and`,
    zh: `${client.zh}发来“${text}”，`,
  };
  await send(conn, text).catch(() => {});
  if (typed) {
    await expectPrinted(server, text, {
      en: `${said.en} it never showed`,
      zh: `${said.zh}却没有显示出来`,
    });
    await server.write(`${typed}\n`);
  }
  await expectAnswer(server, conn, said, `${typed || "hello sir"}\n`);
}

/**
 * Expects that the server sleeps, for half a second in which no client sends
 * anything. The kernel tells whether it is awake: its CPU time would depend on
 * what else runs on this machine.
 */
export async function expectSleep(server: RecordedProcess, situation: Words) {
  const LOOKS = 25;
  const before = cpuTime(server.pid);
  let awake = 0;
  for (let i = 0; i < LOOKS; i++) {
    await pause(20);
    if (isAwake(server)) awake++;
  }
  if (awake <= LOOKS / 2) return;
  const used = Math.round(cpuTime(server.pid) - before);
  throw new Symptom(server, {
    en: `${situation.en}, but in half a second the server was awake at ` +
      `${awake} of ${LOOKS} looks, and used ${used} ms of CPU`,
    zh:
      `${situation.zh}，但半秒内查看 ${LOOKS} 次，服务器有 ${awake} 次在运行，` +
      `占用 CPU ${used} 毫秒`,
  });
}

/** Waits until the server has no more than so many connections open. */
export async function expectConnections(
  server: RecordedProcess,
  count: number,
  symptom: Words,
) {
  for await (const _ of looks(server)) {
    if (sockets(server.pid) === 1 + count) return; // and its listener
  }
  throw new Symptom(server, symptom);
}

/** What a client asks, and what the right answer is. */
export interface Question {
  question: string;
  answer: string;
}

/**
 * Asks for something that takes long to compute, then for something short on
 * another connection. Expects the short answer while the long one is computed,
 * and both of them to be right.
 */
export async function expectShortFirst(
  server: RecordedProcess,
  long: Question,
  short: Question,
) {
  using first = await connect(server.port);
  using second = await connect(server.port);
  let isLongAnswered = false;
  await send(first, long.question);
  await expectPrinted(server, long.question, {
    en: `a client asked for ${long.question}, and it never showed`,
    zh: `客户端发来 ${long.question}，却没有显示出来`,
  });
  const longAnswer = expectAnswer(server, first, {
    en: `the client that asked for ${long.question}`,
    zh: `请求 ${long.question} 的客户端`,
  }, `${long.answer}\n`).then(() => isLongAnswered = true);
  longAnswer.catch(() => {}); // awaited below

  const start = performance.now();
  await send(second, short.question);
  await expectAnswer(server, second, {
    en: `the client that asked for ${short.question}`,
    zh: `请求 ${short.question} 的客户端`,
  }, `${short.answer}\n`);
  const waited = Math.round(performance.now() - start);
  await pause(20); // the long answer may have come just before
  if (isLongAnswered) {
    throw new Symptom(server, {
      en: `while it computed for one client, another waited ${waited} ms for ` +
        "an answer that takes less than one",
      zh: `给一个客户端计算期间，另一个客户端等了 ${waited} 毫秒，` +
        "而它的结果不到 1 毫秒就能算出来",
    });
  }
  await longAnswer;
}
