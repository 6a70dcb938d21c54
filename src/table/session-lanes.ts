// What workers wrote about a slot, across their lanes (layout: session-memory.ts). Control's half.

import { Lane } from "./session-memory.js";

/** Milliseconds since the epoch; 0: no worker ever saw it. */
export function lastSeen(lanes: readonly Float64Array[], slot: number): number {
  let last = 0;
  for (const lane of lanes) last = Math.max(last, lane[(slot << Lane.shift) + Lane.lastSeen]);
  return last;
}

/** A counter, over all workers. */
export function sumOf(lanes: readonly Float64Array[], slot: number, field: Lane): number {
  let sum = 0;
  for (const lane of lanes) sum += lane[(slot << Lane.shift) + field];
  return sum;
}

/** Only when no worker can reach the slot any more. */
export function clearLanes(lanes: readonly Float64Array[], slot: number): void {
  const base = slot << Lane.shift;
  for (const lane of lanes) {
    // Never seen, nothing counted: memory that no worker has used stays unused.
    if (lane[base + Lane.inPackets] + lane[base + Lane.outPackets] + lane[base + Lane.lastSeen] === 0) continue;
    for (let at = base; at < base + Lane.words; at++) lane[at] = 0;
  }
}
