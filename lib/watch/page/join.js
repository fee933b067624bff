/** A model's port: pressed, it copies the command that makes one a client. */
// @ts-check
/// <reference lib="dom" />
import { element, setText } from "./dom.js";
import { showNotice } from "./notice.js";
import { settings } from "./settings.js";
import { copied, copyName } from "./text.js";

export class JoinButton {
  #command = "";

  /** @param {string} command in which `$PORT` stands for the port */
  constructor(command) {
    this.command = command;
    this.button = element("button", {
      type: "button",
      class: "plain join live-only",
      hidden: "",
    });
    this.button.addEventListener("click", () => this.#copy());
  }

  /** @param {number} port */
  show(port) {
    this.#command = this.command.replace("$PORT", String(port));
    this.button.hidden = !port;
    const name = copyName(this.#command, settings.language);
    if (this.button.title === name) return;
    this.button.title = name;
    this.button.setAttribute("aria-label", name);
    setText(this.button, `:${port}`);
  }

  async #copy() {
    const { language } = settings;
    try {
      await navigator.clipboard.writeText(this.#command);
      showNotice(copied(this.#command, language), { isSummary: true });
    } catch { // the browser does not let us: it can be read there
      showNotice(this.#command, { isSummary: true });
    }
  }
}
