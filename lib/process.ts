/** Scripts as processes: starting one, reading what it prints, its CPU time. */
import { constants } from "node:os";

/** What to do with what a process prints, as it comes. */
export interface OutputHandlers {
  /** Gets whatever comes, in pieces of any size. */
  onText?: (text: string, stream: "stdout" | "stderr") => void;
  /** Gets whole lines, without their newlines. */
  onLine?: (line: string, stream: "stdout" | "stderr") => void;
}

/** A process that runs, or has run. */
export interface Process {
  readonly pid: number;
  /** The port of its `listening on` line. Rejects if it ends before that. */
  readonly port: Promise<number>;
  /** Resolves when it has ended and all of its output was read. */
  readonly ended: Promise<Deno.CommandStatus>;
  /** Writes to its stdin. Rejects if it reads nothing any more. */
  write(data: string | Uint8Array): Promise<void>;
  /** Ends its stdin. */
  closeStdin(): Promise<void>;
  /** Kills it, if it still runs. */
  kill(): void;
}

/** The command that runs a script with Deno, and what stands behind it. */
export function scriptCommand(script: string, ...args: string[]): string[] {
  return [Deno.execPath(), "run", "-A", script, ...args];
}

const running = new Set<Process>();

/** Starts a command, without colours. Its output is read to the end. */
export function startProcess(
  [program, ...args]: string[],
  handlers: OutputHandlers = {},
  options: { cwd?: string | URL; env?: Record<string, string> } = {},
): Process {
  const child = new Deno.Command(program, {
    args,
    cwd: options.cwd,
    env: { NO_COLOR: "1", ...options.env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const port = Promise.withResolvers<number>();
  port.promise.catch(() => {}); // nobody may wait for it

  const read = async (name: "stdout" | "stderr") => {
    let rest = ""; // of a line that has not ended
    const texts = child[name].pipeThrough(new TextDecoderStream());
    for await (const text of texts) {
      handlers.onText?.(text, name);
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const [, digits] = /listening on .*:(\d+)\/?$/.exec(line) ?? [];
        if (digits) port.resolve(Number(digits));
        handlers.onLine?.(line, name);
      }
    }
    if (rest) handlers.onLine?.(rest, name);
  };
  const reading = Promise.all([read("stdout"), read("stderr")]);
  const ended = Promise.all([child.status, reading]).then(([status]) => {
    running.delete(process);
    const { signal, code } = status;
    port.reject(new Error(`it has ended with ${signal ?? `status ${code}`}`));
    return status;
  });

  const stdin = child.stdin.getWriter();
  stdin.closed.catch(() => {}); // it may end before it has read all
  const process: Process = {
    pid: child.pid,
    port: port.promise,
    ended,
    write: (data) =>
      stdin.write(
        typeof data === "string" ? new TextEncoder().encode(data) : data,
      ),
    closeStdin: () => stdin.close().catch(() => {}),
    kill() {
      running.delete(process);
      try {
        child.kill("SIGKILL");
      } catch { /* it has ended by itself */ }
    },
  };
  running.add(process);
  return process;
}

let stopsAll = false;
/** From now on, however this script ends, no process of its own stays behind. */
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
 * The CPU time that a process has used so far, in ms. Unlike /proc/PID/task it
 * has that of threads that have ended. NaN where the system has no such clock.
 * @see clock_getcpuclockid(3)
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
