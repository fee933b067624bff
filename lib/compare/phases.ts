/**
 * The two phases of every input: waiting until the data is in the kernel, and
 * copying the data from there to the program. Both are read from what a thread
 * did until it had a client's message.
 */
import type { Span, ThreadSpans } from "../models/timeline.ts";

/** In the main thread, in one for this client alone, or in Deno's own code. */
type Where = "main" | "own" | "Deno";

/** Where each phase took place, in which call, and for how long. */
export interface Phases {
  waits: {
    where: Where;
    /** A call of the script's, or of Deno's. */
    call: string;
    /** For how long the thread slept after it had accepted the client. */
    ms: number;
    /** For whom the script's call blocked the thread, if it did. */
    blocked: "one" | "all" | "no";
  };
  copies: {
    where: Where;
    call: string;
    /** Null for the call that has waited, and for a call of Deno's. */
    us: number | null;
  };
  /**
   * Whether the call that moves the data returns only when that is done; if not,
   * the kernel tells of its completion later. See aio(7), io_uring(7).
   */
  synchronous: boolean;
}

const ASLEEP = ["one", "all", "playing", "free"];

/** The phases of the message that the first client sent at the time `asked`. */
export function findPhases(
  threads: ThreadSpans[],
  asked: number,
): Phases | null {
  for (const { thread, spans } of threads) {
    const copied = spans.findIndex((span) => hasMessage(span, asked));
    if (copied === -1) continue;
    const isClients = thread !== "" && !thread.startsWith("worker ");
    return phasesOf(spans, copied, isClients ? "own" : "main");
  }
  return null;
}

/** Whether the server has the first client's message at the end of the span. */
function hasMessage(
  { state, call, client, ops, to }: Span,
  asked: number,
): boolean {
  if (to < asked) return false;
  if (ops) return state === "copying" && ops.includes("RECV");
  const received = state === "copying" && call === "recv";
  const resolved = state === "resolved" && call === "read";
  return client === 0 && (received || resolved);
}

/** The phases, where the span with the index `copied` ends the second one. */
function phasesOf(
  spans: Span[],
  copied: number,
  thread: "main" | "own",
): Phases | null {
  const accepted = spans.findIndex(({ state, call }) =>
    state === "accepting" ||
    state === "resolved" && call?.startsWith("accept")
  );
  const asleep = spans.slice(accepted + 1, copied)
    .filter(({ state }) => ASLEEP.includes(state));
  if (asleep.length === 0) return null;
  const longest = asleep.toSorted((a, b) => duration(b) - duration(a))[0];
  const copy = spans[copied];
  return {
    waits: waitsOf(longest, asleep, thread),
    copies: copiesOf(copy, spans[copied - 1], longest, thread),
    synchronous: !copy.ops,
  };
}

function waitsOf(
  { state, call }: Span,
  asleep: Span[],
  thread: "main" | "own",
): Phases["waits"] {
  const ms = asleep.reduce((sum, span) => sum + duration(span), 0);
  if (state === "one" || state === "all") {
    return { where: thread, call: call!, ms, blocked: state };
  }
  return { where: "Deno", call: "epoll_wait", ms, blocked: "no" };
}

function copiesOf(
  copy: Span,
  before: Span,
  longest: Span,
  thread: "main" | "own",
): Phases["copies"] {
  if (copy.state === "resolved") {
    return { where: "Deno", call: "recv", us: null };
  }
  // A call that has waited becomes two spans: asleep, and a copy without length.
  const whole = duration(copy) ? copy : before;
  const us = copy.call === longest.call ? null : duration(whole) * 1000;
  return { where: thread, call: copy.call!, us };
}

function duration({ from, to }: Span): number {
  return to - from;
}
