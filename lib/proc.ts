/** What the kernel tells about processes: their files in /proc. */

/**
 * The fields of a `stat` file from the third on: the state, the parent, the
 * process group, … `folder`: /proc/PID of a process, /proc/PID/task/TID of a
 * thread. @see proc_pid_stat(5)
 */
export function stat(folder: string): string[] {
  const text = Deno.readTextFileSync(`${folder}/stat`);
  // The second field is the name, in parentheses, and may have spaces.
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/**
 * What a process does: R, it runs or waits for a processor; S, it sleeps; T, it
 * was stopped; Z, it has ended; X, there is no such process.
 */
export function processState(pid: number): string {
  try {
    return stat(`/proc/${pid}`)[0];
  } catch {
    return "X";
  }
}

/** How many TCP sockets (IPv4) a process has open. */
export function sockets(pid: number): number {
  const lines = Deno.readTextFileSync("/proc/net/tcp").trim().split("\n");
  const inodes = new Set(lines.map((line) => line.trim().split(/\s+/)[9]));
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].filter(({ name }) => {
    try {
      const link = Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
      return inodes.has(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? "");
    } catch {
      return false; // the process has closed it meanwhile
    }
  }).length;
}

/** The memory that a process holds, in MB. */
export function memory(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

/** How many descriptors this process may have. @see proc_pid_limits(5) */
export function descriptorLimit(): number {
  try {
    const limits = Deno.readTextFileSync("/proc/self/limits");
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? 1024);
  } catch {
    return 1024;
  }
}
