/** Checks what a page sends: only commands that are well formed get through. */
import { CLIENT_IDS, type Command } from "./messages.ts";

const MOST_CHARACTERS = 1000; // of a message

/** The command in a message, or a line that says what is wrong with it. */
export function parseCommand(
  data: unknown,
  scripts: string[],
): Command | string {
  if (typeof data !== "string") return "a message is text, not bytes";
  if (data.length > MOST_CHARACTERS) {
    return `a message has at most ${MOST_CHARACTERS} characters`;
  }
  let command: unknown;
  try {
    command = JSON.parse(data);
  } catch {
    return "a message is JSON";
  }
  if (
    typeof command !== "object" || command === null || Array.isArray(command)
  ) {
    return "a message is an object";
  }
  const { type, ...given } = command as Record<string, unknown>;
  const keys = Object.keys(given).sort().join();
  const client = CLIENT_IDS.find((id) => id === given.client);
  const script = scripts.find((script) => script === given.script);
  switch (type) {
    case "connect":
    case "ask":
    case "leave":
      if (keys !== "client" || !client) return `${type} takes client: A or B`;
      return { type, client };
    case "scene":
      return keys === "" ? { type } : "scene takes nothing";
    case "idle":
      if (keys !== "by" || (given.by !== 100 && given.by !== -100)) {
        return "idle takes by: 100 or -100";
      }
      return { type, by: given.by };
    case "load":
    case "autoAnswer":
      if (keys !== "on" || typeof given.on !== "boolean") {
        return `${type} takes on: true or false`;
      }
      return { type, on: given.on };
    case "answer": {
      const { text } = given;
      if (keys !== "script,text" || !script || typeof text !== "string") {
        return "answer takes script and text";
      }
      if (!/^\P{Cc}{0,200}$/u.test(text)) {
        return "an answer is one line of at most 200 characters";
      }
      return { type, script, text };
    }
    case "restart":
      if (keys !== "script" || !script) return "restart takes script";
      return { type, script };
    case "open":
      if (keys !== "script" || (!script && given.script !== null)) {
        return "open takes script, or null";
      }
      return { type, script: script ?? null };
  }
  return "type is one of connect, ask, leave, scene, idle, load, autoAnswer, " +
    "answer, restart, open";
}
