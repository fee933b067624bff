/** What compare.ts says in tables and captions, for a terminal and a picture. */
import type { Span } from "../models/timeline.ts";
import type { Play } from "./scene.ts";
import {
  labels,
  type Language,
  type State,
  STATES,
  type Words,
} from "../models/states.js";

/** Rows under a head; the first column is the script's name. */
export interface Table {
  title: string;
  head: string[];
  rows: string[][];
  notes: string;
  /** Which columns to keep when there is no room for all, best first. */
  keep: number[];
}

export const ms = (time: number) => `${time.toFixed(time < 10 ? 1 : 0)} ms`;
const percent = (share: number) => `${Math.round(share * 100)} %`;
export const short = (script: string) => script.replace(/\.ts$/, "");

/** `first client` in a sentence, and as a short label. */
export const CLIENTS: { whole: Words; label: Words }[] = [
  {
    whole: { en: "the first client", zh: "第一位客户端" },
    label: { en: "first", zh: "第一位" },
  },
  {
    whole: { en: "the second client", zh: "第二位客户端" },
    label: { en: "second", zh: "第二位" },
  },
];

/** What happens in the scene, and after how many beats. */
export const EVENTS: [beats: number, words: Words, brief: Words][] = [
  [0, { en: "both connect", zh: "两位都连上" }, { en: "both", zh: "连上" }],
  [0.5, { en: "the second asks", zh: "第二位发话" }, {
    en: "second asks",
    zh: "第二位问",
  }],
  [2, { en: "the first asks", zh: "第一位发话" }, {
    en: "first asks",
    zh: "第一位问",
  }],
];

/** The kinds of sign that occur, in the order of a legend. */
export const occurring = (plays: Play[]) =>
  (Object.keys(STATES) as State[]).filter((state) =>
    plays.some(({ threads }) =>
      threads.some(({ spans }) =>
        spans.some((span) =>
          span.state === state && (isMark(span) || isSeen(span))
        )
      )
    )
  );

export const isMark = ({ state }: { state: State }) =>
  STATES[state].kind === "mark";
/** Whether it lasts long enough to be seen. */
export const isSeen = (span: Span) => !isMark(span) && span.to - span.from > 10;

/** What a picture says of a span, from much to little. */
export const sayings = (span: Span, language: Language) =>
  labels(
    span,
    language,
    span.client === undefined
      ? undefined
      : CLIENTS[span.client]?.whole[language],
  );

/** Each thing to be said once, in the first place with room for most of it. */
export function captions(
  places: Span[],
  language: Language,
  fits: (words: string, at: Span) => boolean,
): { words: string; place: Span }[] {
  const groups = Map.groupBy(places, (place) => sayings(place, language)[0]);
  return [...groups.values()].flatMap((group) => {
    for (const words of sayings(group[0], language)) {
      const place = group.find((place) => fits(words, place));
      if (place) return [{ words, place }];
    }
    return [];
  });
}

/** Round times for an axis. */
export function ticks(from: number, to: number): number[] {
  const steps = [10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000];
  const step = steps.find((step) => (to - from) / step < 10) ?? to;
  return Array.from({ length: Math.floor(to / step) + 1 }, (_, i) => i * step);
}

/** What it cost, and for whom the thread stood there. */
export function costs(plays: Play[], language: Language): Table {
  const none = "—";
  return {
    title: { en: "What it costs", zh: "代价" }[language],
    head: {
      en: "|first|second|for one|for all|calls|in vain|CPU",
      zh: "|第一位|第二位|为一人|为所有人|调用|白问|CPU",
    }[language].split("|"),
    rows: plays.map(({ script, waits, held, calls, vain, cpu }) => [
      short(script),
      ...waits.map(ms),
      percent(held.one),
      percent(held.all),
      `${calls ?? none}`,
      `${vain ?? none}`,
      cpu === null ? none : ms(cpu),
    ]),
    notes: {
      en:
        "first, second: how long that client waited for its answer. for one, for all: the share of the time that calls held a thread, for one client or for everyone; with more threads than one, their sum. calls, in vain: system calls of the script’s own, and those that returned EAGAIN. Waits and CPU time are those of a second server without --trace, which played the same scene beside the traced one.",
      zh:
        "第一位、第二位：该客户端等回答等了多久。为一人、为所有人：调用占住线程的时间比例，为的是一个客户端还是所有客户端；多个线程则相加。调用、白问：脚本自己的系统调用，以及其中返回 EAGAIN 的。等待时间和 CPU 时间取自另一个不带 --trace 的服务器，它同时演了同一场戏。",
    }[language],
    keep: [0, 7, 6, 5, 3, 4, 1, 2],
  };
}

/** The two phases of the first client's message. */
export function phaseTable(plays: Play[], language: Language): Table {
  const zh = language === "zh";
  const deno = zh ? "Deno 的 " : "Deno’s ";
  const rows = plays.flatMap(({ script, phases }) => {
    if (!phases) return [];
    const { waits, copies, synchronous } = phases;
    const own = zh ? "，自己的线程" : ", own thread";
    const same = copies.who === waits.who && copies.call === waits.call;
    return [[
      short(script),
      (waits.who === "Deno" ? deno : "") + waits.call +
      (waits.who === "own" ? own : ""),
      ms(waits.ms),
      {
        one: zh ? "为一人" : "for one",
        all: zh ? "为所有人" : "for all",
        no: zh ? "否" : "no",
      }[waits.blocked],
      same
        ? (zh ? "同一次调用" : "same call")
        : (copies.who === "Deno" ? deno : "") + copies.call,
      copies.us === null ? "—" : copies.us.toFixed(0),
      synchronous
        ? (zh ? "同步" : "synchronous")
        : zh
        ? "异步"
        : "asynchronous",
    ]];
  });
  return {
    title: {
      en: "The two phases of the first client’s message",
      zh: "第一位客户端的消息：两个阶段",
    }[language],
    head: {
      en: "|1 waits in|for|blocked|2 copied by|µs|POSIX",
      zh: "|一 等在|多久|被占住|二 拷贝|µs|POSIX",
    }[language].split("|"),
    rows,
    notes: {
      en:
        "Phase 1: a thread sleeps until the data is in the kernel: in which call, for how long since it accepted the client, and whether that call of the script’s holds it, for one client or for everyone. Phase 2: which call copies the data to the program. A call that has waited copies at its end; how long that takes, a trace cannot tell. Synchronous, in POSIX’s sense: the call that moves the data returns when that is done; asynchronous: it is asked for, and its completion comes later.",
      zh:
        "第一阶段：线程睡着，等数据进内核：睡在哪个调用里，接入客户端后睡了多久，脚本自己的这个调用有没有占住线程，为一个客户端还是为所有人。第二阶段：哪个调用把数据拷贝给程序。等到了数据的调用，最后自己就拷贝了，用时多少跟踪记录说不出来。POSIX 意义上的同步：搬数据的调用，搬完才返回；异步：先提出请求，完成的消息后到。",
    }[language],
    keep: [0, 1, 3, 4, 5, 2, 6],
  };
}

/** What is to be said if the times mean little, because others had the CPU. */
export function busy(plays: Play[], language: Language): string {
  const late = Math.max(...plays.map(({ late }) => late));
  if (late < 10) return "";
  const ms = late.toFixed(0);
  return {
    en:
      `The machine was busy: clients were up to ${ms} ms late, so that the times mean little.`,
    zh: `机器太忙：客户端晚了多达 ${ms} 毫秒，这些时间说明不了什么。`,
  }[language];
}
