/** The server of a model, as a process whose trace and output are read. */
import { fail } from "../output.ts";
import { descriptorLimit } from "../proc.ts";
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

/** A running server. */
export interface ModelServer {
  readonly model: Model;
  readonly pid: number;
  /** The server's port. Rejects with the reason if the server never listens. */
  readonly port: Promise<number>;
  /** Resolves when the server has ended and all of its output was read. */
  readonly ended: Promise<Deno.CommandStatus>;
  /** Rejects with the reason when the server ends, and never resolves. */
  readonly failed: Promise<never>;
  /** Types a line, given without its newline, into the server's terminal. */
  type(line: string): void;
  /** Kills the server. */
  stop(): void;
}

/** Descriptors for all else than servers and their clients: Deno's own, files. */
const OWN_DESCRIPTORS = 40;
/** Each of a model's two servers has three pipes, a pidfd, and two clients. */
const MODEL_DESCRIPTORS = 2 * 7;

/**
 * Ends the script where the servers of so many models, and their clients, need
 * more descriptors than it may have.
 */
export function requireDescriptors(models: number) {
  const needed = OWN_DESCRIPTORS + MODEL_DESCRIPTORS * models;
  const most = descriptorLimit();
  if (most >= needed) return;
  fail(
    `needs ${needed} descriptors, and may have ${most}; ` +
      `try ulimit -n ${needed}, or fewer models with --only`,
  );
}

/** Of a server that goes on warning, only the last warnings are kept. */
const MOST_WARNINGS = 100;

/** The event in a line of stderr; null if something else is printed there. */
function parseEvent(line: string): TraceEvent | TraceWarning | null {
  if (!line.startsWith("{")) return null;
  try {
    const event = JSON.parse(line);
    return "call" in event || "warning" in event ? event : null;
  } catch {
    return null; // an object that somebody prints to see it
  }
}

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

  // Lines of stderr are events of the trace, warnings, and errors of Deno's.
  const onErrorLine = (line: string) => {
    const event = parseEvent(line);
    if (event && "warning" in event) warnings.push(event.warning);
    else if (event) onEvent?.(event);
    else if (line) warnings.push(line);
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
    // In this folder Deno finds deno.json, as if somebody had typed the command.
    { cwd: local ? new URL("../..", import.meta.url) : undefined },
  );
  const failed = server.ended.then(({ code, signal }): never => {
    const why = warnings.find((line) => line.includes(`${model.script}: `)) ??
      warnings[0] ?? `it has ended with ${signal ?? `status ${code}`}`;
    throw new Error(why.replace(RegExp(`^(error|${model.script}): `), ""));
  });
  const port = server.port.catch(() => failed);
  // Perhaps nobody waits for them: a server that was stopped has not failed.
  failed.catch(() => {});
  port.catch(() => {});

  return {
    model,
    pid: server.pid,
    port,
    ended: server.ended,
    failed,
    type(line) {
      server.write(`${line}\n`).catch(() => {}); // the server may have ended
    },
    stop: server.kill,
  };
}
