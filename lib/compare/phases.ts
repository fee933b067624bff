/**
 * The two phases of every input: waiting until the data is in the kernel, and
 * copying it from there to the program. Read from what a thread did until it
 * had one client's message.
 */
import type { Span } from "../models/timeline.ts";

/** Who does it, in which call, and for how long. */
export interface Phases {
  waits: {
    /** The server's only thread, one of the client's own, or Deno. */
    who: "thread" | "own" | "Deno";
    /** Of the script's, or Deno's. */
    call: string;
    /** Asleep there since the client was accepted. */
    ms: number;
    /** For whom the thread stands there, blocked; or it is not. */
    blocked: "one" | "all" | "no";
  };
  copies: {
    who: "thread" | "own" | "Deno";
    call: string;
    /** Null where it is the call that has waited, or one of Deno's. */
    us: number | null;
  };
  /**
   * Whether the call that moves the data returns only when that is done; or it
   * is asked for, and the kernel tells of it later. See aio(7), io_uring(7).
   */
  synchronous: boolean;
}

/** Of the first client, who asks at that time. */
export function phases(
  threads: { thread: string; spans: Span[] }[],
  asked: number,
): Phases | null {
  const had = ({ state, call, client, ops, to }: Span) => {
    if (to < asked) return false;
    if (ops) return state === "copying" && ops.includes("RECV");
    return client === 0 && (state === "copying" && call === "recv" ||
      state === "resolved" && call === "read");
  };
  for (const { thread, spans } of threads) {
    const end = spans.findIndex(had);
    if (end === -1) continue;
    const copy = spans[end];
    const met = spans.findIndex(({ state, call }) =>
      state === "accepting" ||
      state === "resolved" && call?.startsWith("accept")
    );
    const asleep = spans.slice(met + 1, end).filter(({ state }) =>
      ["one", "all", "playing", "free"].includes(state)
    );
    if (!asleep.length) return null;
    const size = ({ from, to }: Span) => to - from;
    const longest = asleep.toSorted((a, b) => size(b) - size(a))[0];
    const { state } = longest;
    const held = state === "one" || state === "all";
    const who = thread ? "own" : "thread";
    const resolved = copy.state === "resolved";
    // A call that waited is told of as two spans: asleep, and a moment's copy.
    const whole = size(copy) ? copy : spans[end - 1];
    return {
      waits: {
        who: held ? who : "Deno",
        call: held ? longest.call! : "epoll_wait",
        ms: asleep.reduce((sum, span) => sum + size(span), 0),
        blocked: state === "one" || state === "all" ? state : "no",
      },
      copies: {
        who: resolved ? "Deno" : who,
        call: resolved ? "recv" : copy.call!,
        us: resolved || copy.call === longest.call ? null : size(whole) * 1000,
      },
      synchronous: !copy.ops,
    };
  }
  return null;
}
