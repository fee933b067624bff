/**
 * Minutes of friendly and hostile clients against every server at once:
 *
 *   deno task soak                  three minutes
 *   deno task soak --seconds 20
 *
 * Every byte of a friendly client must come back. At the end each server must
 * still answer, and hold no more sockets than before. Each runs twice, the second
 * time with few descriptors: then it may turn clients away, but not lose them.
 */
import { Buffer } from "node:buffer";
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
  seconds: [180, "how long"],
});

const servers: [script: string, ...args: string[]][] = [
  ["blocking.ts"],
  ["threads.ts", "--threads", "20"],
  ["nonblocking.ts", "--interval", "0.01"],
  ["select.ts"],
  ["poll.ts"],
  ["epoll.ts"],
  ["epoll.ts", "--edge"],
  ["epoll_http.ts"],
  ["signal.ts"],
  ["async.ts"],
  ["io_uring.ts"],
];
const FEW = 48; // descriptors, of which some 30 are the server's own

const noise = new Uint8Array(16 << 20);
for (let at = 0; at < noise.length; at += 65536) {
  crypto.getRandomValues(noise.subarray(at, at + 65536));
}
const random = (below: number) => Math.floor(Math.random() * below);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const slice = (size: number) => {
  const from = random(noise.length - size);
  return noise.subarray(from, from + size);
};
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** Sends a message, whole or in pieces, and returns what comes back of it. */
async function exchange(conn: Deno.TcpConn, data: Uint8Array, http: boolean) {
  const text = (text: string) => send(conn, text);
  const speak = async () => {
    if (!http) return await send(conn, data);
    await text("POST / HTTP/1.1\r\nHost: soak\r\n");
    if (random(2)) {
      await text(`Content-Length: ${data.length}\r\n\r\n`);
      return await send(conn, data);
    }
    await text("Transfer-Encoding: chunked\r\n\r\n");
    for (let at = 0; at < data.length;) {
      const chunk = data.subarray(at, at += 1 + random(50_000));
      await text(`${chunk.length.toString(16)}\r\n`);
      await send(conn, chunk);
      await text("\r\n");
    }
    await text("0\r\n\r\n");
  };
  const hear = async () => {
    if (!http) return await receive(conn, data.length);
    let head = "";
    while (!head.endsWith("\r\n\r\n")) {
      const byte = await receive(conn, 1);
      if (!byte.length) throw new Error("hung up before the response");
      head += String.fromCharCode(byte[0]);
    }
    const length = /^HTTP\/1.1 200 [^]*\r\nContent-Length: (\d+)/.exec(head)
      ?.[1];
    return await receive(conn, Number(length));
  };
  return (await Promise.all([hear(), speak()]))[0];
}

class Trial {
  bytes = 0;
  friends = 0;
  foes = 0;
  turnedAway = 0;
  wrong: string[] = [];
  before = { sockets: 0, memory: 0 };

  constructor(
    readonly script: string,
    readonly name: string,
    readonly server: Running,
    readonly few: boolean,
  ) {}

  get http() {
    return this.script === "epoll_http.ts";
  }

  async friendly() {
    let conn;
    let inside = false; // from then on nothing may be lost
    this.friends++;
    try {
      conn = await connect(this.server.port);
      for (let messages = 1 + random(5); messages > 0; messages--) {
        const data = slice(1 + random(random(4) ? 2_000 : 300_000));
        const back = await exchange(conn, data, this.http);
        if (!same(back, data)) {
          throw new Error(`${back.length} bytes of ${data.length}, or others`);
        }
        this.bytes += back.length;
        inside = true;
      }
      if (random(2)) {
        await conn.closeWrite();
        const more = await rest(conn);
        if (more) throw new Error(`${more.length} bytes too many`);
      }
    } catch (error) {
      const mayTurnAway = this.few || this.script === "threads.ts";
      if (mayTurnAway && !inside) this.turnedAway++;
      else this.wrong.push(`${error}`);
    }
    conn?.close();
  }

