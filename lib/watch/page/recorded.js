/** What a page plays that was saved; a live page has nothing of the kind. */
// @ts-check
/// <reference lib="dom" />

/** @import { Recording } from "../messages.ts" */

const data = document.getElementById("recording")?.textContent;

/** @type {Recording | undefined} */
export const recording = data ? JSON.parse(data) : undefined;
