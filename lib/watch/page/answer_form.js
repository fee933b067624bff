/** Where the reader types the answers of a server, as in its terminal. */
// @ts-check
/// <reference lib="dom" />
import { sendCommand } from "./connection.js";
import { element } from "./dom.js";

/** @import { ModelUpdate, Update } from "../messages.ts" */

export class AnswerForm {
  /** @param {string} script
   * @param {string} defaultAnswer is sent if nothing was typed */
  constructor(script, defaultAnswer) {
    this.defaultAnswer = defaultAnswer;
    this.field = element("input", {
      type: "text",
      maxlength: "200",
      autocomplete: "off",
      "data-name": "yourAnswer",
      disabled: "",
    });
    this.button = element("button", {
      type: "submit",
      "data-text": "send",
      disabled: "",
    });
    this.form = element(
      "form",
      { class: "answer", hidden: "" },
      this.field,
      this.button,
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.field.value || defaultAnswer;
      sendCommand({ type: "answer", script, text });
      this.field.value = "";
    });

    this.checkbox = element("input", { type: "checkbox", checked: "" });
    this.checkbox.addEventListener("change", () => {
      sendCommand({ type: "autoAnswer", on: this.checkbox.checked });
    });
    /** Belongs to the script's name; the form stands below the picture. */
    this.label = element(
      "label",
      {},
      this.checkbox,
      element("span", { "data-text": "auto" }),
    );
  }

  /** Lets the reader answer if the server waits for that.
   * @param {ModelUpdate} model
   * @param {Update} update */
  show({ awaitsAnswer }, { autoAnswer }) {
    const isReadersTurn = awaitsAnswer && !autoAnswer;
    const wasDisabled = this.field.disabled;
    this.field.disabled = !isReadersTurn;
    this.button.disabled = !isReadersTurn;
    this.field.placeholder = isReadersTurn ? this.defaultAnswer : "";
    this.checkbox.checked = autoAnswer;
    if (
      isReadersTurn && wasDisabled && document.activeElement === document.body
    ) this.field.focus();
    this.form.hidden = autoAnswer;
  }
}