  async hostile() {
    this.foes++;
    const kind = random(7);
    if (kind === 6 && this.script !== "blocking.ts") return await this.flood();
    const conn = await connect(this.server.port);
    if (kind === 1) await send(conn, slice(1 + random(3000))); // rubbish
    if (kind === 2) {
      await send(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Le");
    }
    if (kind === 3) { // more than it ever reads
      const flood = this.http
        ? "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(90_000)
        : slice(8 << 20);
      send(conn, flood).catch(() => {});
    }
    if (kind === 4) await conn.closeWrite();
    await pause(random(kind === 0 ? 300 : 50)); // kind 0 says nothing
    if (random(2)) reset(conn);
    else conn.close();
  }

  /** More at once than may have a place. */
  async flood() {
    const crowd = await Promise.all(
      Array.from({ length: 60 }, () => connect(this.server.port)),
    );
    await pause(random(50));
    for (const conn of crowd) conn.close();
  }

  async run(until: number) {
    // One who is served at a time has to be left in peace by the others.
    const crowd = this.script === "blocking.ts" ? 1 : 4;
    const repeat = async (visit: () => Promise<void>) => {
      while (Date.now() < until) await visit().catch(() => {});
    };
    await Promise.all([
      ...Array.from({ length: crowd }, () => repeat(() => this.friendly())),
      ...Array.from({ length: crowd }, () => repeat(() => this.hostile())),
      repeat(async () => {
        await pause(1000 + random(2000));
        Deno.kill(this.server.pid, "SIGSTOP");
        await pause(random(random(4) ? 100 : 1500));
        Deno.kill(this.server.pid, "SIGCONT");
      }),
    ]);
  }
}

const trials: Trial[] = [];
for (const [script, ...args] of servers) {
  for (const few of [false, true]) {
    const name = `${script} ${args}${few ? " few" : ""}`;
    try {
      const server = await start(
        script,
        ["--echo", "--quiet", ...args],
        (command) => `${few ? `ulimit -n ${FEW};` : ""} exec ${command}`,
      );
      trials.push(new Trial(script, name, server, few));
    } catch (error) {
      console.error(`${name} does not start: ${error}`);
    }
  }
}
Deno.addSignalListener("SIGINT", async () => {
  await Promise.all(trials.map(({ server }) => server.stop()));
  Deno.exit(130);
});

const settle = async ({ server, before }: Trial) => {
  try {
    for (let tries = 0; tries < 500; tries++) {
      if (sockets(server.pid) <= Math.max(1, before.sockets)) break;
      await pause(10);
    }
    return { sockets: sockets(server.pid), memory: memory(server.pid) };
  } catch { // it is gone
    return { sockets: Infinity, memory: Infinity };
  }
};
await Promise.all(trials.map(async (trial) => {
  for (let i = 0; i < 50; i++) await trial.friendly();
  trial.before = await settle(trial);
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

let failed = trials.length === 0;
console.table(Object.fromEntries(
  await Promise.all(trials.map(async (trial) => {
    const after = await settle(trial);
    const { friends, foes, turnedAway, bytes, before, wrong } = trial;
    await trial.friendly(); // it must still answer
    const said = trial.server.output().trimEnd().split("\n").slice(2)
      .map((line) => line.replace(/, \d+ so far;/, ";"));
    failed ||= wrong.length > 0 || after.sockets > before.sockets ||
      after.memory > before.memory + 200; // no leak fits in that for minutes
    for (const what of wrong.slice(0, 3)) {
      console.error(`${trial.name}: ${what}`);
    }
    for (const line of new Set(said)) {
      const times = said.filter((each) => each === line).length;
      console.error(`${trial.name}: ${line} (${times} times)`);
    }
    return [trial.name, {
      friendly: friends,
      hostile: foes,
      "turned away": turnedAway,
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
