/** What the page says, in English and in Chinese. */
// @ts-check
import { describeSpan, STATES } from "../../models/states.js";
import { CLIENT_IDS } from "./client_ids.js";
import { translateReason } from "./reasons.js";

/**
 * @import { Language, State, Words } from "../../models/states.js"
 * @import { ClientId, ClientRole, ClientState } from "../messages.ts"
 * @import { Metrics, ModelUpdate, Span } from "../messages.ts"
 * @import { Cost } from "./model_history.js"
 */

/**
 * The texts of elements, by their `data-text`, and their accessible names, by
 * their `data-name`.
 * @type {Record<string, Words>}
 */
export const TEXTS = {
  title: { en: "How a server waits", zh: "服务器是怎么等的" },
  connect: { en: "connect", zh: "连接" },
  ask: { en: "ask", zh: "请求" },
  leave: { en: "leave", zh: "断开" },
  "A connect": { en: "A connect", zh: "A 连接" },
  "A ask": { en: "A ask", zh: "A 请求" },
  "A leave": { en: "A leave", zh: "A 断开" },
  "B connect": { en: "B connect", zh: "B 连接" },
  "B ask": { en: "B ask", zh: "B 请求" },
  "B leave": { en: "B leave", zh: "B 断开" },
  clientA: { en: "Client A", zh: "客户端 A" },
  clientB: { en: "Client B", zh: "客户端 B" },
  scene: { en: "Play the scene", zh: "演示一遍" },
  more: { en: "+100 idle", zh: "+100 空闲" },
  fewer: { en: "−100 idle", zh: "−100 空闲" },
  idleClients: { en: "Idle clients", zh: "空闲客户端" },
  load: { en: "as fast as they can", zh: "全速请求" },
  pause: { en: "Pause", zh: "暂停" },
  now: { en: "now", zh: "现在" },
  toNow: { en: "to now", zh: "回到现在" },
  slow: { en: "slow motion", zh: "慢放" },
  earlier: { en: "Earlier", zh: "更早" },
  later: { en: "Later", zh: "更晚" },
  previous: { en: "Previous moment of work", zh: "上一个动作" },
  next: { en: "Next moment of work", zh: "下一个动作" },
  closer: { en: "Zoom in", zh: "放大" },
  farther: { en: "Zoom out", zh: "缩小" },
  time: { en: "Time", zh: "时间" },
  save: { en: "Save as a page", zh: "存成网页" },
  chapters: { en: "Parts of the recording", zh: "录像的各段" },
  lanes: { en: "Models", zh: "模型" },
  recordingOver: {
    en: "The recording ends here. Play the scene starts it again.",
    zh: "录像到此结束。点“演示一遍”从头再放。",
  },
  aboutRecorded: {
    en:
      "This is a recording: what threads did comes from their traces, and the clients were real. Pause, zoom, slow motion and the code work as in the live page.",
    zh:
      "这是录像：线程的状态来自跟踪记录，客户端都是真实的连接。暂停、缩放、慢放、看代码，都和实时页面一样。",
  },
  language: { en: "中文", zh: "English" },
  theme: { en: "Light or dark", zh: "浅色或深色" },
  large: { en: "Large type", zh: "大字" },
  predict: { en: "Predict first", zh: "先猜一猜" },
  predictHead: {
    en: "Both connect. B asks first, A a moment later. Who is answered first?",
    zh: "两位都建立连接。B 先发请求，A 过一会儿才发。谁先收到响应？",
  },
  dismiss: { en: "Not now", zh: "先不猜" },
  close: { en: "Close", zh: "关闭" },
  lastCalls: { en: "Its last calls", zh: "最近的调用" },
  yourAnswer: { en: "Your answer", zh: "你的响应" },
  send: { en: "answer", zh: "响应" },
  auto: { en: "answer by itself", zh: "自动响应" },
  restart: { en: "Start it again", zh: "重新启动" },
  clients: { en: "Clients", zh: "客户端" },
  legend: { en: "What the colours mean", zh: "颜色图例" },
  colours: { en: "What each colour means", zh: "每种颜色的含义" },
  waits: { en: "a client waits", zh: "客户端在等" },
  shares: { en: "shares of its time", zh: "时间占比" },
  many: {
    en: "too much for any eye: the parts of its time, counted",
    zh: "变化太快，按时间占比绘制",
  },
  about: {
    en:
      "Every model is a process on this machine. What its thread does comes from its own trace, the clients are real. The newest is drawn a fifth of a second late, so that it is complete.",
    zh:
      "每种模型都是本机上的一个进程。线程的状态来自它自己的跟踪记录，客户端是真实的连接。最新的部分延迟五分之一秒绘制，以保证完整。",
  },
  aboutLoad: {
    en:
      "As fast as they can: tracing costs time, so the servers you see are asked at most 30 times a second, and where that makes too many lines, less often. System calls are counted there. CPU time is that of a second server of each model, without a trace, asked without pause by one client, one model after the other, 40 ms each. The curves show it by the number of idle clients; their height is that of poll.ts.",
    zh:
      "全速请求：跟踪本身有开销，所以图中的服务器每秒最多处理 30 个请求，输出行数太多时更少；系统调用次数在这里统计。CPU 时间来自每种模型的另一个进程，它不带跟踪，由一个客户端不停地发请求，各模型轮流，每次 40 毫秒。曲线表示它随空闲客户端数的变化，高度以 poll.ts 为准。",
  },
  aboutCode: {
    en:
      "Press a script’s name to see its code. Click into a picture to see how all was at that moment.",
    zh: "点脚本的名字可以看代码。点图上任何一处，可以看那一刻的状态。",
  },
};

