/** Functions of libc, and why a call of theirs has failed. */
import { tracer } from "./cli.ts";
import { fail } from "./output.ts";

const own = {
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
  // char *strerror(int errnum);
  strerror: { parameters: ["i32"], result: "pointer" },
  // const char *strerrorname_np(int errnum);
  strerrorname_np: { parameters: ["i32"], result: "pointer", optional: true },
} as const;
let names: Deno.StaticForeignLibraryInterface<typeof own>;
let errnoMemory: Int32Array; // this thread's

/** libc functions of these types, not traced. Where there are none, fails. */
export function openLibc<const S extends Deno.ForeignLibraryInterface>(
  types: S,
): Deno.StaticForeignLibraryInterface<S> {
  const linux = /^(x86_64|aarch64)-unknown-linux/.test(Deno.build.target);
  if (!linux) fail("needs Linux on x86-64 or arm64; try deno run -A async.ts");
  // Asked for one library, Deno would take its name for a path.
  const { state } = Deno.permissions.requestSync({ name: "ffi" });
  if (state !== "granted") fail("run with --allow-net --allow-ffi, or -A");
  if (!names) {
    names = Deno.dlopen("libc.so.6", own).symbols;
    const address = names.__errno_location()!;
    errnoMemory = new Int32Array(
      Deno.UnsafePointerView.getArrayBuffer(address, 4),
    );
  }
  return Deno.dlopen("libc.so.6", types).symbols;
}

/** libc functions of these types, traced where --trace is given. */
export function openTraced<const S extends Deno.ForeignLibraryInterface>(
  types: S,
): Deno.StaticForeignLibraryInterface<S> {
  const calls = openLibc(types);
  return tracer ? tracer.traceCalls(calls, types, errnoMemory) : calls;
}

/** Why the last system call returned -1. @see errno(3) */
export function errno(): number {
  return errnoMemory[0];
}

const EINTR = 4;
const EAGAIN = 11;
const ENOMEM = 12;
const ENFILE = 23;
export const EMFILE = 24;
const EPIPE = 32;
const ENONET = 64;
const EPROTO = 71;
const ENETDOWN = 100;
const ENETUNREACH = 101;
const ECONNABORTED = 103;
const ECONNRESET = 104;
const ENOBUFS = 105;
const ENOTCONN = 107;
const ETIMEDOUT = 110;
const ECONNREFUSED = 111;
const EHOSTDOWN = 112;
const EHOSTUNREACH = 113;

/** Why accept4 can give us no client, and why recv and send can do no more. */
const EXPECTED = [
  EINTR,
  EAGAIN,
  ENOMEM,
  ENFILE,
  EMFILE,
  EPIPE,
  ENONET,
  EPROTO,
  ENETDOWN,
  ENETUNREACH,
  ECONNABORTED,
  ECONNRESET,
  ENOBUFS,
  ENOTCONN,
  ETIMEDOUT,
  ECONNREFUSED,
  EHOSTDOWN,
  EHOSTUNREACH,
];

/** Whether a call that failed may succeed later: nothing has come yet, say. */
export function tryAgain(): boolean {
  return errno() === EAGAIN || errno() === EINTR;
}

/** An errno that a call cannot have is believed when it has come so often. */
const MOST_FAILURES = 100;

/**
 * Makes accept4, recv or send, and again while it fails with an errno that these
 * calls cannot have: between the call and our look at errno, the runtime may
 * have run a signal handler, say, which has overwritten errno. Returns what the
 * call returned at last.
 */
export function certain(call: () => number): number {
  let result = call();
  for (let failures = 1; failures < MOST_FAILURES; failures++) {
    if (result !== -1 || EXPECTED.includes(errno())) break;
    result = call();
  }
  return result;
}

/** `too many open files (EMFILE)`; named since glibc 2.32. @see strerror(3) */
export function strerror(errno: number): string {
  const text = cString(names.strerror(errno));
  const name = cString(names.strerrorname_np?.(errno) ?? null);
  return `${text.toLowerCase()} (${name || errno})`;
}

function cString(pointer: Deno.PointerValue): string {
  return pointer ? Deno.UnsafePointerView.getCString(pointer) : "";
}

let failures = 0; // of waits, one after the other

/**
 * Whether a wait failed, and is to be begun anew: a signal cut it short (EINTR),
 * as Ctrl-Z and `fg` can. If waits keep failing, ends the script and says why.
 */
export function interrupted(call: string, result: number): boolean {
  if (result !== -1) {
    failures = 0;
    return false;
  }
  failures++;
  if (errno() !== EINTR && failures > MOST_FAILURES) checked(call, result);
  return true;
}

/**
 * Returns what a call returned. Where that is -1, ends the script and says so; in
 * a Worker, throws: the other threads go on.
 */
export function checked(call: string, result: number): number {
  if (result !== -1) return result;
  const why = `${call}: ${strerror(errno())}`;
  if ("WorkerGlobalScope" in globalThis) throw new Error(why);
  fail(why);
}
