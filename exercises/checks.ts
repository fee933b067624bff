/**
 * What is asked of each exercise: every check starts the script as a process
 * and is its client, over real sockets.
 */
import {
  connect,
  cpuTime,
  pause,
  reset,
  type Running,
  send,
  sockets,
  start,
  stat,
} from "../tests/harness.ts";

/** What went wrong, and what the server had printed until then. */
class Symptom extends Error {
  readonly printed: string;
  constructor(server: Running, message: string) {
    super(message);
    this.printed = server.output();
  }
}

/** One thing that a server must do. */
export interface Check {
  title: string;
  /** What the clients do, and what they then expect. */
  should: string;
  /** For those who ask. */
  hint: string;
  /** Does it; throws a Symptom if the server does not as it should. */
  go(server: Running): Promise<void>;
}

/**
 * Starts the script and tries the check on it. Returns what it did instead, its
 * last words included, or nothing if all is well.
 */
export async function failure(
  script: string,
  check: Check,
): Promise<string | undefined> {
  let server;
  try {
    server = await start(script);
  } catch (error) {
    return `it did not start: ${(error as Error).message.trimEnd()}`;
  }
  let over: Deno.CommandStatus | undefined;
  server.status.then((status) => over = status);
  try {
    await check.go(server);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    await pause(50); // it may be dying
    if (ended(server)) over ??= await server.status;
    const printed = error instanceof Symptom && !over
      ? error.printed
      : server.output();
    const last = printed.trimEnd().split("\n")
      .filter((line, i, lines) => line !== lines[i - 1]) // "waiting", say
      .slice(-10);
    return [
      over ? `it died, with status ${over.code}` : error.message,
      "it printed:",
      ...last.map((line) => `  | ${line.slice(0, 100)}`),
    ].join("\n");
  } finally {
    await server.stop();
  }
}

// ------------------------------------------------------------ what clients do

/** Whether the kernel has the server running, or waiting for a processor. */
function awake(server: Running): boolean {
  return state(server) === "R";
}

/** Whether it has ended: its last words may still be on their way. */
function ended(server: Running): boolean {
  return "ZX".includes(state(server));
}

/** What /proc says it is: running, sleeping, a zombie. See proc(5). */
function state(server: Running): string {
  try {
    return stat(`/proc/${server.pid}`)[0];
  } catch {
    return "X"; // there is no such process any more
  }
}

/**
 * Yields until a client may call it silence: once the server was found asleep at
 * 70 looks, 10 ms apart, however long a busy machine needs for that.
 */
async function* patience(server: Running): AsyncGenerator<void> {
  for (let looks = 0, asleep = 0; asleep < 70 && looks < 1500; looks++) {
    yield;
    await pause(10);
    if (!awake(server)) asleep++;
  }
}

/** The promise's result; undefined when it takes too long. */
async function soon<T>(
  server: Running,
  promise: Promise<T>,
): Promise<T | undefined> {
  let settled = false;
  promise.catch(() => {}).then(() => settled = true);
  for await (const _ of patience(server)) if (settled) return await promise;
}

/** Waits until the server has printed that. */
async function printed(server: Running, pattern: string, else_: string) {
  const seen = server.until(pattern).then(() => true, () => false);
  if (!await soon(server, seen)) throw new Symptom(server, else_);
}

/** A client that says something and expects the answer. */
async function ask(
  server: Running,
  conn: Deno.Conn,
  who: string,
  text: string,
  typed = "",
) {
  await send(conn, text).catch(() => {});
  if (typed) {
    await printed(server, text, `${who} said "${text}", and it never showed`);
    await server.write(`${typed}\n`);
  }
  const chunk = new Uint8Array(1024);
  const read = conn.read(chunk).catch(() => null); // null: it hung up
  const n = await soon(server, read);
  if (n === undefined) {
    throw new Symptom(server, `${who} said "${text}", and got no answer`);
  }
  if (n === null) {
    throw new Symptom(server, `${who} said "${text}", and was hung up on`);
  }
  const answer = new TextDecoder().decode(chunk.subarray(0, n)).trimEnd();
  const expected = typed || "hello sir";
  if (answer !== expected) {
    throw new Symptom(
      server,
      `${who} said "${text}", and got "${answer.slice(0, 60)}" instead of ` +
        `"${expected}"`,
    );
  }
}

/**
 * Half a second in which nobody says anything. Whether the server sleeps then is
 * asked of the kernel: the CPU time of one that spins would tell as much of who
 * else is at work on this machine.
 */
async function quiet(server: Running, whose: string) {
  const before = cpuTime(server.pid);
  const looks = 25;
  let busy = 0;
  for (let i = 0; i < looks; i++) {
    await pause(20);
    if (awake(server)) busy++;
  }
  if (busy > looks / 2) {
    throw new Symptom(
      server,
      `${whose}, but in half a second the server was awake at ${busy} of ` +
        `${looks} looks, and used ${cpuTime(server.pid) - before} ms of CPU`,
    );
  }
}