/**
 * What one has to know first. Each part but the first has the colour of a state,
 * or of a client that waits.
 * @type {{ looks?: "one" | "all" | "away" | "wait", words: Words }[]}
 */
export const INTRO = [
  {
    words: {
      en: "Each row is what a server’s thread does.",
      zh: "每一行是一个服务器的线程。",
    },
  },
  {
    looks: "one",
    words: {
      en: "Red: it waits for one client alone.",
      zh: "红：只等一个客户端。",
    },
  },
  {
    looks: "all",
    words: {
      en: "Blue: it waits for all of them at once.",
      zh: "蓝：同时等所有客户端。",
    },
  },
  {
    looks: "away",
    words: { en: "Hollow: it is free.", zh: "空心：线程空闲。" },
  },
  {
    looks: "wait",
    words: { en: "Purple: a client waits.", zh: "紫：客户端在等。" },
  },
];

/** What each key does, for the foot of the page; `isLive`: not in a recording.
 * @type {{ keys: string, action: Words, isLive?: boolean }[]} */
export const KEYS = [
  {
    keys: "1 2 3",
    action: { en: "A connect, ask, leave", zh: "A 连接、请求、断开" },
    isLive: true,
  },
  {
    keys: "4 5 6",
    action: { en: "B connect, ask, leave", zh: "B 连接、请求、断开" },
    isLive: true,
  },
  { keys: "7", action: { en: "the scene", zh: "演示一遍" } },
  {
    keys: "8 9",
    action: { en: "100 idle more, fewer", zh: "空闲客户端增减 100" },
    isLive: true,
  },
  {
    keys: "0",
    action: { en: "as fast as they can", zh: "全速请求" },
    isLive: true,
  },
  { keys: "P", action: { en: "pause", zh: "暂停" } },
  { keys: "← →", action: { en: "through the past", zh: "回看" } },
  {
    keys: ", .",
    action: { en: "previous, next event", zh: "上一个、下一个事件" },
  },
  { keys: "+ −", action: { en: "zoom", zh: "放大、缩小" } },
  { keys: "S", action: { en: "slow motion", zh: "慢放" } },
  { keys: "N", action: { en: "now", zh: "现在" } },
];

/** @param {ClientRole | undefined} role
 * @param {Language} language */
export function clientName(role, language) {
  if (!role) return undefined;
  const names = {
    A: { en: "client A", zh: "客户端 A" },
    B: { en: "client B", zh: "客户端 B" },
    idle: { en: "an idle client", zh: "一个空闲客户端" },
    other: { en: "another client", zh: "别的客户端" },
  };
  return names[role][language];
}

/** What a thread does.
 * @param {Span} span
 * @param {Language} language */
export function describeThread(span, language) {
  return describeSpan(span, language, clientName(span.role, language))[0];
}

/** What a thread does that makes more calls than can be shown one by one.
 * @param {State} state that takes most of its time
 * @param {{ calls: number, promises: number }} rate how many in a second
 * @param {Language} language */
