/**
 * The scene that every model plays: two clients connect. The second asks at once,
 * the first a moment later; each leaves some time after its answer.
 */
import type { Words } from "./states.js";

/** The moments of the scene, in beats after both clients connect. */
export const SCENE = {
  connect: 0,
  secondAsks: 0.5,
  firstAsks: 2,
  /** How many beats a client stays after its answer. */
  stay: 1,
  /** Where a picture of the scene begins and ends. */
  from: -0.25,
  to: 4.25,
};

/** The events of the scene, each with its caption and a shorter one. */
export const SCENE_EVENTS: { beats: number; caption: Words; brief: Words }[] = [
  {
    beats: SCENE.connect,
    caption: { en: "both connect", zh: "两位都建立连接" },
    brief: { en: "both", zh: "连上" },
  },
  {
    beats: SCENE.secondAsks,
    caption: { en: "the second asks", zh: "第二位发请求" },
    brief: { en: "second asks", zh: "第二位" },
  },
  {
    beats: SCENE.firstAsks,
    caption: { en: "the first asks", zh: "第一位发请求" },
    brief: { en: "first asks", zh: "第一位" },
  },
];

/** The two clients, as each is called in a sentence and as a short label. */
export const SCENE_CLIENTS: { whole: Words; label: Words }[] = [
  {
    whole: { en: "the first client", zh: "第一位客户端" },
    label: { en: "first", zh: "第一位" },
  },
  {
    whole: { en: "the second client", zh: "第二位客户端" },
    label: { en: "second", zh: "第二位" },
  },
];
