/** The line at the top of the page: errors, and how a question was answered. */
// @ts-check
/// <reference lib="dom" />
import { byId, setText } from "./dom.js";
import { latest } from "./latest.js";
import { settings } from "./settings.js";
import { describeAnswers } from "./text.js";

/** @import { ClientId } from "../messages.ts" */

// In ms.
const SHOWN = 6000;
const FIRST_SUMMARY = 1000;
const SUMMARY_INTERVAL = 250;

const notice = byId("notice");
/** @type {ReturnType<typeof setTimeout> | undefined} */
let clearing;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let summarizing;

/** Shows a text for some seconds, or until there is another one.
 * @param {string} text
 * @param {{ stays?: boolean, isSummary?: boolean }} [options] */
export function showNotice(text, { stays = false, isSummary = false } = {}) {
  setText(notice, text);
  notice.classList.toggle("summary", isSummary);
  clearTimeout(clearing);
  if (text && !stays) {
    clearing = setTimeout(() => setText(notice, ""), SHOWN);
  }
}

/** Removes the text, and shows no summary of an earlier question any more. */
export function clearNotice() {
  showNotice("");
  clearTimeout(summarizing);
}

/** Shows how many models have answered a client's question: a second after the
 * client has asked, and for some time again whenever others answer.
 * @param {ClientId} client */
export function summarizeAnswers(client) {
  clearTimeout(summarizing);
  const end = performance.now() + FIRST_SUMMARY + SHOWN;
  const summarize = () => {
    const models = latest.update?.models ?? {};
    /** @param {string} status */
    const scriptsWith = (status) =>
      Object.keys(models).filter((script) =>
        models[script].clients[client].status === status
      );
    const answered = scriptsWith("answered").length;
    const waiting = scriptsWith("waiting");
    const refused = scriptsWith("ended");
    if (!answered && !waiting.length && !refused.length) return;
    const answers = { client, answered, waiting, refused };
    const text = describeAnswers(answers, settings.language);
    showNotice(text, { isSummary: true });
    if (waiting.length && performance.now() < end) {
      summarizing = setTimeout(summarize, SUMMARY_INTERVAL);
    }
  };
  summarizing = setTimeout(summarize, FIRST_SUMMARY);
}
