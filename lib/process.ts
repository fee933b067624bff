/**
 * Processes: how one is started, what it prints, the port it listens on, the CPU
 * time it uses, and that none of them outlives this script.
 */
import { constants } from "node:os";

/** What to do with what a process prints, as it comes. */
export interface OutputHandlers {
  /** Gets whatever comes, in pieces of any size. */
  onText?: (text: string, stream: "stdout" | "stderr") => void;
  /** Gets whole lines, without their newlines. */
  onLine?: (line: string, stream: "stdout" | "stderr") => void;
}

/** Where a process starts, and what is added to its environment. */
export interface ProcessOptions {
  cwd?: string | URL;
  env?: Record<string, string>;
}

/** A process that runs, or has run. */
export interface Process {
  readonly pid: number;
  /** The port of its `listening on` line. Rejects if there is no such line. */
  readonly port: Promise<number>;
  /** Resolves when it has ended and all of its output was read. */
  readonly ended: Promise<Deno.CommandStatus>;
  /** Writes to its stdin. Rejects if nothing reads that any more. */
  write(data: string | Uint8Array): Promise<void>;
  /** Closes its stdin: it reads to the end of what was written. */
  closeStdin(): Promise<void>;
  /** Sends it a signal, SIGKILL by default, if it still runs. */
  kill(signal?: Deno.Signal): void;
}

/** The command by which this Deno runs a script with these arguments. */
export function scriptCommand(script: string, ...args: string[]): string[] {
  return [Deno.execPath(), "run", "-A", script, ...args];
}

/** `select.ts: listening on 127.0.0.1:5666`, or on `http://127.0.0.1:8080/`. */
const LISTENING = /listening on .*:(\d+)\/?$/;

const running = new Set<Process>();

let wrapper: string[] | undefined;
/**
 * A command that runs another one, which the kernel kills as soon as this process
 * has ended, even by SIGKILL. Nothing, where there is no such command: of
 * util-linux, Linux only. @see PR_SET_PDEATHSIG(2const)
 */
function endsWithUs(): string[] {
  if (wrapper) return wrapper;
  wrapper = ["setpriv", "--pdeathsig", "KILL"];
  try {
    const [program, ...args] = wrapper;
    const { success } = new Deno.Command(program, { args: [...args, "true"] })
      .outputSync();
    if (!success) wrapper = [];
  } catch {
    wrapper = [];
  }
  return wrapper;
}

/**
 * Starts a command, and returns at once. It ends when this script does. Its output is without colours, and is
 * read to the end, whether or not there is a handler for it.
 */
export function startProcess(
  command: string[],
  handlers: OutputHandlers = {},
  { cwd, env }: ProcessOptions = {},
): Process {
  const [program, ...args] = [...endsWithUs(), ...command];
  const child = new Deno.Command(program, {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const port = Promise.withResolvers<number>();
  port.promise.catch(() => {}); // not every caller asks for the port

  const read = async (stream: "stdout" | "stderr") => {
    const onLine = (line: string) => {
      const digits = LISTENING.exec(line)?.[1];
      if (digits) port.resolve(Number(digits));
      handlers.onLine?.(line, stream);
    };
    let line = ""; // as much of a line as has come
    const texts = child[stream].pipeThrough(new TextDecoderStream());
    for await (const text of texts) {
      handlers.onText?.(text, stream);
      const [end, ...starts] = text.split("\n");
      line += end;
      for (const start of starts) {
        onLine(line);
        line = start;
      }
    }
    if (line) onLine(line); // the last one, without a newline
  };
  const reading = Promise.all([read("stdout"), read("stderr")]);
  const ended = Promise.all([child.status, reading]).then(([status]) => {
    running.delete(process);
    const { signal, code } = status;
    port.reject(new Error(`it has ended with ${signal ?? `status ${code}`}`));
    return status;
  });

  const stdin = child.stdin.getWriter();
  stdin.closed.catch(() => {}); // the process may end before it has read all
  const process: Process = {
    pid: child.pid,
    port: port.promise,
    ended,
    write: (data) =>
      stdin.write(
        typeof data === "string" ? new TextEncoder().encode(data) : data,
      ),
    closeStdin: () => stdin.close().catch(() => {}),
    kill(signal = "SIGKILL") {
      try {
        child.kill(signal);
      } catch { /* it has ended by itself */ }
    },
  };
  running.add(process);
  return process;
}

let stopsAll = false;
/**
 * From now on, all processes that this script has started are killed when it
 * ends, also by SIGINT, SIGTERM or SIGHUP.
 */
export function stopAllAtExit() {
  if (stopsAll) return;
  stopsAll = true;
  addEventListener("unload", () => {
    for (const process of running) process.kill();
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const known = Deno.build.os === "windows" ? ["SIGINT"] as const : signals;
  for (const signal of known) {
    const status = 128 + constants.signals[signal];
    Deno.addSignalListener(signal, () => Deno.exit(status));
  }
}

const openClock = () =>
  Deno.dlopen("libc.so.6", {
    // int clock_getcpuclockid(pid_t pid, clockid_t *clockid);
    clock_getcpuclockid: { parameters: ["i32", "buffer"], result: "i32" },
    // int clock_gettime(clockid_t clockid, struct timespec *tp);
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  }).symbols;
let clock: ReturnType<typeof openClock> | undefined;

/**
 * The CPU time that a process has used so far, in ms: unlike /proc/PID/task, with
 * that of threads that have ended. NaN if there is no such process, or where the
 * system has no such clock. @see clock_getcpuclockid(3)
 */
export function cpuTime(pid: number): number {
  if (Deno.build.os !== "linux") return NaN;
  clock ??= openClock();
  const id = new Int32Array(1);
  if (clock.clock_getcpuclockid(pid, id) !== 0) return NaN;
  const time = new BigInt64Array(2); // struct timespec: seconds, nanoseconds
  if (clock.clock_gettime(id[0], time) !== 0) return NaN;
  return Number(time[0]) * 1e3 + Number(time[1]) / 1e6;
}
