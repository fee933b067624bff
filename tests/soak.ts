/**
 * All servers at once, with friendly and hostile clients for minutes:
 *
 *   deno task soak                  three minutes
 *   deno task soak --seconds 20
 *
 * Every byte that a friendly client sends must come back. At the end each server
 * must still answer, and have no more sockets open than before. Each server runs
 * twice, the second time with few descriptors: then it may refuse clients, but not
 * lose those that it has served.
 */
import { Buffer } from "node:buffer";
import { stopAllAtExit } from "../lib/process.ts";
import { pause } from "../lib/time.ts";
import { fail, flags } from "../util.ts";
import {
  connect,
  memory,
  receive,
  reset,
  rest,
  type Running,
  send,
  sockets,
  start,
} from "./harness.ts";

const { seconds } = flags("friendly and hostile clients for every server", {
  seconds: [180, "how long it takes"],
});

const servers: [script: string, ...args: string[]][] = [
  ["blocking.ts"],
  ["threads.ts", "--threads", "20"],
  ["nonblocking.ts", "--interval", "0.01"],
  ["select.ts"],
  ["poll.ts"],
  ["epoll.ts"],
  ["epoll.ts", "--edge"],
  ["coroutines.ts"],
  ["cores.ts", "--workers", "2"],
  ["epoll_http.ts"],
  ["signal.ts"],
  ["async.ts"],
  ["io_uring.ts"],
];
const FEW_DESCRIPTORS = 48; // some 30 of them are the server's own
const MOST_RANDOM_VALUES = 65536; // that crypto gives at once

const randomBytes = new Uint8Array(16 << 20);
for (let i = 0; i < randomBytes.length; i += MOST_RANDOM_VALUES) {
  crypto.getRandomValues(randomBytes.subarray(i, i + MOST_RANDOM_VALUES));
}

/** A random whole number from 0, less than `below`. */
function random(below: number): number {
  return Math.floor(Math.random() * below);
}

/** So many random bytes. */
function randomMessage(size: number): Uint8Array {
  const start = random(randomBytes.length - size);
  return randomBytes.subarray(start, start + size);
}

/** Sends a message, and returns what comes back, as many bytes at most. */
async function exchange(
  conn: Deno.TcpConn,
  message: Uint8Array,
): Promise<Uint8Array> {
  const received = receive(conn, message.length);
  const [answer] = await Promise.all([received, send(conn, message)]);
  return answer;
}

/** Sends a message as the body of a request; returns the response's body. */
async function exchangeHttp(
  conn: Deno.TcpConn,
  message: Uint8Array,
): Promise<Uint8Array> {
  const received = receiveResponse(conn);
  const [answer] = await Promise.all([received, sendRequest(conn, message)]);
  return answer;
}

/** Sends a request with that body, whole or in chunks. */
async function sendRequest(conn: Deno.TcpConn, body: Uint8Array) {
  await send(conn, "POST / HTTP/1.1\r\nHost: soak\r\n");
  if (random(2)) {
    await send(conn, `Content-Length: ${body.length}\r\n\r\n`);
    await send(conn, body);
    return;
  }
  await send(conn, "Transfer-Encoding: chunked\r\n\r\n");
  let sent = 0;
  while (sent < body.length) {
    const chunk = body.subarray(sent, sent + 1 + random(50_000));
    await send(conn, `${chunk.length.toString(16)}\r\n`);
    await send(conn, chunk);
    await send(conn, "\r\n");
    sent += chunk.length;
  }
  await send(conn, "0\r\n\r\n");
}

/** Receives a response, and returns its body. */
async function receiveResponse(conn: Deno.TcpConn): Promise<Uint8Array> {
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    const byte = await receive(conn, 1);
    if (!byte.length) throw new Error("hung up before the response");
    head += String.fromCharCode(byte[0]);
  }
  const length = /^HTTP\/1.1 200 [^]*\r\nContent-Length: (\d+)/.exec(head)?.[1];
  return await receive(conn, Number(length));
}

/** A server, its clients, and what they have met with. */
class Trial {
  bytes = 0;
  friendly = 0;
  hostile = 0;
  refused = 0;
  wrong: string[] = [];
  before = { sockets: 0, memory: 0 };

  constructor(
    readonly script: string,
    readonly name: string,
    readonly server: Running,
    readonly fewDescriptors: boolean,
  ) {}

  get http(): boolean {
    return this.script === "epoll_http.ts";
  }

  /** A client that sends some messages and expects each to come back. */
  async visitFriendly() {
    let conn: Deno.TcpConn | undefined;
    let served = false; // from then on nothing may be lost
    this.friendly++;
    try {
      conn = await connect(this.server.port);
      const messages = 1 + random(5);
      for (let i = 0; i < messages; i++) {
        const message = randomMessage(1 + random(random(4) ? 2_000 : 300_000));
        const answer = this.http
          ? await exchangeHttp(conn, message)
          : await exchange(conn, message);
        if (Buffer.compare(answer, message) !== 0) {
          const { length } = message;
          throw new Error(`${answer.length} bytes of ${length}, or others`);
        }
        this.bytes += answer.length;
        served = true;
      }
      if (random(2)) {
        await conn.closeWrite();
        const more = await rest(conn);
        if (more) throw new Error(`${more.length} bytes too many`);
      }
    } catch (error) {
      const mayRefuse = this.fewDescriptors || this.script === "threads.ts";
      if (mayRefuse && !served) this.refused++;
      else this.wrong.push(`${error}`);
    }
    conn?.close();
  }

