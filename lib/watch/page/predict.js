/** The prediction before a scene, and whether it was right. */
// @ts-check
/// <reference lib="dom" />
import { CLIENT_IDS } from "./client_ids.js";
import { byId, element, readStored, store } from "./dom.js";
import { latest } from "./latest.js";
import { settings } from "./settings.js";
import { describeVerdict } from "./text.js";

/** @import { ClientId, SceneResult } from "../messages.ts" */

/** Two models that differ most in the scene. */
const PREDICTED = ["blocking.ts", "select.ts"];

/** Which client is answered first, by script.
 * @type {Map<string, ClientId>} */
const guesses = new Map();
/** The last scene that was predicted, with the guesses of then.
 * @type {{ result: SceneResult, guesses: Map<string, ClientId> } | undefined} */
let predicted;
let isPredicting = readStored("predicted") !== "yes";
store("predicted", "yes"); // a reader who comes back is not asked again

/** Asks which client will be answered first, if that is to be asked. */
export function showPrediction() {
  const scripts = PREDICTED.filter((wanted) =>
    latest.hello?.models.some(({ script }) => script === wanted)
  );
  const isShown = isPredicting && scripts.length > 0;
  byId("predict").hidden = !isShown;
  if (isShown) byId("guesses").replaceChildren(...scripts.map(choices));
}

/** The choices for one model.
 * @param {string} script */
function choices(script) {
  const labels = CLIENT_IDS.map((client) => {
    const radio = element("input", {
      type: "radio",
      name: script,
      value: client,
    });
    radio.checked = guesses.get(script) === client;
    radio.addEventListener("change", () => guesses.set(script, client));
    return element("label", {}, radio, ` ${client}`);
  });
  return element("fieldset", {}, element("legend", {}, script), ...labels);
}

/** Asks for a new prediction. */
export function startPrediction() {
  isPredicting = true;
  guesses.clear();
  showPrediction();
  byId("predict").scrollIntoView({ block: "nearest" });
}

/** Asks no more. */
export function endPrediction() {
  isPredicting = false;
  guesses.clear();
  showPrediction();
}

/** Compares a scene with what was predicted of it, if anything was.
 * @param {SceneResult} result */
export function onSceneResult(result) {
  if (guesses.size) {
    predicted = { result, guesses: new Map(guesses) };
    showVerdict();
  }
  endPrediction(); // also of who has not guessed: the answer is in the picture
}

/** Shows whether the last prediction was right, if there was one. */
export function showVerdict() {
  if (!predicted) return;
  const { result: { waits, asked }, guesses } = predicted;
  const verdicts = [...guesses].map(([script, guess]) => {
    const prediction = { script, guess, waits: waits[script] ?? {}, asked };
    return element("p", {}, describeVerdict(prediction, settings.language));
  });
  byId("verdict").replaceChildren(...verdicts);
  byId("verdict").hidden = false;
}

export function hideVerdict() {
  predicted = undefined;
  byId("verdict").hidden = true;
}
