/** What the page says, in English and in Chinese. */
// @ts-check
import { labels, STATES } from "../../models/states.js";

/**
 * @typedef {import("../../models/states.js").Language} Language
 * @typedef {import("../messages.ts").Piece} Piece
 * @typedef {import("../messages.ts").Visit} Visit
 * @typedef {import("../messages.ts").Whom} Whom
 * @typedef {import("../messages.ts").Who} Who
 */

/** The texts of elements, by their `data-text`; names by `data-name`. */
export const TEXTS = {
  title: { en: "How a server waits", zh: "服务器是怎么等的" },
  connect: { en: "connect", zh: "连接" },
  ask: { en: "ask", zh: "提问" },
  leave: { en: "leave", zh: "离开" },
  "A connect": { en: "A connect", zh: "A 连接" },
  "A ask": { en: "A ask", zh: "A 提问" },
  "A leave": { en: "A leave", zh: "A 离开" },
  "B connect": { en: "B connect", zh: "B 连接" },
  "B ask": { en: "B ask", zh: "B 提问" },
  "B leave": { en: "B leave", zh: "B 离开" },
  clientA: { en: "Client A", zh: "客户端 A" },
  clientB: { en: "Client B", zh: "客户端 B" },
  scene: { en: "Play the scene", zh: "演一遍" },
  more: { en: "+100 idle", zh: "+100 空闲" },
  fewer: { en: "−100 idle", zh: "−100 空闲" },
  crowd: { en: "Idle clients", zh: "空闲客户端" },
  load: { en: "as fast as they can", zh: "全速提问" },
  pause: { en: "Pause", zh: "暂停" },
  now: { en: "now", zh: "现在" },
  toNow: { en: "to now", zh: "回到现在" },
  slow: { en: "slow motion", zh: "慢放" },
  earlier: { en: "Earlier", zh: "往前" },
  later: { en: "Later", zh: "往后" },
  previous: { en: "Previous moment of work", zh: "上一次干活" },
  next: { en: "Next moment of work", zh: "下一次干活" },
  closer: { en: "Zoom in", zh: "放大" },
  farther: { en: "Zoom out", zh: "缩小" },
  time: { en: "Time", zh: "时间" },
  language: { en: "中文", zh: "English" },
  theme: { en: "Light or dark", zh: "浅色或深色" },
  large: { en: "Large type", zh: "大字" },
  predict: { en: "Predict first", zh: "先猜一猜" },
  predictHead: {
    en: "Both connect. B asks first, A a moment later. Who is answered first?",
    zh: "两位都连上。B 先问，A 过一会儿才问。谁先得到回答？",
  },
  dismiss: { en: "Not now", zh: "先不猜" },
  close: { en: "Close", zh: "关上" },
  lastCalls: { en: "Its last calls", zh: "最近的调用" },
  yourAnswer: { en: "Your answer", zh: "你的回答" },
  send: { en: "answer", zh: "回答" },
  auto: { en: "answer by itself", zh: "自动回答" },
  restart: { en: "Start it again", zh: "重新启动" },
  keys: { en: "Keys", zh: "按键" },
  legend: { en: "What the colours mean", zh: "颜色的意思" },
  figures: { en: "for each answer", zh: "每个回答" },
  waiting: {
    en: "a client waits for its answer",
    zh: "客户端在等回答",
  },
  connected: { en: "a client is connected", zh: "客户端连着" },
  answered: { en: "it was answered", zh: "得到了回答" },
  many: {
    en: "too much for any eye: the parts of its time, counted",
    zh: "快得看不清：按时间占比画",
  },
  about: {
    en:
      "Every model is a process on this machine. What its thread does comes from its own trace, the clients are real. The newest is drawn a fifth of a second late, so that it is complete.",
    zh:
      "每种模型都是本机上的一个进程。线程在干什么，来自它自己的 trace；客户端是真的。最新的部分晚五分之一秒画出来，好画得完整。",
  },
  aboutLoad: {
    en:
      "As fast as they can: tracing costs time, so the servers you see are asked at most 30 times a second, and where that makes too many lines, less often. System calls are counted there. CPU time is that of a second server of each model, without a trace, asked without pause by one client, one model after the other, 40 ms each.",
    zh:
      "全速提问：trace 本身要花时间，所以你看到的服务器每秒最多被问 30 次，行数太多时更少；系统调用在这里数。CPU 时间来自每种模型的另一个进程，它不带 trace，由一个客户端不停地问，各模型轮流，每次 40 毫秒。",
  },
  aboutCanteen: {
    en: "Press a script’s name to see its code.",
    zh: "点脚本的名字可以看代码。",
  },
};

