/** What is asked of each exercise. */
import { connect, reset, send } from "../lib/connection.ts";
import type { Words } from "../lib/models/states.js";
import type { RecordedProcess } from "../lib/recorded.ts";
import { pause } from "../lib/time.ts";
import {
  type Check,
  expectAccepted,
  expectAnswer,
  expectConnections,
  expectHello,
  expectPrinted,
  expectShortFirst,
  expectSleep,
  resultOf,
  Symptom,
} from "./expect.ts";

/** A server to mend. */
export interface Exercise {
  /** The article's script that it comes from, and what is wrong with that. */
  article: Words;
  /** The script to be read once the exercise is done. */
  next: string;
  /** In this order: each passes before the next one is shown. */
  checks: Check[];
}

// What the clients of a check are called, at the beginning of a sentence.
const CLIENT = { en: "a client", zh: "客户端" };
const ANOTHER = { en: "another", zh: "另一个客户端" };
const FIRST = { en: "the first client", zh: "第一个客户端" };
const SECOND = { en: "the second client", zh: "第二个客户端" };
const NEXT = { en: "the next client", zh: "下一个客户端" };

const answers: Check = {
  title: { en: "answers a client", zh: "响应客户端" },
  should: {
    en: 'send "hello sir" to a client that says something',
    zh: "客户端发来消息，就响应 “hello sir”",
  },
  hint: {
    en: "It did that before you changed it. `git diff` shows what you changed.",
    zh: "改动之前它是做得到的。用 `git diff` 看看改了什么。",
  },
  async run(server) {
    using conn = await connect(server.port);
    await expectHello(server, conn, CLIENT, "hi");
  },
};

const several: Check = {
  title: {
    en: "answers two clients, in any order",
    zh: "响应两个客户端，不分先后",
  },
  should: {
    en: "answer whoever says something, and wait for nobody in particular",
    zh: "谁发来消息就响应谁，不专门等某一个客户端",
  },
  hint: {
    en: "Look at every client in every round, and answer only those for whom " +
      "something has come.",
    zh: "每一轮都检查所有客户端，只响应有数据到达的那些。",
  },
  async run(server) {
    using first = await connect(server.port);
    using second = await connect(server.port);
    await expectHello(server, second, SECOND, "me first");
    await expectHello(server, first, FIRST, "and me");
    await expectHello(server, first, FIRST, "me again");
    await expectHello(server, second, SECOND, "me too");
  },
};

const leaves: Check = {
  title: { en: "lets a client leave", zh: "客户端断开连接后照常工作" },
  should: {
    en: "hang up when a client has left, and serve the others as before",
    zh: "客户端断开后，关闭它的连接，继续服务其他客户端",
  },
  hint: {
    en: "What does recv return when there will never be anything again? " +
      "`man 2 recv`, under RETURN VALUE. Then the descriptor is still open.",
    zh: "对方不会再发来任何数据时，recv 返回什么？见 `man 2 recv` 的 " +
      "RETURN VALUE 一节。此时文件描述符还开着。",
  },
  async run(server) {
    using staying = await connect(server.port);
    await expectHello(server, staying, CLIENT, "I stay");
    const leaving = await connect(server.port);
    await expectHello(server, leaving, ANOTHER, "I leave");
    leaving.close();
    await expectSleep(server, {
      en: "a client had left",
      zh: "一个客户端已经断开",
    });
    await expectConnections(server, 1, {
      en: "a client has left, and was never closed",
      zh: "一个客户端已经断开，它的连接却一直没有关闭",
    });
    await expectHello(
      server,
      staying,
      { en: "the one who stayed", zh: "没有断开的客户端" },
      "still there?",
    );
    using next = await connect(server.port);
    await expectHello(server, next, NEXT, "hi");
  },
};

const encoder = new TextEncoder();

// A text with a character of several bytes, which is sent cut within it.
const CUT = {
  en: { before: "caf", character: "é", after: ", please" },
  zh: { before: "来碗米", character: "饭", after: "，谢谢" },
};

/** The two pieces of the text before and after the cut. */
function cutWithin({ before, character, after }: typeof CUT["en"]) {
  const bytes = encoder.encode(before + character + after);
  const cut = encoder.encode(before).length + 1; // after its first byte
  return [bytes.subarray(0, cut), bytes.subarray(cut)];
}

