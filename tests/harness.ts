/**
 * What the tests share: a script as a process, its output as it comes, and
 * both ways to talk to it, through client.ts and through a raw connection.
 */
import { assert } from "@std/assert";
import { getAvailablePort } from "@std/net";

const needed = ["net", "run", "read", "ffi", "env", "sys"] as const;
for (const name of needed) {
  if ((await Deno.permissions.query({ name })).state !== "granted") {
    console.error("The tests start servers and talk to them: deno test -A");
    Deno.exit(1);
  }
}

export const root = new URL("..", import.meta.url);
// Another Deno for the scripts: one for arm64, say, emulated. It is ten times
// slower, and what it costs, nobody asks.
const emulated = Deno.env.get("DENO");
/** The Deno that the scripts are started with. */
export const deno = emulated ?? Deno.execPath();
export const PATIENCE = emulated ? 60_000 : 30_000; // ms until a test gives up
// Steps that run at the same time: more of them would only be late.
const AT_ONCE = emulated ? 1 : 4 * navigator.hardwareConcurrency;

/** A running script. */
export interface Running extends AsyncDisposable {
  /** The port of its `listening on` line; 0 if it was not waited for. */
  port: number;
  pid: number;
  /** All it has written so far, to stdout and stderr. */
  output(): string;
  /** Waits until `pattern` stands in the output; returns the output. */
  until(pattern: RegExp | string): Promise<string>;
  /** Types into its stdin. */
  write(text: string | Uint8Array): Promise<void>;
  /** Ends its stdin. */
  end(): Promise<void>;
  /** How it ended. */
  status: Promise<Deno.CommandStatus>;
  /** Kills it, if it still runs. */
  stop(): Promise<Deno.CommandStatus>;
}

/**
 * Starts a script and does not wait for it. `shell` may put its command into a
 * line for sh.
 */
export function run(
  script: string,
  args: string[] = [],
  shell = (command: string) => `exec ${command}`,
): Running {
  const command = [
    deno,
    "run",
    "--no-code-cache", // out of descriptors, Deno would delete it for everyone
    "-A",
    script,
    ...args,
  ];
  const child = new Deno.Command("sh", {
    args: ["-c", shell(command.map((word) => `'${word}'`).join(" "))],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  let output = "";
  const news = new EventTarget();
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      output += text;
      news.dispatchEvent(new Event("news"));
    }
  };
  const done = Promise.all([read(child.stdout), read(child.stderr)]);
  const ended = done.then(() => child.status);
  let over = false;
  ended.then(() => {
    over = true;
    news.dispatchEvent(new Event("news"));
  });
  const keyboard = child.stdin.getWriter();
  keyboard.closed.catch(() => {}); // it may end before it has read all

  return {
    port: 0,
    pid: child.pid,
    status: ended,
    output: () => output,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => give("in time"), PATIENCE);
        const give = (how: string) => {
          finish();
          reject(new Error(`${script}: no ${pattern} ${how} in:\n${output}`));
        };
        const finish = () => {
          clearTimeout(timer);
          news.removeEventListener("news", look);
        };
        const look = () => {
          if (
            typeof pattern === "string"
              ? output.includes(pattern)
              : pattern.test(output)
          ) {
            finish();
            resolve(output);
          } else if (over) give("before its end");
        };
        news.addEventListener("news", look);
        look();
      }),
    write: async (text) => {
      const bytes = typeof text === "string"
        ? new TextEncoder().encode(text)
        : text;
      await keyboard.write(bytes);
    },
    end: () => keyboard.close().catch(() => {}),
    async stop() {
      try {
        child.kill("SIGKILL");
      } catch { /* it has ended by itself */ }
      await keyboard.close().catch(() => {});
      return await ended;
    },
    async [Symbol.asyncDispose]() {
      await this.stop();
    },
  };
}

