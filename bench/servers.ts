/** The servers that are measured, and how each is started. */
import {
  type OutputHandlers,
  type Process,
  scriptCommand,
  startProcess,
} from "../lib/process.ts";
import { deadline, pause } from "../lib/time.ts";
import { fail } from "../util.ts";

export type Protocol = "http" | "echo";

export interface Server {
  /** What `--only` calls it. */
  name: string;
  label: string;
  protocol: Protocol;
  ours: boolean;
  command: string[];
  /** With how many connections it is measured: some serve only one. */
  connections: number;
  /** Whether it is measured beside idle connections, as many as it takes. */
  besideIdle: boolean;
  /** Whether it has several cores: then it is measured only by requests a second. */
  onCores?: boolean;
}

/** The path of a file, given from the folder bench/. */
export function here(path: string): string {
  return decodeURIComponent(new URL(path, import.meta.url).pathname);
}

/** cores.ts with so many workers, and ms of computing for each message. */
function workers(count: number, work = 0): Server {
  const some = count === 1 ? "1 worker" : `${count} workers`;
  return {
    ...model("cores.ts", [`--workers=${count}`, `--work=${work}`]),
    name: `cores-${count}${work ? "-work" : ""}`,
    label: `cores.ts, ${some}${work ? `, ${work} ms of work` : ""}`,
    onCores: true,
  };
}

/** In nginx's command and in its configuration: a port that is free. */
const PORT = "PORT";

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
    command: scriptCommand(
      here(`../${script}`),
      "--quiet",
      "--port=0",
      ...(http ? [] : ["--echo"]),
      ...flags,
    ),
    connections,
    besideIdle: true,
  };
}

function peer(
  name: string,
  label: string,
  protocol: Protocol,
  command: string[],
  more: Partial<Server> = {},
): Server {
  return {
    name,
    label,
    protocol,
    command,
    ours: false,
    connections: 64,
    besideIdle: false,
    ...more,
  };
}

function python(way: string): Server {
  return peer(
    way === "asyncio" ? way : `python-${way}`,
    `Python ${way}`,
    "echo",
    ["python3", here("peers/echo.py"), way],
    { besideIdle: way !== "asyncio" },
  );
}

/** All servers; `c` is the path of peers/epoll.c once it is compiled. */
export const allServers = (c: string): Server[] => [
  peer("c-http", "C epoll", "http", [c, "http"], { besideIdle: true }),
  // Idle connections are measured: the server must not close them.
  model("epoll_http.ts", ["--timeout=3600", "--echo"]),
  peer(
    "deno-serve",
    "Deno.serve",
    "http",
    scriptCommand(here("peers/deno_serve.ts")),
  ),
  peer("node-http", "Node http", "http", ["node", here("peers/node_http.mjs")]),
  peer("bun", "Bun.serve", "http", ["bun", here("peers/bun_serve.mjs")]),
  peer("nginx", "nginx", "http", ["nginx", PORT]),

  peer("c-echo", "C epoll", "echo", [c, "echo"], { besideIdle: true }),
  model("blocking.ts", [], 1),
  model("threads.ts"),
  model("nonblocking.ts", ["--interval=0.001"]),
  model("select.ts"),
  model("poll.ts"),
  model("epoll.ts"),
  model("coroutines.ts"),
  workers(1),
  workers(2),
  workers(1, 0.05),
  workers(2, 0.05),
  model("signal.ts"),
  model("async.ts"),
  model("io_uring.ts"),
  peer("node-net", "Node net", "echo", ["node", here("peers/node_net.mjs")]),
  python("select"),
  python("poll"),
  python("epoll"),
  python("asyncio"),
  // To compare with blocking.ts, which serves one client at a time.
  peer("c-one", "C epoll, 1 connection", "echo", [c, "echo"], {
    connections: 1,
  }),
];

let folder = "";

/** The path of a temporary folder, which is removed when this script ends. */
export function temporaryFolder(): string {
  if (!folder) {
    folder = Deno.makeTempDirSync({ prefix: "io-models-bench-" });
    addEventListener("unload", () => {
      try {
        Deno.removeSync(folder, { recursive: true });
      } catch { /* another process has removed it */ }
    });
  }
  return folder;
}

// Most systems allow 1024 descriptors, and more to a process that asks.
const WANTED_DESCRIPTORS = 20_000;
const RAISE_LIMIT = `ulimit -n ${WANTED_DESCRIPTORS} 2>/dev/null ||
  ulimit -n "$(ulimit -Hn)"`;

