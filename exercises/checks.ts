/**
 * What is asked of each exercise: every check starts the script as a process
 * and is its client, over real sockets.
 */
import { connect, reset, send } from "../lib/connection.ts";
import { processState, sockets } from "../lib/proc.ts";
import { cpuTime, scriptCommand } from "../lib/process.ts";
import { type RecordedProcess, startRecordedServer } from "../lib/recorded.ts";
import { pause } from "../lib/time.ts";

/** What went wrong, and what the server had printed until then. */
class Symptom extends Error {
  readonly printed: string;
  constructor(server: RecordedProcess, message: string) {
    super(message);
    this.printed = server.output();
  }
}

/** One thing that a server must do. */
export interface Check {
  title: string;
  /** What the server should do, as a sentence without its subject. */
  should: string;
  /** How one might go about it: shown where --hint is given. */
  hint: string;
  /** Talks to the server; throws a Symptom if it does not do what it should. */
  run(server: RecordedProcess): Promise<void>;
}

/**
 * Starts the script and tries the check on it. Returns what the server did
 * instead, and the last lines that it printed; undefined if all is well.
 * `command` makes the command that runs a script.
 */
export async function failure(
  script: string,
  check: Check,
  command = scriptCommand,
): Promise<string | undefined> {
  let server: RecordedProcess;
  try {
    const start = command(script, "--port", "0");
    server = await startRecordedServer(start, { name: script });
  } catch (error) {
    return `it did not start: ${(error as Error).message.trimEnd()}`;
  }
  try {
    await check.run(server);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return await describe(server, error);
  } finally {
    await server.stop();
  }
}

/** What the error says and the server has printed, for the learner. */
async function describe(server: RecordedProcess, error: Error) {
  await pause(50); // the server may be about to die
  let symptom = error.message;
  let printed = error instanceof Symptom ? error.printed : server.output();
  if ("ZX".includes(processState(server.pid))) {
    const { code } = await server.status; // its last words included
    symptom = `it died, with status ${code}`;
    printed = server.output();
  }
  const lastLines = printed.trimEnd().split("\n")
    .filter((line, i, lines) => line !== lines[i - 1]) // "waiting", say
    .slice(-10);
  return [
    symptom,
    "it printed:",
    ...lastLines.map((line) => `  | ${line.slice(0, 100)}`),
  ].join("\n");
}

// ------------------------------------------------------------ what clients do

/** Whether the kernel has the server running, or waiting for a processor. */
function isAwake(server: RecordedProcess): boolean {
  return processState(server.pid) === "R";
}

/**
 * Yields every 10 ms, until the server was found asleep at 70 of these looks,
 * however long a busy machine needs for that: a server that has done nothing by
 * then will not do it later.
 */
async function* looks(server: RecordedProcess): AsyncGenerator<void> {
  let asleep = 0;
  for (let count = 0; asleep < 70 && count < 1500; count++) {
    yield;
    await pause(10);
    if (!isAwake(server)) asleep++;
  }
}

