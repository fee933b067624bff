/** The two clients that the reader of the page plays. */
// @ts-check

/** @type {import("../messages.ts").ClientId[]} */
export const CLIENT_IDS = ["A", "B"];
