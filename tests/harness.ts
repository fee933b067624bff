/**
 * What the tests share: how a script is started and its output waited for, and
 * the two ways to talk to a server, through client.ts and through a connection.
 */
import { assert } from "@std/assert";
import { getAvailablePort } from "@std/net";
import { connect, send } from "../lib/connection.ts";
import { memory as memoryOf } from "../lib/proc.ts";
import {
  cpuTime as cpuTimeOf,
  startProcess,
  stopAllAtExit,
} from "../lib/process.ts";
import {
  type RecordedProcess,
  startRecorded,
  startRecordedServer,
} from "../lib/recorded.ts";
import { deadline, pause as realPause } from "../lib/time.ts";

export { connect, send };
export { reset } from "../lib/connection.ts";
export { sockets, stat } from "../lib/proc.ts";

const needed = ["net", "run", "read", "ffi", "env", "sys"] as const;
for (const name of needed) {
  if ((await Deno.permissions.query({ name })).state !== "granted") {
    console.error("The tests start servers and talk to them: deno test -A");
    Deno.exit(1);
  }
}

stopAllAtExit(); // a test that fails may leave its server running

export const root = new URL("..", import.meta.url);
// Another Deno for the scripts: one for arm64, say, emulated. Scripts are then ten
// times slower, and their CPU time and memory are not measured.
const emulated = Deno.env.get("DENO");
/** The Deno that the scripts are started with. */
export const deno = emulated ?? Deno.execPath();
export const PATIENCE = emulated ? 60_000 : 30_000; // ms until a test gives up
// How many steps run at the same time: with more, each would only take longer.
const AT_ONCE = emulated ? 1 : 4 * navigator.hardwareConcurrency;

/** A script that runs. */
export type Running = RecordedProcess;

/** The command that runs a script with the Deno that is to be tested. */
export function scriptCommand(script: string, ...args: string[]): string[] {
  // Out of descriptors, Deno would delete the code cache of all scripts.
  return [deno, "run", "--no-code-cache", "-A", script, ...args];
}

/** Puts a command into a line for sh. */
type Shell = (command: string) => string;
const exec: Shell = (command) => `exec ${command}`;

function shellCommand(command: string[], shell: Shell): string[] {
  const quoted = command.map((word) => `'${word}'`).join(" ");
  return ["sh", "-c", shell(quoted)];
}

const options = (name: string) => ({ name, patience: PATIENCE, cwd: root });

/** Starts a script, in a shell, and returns at once. */
export function run(
  script: string,
  args: string[] = [],
  shell = exec,
): Running {
  const command = shellCommand(scriptCommand(script, ...args), shell);
  return startRecorded(command, options(script));
}

