/** Elements of an SVG, as text. */

type Attributes = Record<string, string | number>;

/** The text with what XML gives a meaning to written as numbers. */
export function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** An element; its content is XML already, its attributes are not. */
export function element(
  name: string,
  attributes: Attributes,
  content?: string,
): string {
  let open = name;
  for (const [name, value] of Object.entries(attributes)) {
    const short = typeof value === "number"
      ? Math.round(value * 10) / 10
      : value;
    open += ` ${name}="${escape(`${short}`)}"`;
  }
  return content === undefined ? `<${open}/>` : `<${open}>${content}</${name}>`;
}

/** A text that begins at x, and stands on the line y. */
export function text(
  style: string,
  x: number,
  y: number,
  words: string,
): string {
  const attributes: Attributes = style ? { class: style, x, y } : { x, y };
  return element("text", attributes, escape(words));
}

/** A rectangle from its upper left corner on. */
export function rect(
  style: string,
  x: number,
  y: number,
  width: number,
  height: number,
): string {
  return element("rect", { class: style, x, y, width, height });
}

/** A line from one point to another. */
export function line(
  style: string,
  x1: number,
  y1: number,
  x2: number,
  y2: number,
): string {
  return element("line", { class: style, x1, y1, x2, y2 });
}
