/** Reads what `strace -f -T -ttt` has written. */

/** A call that has returned. Times are in ms; `from` and `to` are since 1970. */
export interface Straced {
  /** The process that the thread is of. */
  process: number;
  thread: number;
  call: string;
  args: string;
  result: number;
  error?: string;
  from: number;
  to: number;
  ms: number;
}

/** The calls in the order in which they returned. A call in two lines is joined. */
export function straced(text: string): Straced[] {
  const calls: Straced[] = [];
  const open = new Map<string, { from: number; args: string }>();
  const processes = new Map<number, number>(); // by thread
  for (const line of text.split("\n")) {
    const [, id, time, rest = ""] = /^(\d+) +([\d.]+) (.*)$/.exec(line) ?? [];
    const thread = Number(id);
    const process = processes.get(thread) ?? thread;
    const from = Number(time) * 1000;
    const [, begun, first] = /^(\w+)\((.*) <unfinished/.exec(rest) ?? [];
    if (begun) {
      open.set(`${id} ${begun}`, { from, args: first });
      continue;
    }
    const [, resumed, whole, more, result, error, seconds] =
      /^(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)\) += (-?\w+)(?: (E[A-Z]+))?.*<([\d.]+)>$/
        .exec(rest) ?? [];
    const call = resumed ?? whole;
    if (!call) continue;
    const begin = open.get(`${id} ${call}`) ?? { from, args: "" };
    open.delete(`${id} ${call}`);
    const args = begin.args + more;
    const ms = Number(seconds) * 1000;
    if (call.startsWith("clone") && args.includes("CLONE_THREAD")) {
      processes.set(Number(result), process);
    }
    calls.push({
      process,
      thread,
      call,
      args,
      result: Number(result),
      error,
      from: begin.from,
      to: begin.from + ms,
      ms,
    });
  }
  return calls;
}