/** A copy of a script in a folder of its own, in which something is replaced. */
export async function altered(script: string, from: string, to: string) {
  const folder = await Deno.makeTempDir();
  const files = [script, "util.ts", "lib", "deno.json", "deno.lock"];
  const copy = new Deno.Command("cp", {
    args: ["-r", ...files, folder],
    cwd: root,
  });
  assert((await copy.output()).success, `cannot copy to ${folder}`);
  const text = await Deno.readTextFile(`${folder}/${script}`);
  assert(text.includes(from), `${script} has no ${from}`);
  await Deno.writeTextFile(`${folder}/${script}`, text.replace(from, to));
  return {
    script: `${folder}/${script}`,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** Starts a server on a free port, and waits until it listens. */
export function start(
  script: string,
  args: string[] = [],
  shell = exec,
): Promise<Running> {
  const port = args.includes("--port") ? [] : ["--port", "0"];
  const command = scriptCommand(script, ...port, ...args);
  return startRecordedServer(shellCommand(command, shell), options(script));
}

/** What client.ts prints, and how it ends, when it is given `input`. */
export async function client(
  port: number,
  input: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const printed = { stdout: "", stderr: "" };
  const process = startProcess(
    [deno, "run", "-A", "client.ts", "--port", `${port}`],
    { onText: (text, stream) => printed[stream] += text },
    { cwd: root },
  );
  await process.write(input).catch(() => {});
  await process.closeStdin();
  const { code } = await process.ended;
  return { code, ...printed };
}

/** Receives `size` bytes, or fewer if the server closes the connection. */
export async function receive(conn: Deno.Conn, size: number) {
  const data = new Uint8Array(size);
  let received = 0;
  while (received < size) {
    const n = await conn.read(data.subarray(received));
    if (n === null) break;
    received += n;
  }
  return data.subarray(0, received);
}

/**
 * A port on which nothing listens. Until it is disposed of, the system gives it
 * to no other process: a connection has it.
 */
export async function unused(): Promise<Disposable & { port: number }> {
  const listener = listenAnywhere();
  const { port } = listener.addr;
  const both = await Promise.all([connect(port), listener.accept()]);
  listener.close();
  return { port, [Symbol.dispose]: () => both.forEach((conn) => conn.close()) };
}

/** Listens at a port that is free; again, if somebody was faster. */
function listenAnywhere(): Deno.TcpListener {
  while (true) {
    try {
      return Deno.listen({ hostname: "127.0.0.1", port: getAvailablePort() });
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** Receives until the server closes the connection. */
export async function rest(conn: Deno.Conn): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(65536);
  while (true) {
    const n = await conn.read(chunk);
    if (n === null) return text;
    text += decoder.decode(chunk.subarray(0, n), { stream: true });
  }
}

/** Sends a message and waits for an answer. */
export async function exchange(conn: Deno.Conn, text: string) {
  await send(conn, text);
  const chunk = new Uint8Array(65536);
  const n = await conn.read(chunk);
  return new TextDecoder().decode(chunk.subarray(0, n ?? 0));
}

/** Whether this process may have an io_uring: most containers forbid it. */
export const ioUring = mayHaveIoUring();

function mayHaveIoUring(): boolean {
  const { syscall, close } = Deno.dlopen("libc.so.6", {
    // long syscall(long number, ...);
    syscall: { parameters: ["i32", "u32", "buffer"], result: "i32" },
    // int close(int fd);
    close: { parameters: ["i32"], result: "i32" },
  }).symbols;
  const IO_URING_SETUP = 425;
  const fd = syscall(IO_URING_SETUP, 1, new Uint32Array(30));
  return fd !== -1 && close(fd) === 0;
}

cpuTimeOf(Deno.pid); // opens libc now: a test must not leave anything open

/** The CPU time a process has used, in ms; 0 where it would be the emulator's. */
export function cpuTime(pid: number): number {
  return emulated ? 0 : cpuTimeOf(pid);
}

/** The memory a process holds, in MB; 0 where it would be the emulator's. */
export function memory(pid: number): number {
  return emulated ? 0 : memoryOf(pid);
}

/**
 * Whether a process sleeps while no client sends anything: whether there is a
 * third of a second of which it uses less than half, and in which it wakes at
 * most once in 6 ms. A loop that spins uses all of it, and one that naps and looks
 * again wakes; another process may have something to finish before it sleeps.
 */
export async function sleeps(pid: number): Promise<boolean> {
  for (let looks = 0; looks < 10; looks++) {
    const from = performance.now();
    const before = busyTime(pid);
    const asleep = naps(pid);
    await pause(300);
    const used = busyTime(pid) - before;
    const time = performance.now() - from;
    if (used < time / 2 && naps(pid) - asleep < time / 6) return true;
  }
  return false;
}

/**
 * For how long, in ms, the threads of a process have had a CPU or waited for one:
 * a process that spins does so all the time, also where others have the CPU.
 */
function busyTime(pid: number): number {
  if (emulated) return 0;
  let nanoseconds = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    try {
      const path = `/proc/${pid}/task/${name}/schedstat`;
      const [running, waiting] = Deno.readTextFileSync(path).split(" ");
      nanoseconds += Number(running) + Number(waiting);
    } catch { /* the thread has ended */ }
  }
  return nanoseconds / 1e6;
}

/** How often the main thread of a process has gone to sleep. */
function naps(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)![1]);
}

/** Resolves after so many ms, or ten times as many where Deno is emulated. */
export function pause(ms: number): Promise<void> {
  return realPause(emulated ? 10 * ms : ms);
}

/** Asks again until `check` is true: for changes of which no event tells. */
export async function eventually(check: () => boolean, what: string) {
  const end = performance.now() + PATIENCE;
  while (!check()) {
    assert(performance.now() < end, what);
    await pause(20);
  }
}

/** What `promise` resolves to; rejects if that takes longer than PATIENCE. */
export function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  return deadline(promise, PATIENCE, `too late: ${what}`);
}

/** Whether a command is installed. */
export async function exists(command: string): Promise<boolean> {
  const find = new Deno.Command("sh", {
    args: ["-c", `command -v ${command}`],
  });
  return (await find.output()).success;
}

/**
 * Returns a function that adds tests which run at the same time, as they wait
 * more than they work. Each file has one such suite; a test that needs the
 * machine for itself is Deno's own.
 */
export function suite(name: string) {
  const tests: [string, () => Promise<void>][] = [];
  Deno.test(name, async (t) => {
    const wanted = new RegExp(Deno.env.get("ONLY") ?? "");
    const steps = tests.filter(([name]) => wanted.test(name))
      .map(([name, fn]) => ({
        name,
        // One that waits for ever would leave us without a word on which it is.
        fn: () => deadline(fn(), 4 * PATIENCE, "this test does not end"),
        ignore: !ioUring && name.includes("io_uring"),
        // What another step has open would be taken for this one's.
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
      }));
    const queue = steps.values(); // each takes from it the next step
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      for (const step of queue) await t.step(step);
    }));
  });
  return (name: string, fn: () => Promise<void>) => {
    tests.push([name, fn]);
  };
}
