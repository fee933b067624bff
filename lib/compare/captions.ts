/** What a drawing shows of the spans of a thread, and says of them. */
import { SCENE_CLIENTS } from "../models/scene.ts";
import {
  describeSpan,
  type Language,
  type State,
  STATES,
} from "../models/states.js";
import type { Span } from "../models/timeline.ts";
import type { SceneRun } from "./scene_run.ts";

/** A span that is not a mark is drawn if it lasts longer than so many ms. */
const SHORTEST = 10;

/** Whether a state is a moment's work, drawn as a mark. */
export function isMark({ state }: { state: State }): boolean {
  return STATES[state].kind === "mark";
}

/** Whether a span lasts long enough to be drawn as a stretch of time. */
export function isLong(span: Span): boolean {
  return !isMark(span) && span.to - span.from > SHORTEST;
}

/** The states that the drawings of these runs have, in the order of a legend. */
export function drawnStates(runs: SceneRun[]): State[] {
  const spans = runs.flatMap(({ threads }) =>
    threads.flatMap(({ spans }) => spans)
  );
  const drawn = spans.filter((span) => isMark(span) || isLong(span));
  const states = Object.keys(STATES) as State[];
  return states.filter((state) => drawn.some((span) => span.state === state));
}

/** What can be said of a span, from the longest text to the shortest. */
export function describe(span: Span, language: Language): string[] {
  const { client } = span;
  const name = client === undefined
    ? undefined
    : SCENE_CLIENTS[client]?.whole[language];
  return describeSpan(span, language, name);
}

/** A text, and the span in which it stands. */
export interface Caption {
  text: string;
  span: Span;
}

/**
 * The captions of a thread's spans. What several spans have in common is said
 * once, as fully as `fits` allows, in the first span with room for it.
 */
export function captions(
  spans: Span[],
  language: Language,
  fits: (text: string, span: Span) => boolean,
): Caption[] {
  const groups = Map.groupBy(spans, (span) => describe(span, language)[0]);
  return [...groups.values()].flatMap((group) => {
    for (const text of describe(group[0], language)) {
      const span = group.find((span) => fits(text, span));
      if (span) return [{ text, span }];
    }
    return [];
  });
}