  /** A client that does one of the things which a server must survive. */
  async visitHostile() {
    this.hostile++;
    const SILENT = 0;
    const RUBBISH = 1;
    const HALF_A_HEAD = 2;
    const NEVER_READS = 3;
    const HALF_CLOSED = 4;
    const CROWD = 6; // and 5 only comes and goes
    const kind = random(7);
    if (kind === CROWD && this.script !== "blocking.ts") {
      await this.visitInCrowd();
      return;
    }
    const conn = await connect(this.server.port);
    if (kind === RUBBISH) await send(conn, randomMessage(1 + random(3000)));
    if (kind === HALF_A_HEAD) {
      await send(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Le");
    }
    if (kind === NEVER_READS) {
      const flood = this.http
        ? "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(90_000)
        : randomMessage(8 << 20);
      send(conn, flood).catch(() => {});
    }
    if (kind === HALF_CLOSED) await conn.closeWrite();
    await pause(random(kind === SILENT ? 300 : 50));
    if (random(2)) reset(conn);
    else conn.close();
  }

  /** More clients at once than the server has descriptors for. */
  async visitInCrowd() {
    const conns = await Promise.all(
      Array.from({ length: 60 }, () => connect(this.server.port)),
    );
    await pause(random(50));
    for (const conn of conns) conn.close();
  }

  async run(end: number) {
    // Where clients are served one by one, more of them would only wait.
    const atOnce = this.script === "blocking.ts" ? 1 : 4;
    const repeat = async (visit: () => Promise<void>) => {
      while (Date.now() < end) await visit().catch(() => {});
    };
    const visits: Promise<void>[] = [];
    for (let i = 0; i < atOnce; i++) {
      visits.push(repeat(() => this.visitFriendly()));
      visits.push(repeat(() => this.visitHostile()));
    }
    visits.push(repeat(async () => {
      await pause(1000 + random(2000));
      Deno.kill(this.server.pid, "SIGSTOP");
      await pause(random(random(4) ? 100 : 1500));
      Deno.kill(this.server.pid, "SIGCONT");
    }));
    await Promise.all(visits);
  }

  /** Waits until the sockets of the clients are closed; returns what is left. */
  async settle() {
    const { pid } = this.server;
    try {
      for (let tries = 0; tries < 500; tries++) {
        if (sockets(pid) <= Math.max(1, this.before.sockets)) break;
        await pause(10);
      }
      return { sockets: sockets(pid), memory: memory(pid) };
    } catch { // the server has ended
      return { sockets: Infinity, memory: Infinity };
    }
  }
}

const trials: Trial[] = [];
for (const [script, ...args] of servers) {
  for (const few of [false, true]) {
    const name = `${script} ${args.join(" ")}${few ? " few" : ""}`;
    const limit = few ? `ulimit -n ${FEW_DESCRIPTORS};` : "";
    try {
      const server = await start(
        script,
        ["--echo", "--quiet", ...args],
        (command) => `${limit} exec ${command}`,
      );
      trials.push(new Trial(script, name, server, few));
    } catch (error) {
      console.error(`${name} does not start: ${error}`);
    }
  }
}
stopAllAtExit();

const WARM_UP = 50; // clients: code is compiled, and memory taken, by then
await Promise.all(trials.map(async (trial) => {
  for (let i = 0; i < WARM_UP; i++) await trial.visitFriendly();
  trial.before = await trial.settle();
}));
const megabytes = (bytes: number) => Math.round(bytes / 2 ** 20);
const progress = setInterval(() => {
  const bytes = trials.reduce((sum, trial) => sum + trial.bytes, 0);
  const left = Math.round((end - Date.now()) / 1000);
  console.error(`${left} s to go, ${megabytes(bytes)} MB came back`);
}, 10_000);
const end = Date.now() + seconds * 1000;
await Promise.all(trials.map((trial) => trial.run(end)));
clearInterval(progress);

const MOST_MORE_MEMORY = 200; // MB: a leak takes more than that in minutes
let failed = trials.length === 0;
console.table(Object.fromEntries(
  await Promise.all(trials.map(async (trial) => {
    const after = await trial.settle();
    const { name, friendly, hostile, refused, bytes, before, wrong } = trial;
    await trial.visitFriendly(); // the server must still answer
    if (
      wrong.length > 0 || after.sockets > before.sockets ||
      after.memory > before.memory + MOST_MORE_MEMORY
    ) {
      failed = true;
    }
    for (const what of wrong.slice(0, 3)) console.error(`${name}: ${what}`);
    const warnings = trial.server.output().trimEnd().split("\n").slice(2)
      .map((line) => line.replace(/, \d+ so far;/, ";"));
    for (const warning of new Set(warnings)) {
      const times = warnings.filter((line) => line === warning).length;
      console.error(`${name}: ${warning} (${times} times)`);
    }
    return [name, {
      friendly,
      hostile,
      "turned away": refused,
      "MB back": megabytes(bytes),
      wrong: wrong.length,
      "sockets before": before.sockets,
      after: after.sockets,
      "MB before": Math.round(before.memory),
      "MB after": Math.round(after.memory),
    }];
  })),
));
await Promise.all(trials.map(({ server }) => server.stop()));
if (failed) fail("something was lost, or left behind");
Deno.exit(0);
