import { assert } from "@std/assert";
import { BACKGROUND, describeSpan, STATES } from "../lib/models/states.js";

/** What WCAG 2 asks of small text. */
const LEAST_CONTRAST = 4.5;

/** The relative luminance of `#rrggbb`, as WCAG 2 defines it. */
function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const part = parseInt(colour.slice(start, start + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) =>
    a - b
  );
  return (light + 0.05) / (dark + 0.05);
}

Deno.test("states: each label can be read, light and dark", () => {
  for (const [state, { kind, colour, label }] of Object.entries(STATES)) {
    for (const mode of ["light", "dark"] as const) {
      const ground = kind === "away" ? BACKGROUND[mode] : colour[mode];
      const found = contrast(label[mode], ground);
      assert(found >= LEAST_CONTRAST, `${state}, ${mode}: ${found}`);
    }
  }
});

Deno.test("states: a call in vain is said to have got EAGAIN", () => {
  for (const language of ["en", "zh"] as const) {
    for (const text of describeSpan({ state: "asking" }, language)) {
      assert(text.includes("EAGAIN"), text);
    }
  }
});
