/** Starts servers in odd surroundings, and changes their limits as they run. */
import { assertEquals } from "@std/assert";

/** Starts a command in a process that exec_with.ts has changed. */
export const execWith = (change: string) => (command: string) =>
  `exec '${Deno.execPath()}' run -A tests/exec_with.ts ${change} ${command}`;

const { prlimit } = Deno.dlopen("libc.so.6", {
  // int prlimit(pid_t pid, int resource, const struct rlimit *new_limit,
  //             struct rlimit *old_limit);
  prlimit: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32" },
}).symbols;

export const RLIMIT_FSIZE = 1;
const RLIMIT_NOFILE = 7;

/** Sets how many descriptors a running process may have, or bytes in a file. */
export function limit(pid: number, most: number, resource = RLIMIT_NOFILE) {
  const rlimit = new BigUint64Array(2); // soft, hard
  assertEquals(prlimit(pid, resource, null, rlimit), 0);
  rlimit[0] = BigInt(most);
  assertEquals(prlimit(pid, resource, rlimit, null), 0);
}
