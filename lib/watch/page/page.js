/** The page of watch.ts: gives what the server sends to the parts of the page. */
// @ts-check
/// <reference lib="dom" />
import { applyLanguage, applyTheme } from "./appearance.js";
import { forgetCode, reopenCode } from "./code.js";
import { connect } from "./connection.js";
import { listenToControls } from "./controls.js";
import { byId } from "./dom.js";
import { latest } from "./latest.js";
import { forgetUpdates, rememberUpdate, showMoment } from "./moment.js";
import { showNotice } from "./notice.js";
import { fitPanels, panels, replacePanels } from "./panels.js";
import { startDrawing } from "./picture.js";
import { hideVerdict, onSceneResult } from "./predict.js";
import { recording } from "./recorded.js";
import { playRecording } from "./recording.js";
import { translateReason } from "./reasons.js";
import { settings } from "./settings.js";
import { adjustClock, resetTime, view } from "./time.js";
import { applyOnly, followLink, listenToLink } from "./view_link.js";

/** @import { Hello, Message, Update } from "../messages.ts" */

let updates = 0;

/** @param {Message} message */
function onMessage(message) {
  switch (message.type) {
    case "hello":
      onHello(message);
      break;
    case "update":
      onUpdate(message);
      break;
    case "sceneResult":
      onSceneResult(message);
      break;
    case "error":
      showNotice(translateReason(message.error, settings.language));
  }
}

/** Begins anew, if this is another server than before.
 * @param {Hello} hello */
function onHello(hello) {
  document.body.classList.remove("lost");
  const isKnown = hello.session === latest.hello?.session;
  latest.hello = hello;
  if (isKnown) {
    reopenCode();
    return;
  }
  forgetCode();
  hideVerdict();
  replacePanels(hello);
  applyOnly();
  forgetUpdates();
  resetTime();
  applyLanguage();
  fitPanels();
}

/** @param {Update} update */
function onUpdate(update) {
  adjustClock(update.time);
  latest.update = update;
  rememberUpdate(update);
  followLink(update);
  updates++;
  if (updates % 2 === 0) return; // nobody reads so fast
  for (const panel of panels.values()) panel.showControls(update);
  byId("load").setAttribute("aria-pressed", String(update.load));
  byId("scene").classList.toggle("playing", update.scene);
  if (view.isLive) showMoment();
}

listenToControls();
applyTheme();
listenToLink();
startDrawing();
if (recording) playRecording(recording, onMessage);
else connect(onMessage);
