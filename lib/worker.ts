/** What scripts need that start Workers: threads which run the script again. */
import { openLibc } from "./libc.ts";
import { lastDescriptor } from "./listener.ts";
import { fail, reason, warn } from "./output.ts";

if ("WorkerGlobalScope" in globalThis) {
  const { _exit } = openLibc({
    // void _exit(int status);
    _exit: { parameters: ["i32"], result: "void" },
  });
  // What ends the script has to end all of it; in a Worker, Deno's own exit ends
  // no more than that Worker.
  Deno.exit = (status = 0) => _exit(status) as never;
}

const OF_DENO = 30; // descriptors that Deno may have without any Worker
const OF_A_WORKER = 8;

/**
 * Ends the script where so many Workers cannot be: they need descriptors, without
 * which Deno panics, and the permission to read the script of that URL again.
 */
export function prepareWorkers(url: string, workers: number) {
  if (lastDescriptor() < OF_DENO + OF_A_WORKER * workers) {
    fail(`too few descriptors for ${workers} Workers: try ulimit -n 1024`);
  }
  const folder = new URL(".", url);
  if (folder.protocol !== "file:") return; // fetched, as the script was
  const read = { name: "read", path: folder } as const;
  if (Deno.permissions.requestSync(read).state !== "granted") {
    fail("a Worker reads this script again: run with --allow-read too, or -A");
  }
}

let running = 0;

/**
 * Starts a Worker that runs the script of that URL, and finds the name in
 * `self.name`. When it fails, or cannot be started, the others go on, and a line
 * says so; without any, the script ends.
 */
export function startWorker(url: string, name: string) {
  const ended = (what: string, why: string) => {
    warn(`${name} ${what}: ${why}; workers left: ${running}`);
    // The others may just be starting.
    setTimeout(() => running === 0 && fail("no worker is left"));
  };
  try {
    const worker = new Worker(url, { type: "module", name });
    running++;
    worker.onerror = (error) => {
      error.preventDefault(); // only this Worker ends
      running--;
      ended("has ended", error.message);
    };
  } catch (error) {
    ended("could not be started", reason(error)); // ulimit -u, for example
  }
}
