/** What an answer costs, by the number of idle clients: a small curve. */
// @ts-check
/// <reference lib="dom" />
import { setAttribute } from "./dom.js";
import { settings } from "./settings.js";
import { describeCurve } from "./text.js";

/** @import { Cost } from "./model_history.js" */

const SVG = "http://www.w3.org/2000/svg";
/** The width and height of the SVG, which is stretched to its place. */
const SIZE = 100;

export class CostCurve {
  svg = document.createElementNS(SVG, "svg");
  #line = document.createElementNS(SVG, "path");
  #dots = document.createElementNS(SVG, "path");

  constructor() {
    setAttribute(this.svg, "class", "curve");
    setAttribute(this.svg, "role", "img");
    setAttribute(this.svg, "viewBox", `0 0 ${SIZE} ${SIZE}`);
    setAttribute(this.svg, "preserveAspectRatio", "none");
    setAttribute(this.#dots, "class", "dots");
    this.svg.append(this.#line, this.#dots);
  }

  /** Shows what is known. What is above the scale is drawn at its upper edge.
   * @param {Cost[]} costs from few idle clients to many
   * @param {Cost} scale the most of both that there is room for */
  show(costs, scale) {
    const points = costs.map(({ idle, cpu }) => {
      const x = SIZE * idle / scale.idle;
      const y = SIZE * Math.max(0, 1 - cpu / scale.cpu);
      return `${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    setAttribute(this.svg, "hidden", points.length ? undefined : "");
    const path = points.join(" L");
    setAttribute(this.#line, "d", path && `M${path}`);
    setAttribute(this.#dots, "d", points.map((at) => `M${at}h0`).join(""));
    const text = describeCurve(costs, settings.language);
    setAttribute(this.svg, "aria-label", text);
  }
}
