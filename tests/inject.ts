/** Makes system calls of a server fail, by strace(1). */
import { startRecorded } from "../lib/recorded.ts";
import { eventually, PATIENCE, type Running } from "./harness.ts";

/** The text of a file in /proc; empty for what has just ended. */
export function readProc(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

function threadsOf(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name);
}

/** The thread that serves the client: in threads.ts a Worker. */
export function serving({ pid }: Running): string {
  const isWorker = (thread: string) =>
    readProc(`/proc/${pid}/task/${thread}/comm`).startsWith("worker-");
  return threadsOf(pid).find(isWorker) ?? `${pid}`;
}

export interface Fault {
  /** A regular expression, as some calls have other names on arm64. */
  calls: string;
  error: string;
  /** 1: the first one, which is the default; 1+2: every other one. */
  when?: string;
  /** The thread whose calls fail; without it, those of all threads do. */
  thread?: string;
}

/** How often a thread of a process has gone to sleep, or was stopped. */
function naps(pid: number, thread: string): number {
  const status = readProc(`/proc/${pid}/task/${thread}/status`);
  return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
}

/** Makes calls of a server fail from now on. @see strace(1) */
export async function inject(
  { pid }: Running,
  fault: Fault,
): Promise<AsyncDisposable> {
  const { calls, error, when = "1", thread } = fault;
  const target = thread ?? `${pid}`;
  const set = `/^(${calls})$`;
  const injected = `inject=${set}:error=${error}:when=${when}`;
  const command = ["strace", "-o", "/dev/null", "-p", target];
  command.push("-e", `trace=${set}`, "-e", injected);
  if (!thread) command.push("-f");
  const before = naps(pid, target);
  const strace = startRecorded(command, { name: "strace", patience: PATIENCE });
  await strace.until("attached");
  // A thread that is held in a call is stopped, and again when it makes the call
  // once more: only then strace sees it.
  await eventually(
    () => !(naps(pid, target) < before + 2),
    "strace does not stop it",
  );
  return {
    async [Symbol.asyncDispose]() {
      try {
        Deno.kill(strace.pid, "SIGINT"); // it detaches, and the server goes on
      } catch { /* it has ended with the server */ }
      await strace.status;
    },
  };
}