const KEYS = [
  ["1 2 3", { en: "A connect, ask, leave", zh: "A 连接、提问、离开" }],
  ["4 5 6", { en: "B connect, ask, leave", zh: "B 连接、提问、离开" }],
  ["7", { en: "the scene", zh: "演一遍" }],
  ["8 9", { en: "100 idle more, fewer", zh: "空闲客户端增减 100" }],
  ["0", { en: "as fast as they can", zh: "全速提问" }],
  ["P", { en: "pause", zh: "暂停" }],
  ["← →", { en: "through the past", zh: "看过去" }],
  [", .", { en: "previous, next work", zh: "上一次、下一次干活" }],
  ["+ −", { en: "zoom", zh: "放大、缩小" }],
  ["S", { en: "slow motion", zh: "慢放" }],
  ["N", { en: "now", zh: "现在" }],
];
/** @param {Language} language @returns {[string, string][]} */
export const keys = (language) =>
  KEYS.map((
    [key, words],
  ) => [
    /** @type {string} */ (key),
    /** @type {import("../../models/states.js").Words} */ (words)[language],
  ]);

/** @param {Whom | "" | undefined} whom @param {Language} language */
export const named = (whom, language) =>
  !whom
    ? undefined
    : whom === "idle"
    ? { en: "an idle client", zh: "一个空闲客户端" }[language]
    : whom === "other"
    ? { en: "another client", zh: "别的客户端" }[language]
    : { en: `client ${whom}`, zh: `客户端 ${whom}` }[language];

/** What a thread does in that piece of time.
 * @param {Piece} piece @param {Language} language */
export function doing(piece, language) {
  return labels(piece, language, named(piece.whom, language))[0];
}

/** @param {number} rate of system calls @param {Language} language */
export function busy(rate, language) {
  const digits = 10 ** Math.max(0, Math.floor(Math.log10(rate || 1)) - 1);
  const about = (Math.round(rate / digits) * digits).toLocaleString(language);
  return {
    en: `at work: ${about} calls a second`,
    zh: `在干活：每秒 ${about} 次调用`,
  }[language];
}

/** Seconds or less, as one reads them.
 * @param {number} ms @param {Language} language */
export function duration(ms, language) {
  const [s, m] = { en: ["s", "ms"], zh: ["秒", "毫秒"] }[language];
  const us = { en: "µs", zh: "微秒" }[language];
  if (ms >= 59_950) {
    const rest = String(Math.floor(ms / 1000 % 60)).padStart(2, "0");
    return `${Math.floor(ms / 60_000)}:${rest} min`;
  }
  if (ms >= 9950) return `${Math.round(ms / 1000)} ${s}`;
  if (ms >= 999.5) return `${(ms / 1000).toFixed(1)} ${s}`;
  if (ms >= 9.95) return `${Math.round(ms)} ${m}`;
  if (ms >= 0.9995) return `${ms.toFixed(1)} ${m}`;
  const micros = ms * 1000;
  return `${micros.toFixed(micros < 9.95 && micros % 1 > 0.05 ? 1 : 0)} ${us}`;
}

/** @param {number} ms @param {Language} language */
export const ago = (ms, language) =>
  language === "en"
    ? `${duration(ms, language)} before the pause`
    : `暂停前 ${duration(ms, language)}`;

/** What a client does, without its name.
 * @param {Visit} visit @param {number} time @param {Language} language */
export function visiting({ is, since, waited, why }, time, language) {
  const long = duration(Math.max(0, time - since), language);
  const en = language === "en";
  switch (is) {
    case "away":
      return en ? "not here" : "不在";
    case "connecting":
      return en ? `connecting since ${long}` : `正在连接，已 ${long}`;
    case "connected":
      return en ? "connected" : "连上了";
    case "waiting":
      return en ? `waiting since ${long}` : `等了 ${long}`;
    case "answered": {
      const after = duration(waited ?? 0, language);
      return en ? `answered after ${after}` : `${after}后得到回答`;
    }
    case "load":
      return en ? "asks without pause" : "不停地问";
    case "ended":
      return en ? `turned away: ${why}` : `没能留下：${why}`;
  }
}

/** How else one can be a client of it.
 * @param {number} port @param {Language} language */