export function describeWork(state, { calls, promises }, language) {
  const rate = calls + promises;
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(rate || 1)) - 1);
  const rounded = (Math.round(rate / unit) * unit).toLocaleString(language);
  const { kind, word } = STATES[state];
  const most = {
    held: { en: "asleep", zh: "睡着" },
    away: word,
    mark: { en: "at work", zh: "工作中" },
    other: { en: "at work", zh: "工作中" },
  }[kind][language];
  const counted = promises > calls
    ? { en: `${rounded} promises a second`, zh: `每秒 ${rounded} 个 promise` }
    : { en: `${rounded} calls a second`, zh: `每秒 ${rounded} 次调用` };
  return { en: `${most}, ${counted.en}`, zh: `${most}，${counted.zh}` }[
    language
  ];
}

/** A length of time, in the unit that is read most easily.
 * @param {number} ms
 * @param {Language} language */
export function duration(ms, language) {
  const units = {
    en: { s: "s", ms: "ms", us: "µs" },
    zh: { s: "秒", ms: "毫秒", us: "微秒" },
  }[language];
  if (ms >= 59_950) {
    const seconds = String(Math.floor(ms / 1000 % 60)).padStart(2, "0");
    return `${Math.floor(ms / 60_000)}:${seconds} min`;
  }
  if (ms >= 9950) return `${Math.round(ms / 1000)} ${units.s}`;
  if (ms >= 999.5) return `${(ms / 1000).toFixed(1)} ${units.s}`;
  if (ms >= 9.95) return `${Math.round(ms)} ${units.ms}`;
  if (ms >= 0.9995) return `${ms.toFixed(1)} ${units.ms}`;
  const us = ms * 1000;
  const digits = us < 9.95 && us % 1 > 0.05 ? 1 : 0;
  return `${us.toFixed(digits)} ${units.us}`;
}

/** The moment under the cursor, in a pause.
 * @param {number} time since the pause, in ms; negative before it
 * @param {number | undefined} speed of slow motion: 1 is that of life
 * @param {Language} language */
export function describeCursor(time, speed, language) {
  const length = duration(Math.abs(time), language);
  const isPause = Math.abs(time) < 0.0005;
  const before = { en: `${length} before the pause`, zh: `暂停前 ${length}` };
  const after = { en: `${length} after the pause`, zh: `暂停后 ${length}` };
  const there = { en: "the pause", zh: "暂停处" };
  const beside = time < 0 ? before : after;
  const text = (isPause ? there : beside)[language];
  if (speed === undefined) return text;
  const fraction = `1/${Math.round(1 / speed).toLocaleString(language)}`;
  return text + {
    en: `, at ${fraction} of the speed`,
    zh: `，${fraction} 速度`,
  }[language];
}

/** What a client does, without its name.
 * @param {ClientState} client
 * @param {number} time the time now, in ms on the server's clock
 * @param {Language} language */
export function describeClient(client, time, language) {
  const length = duration(Math.max(0, time - client.since), language);
  const waited = duration(client.waited ?? 0, language);
  const reason = translateReason(client.reason ?? "", language);
  const descriptions = {
    away: { en: "not here", zh: "未连接" },
    connecting: {
      en: `connecting for ${length}`,
      zh: `正在连接，已等 ${length}`,
    },
    connected: { en: "connected", zh: "已连接" },
    waiting: { en: `waiting for ${length}`, zh: `已等 ${length}` },
    answered: { en: `answered after ${waited}`, zh: `${waited}后收到响应` },
    load: { en: "asks without pause", zh: "不停地发请求" },
    ended: { en: `turned away: ${reason}`, zh: `被拒绝：${reason}` },
  };
  return descriptions[client.status][language];
}

/** What a recording is, and how to see the same live.
 * @param {number} recorded when, in ms since 1970
 * @param {string} machine
 * @param {Language} language */
export function recordedBadge(recorded, machine, language) {
  const day = new Date(recorded).toLocaleDateString(
    { en: "en-GB", zh: "zh-CN" }[language],
    { day: "numeric", month: "long", year: "numeric" },
  );
  return {
    en: `Recorded on ${day} (${machine}). Live: deno run -A watch.ts`,
    zh: `录制于 ${day}（${machine}）。实时看：deno run -A watch.ts`,
  }[language];
}

/** What a client from elsewhere does.
 * @param {string} name
 * @param {ClientState["status"]} status
 * @param {Language} language */
export function describeElsewhere(name, status, language) {
  const from = { en: "from elsewhere", zh: "来自别处" }[language];
  const does = {
    connected: { en: "connected", zh: "已连接" },
    answered: { en: "answered", zh: "已收到响应" },
  };
  const known = status === "answered" ? does.answered : does.connected;
  const gone = { en: "has left", zh: "已断开" };
  const text = (status === "away" ? gone : known)[language];
  return { en: `${name} ${text} (${from})`, zh: `${name} ${text}（${from}）` }[
    language
  ];
}

