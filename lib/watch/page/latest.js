/** The latest messages of the server, for every part of the page. */
// @ts-check

/** @import { Hello, Update } from "../messages.ts" */

/** @type {{ hello: Hello | undefined, update: Update | undefined }} */
export const latest = { hello: undefined, update: undefined };
