/** A recorded page: plays its messages as if they came from a server. */
// @ts-check
/// <reference lib="dom" />
import { replaceServer } from "./connection.js";
import { byId, element, setText } from "./dom.js";
import { latest } from "./latest.js";
import { showNotice } from "./notice.js";
import { panels } from "./panels.js";
import { recording } from "./recorded.js";
import { settings } from "./settings.js";
import { recordedBadge, TEXTS } from "./text.js";
import { delayClock, pause, view } from "./time.js";
import { readLink, showOnly } from "./view_link.js";

/**
 * @import { Chapter, Message, ModelUpdate } from "../messages.ts"
 * @import { RecordedModel, RecordedUpdate, Recording } from "../messages.ts"
 * @import { SceneResult } from "../messages.ts"
 * @import { ViewLink } from "./view_link.js"
 */

/** A chapter begins with so many ms of what was before. */
const LEAD = 700;
/** If so many ms pass between two frames, nobody has looked. */
const UNSEEN = 1000;

/** @typedef {SceneResult | RecordedUpdate} RecordedMessage */

/** @type {RecordedMessage[]} */
let messages = [];
let begin = 0; // the time of the first update
let next = 0; // the index of the next message
let played = 0; // the time up to which all was played
let frameTime = 0; // when it was played last, on the page's clock
let plays = 0; // how often it was begun
/** @type {string | null} */
let openScript = null;
/** @type {Chapter | undefined} */
let chapter;
/** @type {(message: Message) => void} */
let receive = () => {};
/** The last state of each model, by script.
 * @type {Record<string, ModelUpdate>} */
let models = {};

/** Begins to play, where the page's link says. What it plays is given to
 * `onMessage`.
 * @param {Recording} recorded
 * @param {(message: Message) => void} onMessage */
export async function playRecording(recorded, onMessage) {
  receive = onMessage;
  messages = (await unpack(recorded.messages)).split("\n")
    .filter((line) => line).map((line) => JSON.parse(line));
  begin = messages.find(isUpdate)?.time ?? 0;
  replaceServer((command) => {
    if (command.type === "open") openScript = command.script;
    if (command.type === "scene") seek(recorded, begin);
  });
  showChapters(recorded.chapters);
  seek(recorded, timeOf(readLink()));
  addEventListener("hashchange", () => seek(recorded, timeOf(readLink())));
  const playFrame = () => {
    requestAnimationFrame(playFrame);
    playOn(recorded);
  };
  playFrame();
}

/** When the recording was for the first time as a link says; under load, once it
 * shows what an answer costs.
 * @param {ViewLink} link */
function timeOf({ idle, load }) {
  if (!idle && !load) return begin;
  const found = messages.find((message) =>
    isUpdate(message) && message.load === load &&
    (idle === undefined || message.idle.wanted === idle) &&
    (!load || Object.values(message.models).some(({ metrics }) => metrics?.cpu))
  );
  return found && isUpdate(found) ? found.time - LEAD : begin;
}

/** @param {RecordedMessage} message
 * @returns {message is RecordedUpdate} */
function isUpdate(message) {
  return message.type === "update";
}

/** Plays everything up to a time at once, and goes on from there.
 * @param {Recording} recorded
 * @param {number} time */
function seek({ hello, chapters }, time) {
  const opened = openScript;
  plays++;
  next = 0;
  played = time;
  models = {};
  chapter = undefined;
  latest.update = undefined;
  receive({ ...hello, session: `${hello.session} ${plays}` });
  if (opened) panels.get(opened)?.scriptButton.click();
  playUntil(time, chapters);
  frameTime = performance.now();
}

/** Plays what has happened since the last frame, unless there is a pause.
 * @param {Recording} recorded */
function playOn(recorded) {
  const time = performance.now();
  const passed = time - frameTime;
  frameTime = time;
  if (!view.isLive || passed > UNSEEN) {
    delayClock(passed);
    return;
  }
  if (next === messages.length) {
    seek(recorded, begin); // the pause at its end is over
    return;
  }
  played += passed;
  playUntil(played, recorded.chapters);
  if (next < messages.length) return;
  pause();
  showNotice(TEXTS.recordingOver[settings.language], { isSummary: true });
}

/** @param {number} time
 * @param {Chapter[]} chapters */
function playUntil(time, chapters) {
  for (; next < messages.length; next++) {
    const message = messages[next];
    if (!isUpdate(message)) {
      receive(message);
      continue;
    }
    // The first one has what each model is.
    if (message.time > time && next > 0) break;
    for (const [script, changes] of Object.entries(message.models)) {
      models[script] = unfold(changes, models[script]);
    }
    receive({ ...message, models: { ...models } });
  }
  const current = chapters.findLast((chapter) => chapter.time - LEAD <= time);
  if (current === chapter) return;
  const onlyBefore = chapter?.only;
  chapter = current;
  if (current?.only || onlyBefore) showOnly(current?.only);
  markChapter(chapters);
}

/** What a model is after its changes.
 * @param {RecordedModel} changes
 * @param {ModelUpdate | undefined} before
 * @returns {ModelUpdate} */
function unfold({ calls, ...changes }, before) {
  const given = Object.entries(changes).map(([field, value]) => [
    field,
    value ?? undefined,
  ]);
  return {
    ...before,
    clientSpans: [],
    ...Object.fromEntries(given),
    calls:
      calls?.map((call) =>
        typeof call === "number" ? before?.calls?.[call] ?? "" : call
      ) ?? before?.calls,
  };
}

/** The text that was compressed with gzip, and written as base64.
 * @param {string} base64 */
async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text();
}

// ------------------------------------------------------ what the page has then

/** A button for each part of the recording.
 * @param {Chapter[]} chapters */
function showChapters(chapters) {
  document.body.classList.add("recorded");
  byId("recorded").hidden = false;
  byId("chapters").replaceChildren(...chapters.map((chapter) => {
    const button = element("button", { type: "button" });
    button.addEventListener("click", () => {
      if (recording) seek(recording, chapter.time - LEAD);
    });
    return button;
  }));
  translateRecording();
}

/** @param {Chapter[]} chapters */
function markChapter(chapters) {
  for (const [index, button] of [...byId("chapters").children].entries()) {
    const isCurrent = chapters[index] === chapter;
    button.setAttribute("aria-pressed", String(isCurrent));
  }
}

/** Says in the chosen language what was recorded, if this page is a recording. */
export function translateRecording() {
  if (!recording) return;
  const { language } = settings;
  const { chapters, recorded, machine } = recording;
  setText(byId("recorded"), recordedBadge(recorded, machine, language));
  for (const [index, button] of [...byId("chapters").children].entries()) {
    setText(button, chapters[index].name[language]);
  }
}
