/** How many columns a terminal gives to a text. */

const NONE = /[\p{Mn}\p{Me}\p{Cf}]/u; // accents that combine, joiners
const TWO = // emoji; Chinese, Japanese and Korean, and their full-width forms
  /(?!\p{RI})[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{1b2ff}\u{20000}-\u{3fffd}]/u;

/** The columns of one character: 0, 1 or 2. */
export function characterWidth(character: string): number {
  if (NONE.test(character)) return 0;
  return TWO.test(character) ? 2 : 1;
}

/** The columns of a text without newlines. */
export function width(text: string): number {
  let sum = 0;
  for (const character of text) sum += characterWidth(character);
  return sum;
}
