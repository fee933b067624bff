/** What `watch.ts --record` has the clients do: all that the page can show. */
import { now, pause } from "../time.ts";
import type { WatchServer } from "./server.ts";

const CHECK_INTERVAL = 50; // ms
/** So many clients are idle while every model is asked without pause. */
const IDLE = 500;
/** For so many beats nothing new happens: one can see what has happened. */
const LOOK = 2;
/** For so many beats the costs are shown, once each of them is known. */
const SHOW_COSTS = 6;
/** After so many ms it goes on, even if a model cannot do what it should. */
const PATIENCE = 20_000;
/** So many times as slowly the scene is played for a second time. */
const SLOWNESS = 3;
/** The models of that scene, where they run: who is held, and who is not. */
const SLOW_MODELS = ["blocking.ts", "epoll.ts"];

/** Plays the programme with all models of a server; resolves when it is over. */
export async function playProgramme(server: WatchServer) {
  const { models } = server;
  const look = (beats: number) => pause(beats * server.beat * 1000);
  await until(() => models.every(({ status }) => status !== "starting"));
  server.startUpdating();
  await look(LOOK);

  await server.playScene();
  await look(LOOK);

  const idle = Math.min(IDLE, server.mostIdle());
  server.resizeIdle(idle);
  await until(() => models.every((model) => model.hasIdle(idle)));
  await look(LOOK);

  server.startLoad();
  await until(() => models.every((model) => model.isMeasured()));
  await look(SHOW_COSTS);
  server.resizeIdle(0); // what the same costs then
  await until(() => models.every((model) => model.hasIdle(0)));
  await until(() => models.every((model) => model.isMeasured()));
  await look(SHOW_COSTS);
  server.stopLoad();
  for (const { clients } of models) clients.A.leave();

  const compared = models.map(({ model }) => model.script)
    .filter((script) => SLOW_MODELS.includes(script));
  await server.playScene(SLOWNESS, compared.length > 1 ? compared : undefined);
  await look(LOOK);
}

/** Waits until something is so, but does not wait for ever. */
async function until(isSo: () => boolean) {
  const end = now() + PATIENCE;
  while (!isSo() && now() < end) await pause(CHECK_INTERVAL);
}
