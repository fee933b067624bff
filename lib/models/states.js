/**
 * What a thread can do while its server waits, with the words, colours and
 * signs for it, shared by the terminal, the picture and the browser. A browser
 * runs this as it stands: JavaScript, with its types in comments.
 */
// @ts-check

/** @typedef {"en" | "zh"} Language */
/** @typedef {Record<Language, string>} Words */
/**
 * What a thread does. Held by a call of its own: `one`, `all`. Not held, and
 * asleep in Deno's own epoll_wait: `playing`, `free`. A moment's work, drawn as
 * a mark: `copying`, `accepting`, `asking`, `resolved`. Anything else: `other`.
 * @typedef {"one" | "all" | "playing" | "free" | "copying" | "accepting"
 *   | "asking" | "resolved" | "other"} State
 */
/**
 * @typedef {object} Look
 * @property {"held" | "away" | "mark" | "other"} kind
 * @property {{ light: string, dark: string }} colour
 * @property {number} ansi the colour at a terminal; 0 is that of the text
 * @property {string} glyph one column wide
 * @property {Words} word
 * @property {Words} legend
 */

/**
 * In the order of a legend. The two kinds of held are far apart for every kind
 * of eye, and in brightness; what is not held is hollow.
 * @type {Record<State, Look>}
 */
export const STATES = {
  one: {
    kind: "held",
    colour: { light: "#b3401f", dark: "#bd4a2f" },
    ansi: 31,
    glyph: "▓",
    word: { en: "held for one", zh: "只为一人守着" },
    legend: {
      en: "held for one client: this thread serves nobody else",
      zh: "线程被一个客户端占住，顾不上别人",
    },
  },
  all: {
    kind: "held",
    colour: { light: "#2f6db3", dark: "#3d74b8" },
    ansi: 34,
    glyph: "▒",
    word: { en: "held for everyone", zh: "为所有人守着" },
    legend: {
      en: "held for everyone: whoever comes is served",
      zh: "线程替所有人等着，谁来都能接待",
    },
  },
  playing: {
    kind: "away",
    colour: { light: "#0f7466", dark: "#6fd1c0" },
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
    ansi: 36,
    glyph: "╌",
    word: { en: "free", zh: "空着" },
    legend: {
      en: "free: asleep in Deno’s epoll_wait until it is called",
      zh: "空着：睡在 Deno 的 epoll_wait 里，等人来叫",
    },
  },
  copying: {
    kind: "mark",
    colour: { light: "#e8890c", dark: "#ffa62b" },
    ansi: 33,
    glyph: "█",
    word: { en: "copies", zh: "拷贝数据" },
    legend: {
      en: "copies data: microseconds, drawn wider",
      zh: "拷贝数据：只要几微秒，画宽了",
    },
  },
  accepting: {
    kind: "mark",
    colour: { light: "#59636e", dark: "#9aa4af" },
    ansi: 0,
    glyph: "┃",
    word: { en: "accepts", zh: "接入客户端" },
    legend: { en: "accepts a client", zh: "接入一个客户端" },
  },
  asking: {
    kind: "mark",
    colour: { light: "#1f2328", dark: "#e6edf3" },
    ansi: 0,
    glyph: "|",
    word: { en: "asks in vain", zh: "白问一次" },
    legend: { en: "asks in vain (EAGAIN)", zh: "白问一次（EAGAIN）" },
  },
  resolved: {
    kind: "mark",
    colour: { light: "#e8890c", dark: "#ffa62b" },
    ansi: 33,
    glyph: "◆",
    word: { en: "a promise resolves", zh: "promise 兑现" },
    legend: { en: "a promise resolves", zh: "一个 promise 兑现" },
  },
  other: {
    kind: "other",
    colour: { light: "#d4dae0", dark: "#333b44" },
    ansi: 2,
    glyph: "░",
    word: { en: "does other things", zh: "忙别的" },
    legend: { en: "does other things", zh: "忙别的" },
  },
};

/** A client that waits for its answer. */
export const WAIT = {
  colour: { light: "#8250a8", dark: "#c297e8" },
  ansi: 35,
  legend: { en: "a client waits for its answer", zh: "客户端在等回答" },
};

/**
 * What can be said of a span, from much to little, so that what fits is taken.
 * `whom` names the client it is about, if there is one.
 * @param {{ state: State, call?: string }} span
 * @param {Language} language
 * @param {string} [whom]
 * @returns {string[]}
 */
export function labels({ state, call }, language, whom) {
  const { kind, word } = STATES[state];
  const short = word[language];
  if (kind !== "held" || !call) return [short];
  const place = call === "read" // what is typed: blocking.ts asks
    ? { en: "at the keyboard", zh: "键盘前" }[language]
    : call;
  const asleep = language === "en" ? `asleep in ${call}` : `睡在 ${call} 里`;
  const whole = call === "read"
    ? { en: "waits at the keyboard", zh: "等键盘输入" }[language]
    : asleep;
  if (state === "all") {
    const everyone = { en: ", for everyone", zh: "，为所有人" }[language];
    return [whole + everyone, whole, place];
  }
  if (!whom) return [whole, place];
  const alone = {
    en: [`, for ${whom} alone`, `, for ${whom}`],
    zh: [`，只为${whom}`, `，为${whom}`],
  }[language];
  return [whole + alone[0], place + alone[1], whole, place];
}