/** With `typed`, that is typed into the server's terminal as each answer. */
function pieces(typed = ""): Check {
  const should = {
    en: 'print an "é" as é, also when its second byte comes later',
    zh: "“饭”的三个字节分两次到达，打印出来也是“饭”",
  };
  const hint = {
    en: "A TextDecoder can keep the beginning of a character until the rest " +
      "has come: look up its option `stream`. ",
    zh: "TextDecoder 可以先留着字符的前几个字节，等其余字节到达：" +
      "查一下它的 `stream` 选项。",
  };
  if (typed) {
    hint.en +=
      "Then it must be the same decoder, as long as the client is the same.";
    hint.zh += "只要还是同一个客户端，就得用同一个解码器。";
  } else {
    should.en += ", and another client's message in between";
    should.zh += "，即使其间还收到了另一个客户端的消息";
    hint.en +=
      "Then it must be the client's own: what of a client that comes " +
      "in between?";
    hint.zh += "解码器要每个客户端一个：其间收到别的客户端的消息怎么办？";
  }
  return {
    title: {
      en: "prints a character that comes in two pieces",
      zh: "正确打印分两次到达的汉字",
    },
    should,
    hint,
    async run(server, language) {
      const { before, character, after } = CUT[language];
      const [start, rest] = cutWithin(CUT[language]);
      using conn = await connect(server.port);
      const answered = async () => {
        if (typed) await server.write(`${typed}\n`);
        const buffer = new Uint8Array(1024);
        await resultOf(server, conn.read(buffer).catch(() => null));
      };
      await send(conn, start);
      await expectPrinted(server, before, {
        en: `a client sent "${before}", and it never showed`,
        zh: `客户端发来“${before}”，却没有显示出来`,
      });
      await answered();
      using other = typed ? undefined : await connect(server.port);
      if (other) {
        await expectHello(server, other, ANOTHER, "tea");
        await expectPrinted(server, "tea", {
          en: 'another said "tea", and it never showed',
          zh: "另一个客户端发来“tea”，却没有显示出来",
        });
      }
      await send(conn, rest);
      await expectPrinted(server, after, {
        en: `a client sent "${character}${after}", and it never showed`,
        zh: `客户端发来“${character}${after}”，却没有显示出来`,
      });
      await answered();
      const output = server.output();
      if (/\uFFFD/.test(output) || !output.includes(character)) {
        throw new Symptom(server, {
          en: `a client sent "${before}${character}", cut within the ` +
            character,
          zh:
            `客户端发来“${before}${character}”，在“${character}”字中间断成两次`,
        });
      }
    },
  };
}

// ------------------------------------------------- a line is a message

/** Sends a text, and expects an answer to each of these lines. */
async function expectLines(
  server: RecordedProcess,
  conn: Deno.Conn,
  client: Words,
  text: string,
  lines: string[],
) {
  const sent = JSON.stringify(text);
  const said = {
    en: `${client.en} sent ${sent}, and`,
    zh: `${client.zh}发来 ${sent}，`,
  };
  await send(conn, text).catch(() => {});
  const answer = lines.map((line) => `hello ${line}\n`).join("");
  await expectAnswer(server, conn, said, answer);
}

