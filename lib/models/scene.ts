/**
 * The scene that every model plays: two clients connect. The second asks at once,
 * the first a moment later; each leaves some time after its answer.
 */
import type { Words } from "./states.js";

/** When what happens, in beats since both connect. */
export const SCENE = {
  connect: 0,
  secondAsks: 0.5,
  firstAsks: 2,
  /** From an answer until its client leaves. */
  stay: 1,
  /** From where to where a picture goes. */
  from: -0.25,
  to: 4.25,
};

/** The events of the scene: a caption, and a short one. */
export const SCENE_EVENTS: { beats: number; caption: Words; brief: Words }[] = [
  {
    beats: SCENE.connect,
    caption: { en: "both connect", zh: "两位都连上" },
    brief: { en: "both", zh: "连上" },
  },
  {
    beats: SCENE.secondAsks,
    caption: { en: "the second asks", zh: "第二位发话" },
    brief: { en: "second asks", zh: "第二位问" },
  },
  {
    beats: SCENE.firstAsks,
    caption: { en: "the first asks", zh: "第一位发话" },
    brief: { en: "first asks", zh: "第一位问" },
  },
];

/** Its two clients: within a sentence, and as a short label. */
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