export const join = (port, language) =>
  ({ en: "join it:", zh: "也来连：" })[language] +
  ` deno run -A client.ts --port ${port}`;

/** @param {"starting" | "cannot" | "ended"} status
 * @param {string | undefined} why @param {Language} language */
export const condition = (status, why, language) =>
  ({
    starting: { en: "starting …", zh: "正在启动……" },
    cannot: { en: `cannot run here: ${why}`, zh: `在这里跑不了：${why}` },
    ended: { en: `it has ended: ${why}`, zh: `它结束了：${why}` },
  })[status][language];

/** @param {import("../messages.ts").Figures} figures
 * @param {Language} language */
export function figured({ own, calls, cpu }, language) {
  const en = language === "en";
  const number = (/** @type {number} */ n) =>
    n < 100 ? n.toFixed(1) : Math.round(n).toLocaleString(language);
  return {
    calls: !own
      ? (en ? "Deno’s" : "Deno 调用")
      : calls === null
      ? "…"
      : `${number(calls)} ${en ? "calls" : "次调用"}`,
    cpu: cpu === null
      ? "…"
      : cpu < 999.5
      ? `${Math.round(cpu)} µs CPU`
      : `${(cpu / 1000).toFixed(cpu < 9995 ? 1 : 0)} ms CPU`,
  };
}

/** Of the idle ones, at one model.
 * @param {{ here: number, why?: string }} idle @param {number} wanted
 * @param {Language} language */
export function crowded({ here, why }, wanted, language) {
  if (!here && !why) return "";
  const count = { en: `${here} idle`, zh: `${here} 个空闲客户端` }[language];
  if (!why || here >= wanted) return count;
  return count +
    { en: `; no more: ${why}`, zh: `；再多不行：${why}` }[language];
}

/** Of predictions, after the scene.
 * @param {string} script @param {Who | "both"} guess
 * @param {Partial<Record<Who, number>>} waits
 * @param {Record<Who, number>} asked @param {Language} language */
export function verdict(script, guess, waits, asked, language) {
  const { A, B } = waits;
  const en = language === "en";
  if (A === undefined || B === undefined) {
    return en ? `${script}: the scene was cut short` : `${script}：没演完`;
  }
  const first = asked.A + A < asked.B + B ? "A" : "B";
  const [a, b] = [duration(A, language), duration(B, language)];
  const right = guess === first;
  return en
    ? `${script}: ${first} was answered first${
      right ? ", as you said" : `, not ${guess}`
    }. A waited ${a}, B ${b}.`
    : `${script}：先得到回答的是 ${first}，${
      right ? "你猜对了" : `不是 ${guess}`
    }。A 等了 ${a}，B 等了 ${b}。`;
}

/** Of a question: how many have answered it, and which have not.
 * @param {Who} who @param {number} answered @param {string[]} waits
 * @param {Language} language */
export function sum(who, answered, waits, language) {
  if (language === "zh") {
    const rest = waits.length ? `；还在等：${waits.join("、")}` : "";
    return `${answered} 个模型回答了 ${who}${rest}`;
  }
  const rest = waits.length ? `; it still waits at ${waits.join(", ")}` : "";
  const models = answered === 1 ? "1 model" : `${answered} models`;
  return `${who} was answered by ${models}${rest}`;
}

/** What the state is called on its own.
 * @param {import("../../models/states.js").State} state @param {Language} language */
export const legend = (state, language) => STATES[state].legend[language];

/** Errors of the server in the reader's language, where they are common.
 * @param {string} error @param {Language} language */
export function told(error, language) {
  if (language === "en") return error;
  return error
    .replace(/^([AB]) is not connected$/, "$1 还没有连接")
    .replace(/^([AB]) is connected already$/, "$1 已经连上了")
    .replace(/^([AB]) waits already$/, "$1 已经在等了")
    .replace(
      /^the kernel’s queue of connections is full$/,
      "内核的连接队列满了",
    )
    .replace(/^all (\d+) threads are taken$/, "$1 个线程都占用了")
    .replace(/^nobody is idle$/, "没有空闲客户端")
    .replace(
      /^(\d+) idle clients at every model.*?(\d+) descriptors$/,
      "每种模型最多 $1 个空闲客户端：这个脚本最多有 $2 个描述符",
    );
}

export const LOST = {
  en: "The server has gone. Trying again …",
  zh: "服务器不在了，正在重试……",
};
