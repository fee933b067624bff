/** Makes system calls of a server fail, by strace(1). */
import { eventually, type Running } from "./harness.ts";

/** Whether strace traces all of these threads. */
function areTraced(pid: number, threads: string[]): boolean {
  return threads.every((thread) => {
    const status = readProc(`/proc/${pid}/task/${thread}/status`);
    return !status || /^TracerPid:\t[1-9]/m.test(status);
  });
}

/** The text of a file in /proc; empty for a thread that has just ended. */
function readProc(path: string): string {
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

/** Makes calls of a server fail from now on. @see strace(1) */
export async function inject(
  { pid }: Running,
  fault: Fault,
): Promise<AsyncDisposable> {
  const { calls, error, when = "1", thread } = fault;
  const set = `/^(${calls})$`;
  const injected = `inject=${set}:error=${error}:when=${when}`;
  const args = ["-p", thread ?? `${pid}`, "-e", `trace=${set}`, "-e", injected];
  if (!thread) args.push("-f");
  const output = { stdout: "null", stderr: "null" } as const;
  const strace = new Deno.Command("strace", { args, ...output }).spawn();
  let ended = false;
  const end = strace.status.then(() => ended = true);
  const threads = thread ? [thread] : threadsOf(pid);
  await eventually(() => areTraced(pid, threads), "strace does not attach");
  return {
    async [Symbol.asyncDispose]() {
      if (!ended) strace.kill("SIGINT"); // it detaches, and the server goes on
      await end;
    },
  };
}
