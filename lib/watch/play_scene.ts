/** The scene: A and B play it at all models at once. */
import { SCENE } from "../models/scene.ts";
import { now, pause } from "../time.ts";
import { CLIENT_IDS, type ClientId, type SceneResult } from "./messages.ts";
import type { RunningModel, WatchSettings } from "./running_model.ts";

/** After so many ms it is checked again whether a client has been answered. */
const CHECK_INTERVAL = 10;

/**
 * Has A and B leave, connect anew and play the scene at each model; resolves when
 * all have left again. After an abort it does nothing more with them.
 */
export async function playScene(
  models: RunningModel[],
  { beat, epoch }: WatchSettings,
  signal: AbortSignal,
): Promise<SceneResult> {
  const ms = beat * 1000;
  for (const { clients } of models) {
    for (const id of CLIENT_IDS) clients[id].leave();
  }
  await pause(-SCENE.from * ms); // a picture of the scene begins here
  const begin = now();
  // B is the second to connect, and the first to ask.
  const asked = {
    A: begin + SCENE.firstAsks * ms,
    B: begin + SCENE.secondAsks * ms,
  };
  const waits: SceneResult["waits"] = {};

  const play = async ({ clients, model }: RunningModel, id: ClientId) => {
    const client = clients[id];
    await pause(Math.max(0, asked[id] - now()));
    if (signal.aborted || !client.ask()) return;
    while (client.status === "waiting" && !signal.aborted) {
      await pause(CHECK_INTERVAL);
    }
    if (signal.aborted || !client.present) return;
    waits[model.script][id] = client.waited;
    await pause(SCENE.stay * ms);
    if (!signal.aborted) client.leave();
  };

  await Promise.all(models.map(async (running) => {
    if (signal.aborted) return;
    const { clients, model, port } = running;
    await clients.A.connect(port); // first, also in the kernel's queue
    if (signal.aborted) return;
    await clients.B.connect(port);
    waits[model.script] = {};
    await Promise.all(CLIENT_IDS.map((id) => play(running, id)));
  }));
  return {
    type: "sceneResult",
    waits,
    asked: { A: asked.A - epoch, B: asked.B - epoch },
  };
}
