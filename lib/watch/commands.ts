/** What a page asks for, once it has been looked at: nothing else gets through. */
import { WHO, type Who, type Wish } from "./messages.ts";

const LONGEST = 1000; // signs of a message

/** A wish, or a line that says what is wrong with it. */
export function understood(data: unknown, scripts: string[]): Wish | string {
  if (typeof data !== "string") return "a message is text, not bytes";
  if (data.length > LONGEST) return `a message has at most ${LONGEST} signs`;
  let wish: unknown;
  try {
    wish = JSON.parse(data);
  } catch {
    return "a message is JSON";
  }
  if (typeof wish !== "object" || wish === null || Array.isArray(wish)) {
    return "a message is an object";
  }
  const { do: what, ...given } = wish as Record<string, unknown>;
  const keys = Object.keys(given).sort().join();
  const script = scripts.find((script) => script === given.script);
  switch (what) {
    case "connect":
    case "ask":
    case "leave":
      if (keys !== "who" || !WHO.includes(given.who as Who)) {
        return `${what} takes who: A or B`;
      }
      return { do: what, who: given.who as Who };
    case "scene":
      return keys === "" ? { do: what } : "scene takes nothing";
    case "idle":
      if (keys !== "by" || (given.by !== 100 && given.by !== -100)) {
        return "idle takes by: 100 or -100";
      }
      return { do: what, by: given.by };
    case "load":
    case "auto":
      if (keys !== "on" || typeof given.on !== "boolean") {
        return `${what} takes on: true or false`;
      }
      return { do: what, on: given.on };
    case "answer": {
      const { text } = given;
      if (keys !== "script,text" || !script || typeof text !== "string") {
        return "answer takes script and text";
      }
      if (!/^\P{Cc}{0,200}$/u.test(text)) {
        return "an answer is one line of at most 200 signs";
      }
      return { do: what, script, text };
    }
    case "restart":
      if (keys !== "script" || !script) return "restart takes script";
      return { do: what, script };
    case "open":
      if (keys !== "script" || !(script || given.script === null)) {
        return "open takes script, or null";
      }
      return { do: what, script: script ?? null };
  }
  return "do what? connect, ask, leave, scene, idle, load, auto, answer, restart, open";
}
