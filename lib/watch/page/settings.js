/** What the reader chooses: the language, light or dark, the size of type. */
// @ts-check
/// <reference lib="dom" />
import { byId, readStored, store } from "./dom.js";

/**
 * @import { Language } from "../../models/states.js"
 * @typedef {"light" | "dark"} Mode
 */

const darkPreferred = matchMedia("(prefers-color-scheme: dark)");
const motionReduced = matchMedia("(prefers-reduced-motion: reduce)");

export const settings = {
  language: chosenLanguage(),
  mode: chosenMode(),
  isLarge: readStored("large") === "yes",
  /** The size of the page's type, in CSS pixels. */
  rem: 16,
  /** Whether the reader wants nothing to move. */
  get isStill() {
    return motionReduced.matches;
  },
};

/** @returns {Language} */
function chosenLanguage() {
  const stored = readStored("language");
  if (stored === "zh") return "zh";
  return !stored && navigator.language.startsWith("zh") ? "zh" : "en";
}

/** @returns {Mode} */
function chosenMode() {
  const stored = readStored("mode");
  if (stored === "dark") return "dark";
  return !stored && darkPreferred.matches ? "dark" : "light";
}

/** Calls back when the system changes between light and dark.
 * @param {() => void} callback */
export function onDarkPreferred(callback) {
  darkPreferred.addEventListener("change", callback);
}

/** Applies light or dark, the size of type and the language to the document. */
export function applySettings() {
  const root = document.documentElement;
  settings.mode = chosenMode();
  root.dataset.mode = settings.mode;
  root.classList.toggle("large", settings.isLarge);
  root.lang = { en: "en", zh: "zh-CN" }[settings.language];
  byId("large").setAttribute("aria-pressed", String(settings.isLarge));
  settings.rem = parseFloat(getComputedStyle(root).fontSize);
}

export function switchLanguage() {
  settings.language = /** @type {const} */ ({ en: "zh", zh: "en" })[
    settings.language
  ];
  store("language", settings.language);
}

export function switchMode() {
  store("mode", { light: "dark", dark: "light" }[settings.mode]);
}

export function switchSize() {
  settings.isLarge = !settings.isLarge;
  store("large", settings.isLarge ? "yes" : "no");
}
