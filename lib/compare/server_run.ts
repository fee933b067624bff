/** Plays the scene to one server: runs its two clients, and reads its CPU time. */
import { SCENE } from "../models/scene.ts";
import type { ModelServer } from "../models/model_server.ts";
import { cpuTime } from "../process.ts";
import { now, pause, pauseUntil } from "../time.ts";

/** When a client did what, in ms. */
export interface ClientTimes {
  /** The client's own port. */
  port: number;
  asked: number;
  answered: number;
  left: number;
}

/** How the scene went with one server. Times are in ms since 1970. */
export interface ServerRun {
  /** When the scene began and ended. */
  from: number;
  to: number;
  /** The first client and the second. */
  clients: ClientTimes[];
  /** The CPU time of the server meanwhile, in ms; NaN where no clock has it. */
  cpu: number;
  /** By how many ms a client was late at most: it had no CPU. */
  late: number;
}

/** A server that has ended says why a moment later. */
const TIME_TO_SAY_WHY = 200; // ms

/**
 * Plays the scene to a server, with the given beat in ms, so that the clients
 * connect at the time `start`; then stops the server. Rejects when the server
 * ends, or keeps a client waiting far too long.
 */
export async function runServer(
  server: ModelServer,
  start: number,
  beat: number,
): Promise<ServerRun> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new Error("a client got no answer")),
    start - now() + 10_000 + beat * 10,
  );
  const running = run(server, start, beat).catch(async (error) => {
    await pause(TIME_TO_SAY_WHY);
    throw error;
  });
  running.catch(() => {}); // another promise may have settled the race
  try {
    return await Promise.race([running, server.failed, timeout.promise]);
  } finally {
    clearTimeout(timer);
    server.stop();
    await server.ended;
  }
}

async function run(
  server: ModelServer,
  start: number,
  beat: number,
): Promise<ServerRun> {
  const { message } = server.model;
  const timeOf = (beats: number) => start + beats * beat;
  const stay = SCENE.stay * beat;
  const port = await server.port;

  const from = timeOf(SCENE.from);
  await pauseUntil(from);
  const cpuBefore = cpuTime(server.pid);
  await pauseUntil(timeOf(SCENE.connect));
  const connected = now();
  const first = await Deno.connect({ port });
  const second = await Deno.connect({ port });
  const clients = await Promise.all([
    runClient(first, message, timeOf(SCENE.firstAsks), stay),
    runClient(second, message, timeOf(SCENE.secondAsks), stay),
  ]);
  // Even if the clients leave late, the server has time to close them.
  const to = Math.max(timeOf(SCENE.to), now() + beat / 8);
  await pauseUntil(to);

  const cpu = cpuTime(server.pid) - cpuBefore;
  const late = Math.max(
    connected - timeOf(SCENE.connect),
    clients[0].asked - timeOf(SCENE.firstAsks),
    clients[1].asked - timeOf(SCENE.secondAsks),
  );
  return { from, to, clients, cpu, late };
}

/** A client that asks at a given time, and leaves so many ms after its answer. */
async function runClient(
  connection: Deno.TcpConn,
  message: string,
  askTime: number,
  stay: number,
): Promise<ClientTimes> {
  await pauseUntil(askTime);
  const asked = now();
  await connection.write(new TextEncoder().encode(message));
  const size = await connection.read(new Uint8Array(4096));
  if (!size) throw new Error("it hung up");
  const answered = now();
  await pauseUntil(answered + stay);
  connection.close();
  const { port } = connection.localAddr;
  return { port, asked, answered, left: now() };
}
