/** Brings what the reader has chosen to every part of the page. */
// @ts-check
/// <reference lib="dom" />
import { translateCode } from "./code.js";
import { byId, setText } from "./dom.js";
import { showKeys, showLegend } from "./legend.js";
import { fitPanels, panels } from "./panels.js";
import { showPrediction, showVerdict } from "./predict.js";
import { translateRecording } from "./recording.js";
import { applySettings, settings } from "./settings.js";
import { TEXTS } from "./text.js";

/** Applies light or dark, the size of type, and the language. */
export function applyTheme() {
  applySettings();
  applyLanguage();
  fitPanels();
}

/** Shows all texts in the chosen language. */
export function applyLanguage() {
  const { language } = settings;
  for (const found of document.querySelectorAll("[data-text]")) {
    const key = found.getAttribute("data-text") ?? "";
    setText(found, TEXTS[key][language]);
  }
  for (const found of document.querySelectorAll("[data-name]")) {
    const name = TEXTS[found.getAttribute("data-name") ?? ""][language];
    found.setAttribute("aria-label", name);
    if (found.matches("#large, #theme, #clock button, #code-close")) {
      found.setAttribute("title", name); // nothing else says what they do
    }
  }
  document.title = TEXTS.title[language];
  byId("language").lang = { en: "zh-CN", zh: "en" }[language];
  for (const panel of panels.values()) panel.translate();
  showKeys();
  showLegend();
  showPrediction();
  showVerdict();
  translateCode();
  translateRecording();
}
