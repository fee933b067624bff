/** The WebSocket to the server of the page, opened again whenever it closes. */
// @ts-check
/// <reference lib="dom" />
import { showNotice } from "./notice.js";
import { settings } from "./settings.js";
import { cannotOpen, LOST } from "./text.js";

/** @import { Command, Message } from "../messages.ts" */

// In ms, until the page tries again.
const SHORTEST_RETRY = 250;
const LONGEST_RETRY = 2000;

/** @type {WebSocket | undefined} */
let socket;
let retry = SHORTEST_RETRY;
let wasOpen = false;

/** @param {(message: Message) => void} onMessage */
export function connect(onMessage) {
  // Behind a tunnel that ends TLS, as that of Codespaces, the page has https.
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const url = `${scheme}://${location.host}/live`;
  socket = new WebSocket(url);
  socket.addEventListener("open", () => {
    wasOpen = true;
    retry = SHORTEST_RETRY;
    showNotice("");
  });
  socket.addEventListener("message", ({ data }) => onMessage(JSON.parse(data)));
  socket.addEventListener("close", () => {
    const { language } = settings;
    const notice = wasOpen ? LOST[language] : cannotOpen(url, language);
    showNotice(notice, { stays: true });
    document.body.classList.add("lost");
    setTimeout(() => connect(onMessage), retry);
    retry = Math.min(retry * 1.5, LONGEST_RETRY);
  });
}

/** What executes the commands: the server, or else a recording.
 * @type {(command: Command) => void} */
let execute = (command) => {
  if (socket?.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify(command));
  }
};

/** Has commands executed by another one than the server.
 * @param {(command: Command) => void} executor */
export function replaceServer(executor) {
  execute = executor;
}

/** Sends a command, or drops it while there is no connection.
 * @param {Command} command */
export function sendCommand(command) {
  execute(command);
}
