/** The language in which a script speaks to its reader. */
import type { Language } from "./models/states.js";

/** The language that the environment names; English if we may not look. */
export function environmentLanguage(): Language {
  if (Deno.permissions.requestSync({ name: "env" }).state !== "granted") {
    return "en";
  }
  const names = ["LC_ALL", "LC_MESSAGES", "LANG"];
  const set = names.map((name) => Deno.env.get(name)).find((value) => value);
  return set?.startsWith("zh") ? "zh" : "en";
}