// Some systems keep nginx there, where other users do not look.
let path = `${Deno.env.get("PATH")}:/usr/sbin`;

/** Starts a command with as many descriptors as it may have, on that core. */
export function spawn(
  command: string[],
  core?: number,
  handlers?: OutputHandlers,
): Process {
  const pin = core === undefined ? [] : ["taskset", "-c", `${core}`];
  const shell = ["sh", "-c", `${RAISE_LIMIT}; exec "$@"`, "sh"];
  const process = startProcess([...shell, ...pin, ...command], handlers, {
    env: {
      DENO_NO_UPDATE_CHECK: "1",
      PATH: path,
    },
  });
  process.closeStdin();
  return process;
}

/** A command's output, as it comes, and the last line of its stderr. */
export class Output implements OutputHandlers {
  stdout = "";
  stderr = "";
  onText = (text: string, stream: "stdout" | "stderr") => {
    this[stream] += text;
  };

  get lastError(): string {
    return this.stderr.trim().split("\n").at(-1)!;
  }
}

/** Runs a command to its end. */
export async function run(
  command: string[],
  core?: number,
): Promise<{ success: boolean; output: Output }> {
  const output = new Output();
  const { success } = await spawn(command, core, output).ended;
  return { success, output };
}

/** Whether a program is installed. */
export async function isInstalled(program: string): Promise<boolean> {
  return (await run(["sh", "-c", `command -v ${program}`])).success;
}

/** Puts Bun on the path, if it is not installed and npm can bring it. */
export async function bringBun() {
  if (await isInstalled("bun")) return;
  const find = ["npx", "-y", "-p", "bun", "-c", "command -v bun"];
  const { success, output } = await run(find);
  if (success) path += `:${output.stdout.trim().replace(/\/bun$/, "")}`;
}

/** How many descriptors a process may have that asks for more. */
export async function descriptorLimit(): Promise<number> {
  return Number((await run(["sh", "-c", "ulimit -n"])).output.stdout);
}

/** A server that listens. */
export interface RunningServer {
  port: number;
  pid: number;
  /** Kills it, and waits until it has ended. */
  stop(): Promise<void>;
}

/** Starts a server, and waits until it listens; throws why it does not. */
export async function start(
  { command }: Server,
  core?: number,
): Promise<RunningServer> {
  const nginxPort = command.includes(PORT) ? freePort() : 0;
  const output = new Output();
  const process = spawn(
    nginxPort ? nginxCommand(nginxPort) : command,
    core,
    output,
  );
  const stop = async () => {
    process.kill();
    await process.ended;
  };
  const ended = process.ended.then(() => {
    throw new Error(output.lastError || "it ended before it listened");
  });
  ended.catch(() => {}); // once the server listens, its end is no error
  // nginx does not say that it listens.
  const listens = nginxPort
    ? acceptsConnections(nginxPort)
    : process.port.catch(() => ended);
  try {
    const listening = Promise.race([listens, ended]);
    const port = await deadline(listening, PATIENCE, "it did not listen");
    return { port, pid: process.pid, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

/** The command that starts nginx on that port, with a configuration for it. */
function nginxCommand(port: number): string[] {
  const folder = temporaryFolder();
  const config = Deno.readTextFileSync(here("peers/nginx.conf"));
  Deno.writeTextFileSync(
    `${folder}/nginx.conf`,
    config.replace(PORT, `${port}`),
  );
  return ["nginx", "-p", folder, "-c", "nginx.conf", "-e", "stderr"];
}

const PATIENCE = 15_000; // ms until a server has to listen

/** Waits until something accepts connections on the port; returns the port. */
async function acceptsConnections(port: number): Promise<number> {
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return port;
    } catch {
      await pause(20);
    }
  }
  throw new Error("it did not listen");
}

/** Compiles peers/epoll.c; returns its path, undefined without a compiler. */
export async function compile(): Promise<string | undefined> {
  const program = `${temporaryFolder()}/epoll`;
  if (!await isInstalled("cc")) return;
  const cc = ["cc", "-O2", "-o", program, here("peers/epoll.c")];
  const { success, output } = await run(cc);
  if (!success) fail(`cannot compile peers/epoll.c: ${output.stderr.trim()}`);
  return program;
}
