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
export const EMFILE = 24;

/** Whether a call that failed may succeed later: nothing has come yet, say. */
export function tryAgain(): boolean {
  return errno() === EAGAIN || errno() === EINTR;
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

/**
 * Whether a signal cut a wait short, as Ctrl-Z and `fg` can. Any other error of
 * that call ends the script.
 */
export function interrupted(call: string, result: number): boolean {
  if (result !== -1) return false;
  if (errno() !== EINTR) fail(`${call}: ${strerror(errno())}`);
  return true;
}
