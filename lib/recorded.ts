/** A process whose output is recorded, so that one can wait for a part of it. */
import { type ProcessOptions, startProcess } from "./process.ts";
import { deadline } from "./time.ts";

export interface RecordedProcess extends AsyncDisposable {
  readonly pid: number;
  /** The port of its `listening on` line; 0 until that has come. */
  readonly port: number;
  /** Resolves when it has ended and all of its output was read. */
  readonly status: Promise<Deno.CommandStatus>;
  /** All that it has written so far, to stdout and stderr. */
  output(): string;
  /** Waits until the output has a match of `pattern`; returns the output. */
  until(pattern: RegExp | string): Promise<string>;
  /** Waits until it listens. */
  untilListening(): Promise<void>;
  /** Writes to its stdin. Rejects if nothing reads that any more. */
  write(data: string | Uint8Array): Promise<void>;
  /** Closes its stdin: it reads to the end of what was written. */
  end(): Promise<void>;
  /** Kills it, if it still runs, and waits until it has ended. */
  stop(): Promise<Deno.CommandStatus>;
}

export interface RecordingOptions extends ProcessOptions {
  /** What the process is called in errors. */
  name: string;
  /** For how many ms `until` and `untilListening` wait before they reject. */
  patience?: number;
}

/** Starts a command, and returns at once. */
export function startRecorded(
  command: string[],
  { name, patience = 30_000, ...options }: RecordingOptions,
): RecordedProcess {
  let output = "";
  let port = 0;
  let hasEnded = false;
  const watchers = new Set<() => void>(); // called when there is more output
  const callWatchers = () => watchers.forEach((watcher) => watcher());
  const onText = (text: string) => {
    output += text;
    callWatchers();
  };
  const process = startProcess(command, { onText }, options);
  process.ended.then(() => {
    hasEnded = true;
    callWatchers();
  });
  const listening = process.port.then((found) => {
    port = found;
  });
  listening.catch(() => {}); // not everything that is started listens

  /** Waits as long as patience lasts; an error has the output with it. */
  const patiently = async <T>(promise: Promise<T>) => {
    try {
      return await deadline(promise, patience, "it takes too long");
    } catch (error) {
      const { message } = error as Error;
      throw new Error(`${name}: ${message}; its output:\n${output}`);
    }
  };

  return {
    pid: process.pid,
    get port() {
      return port;
    },
    status: process.ended,
    output: () => output,
    async until(pattern) {
      const found = Promise.withResolvers<void>();
      const watcher = () => {
        const matches = typeof pattern === "string"
          ? output.includes(pattern)
          : pattern.test(output);
        if (matches) {
          found.resolve();
        } else if (hasEnded) {
          found.reject(new Error(`it has ended without ${pattern}`));
        }
      };
      watchers.add(watcher);
      watcher();
      try {
        await patiently(found.promise);
        return output;
      } finally {
        watchers.delete(watcher);
      }
    },
    untilListening: () => patiently(listening),
    write: process.write,
    end: process.closeStdin,
    async stop() {
      process.kill();
      await process.closeStdin();
      return await process.ended;
    },
    async [Symbol.asyncDispose]() {
      await this.stop();
    },
  };
}

/** Starts the command of a server, and waits until the server listens. */
export async function startRecordedServer(
  command: string[],
  options: RecordingOptions,
): Promise<RecordedProcess> {
  const server = startRecorded(command, options);
  try {
    await server.untilListening();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}
