/** The server of a model, as a process whose trace and output are read. */
import {
  type Process,
  scriptCommand,
  startProcess,
  stopAllAtExit,
} from "../process.ts";
import type { TraceEvent, TraceWarning } from "../trace.ts";
import type { Model } from "./models.ts";

/** What to do with what a server prints, as it comes. */
export interface ServerHandlers {
  /** Gets the events of its trace. Without this handler there is no trace. */
  onEvent?: (event: TraceEvent) => void;
  /** Gets the lines of its stdout. */
  onLine?: (line: string) => void;
}

/** A model's script, running. */
export interface ModelServer {
  readonly model: Model;
  readonly pid: number;
  /** The port it listens on. Rejects, with the reason, if it never listens. */
  readonly port: Promise<number>;
  /** Resolves when it has ended and all of its output was read. */
  readonly ended: Promise<Deno.CommandStatus>;
  /** Rejects, with the reason, when it ends; never resolves. */
  readonly failed: Promise<never>;
  /** Types a line into its terminal. */
  type(line: string): void;
  /** Ends it at once. */
  stop(): void;
}

const MOST_WARNINGS = 100;

/** Starts a model's script on a free port, with the given flags added. */
export function startServer(
  model: Model,
  { onEvent, onLine }: ServerHandlers,
  flags: string[] = [],
): ModelServer {
  stopAllAtExit();
  const script = new URL(`../../${model.script}`, import.meta.url);
  const local = script.protocol === "file:";
  const trace = onEvent ? ["--trace=json"] : [];
  const warnings: string[] = [];

  /** A line of its stderr: of its trace, or something that went wrong. */
  const onErrorLine = (line: string) => {
    if (line.startsWith("{")) {
      const event: TraceEvent | TraceWarning = JSON.parse(line);
      if ("warning" in event) warnings.push(event.warning);
      else onEvent?.(event);
    } else if (line) warnings.push(line);
    if (warnings.length > MOST_WARNINGS) warnings.shift();
  };

  const server: Process = startProcess(
    scriptCommand(script.href, "--port", "0", ...trace, ...flags),
    {
      onLine(line, stream) {
        if (stream === "stderr") onErrorLine(line);
        else onLine?.(line);
      },
    },
    // There its deno.json is found, as if it had been started by hand.
    { cwd: local ? new URL("../..", import.meta.url) : undefined },
  );
  const failed = server.ended.then(({ code, signal }): never => {
    const why = warnings.find((line) => line.includes(`${model.script}: `)) ??
      warnings[0] ?? `it has ended with ${signal ?? `status ${code}`}`;
    throw new Error(why.replace(RegExp(`^(error|${model.script}): `), ""));
  });
  failed.catch(() => {}); // to be stopped is no failure
  const port = Promise.race([server.port.catch(() => failed), failed]);
  port.catch(() => {});

  return {
    model,
    pid: server.pid,
    port,
    ended: server.ended,
    failed,
    type: (line) => void server.write(`${line}\n`).catch(() => {}),
    stop: server.kill,
  };
}
