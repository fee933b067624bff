/**
 * The states of a server's thread, and how each is shown: the words, colours and
 * signs that the terminal, the picture and the browser share. A browser loads
 * this file as it stands, so it is JavaScript with its types in comments.
 */
// @ts-check

/** @typedef {"en" | "zh"} Language */
/** @typedef {Record<Language, string>} Words */
/**
 * What a thread does. A call of its own holds it: `one`, `all`. No call holds it,
 * and it sleeps in Deno's own epoll_wait: `playing`, `free`. It does a moment's
 * work, which is drawn as a mark: `copying`, `accepting`, `asking`, `resolved`.
 * It does anything else: `other`.
 * @typedef {"one" | "all" | "playing" | "free" | "copying" | "accepting"
 *   | "asking" | "resolved" | "other"} State
 */
/**
 * How a state is shown.
 * @typedef {object} Look
 * @property {"held" | "away" | "mark" | "other"} kind
 * @property {{ light: string, dark: string }} colour
 * @property {{ light: string, dark: string }} label the colour of a text on it;
 *   of the `away` states, on the background
 * @property {number} ansi the colour at a terminal; 0 is that of the text
 * @property {string} glyph the sign for it at a terminal, one column wide
 * @property {Words} word
 * @property {Words} legend
 */

/**
 * The states, in the order of a legend. The colours of the two `held` states
 * differ in brightness too, for those who are colour-blind. The `away` states are
 * drawn hollow.
 * @type {Record<State, Look>}
 */
export const STATES = {
  one: {
    kind: "held",
    colour: { light: "#b3401f", dark: "#bd4a2f" },
    label: { light: "#ffffff", dark: "#ffffff" },
    ansi: 31,
    glyph: "▓",
    word: { en: "held for one", zh: "只等一个客户端" },
    legend: {
      en: "held for one client: this thread serves nobody else",
      zh: "线程被一个客户端占住，其他客户端得不到服务",
    },
  },
  all: {
    kind: "held",
    colour: { light: "#2f6db3", dark: "#3d74b8" },
    label: { light: "#ffffff", dark: "#ffffff" },
    ansi: 34,
    glyph: "▒",
    word: { en: "held for everyone", zh: "等所有客户端" },
    legend: {
      en: "held for everyone: whoever comes is served",
      zh: "线程同时等所有客户端，谁就绪就服务谁",
    },
  },
  playing: {
    kind: "away",
    colour: { light: "#0f7466", dark: "#6fd1c0" },
    label: { light: "#0f7466", dark: "#6fd1c0" },
    ansi: 36,
    glyph: "·",
    word: { en: "out playing", zh: "出去玩了" },
    legend: {
      en: "out playing: asleep in Deno’s epoll_wait until a timer",
      zh: "出去玩了：睡在 Deno 的 epoll_wait 里，等定时器",
    },
  },
  free: {
    kind: "away",
    colour: { light: "#0f7466", dark: "#6fd1c0" },
    label: { light: "#0f7466", dark: "#6fd1c0" },
    ansi: 36,
    glyph: "╌",
    word: { en: "free", zh: "空闲" },
    legend: {
      en: "free: asleep in Deno’s epoll_wait until it is called",
      zh: "空闲：睡在 Deno 的 epoll_wait 里，等待唤醒",
    },
  },
  copying: {
    kind: "mark",
    colour: { light: "#e8890c", dark: "#ffa62b" },
    label: { light: "#1f2328", dark: "#0d1117" },
    ansi: 33,
    glyph: "█",
    word: { en: "copies", zh: "拷贝数据" },
    legend: {
      en: "copies data: microseconds, drawn wider",
      zh: "拷贝数据：只要几微秒，图中有意画宽",
    },
  },
  accepting: {
    kind: "mark",
    colour: { light: "#59636e", dark: "#9aa4af" },
    label: { light: "#ffffff", dark: "#0d1117" },
    ansi: 0,
    glyph: "┃",
    word: { en: "accepts", zh: "接受连接" },
    legend: { en: "accepts a client", zh: "接受一个连接" },
  },
  asking: {
    kind: "mark",
    colour: { light: "#1f2328", dark: "#e6edf3" },
    label: { light: "#ffffff", dark: "#0d1117" },
    ansi: 0,
    glyph: "|",
    word: { en: "asks in vain", zh: "轮询落空" },
    legend: { en: "asks in vain (EAGAIN)", zh: "轮询落空（EAGAIN）" },
  },
  resolved: {
    kind: "mark",
    colour: { light: "#e8890c", dark: "#ffa62b" },
    label: { light: "#1f2328", dark: "#0d1117" },
    ansi: 33,
    glyph: "◆",
    word: { en: "a promise resolves", zh: "promise 兑现" },
    legend: { en: "a promise resolves", zh: "一个 promise 兑现" },
  },
  other: {
    kind: "other",
    colour: { light: "#d4dae0", dark: "#333b44" },
    label: { light: "#1f2328", dark: "#e6edf3" },
    ansi: 2,
    glyph: "░",
    word: { en: "does other things", zh: "做其他事" },
    legend: { en: "does other things", zh: "做其他事" },
  },
};

/** Behind all that is drawn. */
export const BACKGROUND = { light: "#ffffff", dark: "#0d1117" };

/** How a client is shown that waits for its answer. */
export const WAIT = {
  colour: { light: "#8250a8", dark: "#c297e8" },
  ansi: 35,
  legend: { en: "a client waits for its answer", zh: "客户端在等响应" },
};

/**
 * What can be said of a span, from the longest text to the shortest, so that the
 * first that fits is taken. `client` names the client that the call is about, if
 * there is one.
 * @param {{ state: State, call?: string }} span
 * @param {Language} language
 * @param {string} [client]
 * @returns {string[]}
 */
export function describeSpan({ state, call }, language, client) {
  const { kind, word, legend } = STATES[state];
  if (state === "asking") return [legend[language], "EAGAIN"];
  if (kind !== "held" || !call) return [word[language]];
  const { sleeps, where } = call === "read" // blocking.ts reads what is typed
    ? {
      en: { sleeps: "waits at the keyboard", where: "at the keyboard" },
      zh: { sleeps: "等键盘输入", where: "等键盘" },
    }[language]
    : {
      en: { sleeps: `asleep in ${call}`, where: call },
      zh: { sleeps: `睡在 ${call} 里`, where: call },
    }[language];
  if (state === "all") {
    const forAll = { en: ", for everyone", zh: "，等所有客户端" }[language];
    return [sleeps + forAll, sleeps, where];
  }
  if (!client) return [sleeps, where];
  const forOne = {
    en: { long: `, for ${client} alone`, short: `, for ${client}` },
    zh: { long: `，只等${client}`, short: `，等${client}` },
  }[language];
  return [sleeps + forOne.long, where + forOne.short, sleeps, where];
}