/** The promise's result; undefined if the server does nothing for it. */
async function resultOf<T>(
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
async function expectPrinted(
  server: RecordedProcess,
  text: string,
  symptom: string,
) {
  const printed = server.until(text).then(() => true, () => false);
  if (!await resultOf(server, printed)) throw new Symptom(server, symptom);
}

/**
 * Sends a text and expects the answer: `typed` if that is given, as somebody
 * types it into the server's terminal. `client`: what the client is called.
 */
async function expectAnswer(
  server: RecordedProcess,
  conn: Deno.Conn,
  client: string,
  text: string,
  typed = "",
) {
  const said = `${client} said "${text}", and`;
  await send(conn, text).catch(() => {});
  if (typed) {
    await expectPrinted(server, text, `${said} it never showed`);
    await server.write(`${typed}\n`);
  }
  const buffer = new Uint8Array(1024);
  const read = conn.read(buffer).catch(() => null); // null: it hung up
  const n = await resultOf(server, read);
  if (n === undefined) throw new Symptom(server, `${said} got no answer`);
  if (n === null) throw new Symptom(server, `${said} was hung up on`);
  const answer = new TextDecoder().decode(buffer.subarray(0, n)).trimEnd();
  const expected = typed || "hello sir";
  if (answer !== expected) {
    const got = `"${answer.slice(0, 60)}" instead of "${expected}"`;
    throw new Symptom(server, `${said} got ${got}`);
  }
}

/**
 * Expects that the server sleeps, for half a second in which no client sends
 * anything. The kernel tells whether it is awake: its CPU time would depend on
 * what else runs on this machine.
 */
async function expectSleep(server: RecordedProcess, situation: string) {
  const LOOKS = 25;
  const before = cpuTime(server.pid);
  let awake = 0;
  for (let i = 0; i < LOOKS; i++) {
    await pause(20);
    if (isAwake(server)) awake++;
  }
  if (awake > LOOKS / 2) {
    const used = Math.round(cpuTime(server.pid) - before);
    throw new Symptom(
      server,
      `${situation}, but in half a second the server was awake at ${awake} of ` +
        `${LOOKS} looks, and used ${used} ms of CPU`,
    );
  }
}

/** Waits until the server has no more than so many connections open. */
async function expectConnections(
  server: RecordedProcess,
  count: number,
  symptom: string,
) {
  for await (const _ of looks(server)) {
    if (sockets(server.pid) === 1 + count) return; // and its listener
  }
  throw new Symptom(server, symptom);
}

// ---------------------------------------------------------------- the checks

const answers: Check = {
  title: "answers a client",
  should: 'send "hello sir" to a client that says something',
  hint: "It did that before you changed it. `git diff` shows what you changed.",
  async run(server) {
    using conn = await connect(server.port);
    await expectAnswer(server, conn, "a client", "hi");
  },
};

const several: Check = {
  title: "answers two clients, in any order",
  should: "answer whoever says something, and wait for nobody in particular",
  hint: "Look at every client in every round, and answer only those for whom " +
    "something has come.",
  async run(server) {
    using first = await connect(server.port);
    using second = await connect(server.port);
    await expectAnswer(server, second, "the second client", "me first");
    await expectAnswer(server, first, "the first client", "and me");
    await expectAnswer(server, first, "the first client", "me again");
    await expectAnswer(server, second, "the second client", "me too");
  },
};

const leaves: Check = {
  title: "lets a client leave",
  should: "hang up when a client has left, and serve the others as before",
  hint: "What does recv return when there will never be anything again? " +
    "`man 2 recv`, under RETURN VALUE. Then the descriptor is still open.",
  async run(server) {
    using staying = await connect(server.port);
    await expectAnswer(server, staying, "a client", "I stay");
    const leaving = await connect(server.port);
    await expectAnswer(server, leaving, "another", "I leave");
    leaving.close();
    await expectConnections(
      server,
      1,
      "a client has left, and was never closed",
    );
    await expectSleep(server, "a client had left");
    await expectAnswer(server, staying, "the one who stayed", "still there?");
    using next = await connect(server.port);
    await expectAnswer(server, next, "the next client", "hi");
  },
};

/** With `typed`, that is typed into the server's terminal as each answer. */
const pieces = (typed = ""): Check => ({
  title: "prints a character that comes in two pieces",
  should: 'print an "é" as é, also when its second byte comes later' +
    (typed ? "" : ", and another client's message in between"),
  hint: "A TextDecoder can keep the beginning of a character until the rest " +
    "has come: look up its option `stream`. " +
    (typed
      ? "Then it must be the same decoder, as long as the client is the same."
      : "Then it must be the client's own: what of a client that comes in " +
        "between?"),
  async run(server) {
    using conn = await connect(server.port);
    const answered = async () => {
      if (typed) await server.write(`${typed}\n`);
      const buffer = new Uint8Array(1024);
      await resultOf(server, conn.read(buffer).catch(() => null));
    };
    const bytes = new TextEncoder().encode("café olé");
    const cut = 4; // in the middle of the first é, which has two bytes
    await send(conn, bytes.subarray(0, cut));
    await expectPrinted(
      server,
      "caf",
      'a client sent "caf", and it never showed',
    );
    await answered();
    using other = typed ? undefined : await connect(server.port);
    if (other) {
      await expectAnswer(server, other, "another", "tea");
      await expectPrinted(
        server,
        "tea",
        'another said "tea", and it never showed',
      );
    }
    await send(conn, bytes.subarray(cut));
    await expectPrinted(
      server,
      "ol",
      'a client sent "é olé" and it never showed',
    );
    await answered();
    if (/\uFFFD/.test(server.output()) || !/é/.test(server.output())) {
      throw new Symptom(server, "a client sent “café”, cut within the é");
    }
  },
});

/** What is asked of each exercise, in this order. */
export const exercises: Record<string, Check[]> = {
  blocking: [
    {
      ...answers,
      should: "print what a client says, and send it what is typed",
      async run(server) {
        using conn = await connect(server.port);
        await expectAnswer(server, conn, "a client", "hi", "welcome");
        await expectAnswer(server, conn, "it", "thanks", "not at all");
      },
    },
    {
      title: "turns to the next client when one leaves",
      should: "stop asking for answers to someone who has left, hang up, and " +
        "accept the next client",
      hint: leaves.hint,
      async run(server) {
        const first = await connect(server.port);
        await expectAnswer(
          server,
          first,
          "the first client",
          "bye",
          "good bye",
        );
        first.close();
        using second = await connect(server.port);
        await expectAnswer(
          server,
          second,
          "the first left; the next",
          "hi",
          "welcome",
        );
        await expectConnections(
          server,
          1,
          "the first left, and was never closed",
        );
      },
    },
    pieces("well"),
  ],
  nonblocking: [
    {
      ...answers,
      title: "answers a client that speaks at once",
      async run(server) {
        Deno.kill(server.pid, "SIGSTOP"); // it finds client and text at once
        using conn = await connect(server.port);
        await send(conn, "h");
        Deno.kill(server.pid, "SIGCONT");
        await expectAnswer(server, conn, "a client", "i");
      },
    },
    {
      ...several,
      title: "remembers a client that takes its time",
      should: "keep every client it has accepted, and look again later " +
        "whether it has said something",
      hint: "EAGAIN of recv means: not yet. Who remembers the client then? " +
        "Keep all of them, and in every round look at each; an EAGAIN of one " +
        "must not keep the others from being looked at.",
      async run(server) {
        using first = await connect(server.port);
        await expectPrinted(
          server,
          "got connection",
          "it never accepted a client",
        );
        await pause(400); // two rounds, and not a word
        await expectAnswer(
          server,
          first,
          "a client took its time,",
          "ready now",
        );
        await several.run(server);
      },
    },
    leaves,
    pieces(),
  ],
  select: [several, leaves, pieces()],
  poll: [
    several,
    {
      title: "sleeps while nobody says anything",
      should: "sleep in poll until there is something to do",
      hint: "POLLOUT means that there is room for an answer. When is there " +
        "room, and when does this server want to know?",
      async run(server) {
        using conn = await connect(server.port);
        await expectPrinted(
          server,
          "got connection",
          "it never accepted a client",
        );
        await expectSleep(server, "one client was connected and said nothing");
        await expectAnswer(server, conn, "the client", "hi");
        await expectSleep(server, "it had answered its only client");
      },
    },
    leaves,
    pieces(),
  ],
  epoll: [
    several,
    leaves,
    {
      title: "survives a client that crashes",
      should: "hang up on a client whose connection was reset, and serve the " +
        "others as before",
      hint: "A crashed client's system sends a reset instead of a good bye; " +
        "recv then fails with ECONNRESET. That is an answer about one client.",
      async run(server) {
        using staying = await connect(server.port);
        await expectAnswer(server, staying, "a client", "I stay");
        const crashing = await connect(server.port);
        await expectAnswer(server, crashing, "another", "I crash");
        reset(crashing);
        await expectConnections(
          server,
          1,
          "a client crashed, and was never closed",
        );
        await expectSleep(server, "a client had crashed");
        await expectAnswer(
          server,
          staying,
          "a client crashed; another",
          "there?",
        );
        using next = await connect(server.port);
        await expectAnswer(server, next, "the next client", "hi");
      },
    },
    pieces(),
  ],
};
