/** Who is measured, and how each is started. */
import { fail } from "../util.ts";

export type Protocol = "http" | "echo";

export interface Server {
  /** As `--only` has it. */
  name: string;
  label: string;
  protocol: Protocol;
  ours: boolean;
  command: string[];
  /** With how many connections it is measured: some serve only one. */
  connections: number;
  /** Whether it is measured beside idle connections, as far as it takes them. */
  crowd: boolean;
}

export const here = (path: string) =>
  decodeURIComponent(new URL(path, import.meta.url).pathname);

/** Stands in a command for a port that is free; the file with it is copied. */
export const PORT = "PORT";

function model(
  script: string,
  flags: string[] = [],
  connections = 64,
): Server {
  const http = script === "epoll_http.ts";
  return {
    name: script.slice(0, -3),
    label: script,
    protocol: http ? "http" : "echo",
    ours: true,
    command: [
      Deno.execPath(),
      "run",
      "-A",
      here(`../${script}`),
      "--quiet",
      "--port=0",
      ...(http ? [] : ["--echo"]),
      ...flags,
    ],
    connections,
    crowd: true,
  };
}

function peer(
  name: string,
  label: string,
  protocol: Protocol,
  command: string[],
  more: Partial<Server> = {},
): Server {
  const crowd = name.startsWith("python");
  const server = { name, label, protocol, command, crowd };
  return { ...server, ours: false, connections: 64, ...more };
}

const python = (way: string) =>
  peer(
    way === "asyncio" ? way : `python-${way}`,
    way === "asyncio" ? "Python asyncio" : `Python ${way}`,
    "echo",
    ["python3", here("peers/echo.py"), way],
  );

/** All servers; `c` is the compiled peers/epoll.c, `nginx` a file to be copied. */
export const all = (c: string): Server[] => [
  peer("c-http", "C epoll", "http", [c, "http"], { crowd: true }),
  // Nobody is to be cut off for being idle while we measure what idlers cost.
  model("epoll_http.ts", ["--timeout=3600"]),
  peer("deno-serve", "Deno.serve", "http", [
    Deno.execPath(),
    "run",
    "-A",
    here("peers/deno_serve.ts"),
  ]),
  peer("node-http", "Node http", "http", ["node", here("peers/node_http.mjs")]),
  peer("nginx", "nginx", "http", ["nginx", PORT]),

  peer("c-echo", "C epoll", "echo", [c, "echo"], { crowd: true }),
  model("blocking.ts", [], 1),
  model("threads.ts"),
  model("nonblocking.ts", ["--interval=0.001"]),
  model("select.ts"),
  model("poll.ts"),
  model("epoll.ts"),
  model("signal.ts"),
  model("async.ts"),
  model("io_uring.ts"),
  peer("node-net", "Node net", "echo", ["node", here("peers/node_net.mjs")]),
  python("select"),
  python("poll"),
  python("epoll"),
  python("asyncio"),
  // Beside blocking.ts, which serves one client at a time.
  peer("c-one", "C epoll, 1 connection", "echo", [c, "echo"], {
    connections: 1,
  }),
];

/** A process that is to be gone when we are. */
const running = new Set<Deno.ChildProcess>();
let made = "";
/** A folder that is to be gone as well. */
export const temp = () =>
  made ||= Deno.makeTempDirSync({ prefix: "io-models-bench-" });

export function cleanUp() {
  for (const child of running) {
    try {
      child.kill("SIGKILL");
    } catch { /* it has ended already */ }
  }
  running.clear();
  try {
    if (made) Deno.removeSync(made, { recursive: true });
  } catch { /* removed already */ }
}

// Most systems allow 1024 descriptors, and more to those who ask.
const WANTED = 20000;
const RAISE = `ulimit -n ${WANTED} 2>/dev/null || ulimit -n "$(ulimit -Hn)"`;

/** Runs a command with as many descriptors as there are, on the given core. */
export function spawn(command: string[], core?: number): Deno.ChildProcess {
  const pin = core === undefined ? [] : ["taskset", "-c", `${core}`];
  const child = new Deno.Command("sh", {
    args: ["-c", `${RAISE}; exec "$@"`, "sh", ...pin, ...command],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: {
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      // Where some systems keep nginx, out of the way of users.
      PATH: `${Deno.env.get("PATH")}:/usr/sbin`,
    },
  }).spawn();
  running.add(child);
  child.status.then(() => running.delete(child));
  return child;
}

/** What a command prints, and the last line of its complaints. */
export async function output(command: string[], core?: number) {
  const { success, stdout, stderr } = await spawn(command, core).output();
  const text = (data: Uint8Array) => new TextDecoder().decode(data).trim();
  return {
    success,
    stdout: text(stdout),
    stderr: text(stderr),
    why: text(stderr).split("\n").at(-1)!,
  };
}

export const has = async (program: string) =>
  (await output(["sh", "-c", `command -v ${program}`])).success;

export const descriptors = async () =>
  Number((await output(["sh", "-c", "ulimit -n"])).stdout);

export interface Running {
  port: number;
  pid: number;
  stop(): Promise<void>;
}

/** Starts a server, and returns when it listens; throws why it does not. */
export async function start(
  { command }: Server,
  core?: number,
): Promise<Running> {
  let port = 0;
  if (command.includes(PORT)) {
    const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    port = free.addr.port;
    free.close();
    const config = Deno.readTextFileSync(here("peers/nginx.conf"));
    Deno.writeTextFileSync(
      `${temp()}/nginx.conf`,
      config.replace(PORT, `${port}`),
    );
    command = ["nginx", "-p", temp(), "-c", "nginx.conf", "-e", "stderr"];
  }
  const child = spawn(command, core);
  const complaints = lastLine(child.stderr);
  const stop = async () => {
    if (running.has(child)) child.kill("SIGKILL");
    await child.status;
  };
  const ended = child.status.then(async () => {
    throw new Error(await complaints || "it ended before it listened");
  });
  ended.catch(() => {}); // once it listens, nobody waits for this
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it did not listen")), 15000);
  });
  try {
    const listens = port ? reachable(port) : listening(child.stdout);
    port = await Promise.race([listens, ended, late]);
    return { port, pid: child.pid, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function lastLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let last = "";
  const lines = stream.pipeThrough(new TextDecoderStream());
  for await (const text of lines) {
    last = (last + text).trimEnd().split("\n").at(-1)!;
  }
  return last;
}

/** The port in `listening on 127.0.0.1:5666`. What comes later is thrown away. */
export function listening(stdout: ReadableStream<Uint8Array>): Promise<number> {
  return new Promise((found) => {
    let text = "";
    stdout.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({
        write(chunk) {
          if (text.length < 4096) text += chunk;
          const port = /listening on \S*:(\d+)/.exec(text)?.[1];
          if (port) found(Number(port));
        },
      }),
    );
  });
}

async function reachable(port: number): Promise<number> {
  for (;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return port;
    } catch {
      await new Promise((later) => setTimeout(later, 20));
    }
  }
}

/** The floor, compiled; undefined without a compiler. */
export async function compile(): Promise<string | undefined> {
  const program = `${temp()}/epoll`;
  if (!await has("cc")) return;
  const cc = ["cc", "-O2", "-o", program, here("peers/epoll.c")];
  const { success, stderr } = await output(cc);
  if (!success) fail(`cannot compile peers/epoll.c: ${stderr}`);
  return program;
}