/** How many more come from elsewhere.
 * @param {number} more
 * @param {Language} language */
export function describeMore(more, language) {
  return { en: `+${more} from elsewhere`, zh: `别处还有 ${more} 个` }[language];
}

/** @param {string} command
 * @param {Language} language */
export function copyName(command, language) {
  return { en: `Copy: ${command}`, zh: `复制：${command}` }[language];
}

/** @param {string} command
 * @param {Language} language */
export function copied(command, language) {
  return { en: `Copied: ${command}`, zh: `已复制：${command}` }[language];
}

/** How else to be a client of a model.
 * @param {number} port
 * @param {Language} language */
export function joinHint(port, language) {
  const hint = { en: "join it:", zh: "用你自己的客户端连接：" }[language];
  return `${hint} deno run -A client.ts --port ${port}`;
}

/** Why a model's server does not run.
 * @param {Exclude<ModelUpdate["status"], "running">} status
 * @param {string | undefined} reason
 * @param {Language} language */
export function describeStatus(status, reason = "", language) {
  const why = translateReason(reason, language);
  const descriptions = {
    starting: { en: "starting …", zh: "正在启动……" },
    failed: {
      en: `cannot run here: ${why}`,
      zh: `在这里无法运行：${why}`,
    },
    ended: { en: `it has ended: ${why}`, zh: `已结束：${why}` },
  };
  return descriptions[status][language];
}

const UNKNOWN = "…"; // not measured yet

/** What an answer costs: system calls, and CPU time.
 * @param {Metrics} metrics
 * @param {Language} language */
export function describeMetrics(metrics, language) {
  return {
    calls: describeCalls(metrics, language),
    cpu: metrics.isUnanswered ? "" : describeCpu(metrics.cpu),
  };
}

/** @param {Metrics} metrics
 * @param {Language} language */
function describeCalls({ makesOwnCalls, calls, isUnanswered }, language) {
  if (isUnanswered) {
    return { en: "A is not answered", zh: "A 没有收到响应" }[language];
  }
  if (!makesOwnCalls) return { en: "Deno’s", zh: "Deno 调用" }[language];
  if (calls === null) return UNKNOWN;
  const count = calls < 100
    ? calls.toFixed(1)
    : Math.round(calls).toLocaleString(language);
  return { en: `${count} calls`, zh: `${count} 次调用` }[language];
}

/** @param {number | null} us */
function describeCpu(us) {
  if (us === null) return UNKNOWN;
  if (us < 999.5) return `${Math.round(us)} µs CPU`;
  const digits = us < 9995 ? 1 : 0;
  return `${(us / 1000).toFixed(digits)} ms CPU`;
}

/** What an answer costs by the number of idle clients.
 * @param {Cost[]} costs
 * @param {Language} language */
export function describeCurve(costs, language) {
  const points = costs.map(({ idle, cpu }) => {
    const count = { en: `${idle} idle`, zh: `${idle} 个空闲` }[language];
    return `${count} ${describeCpu(cpu)}`;
  });
  const head = {
    en: "An answer by idle clients",
    zh: "每个响应的开销，随空闲客户端数的变化",
  }[language];
  return `${head}: ${points.join(", ") || UNKNOWN}`;
}

/** With fewer idle clients than this, models cost about the same. */
const FEW_IDLE = 100;

/** Why models that make the same calls cost different things.
 * @param {{ script: string, metrics: Metrics, idle: number }[]} compared
 * @param {Language} language */
export function describeWhy(compared, language) {
  const costs = compared.map(({ script, metrics, idle }) => {
    const { calls, cpu } = describeMetrics(metrics, language);
    const cost = {
      en: `${script} ${calls}, ${cpu} (${idle} idle)`,
      zh: `${script} ${calls}，${cpu}（空闲 ${idle}）`,
    };
    return cost[language];
  }).join({ en: "; ", zh: "；" }[language]);
  const head = { en: "Each answer: ", zh: "每个响应：" }[language];
  const areFew = compared.every(({ idle }) => idle < FEW_IDLE);
  return head + costs + (areFew ? WITH_FEW : WITH_MANY)[language];
}