const framing: Check[] = [
  {
    title: { en: "answers a line", zh: "响应一行" },
    should: {
      en: 'answer "hello tea" to the line "tea"',
      zh: "收到一行 “tea”，就响应 “hello tea”",
    },
    hint: answers.hint,
    async run(server) {
      using first = await connect(server.port);
      using second = await connect(server.port);
      await expectLines(server, second, SECOND, "tea\n", ["tea"]);
      await expectLines(server, first, FIRST, "rice\n", ["rice"]);
      await expectLines(server, second, SECOND, "soup\n", ["soup"]);
    },
  },
  {
    title: {
      en: "answers each of several lines that come at once",
      zh: "多行一起到达时逐行响应（粘包）",
    },
    should: {
      en: "send an answer for each line, also when one recv returns several",
      zh: "一次 recv 返回多行时，每一行各有一个响应",
    },
    hint: {
      en: "TCP carries bytes, and no messages: it is the protocol that says " +
        "where a message ends. Split what has come at the newlines.",
      zh: "TCP 传的是字节流，没有消息边界：一条消息到哪里结束，由协议规定。" +
        "把收到的数据按换行符切分。",
    },
    async run(server) {
      using conn = await connect(server.port);
      const lines = ["tea", "rice", "soup"];
      await expectLines(server, conn, CLIENT, "tea\nrice\nsoup\n", lines);
    },
  },
  {
    title: {
      en: "waits for the rest of a line",
      zh: "一行没有到齐就等其余部分（拆包）",
    },
    should: {
      en: "answer a line once its newline has come, whatever another client " +
        "sends meanwhile",
      zh: "换行符到达后才响应这一行，不管其间别的客户端发来什么",
    },
    hint: {
      en:
        "What follows the last newline is the beginning of a line. Keep it, " +
        "for each client its own, and put it before what comes next.",
      zh: "最后一个换行符之后的内容，是下一行的开头：每个客户端各存各的，" +
        "拼到之后收到的数据前面。",
    },
    async run(server) {
      using conn = await connect(server.port);
      using other = await connect(server.port);
      await expectLines(server, conn, CLIENT, "tea\nri", ["tea"]);
      await send(other, "so");
      await expectLines(server, conn, CLIENT, "ce\n", ["rice"]);
      await expectLines(server, other, ANOTHER, "up\n", ["soup"]);
    },
  },
  {
    title: {
      en: "keeps a character whole that comes in two pieces",
      zh: "汉字分两次到达也不乱码",
    },
    should: {
      en: 'answer "hello café" to "café", also when the é is cut',
      zh: "收到“来碗米饭”就响应“hello 来碗米饭”，即使“饭”字断成两次到达",
    },
    hint: {
      en: "Keep bytes and decode a line when it is whole; or decode with the " +
        "option `stream`, and with a TextDecoder for each client.",
      zh: "要么存字节，一行到齐后再解码；要么给每个客户端一个 TextDecoder，" +
        "解码时加上 `stream` 选项。",
    },
    async run(server, language) {
      const { before, character } = CUT[language];
      const [start, rest] = cutWithin({ before, character, after: "\n" });
      using conn = await connect(server.port);
      // One line more, so that the server has received the start by itself.
      await send(conn, new Uint8Array([...encoder.encode("tea\n"), ...start]));
      await expectLines(server, conn, CLIENT, "", ["tea"]);
      await send(conn, rest);
      const said = {
        en: `a client sent "${before}${character}\\n", cut within the ` +
          `${character}, and`,
        zh: `客户端发来“${before}${character}\\n”，“${character}”字断成两次，`,
      };
      const line = `hello ${before}${character}\n`;
      await expectAnswer(server, conn, said, line);
    },
  },
  {
    title: {
      en: "forgets a client that leaves within a line",
      zh: "客户端没发完一行就断开，不影响后来的客户端",
    },
    should: {
      en: "begin with an empty line for each client that connects",
      zh: "每个新连接都从空行开始，没有别人留下的半行",
    },
    hint: {
      en: "The next client gets the lowest descriptor that is free: that of " +
        "the one who left. What is still kept under that number?",
      zh:
        "新连接会分到编号最小的空闲文件描述符，也就是刚断开的那个客户端用过的。" +
        "这个编号下面还存着什么？",
    },
    async run(server) {
      const leaving = await connect(server.port);
      await expectLines(server, leaving, CLIENT, "tea\nri", ["tea"]);
      leaving.close();
      await expectConnections(server, 0, {
        en: "a client has left, and was never closed",
        zh: "一个客户端已经断开，它的连接却一直没有关闭",
      });
      using next = await connect(server.port);
      await expectLines(server, next, NEXT, "soup\n", ["soup"]);
    },
  },
];

// ------------------------------------------------- an answer is computed

const LONG = { question: "3000000", answer: "216816" };
const SHORT = { question: "100", answer: "25" };

