/** The time axis of a drawing. */
import { SCENE } from "../models/scene.ts";

/** The times at which an axis begins and ends, in ms since the clients connect. */
export interface Axis {
  from: number;
  to: number;
}

/** The axis of a scene with the given beat in ms. */
export function sceneAxis(beat: number): Axis {
  return { from: SCENE.from * beat, to: SCENE.to * beat };
}

/** Where on the axis a time lies: from 0 to 1, also for times outside of it. */
export function shareOf(time: number, { from, to }: Axis): number {
  return Math.max(0, Math.min((time - from) / (to - from), 1));
}

const STEPS = [10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000]; // ms
const MOST_STEPS = 10;

/** The times, from 0 on, that the axis is marked with. */
export function ticks({ from, to }: Axis): number[] {
  const step = STEPS.find((step) => (to - from) / step < MOST_STEPS) ?? to;
  const count = Math.floor(to / step) + 1;
  return Array.from({ length: count }, (_, i) => i * step);
}