/** A copy of a script in a folder of its own, in which something is replaced. */
export async function altered(script: string, from: string, to: string) {
  const dir = await Deno.makeTempDir();
  const files = [
    script,
    "util.ts",
    "lib/cli.ts",
    "lib/trace.ts",
    "deno.json",
    "deno.lock",
  ];
  await Deno.mkdir(`${dir}/lib`);
  for (const file of files) {
    await Deno.copyFile(new URL(file, root), `${dir}/${file}`);
  }
  const text = await Deno.readTextFile(`${dir}/${script}`);
  assert(text.includes(from), `${script} has no ${from}`);
  await Deno.writeTextFile(`${dir}/${script}`, text.replace(from, to));
  return {
    script: `${dir}/${script}`,
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

/** Starts a server on a free port, and waits until it listens. */
export async function start(
  script: string,
  args: string[] = [],
  shell?: (command: string) => string,
): Promise<Running> {
  const port = args.includes("--port") ? [] : ["--port", "0"];
  const server = run(script, [...port, ...args], shell);
  try {
    const output = await server.until(/listening on .*:\d+\/?\n/);
    server.port = Number(/listening on .*:(\d+)\/?\n/.exec(output)![1]);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** What client.ts prints, and how it ends, when it is given `input`. */
export async function client(
  port: number,
  input: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = new Deno.Command(deno, {
    args: ["run", "-A", "client.ts", "--port", String(port)],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  const output = child.output();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(input)).catch(() => {});
  await stdin.close().catch(() => {});
  const { code, stdout, stderr } = await output;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

export const connect = (port: number) =>
  Deno.connect({ hostname: "127.0.0.1", port });

/** Sends all of it. */
export async function send(conn: Deno.Conn, data: string | Uint8Array) {
  let rest = typeof data === "string" ? new TextEncoder().encode(data) : data;
  while (rest.length) rest = rest.subarray(await conn.write(rest));
}

/** Reads `size` bytes, or fewer if the server hangs up. */
export async function receive(conn: Deno.Conn, size: number) {
  const data = new Uint8Array(size);
  let at = 0;
  for (let n; at < size && (n = await conn.read(data.subarray(at)));) at += n;
  return data.subarray(0, at);
}

/**
 * A port on which nobody listens, and which the system gives to nobody else
 * meanwhile: a connection has it.
 */
export async function unused(): Promise<Disposable & { port: number }> {
  const port = getAvailablePort();
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const both = await Promise.all([connect(port), listener.accept()]);
  listener.close();
  return { port, [Symbol.dispose]: () => both.forEach((conn) => conn.close()) };
}

/** Reads until the server hangs up. */
export async function rest(conn: Deno.Conn): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(65536);
  for (let n; (n = await conn.read(chunk));) {
    text += decoder.decode(chunk.subarray(0, n), { stream: true });
  }
  return text;
}

/** Sends a message and waits for an answer. */
export async function exchange(conn: Deno.Conn, text: string) {
  await send(conn, text);
  const chunk = new Uint8Array(65536);
  const n = await conn.read(chunk);
  return new TextDecoder().decode(chunk.subarray(0, n ?? 0));
}

const libc = Deno.dlopen("libc.so.6", {
  // int connect(int sockfd, const struct sockaddr *addr, socklen_t addrlen);
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getpeername(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // long syscall(long number, ...);
  syscall: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

/** Whether we may have an io_uring: most containers forbid it. */
export const ioUring = (() => {
  const IO_URING_SETUP = 425;
  const fd = libc.syscall(IO_URING_SETUP, 1, new Uint32Array(30));
  return fd !== -1 && libc.close(fd) === 0;
})();

/** Hangs up with a reset, as a crashed client or a cut line does. */
export function reset(conn: Deno.TcpConn) {
  const { getsockname, getpeername } = libc;
  const port = (call: typeof getsockname, fd: number) => {
    const name = new DataView(new ArrayBuffer(28));
    const size = new Uint32Array([name.byteLength]);
    return call(fd, name, size) === 0 ? name.getUint16(2) : -1;
  };
  for (let fd = 3; fd < 20_000; fd++) {
    if (port(getsockname, fd) !== conn.localAddr.port) continue;
    if (port(getpeername, fd) !== conn.remoteAddr.port) continue;
    // To AF_UNSPEC: the connection is dissolved at once. See connect(2).
    libc.connect(fd, new Uint8Array(16), 16);
    return conn.close();
  }
  throw new Error("the connection has no descriptor");
}

/** How many TCP sockets a process has open. */
export function sockets(pid: number): number {
  const lines = Deno.readTextFileSync("/proc/net/tcp").trim().split("\n");
  const inodes = new Set(lines.map((line) => line.trim().split(/\s+/)[9]));
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].filter(({ name }) => {
    try {
      const link = Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
      return inodes.has(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? "");
    } catch {
      return false; // closed meanwhile
    }
  }).length;
}

/**
 * What the kernel tells of a process, or of a thread, whose folder in /proc it
 * is, from its state on: the third field and the next, as proc(5) counts them.
 */
export const stat = (folder: string): string[] =>
  Deno.readTextFileSync(`${folder}/stat`).split(") ")[1].split(" ");

/** The CPU time a process has used, in ms. */
export function cpuTime(pid: number): number {
  if (emulated) return 0;
  const [user, system] = stat(`/proc/${pid}`).slice(11, 13).map(Number);
  return (user + system) * 10; // in hundredths of a second
}

/**
 * Whether a process sleeps when nobody asks anything: of some third of a second
 * it has used less than half. One that spins never does; another may have to
 * finish something first.
 */
export async function sleeps(pid: number): Promise<boolean> {
  for (let looks = 0; looks < 10; looks++) {
    const [from, before] = [performance.now(), cpuTime(pid)];
    await pause(300);
    const used = cpuTime(pid) - before;
    if (used < (performance.now() - from) / 2) return true;
  }
  return false;
}

/** The memory a process holds, in MB. */
export function memory(pid: number): number {
  if (emulated) return 0;
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

export const pause = (ms: number) =>
  new Promise((resolve) => setTimeout(resolve, emulated ? 10 * ms : ms));

/** Tries again until `check` is true: for what the kernel tells nobody of. */
export async function eventually(check: () => boolean, what: string) {
  const end = performance.now() + PATIENCE;
  while (!check()) {
    assert(performance.now() < end, what);
    await pause(10);
  }
}

/** What `promise` resolves to, if it does so within seconds. */
export async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`too late: ${what}`)), PATIENCE);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Whether a command is installed. */
export async function exists(command: string): Promise<boolean> {
  const find = new Deno.Command("sh", {
    args: ["-c", `command -v ${command}`],
  });
  return (await find.output()).success;
}

/**
 * Tests that run at the same time, for they wait more than they work. Each file
 * has one such suite; a test that needs the machine for itself is Deno's own.
 */
export function suite(name: string) {
  const tests: [string, () => Promise<void>][] = [];
  Deno.test(name, async (t) => {
    const alone = { // as far as Deno can tell: others have things open, too
      sanitizeOps: false,
      sanitizeResources: false,
      sanitizeExit: false,
    };
    const wanted = new RegExp(Deno.env.get("ONLY") ?? "");
    const steps = tests.filter(([name]) => wanted.test(name))
      .map(([name, fn]) => ({
        name,
        fn,
        ignore: !ioUring && name.includes("io_uring"),
        ...alone,
      }));
    const queue = steps.values(); // each takes from it what nobody has taken
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      for (const step of queue) await t.step(step);
    }));
  });
  return (name: string, fn: () => Promise<void>) => void tests.push([name, fn]);
}
