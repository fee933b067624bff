/** The style sheet of the picture, for light and for dark surroundings. */
import { STATES, WAIT } from "../models/states.js";

const COLOURS = {
  light: {
    paper: "#ffffff",
    ink: "#1f2328",
    soft: "#59636e",
    faint: "#d4dae0",
    hatch: "#a9d6cd",
  },
  dark: {
    paper: "#0d1117",
    ink: "#e6edf3",
    soft: "#9aa4af",
    faint: "#333b44",
    hatch: "#24554d",
  },
};

// Plain rules, because not every viewer of SVG knows variables of CSS.
function colours(mode: "light" | "dark"): string {
  const { paper, ink, soft, faint, hatch } = COLOURS[mode];
  const states = Object.entries(STATES).map(([state, { kind, colour }]) =>
    kind === "away"
      ? `.${state} { stroke: ${colour[mode]}; }`
      : `.${state} { fill: ${colour[mode]}; }`
  );
  return `
text { fill: ${ink}; }
.soft, .small { fill: ${soft}; }
.halo { stroke: ${paper}; }
.paper { fill: ${paper}; }
.guide { stroke: ${faint}; }
.on { fill: #ffffff; }
.away { fill: ${STATES.free.colour[mode]}; }
.hatch { stroke: ${hatch}; }
.visit { stroke: ${soft}; }
.wait { stroke: ${WAIT.colour[mode]}; }
.waited { fill: ${WAIT.colour[mode]}; }
${states.join("\n")}`;
}

/** All rules. The classes of spans are the names of their states. */
export const STYLE = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans",
  "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", Helvetica, Arial,
  sans-serif; }
.title { font-size: 24px; font-weight: 600; }
.script { font-size: 17px; font-weight: 600; }
.small { font-size: 12px; }
.strong { font-weight: 600; }
.halo { stroke-width: 4px; paint-order: stroke; stroke-linejoin: round; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.playing { fill: url(#hatch); }
.free { fill: none; stroke-dasharray: 4 4; }
.hatch { stroke-width: 2; }
.visit { stroke-width: 1.5; }
.wait { stroke-width: 6; stroke-linecap: round; }
${colours("light")}
@media (prefers-color-scheme: dark) {${colours("dark")}
}
`;
