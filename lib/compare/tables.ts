/** The tables of compare.ts, for the terminal and for the picture. */
import { shortName } from "../models/models.ts";
import type { Language } from "../models/states.js";
import { formatMs } from "../time.ts";
import type { Phases } from "./phases.ts";
import type { SceneRun } from "./scene_run.ts";

/** Rows under a head; the first column is the script's name. */
export interface Table {
  title: string;
  head: string[];
  rows: string[][];
  notes: string;
  /** The columns from the most important to the least, for where few have room. */
  keep: number[];
}

/** Stands where there is no value. */
export const NONE = "—";

/** A share from 0 to 1 as a text. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Whether a column of a table is one of numbers, which end below each other. */
export function isNumeric({ rows }: Table, column: number): boolean {
  return rows.every((row) => /^(\d|—)/.test(row[column]));
}

/** What each model costs, and for whom its calls held a thread. */
export function costTable(runs: SceneRun[], language: Language): Table {
  return {
    title: { en: "What it costs", zh: "代价" }[language],
    head: {
      en: "|first|second|for one|for all|calls|in vain|CPU",
      zh: "|第一位|第二位|等一个|等所有|调用|落空|CPU",
    }[language].split("|"),
    rows: runs.map(({ script, waits, held, calls, vain, cpu }) => [
      shortName(script),
      ...waits.map((wait) => formatMs(wait)),
      percent(held.one),
      percent(held.all),
      `${calls ?? NONE}`,
      `${vain ?? NONE}`,
      cpu === null ? NONE : formatMs(cpu),
    ]),
    notes: {
      en:
        "first, second: how long that client waited for its answer. for one, for all: the share of the time that calls held a thread, for one client or for everyone; with more threads than one, their sum. calls, in vain: system calls of the script’s own, and those that returned EAGAIN. Waits and CPU time are those of a second server without --trace, which played the same scene beside the traced one.",
      zh:
        "第一位、第二位：该客户端等待响应的时间。等一个、等所有：线程阻塞在系统调用里的时间比例，等的是一个客户端还是所有客户端；有多个线程时相加。调用、落空：脚本自己发起的系统调用次数，以及其中返回 EAGAIN 的次数。等待时间和 CPU 时间取自另一个不带 --trace 的服务器，它同时跑了同样的场景。",
    }[language],
    keep: [0, 7, 6, 5, 3, 4, 1, 2],
  };
}

const PHASE_WORDS = {
  en: {
    deno: "Deno’s ",
    ownThread: ", own thread",
    sameCall: "same call",
    blocked: { one: "for one", all: "for all", no: "no" },
    synchronous: "synchronous",
    asynchronous: "asynchronous",
  },
  zh: {
    deno: "Deno 的 ",
    ownThread: "，专属线程",
    sameCall: "同一次调用",
    blocked: { one: "等一个", all: "等所有", no: "否" },
    synchronous: "同步",
    asynchronous: "异步",
  },
};

/** The two phases of the first client's message. */
export function phaseTable(runs: SceneRun[], language: Language): Table {
  return {
    title: {
      en: "The two phases of the first client’s message",
      zh: "第一位客户端的消息所经历的两个阶段",
    }[language],
    head: {
      en: "|1 waits in|for|blocked|2 copied by|µs|POSIX",
      zh: "|① 等在哪里|耗时|线程阻塞|② 由谁拷贝|µs|POSIX",
    }[language].split("|"),
    rows: runs.flatMap(({ script, phases }) =>
      phases ? [[shortName(script), ...phaseCells(phases, language)]] : []
    ),
    notes: {
      en:
        "Phase 1: a thread sleeps until the data is in the kernel: in which call, for how long since it accepted the client, and whether that call of the script’s holds it, for one client or for everyone. Phase 2: which call copies the data to the program. A call that has waited copies at its end; how long that takes, a trace cannot tell. Synchronous, in POSIX’s sense: the call that moves the data returns when that is done; asynchronous: it is asked for, and its completion comes later.",
      zh:
        "第一阶段：线程睡眠，等数据到达内核；表中是睡在哪个调用里、接受连接后睡了多久、脚本自己的调用有没有让线程阻塞（等一个客户端，还是等所有客户端）。第二阶段：由哪个调用把数据拷贝给程序。等到数据的那个调用在返回前自己完成拷贝，耗时从跟踪记录里看不出来。POSIX 意义上的同步：负责拷贝的调用在拷贝完成后才返回；异步：先提交请求，完成后再收到通知。",
    }[language],
    keep: [0, 1, 3, 4, 5, 2, 6],
  };
}

function phaseCells(
  { waits, copies, synchronous }: Phases,
  language: Language,
): string[] {
  const words = PHASE_WORDS[language];
  const prefix = { main: "", own: "", Deno: words.deno };
  const suffix = { main: "", own: words.ownThread, Deno: "" };
  const same = copies.where === waits.where && copies.call === waits.call;
  return [
    prefix[waits.where] + waits.call + suffix[waits.where],
    formatMs(waits.ms),
    words.blocked[waits.blocked],
    same ? words.sameCall : prefix[copies.where] + copies.call,
    copies.us === null ? NONE : copies.us.toFixed(0),
    synchronous ? words.synchronous : words.asynchronous,
  ];
}

/** Clients that come late by more ms show that other processes had the CPU. */
const LATE = 10;

/** A warning, if the times mean little because the machine was busy; or "". */
export function busyWarning(runs: SceneRun[], language: Language): string {
  const late = Math.max(...runs.map(({ late }) => late));
  if (late < LATE) return "";
  const ms = late.toFixed(0);
  return {
    en:
      `The machine was busy: clients were up to ${ms} ms late, so that the times mean little.`,
    zh: `机器太忙：客户端最多晚了 ${ms} 毫秒，这些时间参考价值不大。`,
  }[language];
}