const WITH_FEW = {
  en:
    ". With few idle clients both cost about the same: poll’s list is short. Each further one makes poll cost more, but not epoll.",
  zh:
    "。空闲客户端少的时候，两者差不多：poll 的列表很短。每多一个，poll 就多一份开销，epoll 不会。",
};
const WITH_MANY = {
  en:
    ". In each call of poll the kernel looks at every descriptor of the list, however many are idle; epoll_wait returns only those that are ready.",
  zh:
    "。poll 每次调用，内核都要把列表里的描述符逐个看一遍，不管有多少空闲；epoll_wait 只返回就绪的。",
};

/** How many idle clients one model has, and why no more.
 * @param {ModelUpdate["idle"]} idle
 * @param {object} model
 * @param {number} model.wanted how many it should have
 * @param {boolean} model.threadPerClient whether each has a thread, asleep
 * @param {Language} language */
export function describeIdle(
  { connected, reason },
  { wanted, threadPerClient },
  language,
) {
  // With nobody wanted, it matters no more why there were not more.
  if (!connected && (!reason || !wanted)) return "";
  const count = {
    en: `${connected} idle`,
    zh: `${connected} 个空闲`,
  }[language];
  const threads = {
    en: ", each with a thread asleep",
    zh: "，各有一个线程在睡",
  };
  if (!reason || connected >= wanted) {
    return threadPerClient ? count + threads[language] : count;
  }
  const why = translateReason(reason, language);
  const limit = {
    en: `; no more: ${why}`,
    zh: `；无法再增加：${why}`,
  }[language];
  return count + limit;
}

/** Whether a prediction was right.
 * @param {object} prediction
 * @param {string} prediction.script
 * @param {ClientId} prediction.guess the client that is answered first
 * @param {Partial<Record<ClientId, number>>} prediction.waits in ms
 * @param {Record<ClientId, number>} prediction.asked when each asked, in ms
 * @param {Language} language */
export function describeVerdict({ script, guess, waits, asked }, language) {
  if (waits.A === undefined || waits.B === undefined) {
    return {
      en: `${script}: the scene was cut short`,
      zh: `${script}：演示被中断`,
    }[language];
  }
  const first = asked.A + waits.A < asked.B + waits.B ? "A" : "B";
  const a = duration(waits.A, language);
  const b = duration(waits.B, language);
  const verdict = guess === first
    ? { en: ", as you said", zh: "，你猜对了" }
    : { en: `, not ${guess}`, zh: `，不是 ${guess}` };
  return {
    en: `${script}: ${first} was answered first${verdict.en}.` +
      ` A waited ${a}, B ${b}.`,
    zh: `${script}：先收到响应的是 ${first}${verdict.zh}。` +
      `A 等了 ${a}，B 等了 ${b}。`,
  }[language];
}

/** How many models have answered a client's question, and which have not, or
 * have turned the client away.
 * @param {object} answers
 * @param {ClientId} answers.client
 * @param {number} answers.answered how many have answered
 * @param {string[]} answers.waiting the scripts that have not
 * @param {string[]} answers.refused the scripts that did not let it stay
 * @param {Language} language */
export function describeAnswers(
  { client, answered, waiting, refused },
  language,
) {
  const models = answered === 1 ? "1 model" : `${answered} models`;
  const answer = {
    en: `${client} was answered by ${models}`,
    zh: `${client} 收到了 ${answered} 个模型的响应`,
  }[language];
  const rest = {
    en: `; it still waits at ${waiting.join(", ")}`,
    zh: `；还在等：${waiting.join("、")}`,
  }[language];
  const away = {
    en: `; turned away by ${refused.join(", ")}`,
    zh: `；拒绝了它的：${refused.join("、")}`,
  }[language];
  return answer + (waiting.length ? rest : "") + (refused.length ? away : "");
}

/** Why the page is empty.
 * @param {string} url of the WebSocket
 * @param {Language} language */
export function cannotOpen(url, language) {
  return {
    en: `Cannot open ${url}, which brings all that is shown here: ` +
      "does a proxy keep WebSockets out? Trying again …",
    zh: `无法连接 ${url}，页面的数据都来自它：` +
      "是否有代理阻断了 WebSocket？正在重试……",
  }[language];
}

export const LOST = {
  en: "The server has gone. Trying again …",
  zh: "与服务器的连接已断开，正在重试……",
};

/** The name of a client's thread, or of the worker that is shown in its place.
 * @param {ClientRole} role
 * @param {boolean | undefined} areWorkers
 * @param {Language} language
 * @returns {string} */
export function threadName(role, areWorkers, language) {
  const index = CLIENT_IDS.findIndex((id) => id === role);
  if (!areWorkers || index === -1) return role;
  return { en: "worker ", zh: "工作线程 " }[language] + (index + 1);
}