const computing: Check[] = [
  {
    title: { en: "answers a client", zh: "响应客户端" },
    should: {
      en: "send how many primes there are below the number that a client sent",
      zh: "客户端发来一个数，就响应小于它的素数有多少个",
    },
    hint: answers.hint,
    async run(server) {
      using conn = await connect(server.port);
      for (const [question, answer] of [["100", "25"], ["1000", "168"]]) {
        const said = {
          en: `a client asked for ${question}, and`,
          zh: `客户端发来 ${question}，`,
        };
        await send(conn, question);
        await expectAnswer(server, conn, said, `${answer}\n`);
      }
    },
  },
  {
    title: {
      en: "answers others while it computes for one",
      zh: "给一个客户端计算时，不耽误其他客户端",
    },
    should: {
      en: "answer a short question while a long one is still being computed",
      zh: "一个请求要算很久，算完之前，其他请求也能得到响应",
    },
    hint: {
      en: "The loop of Deno runs no other client's code until this one's " +
        "awaits. Compute in slices, and between two of them await a timer of " +
        "0 ms: `await` of a value alone lets no event in. Or let a Worker " +
        "compute, and await its message.",
      zh: "代码不执行到 await，Deno 的事件循环就轮不到别的客户端。" +
        "可以把计算拆成小段，段与段之间 await 一个 0 毫秒的定时器" +
        "（只 await 一个值不行，那样不会去处理新事件）；" +
        "也可以交给 Worker 计算，await 它发回的消息。",
    },
    async run(server) {
      await expectShortFirst(server, LONG, SHORT);
    },
  },
];