/** Waits until the server holds only so many connections. */
async function connections(server: Running, count: number, else_: string) {
  for await (const _ of patience(server)) {
    if (sockets(server.pid) === 1 + count) return; // and its listener
  }
  throw new Symptom(server, else_);
}

// ---------------------------------------------------------------- the checks

const answers: Check = {
  title: "answers a client",
  should: 'send "hello sir" to a client that says something',
  hint: "It did that before you changed it. `git diff` shows what you changed.",
  async go(server) {
    using conn = await connect(server.port);
    await ask(server, conn, "a client", "hi");
  },
};

const several: Check = {
  title: "answers two clients, in any order",
  should: "answer whoever says something, and wait for nobody in particular",
  hint: "Look at every client in every round, and answer only those for whom " +
    "something has come.",
  async go(server) {
    using first = await connect(server.port);
    using second = await connect(server.port);
    await ask(server, second, "the second client", "me first");
    await ask(server, first, "the first client", "and me");
    await ask(server, first, "the first client", "me again");
    await ask(server, second, "the second client", "me too");
  },
};

const leaves: Check = {
  title: "lets a client leave",
  should: "hang up when a client has left, and serve the others as before",
  hint: "What does recv return when there will never be anything again? " +
    "`man 2 recv`, under RETURN VALUE. Then the descriptor is still open.",
  async go(server) {
    using staying = await connect(server.port);
    await ask(server, staying, "a client", "I stay");
    const leaving = await connect(server.port);
    await ask(server, leaving, "another", "I leave");
    leaving.close();
    await connections(server, 1, "a client has left, and was never closed");
    await quiet(server, "a client had left");
    await ask(server, staying, "the one who stayed", "still there?");
    using next = await connect(server.port);
    await ask(server, next, "the next client", "hi");
  },
};

/** With `typed`, each answer is typed at the server's keyboard. */
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
  async go(server) {
    using conn = await connect(server.port);
    const answered = async () => {
      if (typed) await server.write(`${typed}\n`);
      await soon(server, conn.read(new Uint8Array(1024)).catch(() => null));
    };
    const [head, tail] = [[...new TextEncoder().encode("caf"), 0xc3], [0xa9]];
    await send(conn, new Uint8Array(head));
    await printed(server, "caf", 'a client sent "caf", and it never showed');
    await answered();
    using other = typed ? undefined : await connect(server.port);
    if (other) {
      await ask(server, other, "another", "tea");
      await printed(server, "tea", 'another said "tea", and it never showed');
    }
    await send(
      conn,
      new Uint8Array([...tail, ...new TextEncoder().encode(" olé")]),
    );
    await printed(server, "ol", 'a client sent "é olé" and it never showed');
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
      async go(server) {
        using conn = await connect(server.port);
        await ask(server, conn, "a client", "hi", "welcome");
        await ask(server, conn, "it", "thanks", "not at all");
      },
    },
    {
      title: "turns to the next client when one leaves",
      should: "stop asking for answers to someone who has left, hang up, and " +
        "accept the next client",
      hint: leaves.hint,
      async go(server) {
        const first = await connect(server.port);
        await ask(server, first, "the first client", "bye", "good bye");
        first.close();
        using second = await connect(server.port);
        await ask(server, second, "the first left; the next", "hi", "welcome");
        await connections(server, 1, "the first left, and was never closed");
      },
    },
    pieces("well"),
  ],
  nonblocking: [
    {
      ...answers,
      title: "answers a client that speaks at once",
      async go(server) {
        Deno.kill(server.pid, "SIGSTOP"); // it shall find both at once
        using conn = await connect(server.port);
        await send(conn, "h");
        Deno.kill(server.pid, "SIGCONT");
        await ask(server, conn, "a client", "i");
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
      async go(server) {
        using first = await connect(server.port);
        await printed(server, "got connection", "it never accepted a client");
        await pause(400); // two rounds, and not a word
        await ask(server, first, "a client took its time,", "ready now");
        await several.go(server);
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
      async go(server) {
        using conn = await connect(server.port);
        await printed(server, "got connection", "it never accepted a client");
        await quiet(server, "one client was connected and said nothing");
        await ask(server, conn, "the client", "hi");
        await quiet(server, "it had answered its only client");
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
      async go(server) {
        using staying = await connect(server.port);
        await ask(server, staying, "a client", "I stay");
        const crashing = await connect(server.port);
        await ask(server, crashing, "another", "I crash");
        reset(crashing);
        await connections(server, 1, "a client crashed, and was never closed");
        await quiet(server, "a client had crashed");
        await ask(server, staying, "a client crashed; another", "there?");
        using next = await connect(server.port);
        await ask(server, next, "the next client", "hi");
      },
    },
    pieces(),
  ],
};
