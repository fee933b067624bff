/**
 * Why something cannot be: what servers, the kernel and watch.ts say, in Chinese.
 * The texts come in English, also from other scripts; what is not in this table
 * is shown as it came.
 */
// @ts-check

/** @import { Language } from "../../models/states.js" */

/** Texts of the kernel, by the name of their error.
 * @type {Record<string, string>} */
const ERRORS = {
  EACCES: "权限不够",
  EADDRINUSE: "地址已被占用",
  EADDRNOTAVAIL: "没有这个地址",
  EAGAIN: "资源暂时不够",
  EBADF: "描述符无效",
  ECONNABORTED: "连接中止了",
  ECONNREFUSED: "连接被拒绝",
  ECONNRESET: "连接被对方重置",
  EFAULT: "地址错误",
  EINVAL: "参数无效",
  EMFILE: "进程打开的文件太多",
  ENFILE: "系统打开的文件太多",
  ENOBUFS: "没有缓冲区可用",
  ENOMEM: "内存不够",
  ENOSPC: "空间用完了",
  ENOSYS: "内核没有这个系统调用",
  EPERM: "不允许这样做",
  EPIPE: "对方已经关闭连接",
  ETIMEDOUT: "连接超时",
};

/**
 * Texts, and the same in Chinese: `$1` is what was in the first parentheses, as
 * it is, `{1}` is a reason in it, which is translated too.
 * @type {[english: RegExp, chinese: string][]}
 */
const REASONS = [
  // What clients are told, or find out.
  [/descriptor (\d+) does not fit into an fd_set/, "fd_set 里放不下描述符 $1"],
  [/every thread is taken \((\d+)\)/, "线程都用上了（$1 个）"],
  [/no more threads: (.*)/, "开不出更多线程：{1}"],
  [/the kernel’s queue of connections is full/, "内核的连接队列满了"],
  [/it hung up/, "它挂断了"],
  // Why a server has ended, or cannot run.
  [/it has ended with (SIG\w+)/, "收到了 $1"],
  [/it has ended with status (\d+)/, "退出状态 $1"],
  [
    /needs Linux on x86-64 or arm64; try (.*)/,
    "要 Linux（x86-64 或 arm64）；试试 $1",
  ],
  [/needs (Deno [\d.]+): (.*)/, "要 $1：$2"],
  [/run with (.*), or -A/, "运行时要加 $1，或者 -A"],
  [/no fd_set holds our descriptor (\d+)/, "fd_set 里放不下自己的描述符 $1"],
  [
    /a Worker reads this script again: run with --allow-read too, or -A/,
    "Worker 要再读一遍这个脚本：运行时还要加 --allow-read，或者 -A",
  ],
  [
    /a Worker needs descriptors: try (.*)/,
    "Worker 要用描述符：试试 $1",
  ],
  [
    /cannot find the descriptor of Deno's listener; try (.*)/,
    "找不到 Deno 监听套接字的描述符；试试 $1",
  ],
  [/cannot listen on (\S+): (.*)/, "不能在 $1 上监听：{2}"],
  [/(.*); try (--port 0)/, "{1}；试试 $2"],
  [/(.*); (async\.ts) runs here too/, "{1}；$2 在这里也能跑"],
  [
    /(.*): more than may be locked, see (ulimit -l)/,
    "{1}：超过了可锁定的内存，见 $2",
  ],
  [/(.*): this kernel is older than ([\d.]+)/, "{1}：内核比 $2 旧"],
  [
    /(.*): not in this kernel, or forbidden in this container/,
    "{1}：这个内核没有，或者容器里不准用",
  ],
  [
    /(.*): forbidden here, by kernel.io_uring_disabled or a container/,
    "{1}：被 kernel.io_uring_disabled 或容器禁用了",
  ],
  [/((?:io_uring_)?[a-z]+[a-z0-9_]*): (.*)/, "$1：{2}"], // a call has failed
  // What watch.ts says about a command.
  [/([AB]) is not connected/, "$1 还没有连接"],
  [/([AB]) is connected already/, "$1 已经连上了"],
  [/([AB]) waits already/, "$1 已经在等了"],
  [/A asks without pause already/, "A 本来就在不停地问"],
  [/nobody is idle/, "没有空闲客户端"],
  [
    /(\d+) idle clients at every model is where it ends: this script may have (\d+) descriptors/,
    "每种模型最多 $1 个空闲客户端：这个脚本最多有 $2 个描述符",
  ],
  [/(\S+\.ts) does not ask/, "$1 没有在问"],
  [/(\S+\.ts) has not ended/, "$1 没有结束"],
];

/** A text about why something cannot be, in the reader's language.
 * @param {string} reason
 * @param {Language} language
 * @returns {string} */
export function translateReason(reason, language) {
  if (language === "en") return reason;
  const error = /^[^()]+ \((E[A-Z0-9]+)\)$/.exec(reason)?.[1];
  // A call may stand before it: `mmap: cannot allocate memory (ENOMEM)`.
  if (error && ERRORS[error] && !reason.includes(": ")) {
    return `${ERRORS[error]}（${error}）`;
  }
  for (const [english, chinese] of REASONS) {
    const found = RegExp(`^(?:${english.source})$`).exec(reason);
    if (!found) continue;
    return chinese
      .replaceAll(/\$(\d)/g, (_, index) => found[index])
      .replaceAll(
        /\{(\d)\}/g,
        (_, index) => translateReason(found[index], language),
      );
  }
  return reason;
}
