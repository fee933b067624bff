import type { Play } from "./scene.ts";
export function perfetto(_plays: Play[]): string {
  return "";
}
