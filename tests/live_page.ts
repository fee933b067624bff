/** watch.ts as a process, and what stands in for its page. */
import type { Command, Hello, Message, Update } from "../lib/watch/messages.ts";
import { eventually, receive, type Running, send, start } from "./harness.ts";

/** watch.ts, stopped by Ctrl-C: killed outright, it could not stop its servers. */
export async function watch(
  args: string[],
  shell?: (command: string) => string,
): Promise<Running> {
  const server = await start("watch.ts", args, shell);
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      if (alive(server.pid)) Deno.kill(server.pid, "SIGINT");
      await server.status;
      await server.stop();
    },
  };
}

/** Whether a process runs. */
export const alive = (pid: number) => {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

/** Stands in for the page. */
export class Page implements Disposable {
  hello?: Hello;
  update?: Update;
  errors: string[] = [];
  /** How many answers clients with names have got from elsewhere, by script. */
  readonly answeredElsewhere = new Map<string, number>();
  #socket: WebSocket;

  constructor({ port }: Running) {
    const headers = { origin: `http://127.0.0.1:${port}` };
    // Beside the page's own code, its WebSocket is that of a browser, which takes
    // no headers: Deno's does.
    const url = `ws://127.0.0.1:${port}/live`;
    this.#socket = Reflect.construct(WebSocket, [url, { headers }]);
    this.#socket.addEventListener("message", ({ data }) => {
      const message: Message = JSON.parse(data);
      if (message.type === "hello") this.hello = message;
      if (message.type === "update") this.#take(message);
      if (message.type === "error") this.errors.push(message.error);
    });
  }

  #take(update: Update) {
    this.update = update;
    for (const [script, { elsewhere }] of Object.entries(update.models)) {
      const before = this.answeredElsewhere.get(script) ?? 0;
      const answers = elsewhere.clients.flatMap(({ answers }) => answers);
      this.answeredElsewhere.set(script, before + answers.length);
    }
  }

  send(data: string | Uint8Array<ArrayBuffer>) {
    this.#socket.send(data);
  }

  command(command: Command) {
    this.send(JSON.stringify(command));
  }

  async until(what: string, check: (update: Update) => boolean) {
    await eventually(() => !!this.update && check(this.update), what);
  }

  async open() {
    await this.until(
      "all run",
      ({ models }) =>
        Object.values(models).every(({ status }) => status === "running"),
    );
  }

  [Symbol.dispose]() {
    this.#socket.close();
  }
}

/** watch.ts with one model. */
export const ONE = ["--only", "select"];

/** watch.ts with another script in the place of poll.ts. */
export async function watchWith(
  poll: string,
  args: string[],
): Promise<Running> {
  const dir = await Deno.makeTempDir();
  for (const name of ["watch.ts", "util.ts", "epoll.ts", "deno.json"]) {
    await Deno.copyFile(
      new URL(`../${name}`, import.meta.url),
      `${dir}/${name}`,
    );
  }
  await Deno.symlink(new URL("../lib", import.meta.url), `${dir}/lib`);
  await Deno.writeTextFile(`${dir}/poll.ts`, poll);
  const server = await watch(
    args,
    (command) => `cd ${dir} && exec ${command}`,
  );
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** The servers that a process has started. */
export const children = (pid: number) =>
  Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ")
    .filter((pid) => pid && isServer(pid)).map(Number);
const isServer = (pid: string) => {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes("--port");
  } catch {
    return false; // it has ended meanwhile
  }
};

/** Hands each connection to a port of the test, after a line that tells which. */
const handsOver = (port: number) => `
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log("poll.ts: listening on 127.0.0.1:" + listener.addr.port);
  const kind = Deno.args.includes("--trace=json") ? "traced" : "untraced";
  for await (const conn of listener) {
    const test = await Deno.connect({ hostname: "127.0.0.1", port: ${port} });
    await test.write(new TextEncoder().encode(kind + "\\n"));
    conn.readable.pipeTo(test.writable).catch(() => {});
    test.readable.pipeTo(conn.writable).catch(() => {});
  }
`;

/** A client of watch.ts, as the server in the place of poll.ts sees it. */
class Asker {
  /** When each question came. */
  readonly asked: number[] = [];
  answered = 0;
  left = false;

  constructor(readonly conn: Deno.TcpConn, readonly answers: boolean) {}

  /** Takes its questions, until it leaves. */
  async read() {
    const chunk = new Uint8Array(1024);
    try {
      while (true) {
        const n = await this.conn.read(chunk);
        if (n === null) break;
        const questions = new TextDecoder().decode(chunk.subarray(0, n))
          .split("\n").length - 1;
        for (let i = 0; i < questions; i++) this.asked.push(performance.now());
        if (this.answers) await this.answer();
      }
    } catch { /* it has left with a reset */ }
    this.left = true;
    this.conn.close();
  }

  async answer() {
    this.answered++;
    await send(this.conn, "hello sir\n");
  }
}

/** watch.ts with a poll.ts whose clients talk to the test. */
export async function watchInHand(answersTraced: boolean, ...args: string[]) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const traced: Asker[] = [];
  const untraced: Asker[] = [];
  const accept = async () => {
    for await (const conn of listener) {
      const isTraced = (await receive(conn, 7)).at(0) === "t".charCodeAt(0);
      if (!isTraced) await receive(conn, 2);
      const asker = new Asker(conn, answersTraced || !isTraced);
      (isTraced ? traced : untraced).push(asker);
      asker.read();
    }
  };
  accept();
  const server = await watchWith(
    handsOver(listener.addr.port),
    ["--only", "poll", ...args],
  );
  return {
    server,
    traced,
    untraced,
    /** How many clients each of the two servers has. */
    present: () =>
      [traced, untraced].map((askers) =>
        askers.filter(({ left }) => !left).length
      ),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      listener.close();
    },
  };
}