/** What is asked of each exercise, by its name. */
export const exercises: Record<string, Exercise> = {
  blocking: {
    article: {
      en: "the article's blocking server, which never hears that a client left",
      zh: "出自原文的阻塞式服务器：客户端断开了，它却不知道",
    },
    next: "blocking.ts",
    checks: [
      {
        ...answers,
        should: {
          en: "print what a client says, and send it what is typed",
          zh: "打印客户端发来的消息，并把键盘输入的内容发给它",
        },
        async run(server) {
          using conn = await connect(server.port);
          await expectHello(server, conn, CLIENT, "hi", "welcome");
          await expectHello(server, conn, CLIENT, "thanks", "not at all");
        },
      },
      {
        title: {
          en: "turns to the next client when one leaves",
          zh: "一个客户端断开后，接受下一个",
        },
        should: {
          en: "stop asking for answers to someone who has left, hang up, and " +
            "accept the next client",
          zh: "客户端断开后，不再提示输入，关闭它的连接，接受下一个客户端",
        },
        hint: leaves.hint,
        async run(server) {
          const first = await connect(server.port);
          await expectHello(server, first, FIRST, "bye", "good bye");
          first.close();
          using second = await connect(server.port);
          const next = {
            en: "the first left; the next",
            zh: "第一个客户端已经断开；第二个",
          };
          await expectHello(server, second, next, "hi", "welcome");
          await expectConnections(server, 1, {
            en: "the first left, and was never closed",
            zh: "第一个客户端已经断开，它的连接却一直没有关闭",
          });
        },
      },
      pieces("well"),
    ],
  },
  nonblocking: {
    article: {
      en: "the article's non-blocking server, which drops a client that does " +
        "not speak at once",
      zh: "出自原文的非阻塞服务器：客户端没有马上发消息，它就把 socket 丢了",
    },
    next: "nonblocking.ts",
    checks: [
      {
        ...answers,
        title: {
          en: "answers a client that speaks at once",
          zh: "响应一连上就发消息的客户端",
        },
        async run(server) {
          Deno.kill(server.pid, "SIGSTOP"); // it finds client and text at once
          using conn = await connect(server.port);
          await send(conn, "h");
          Deno.kill(server.pid, "SIGCONT");
          await expectHello(server, conn, CLIENT, "i");
        },
      },
      {
        ...several,
        title: {
          en: "remembers a client that takes its time",
          zh: "记住迟迟不发消息的客户端",
        },
        should: {
          en: "keep every client it has accepted, and look again later " +
            "whether it has said something",
          zh: "保存每个已接受的客户端，以后再看它有没有发来消息",
        },
        hint: {
          en: "EAGAIN of recv means: not yet. Who remembers the client then? " +
            "Keep all of them, and in every round look at each; an EAGAIN of " +
            "one must not keep the others from being looked at.",
          zh: "recv 返回 EAGAIN，意思是“还没有数据”。这时谁记着这个客户端？" +
            "把它们都存下来，每一轮逐个检查；" +
            "一个返回 EAGAIN，不能耽误检查其他的。",
        },
        async run(server, language) {
          using first = await connect(server.port);
          await expectAccepted(server);
          await pause(400); // two rounds, and not a word
          const late = {
            en: "a client took its time,",
            zh: "客户端过了一会儿才",
          };
          await expectHello(server, first, late, "ready now");
          await several.run(server, language);
        },
      },
      leaves,
      pieces(),
    ],
  },
  select: {
    article: {
      en: "the article's select server, which dies of EPIPE once a client left",
      zh: "出自原文的 select 服务器：客户端断开后，它会因 EPIPE 退出",
    },
    next: "select.ts",
    checks: [several, leaves, pieces()],
  },
  poll: {
    article: {
      en: "the article's poll server, which asks for POLLOUT as well, and " +
        "takes a whole core with one idle client",
      zh: "出自原文的 poll 服务器：它连 POLLOUT 也一并注册，" +
        "只要连着一个空闲的客户端，就占满一个核",
    },
    next: "poll.ts",
    checks: [
      several,
      {
        title: {
          en: "sleeps while nobody says anything",
          zh: "没有客户端发消息时睡眠",
        },
        should: {
          en: "sleep in poll until there is something to do",
          zh: "在 poll 里睡眠，有事可做时才醒来",
        },
        hint: {
          en: "POLLOUT means that there is room for an answer. When is there " +
            "room, and when does this server want to know?",
          zh: "POLLOUT 表示发送缓冲区还有空间。什么时候有空间？" +
            "这个服务器又什么时候才需要知道？",
        },
        async run(server) {
          using conn = await connect(server.port);
          await expectAccepted(server);
          await expectSleep(server, {
            en: "one client was connected and said nothing",
            zh: "只有一个客户端连着，什么也没发",
          });
          await expectHello(server, conn, CLIENT, "hi");
          await expectSleep(server, {
            en: "it had answered its only client",
            zh: "已经响应了唯一的客户端",
          });
        },
      },
      leaves,
      pieces(),
    ],
  },
  epoll: {
    article: {
      en:
        "the article's epoll server, which takes a whole core once a client " +
        "left",
      zh: "出自原文的 epoll 服务器：客户端断开后，它会占满一个核",
    },
    next: "epoll.ts",
    checks: [
      several,
      leaves,
      {
        title: {
          en: "survives a client that crashes",
          zh: "客户端崩溃，服务器不受影响",
        },
        should: {
          en: "hang up on a client whose connection was reset, and serve the " +
            "others as before",
          zh: "连接被重置时，关闭这个连接，继续服务其他客户端",
        },
        hint: {
          en:
            "A crashed client's system sends a reset instead of a good bye; " +
            "recv then fails with ECONNRESET. That is an answer about one " +
            "client.",
          zh: "客户端崩溃后，它的系统发来的是 RST，而不是正常的 FIN；" +
            "recv 随即返回 ECONNRESET。出问题的只是这一个客户端。",
        },
        async run(server) {
          using staying = await connect(server.port);
          await expectHello(server, staying, CLIENT, "I stay");
          const crashing = await connect(server.port);
          await expectHello(server, crashing, ANOTHER, "I crash");
          reset(crashing);
          await expectConnections(server, 1, {
            en: "a client crashed, and was never closed",
            zh: "一个客户端崩溃了，它的连接却一直没有关闭",
          });
          await expectSleep(server, {
            en: "a client had crashed",
            zh: "一个客户端已经崩溃",
          });
          const other = {
            en: "a client crashed; another",
            zh: "一个客户端崩溃后，另一个",
          };
          await expectHello(server, staying, other, "there?");
          using next = await connect(server.port);
          await expectHello(server, next, NEXT, "hi");
        },
      },
      pieces(),
    ],
  },
  framing: {
    article: {
      en:
        "the article's servers before epoll, which take one recv for one message",
      zh: "原文在 epoll 之前的几个服务器都有的毛病：把一次 recv 当成一条消息",
    },
    next: "lib/http/request.ts",
    checks: framing,
  },
  computing: {
    article: {
      en: "none of the article's servers, which do not compute: what happens " +
        "to one that does",
      zh: "原文的服务器都不做计算；要是在循环里计算，就会这样",
    },
    next: "async.ts",
    checks: computing,
  },
};
