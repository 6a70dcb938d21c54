// What the threads of esp-race.test.ts agree on.

import type { RuleMemory } from "../../src/table/rule-memory.js";
import type { SaMemory } from "../../src/table/sa-memory.js";
import { frameOf } from "./packet.js";

export const WORKERS = 2;
/** Packets that each worker seals: whole bursts. */
export const EACH = 160 * 64;
export const ALL = WORKERS * EACH;
/** Of what is sealed from it, with room for headers, padding and ICV. */
export const PLACE = 160;

/** Ports that the rules look at. */
export const CLEAR_PORT = 0;
export const SEALED_PORT = 1;

export const enum RaceWord {
  /** Times that a worker came to the meeting point. */
  met,
  /** A worker holds the lock and will not let go of it. */
  held,
  count,
}

export interface RaceOptions {
  readonly rules: RuleMemory;
  readonly sas: SaMemory;
  readonly worker: number;
  /** RaceWord. */
  readonly control: SharedArrayBuffer;
  /** PLACE bytes for each frame that was sealed: its length in the first two, then the frame. */
  readonly sealed: SharedArrayBuffer;
  /** In which order they are received, and by frame how often it was accepted. */
  readonly order: SharedArrayBuffer;
  readonly accepted: SharedArrayBuffer;
  /** Packets that worker 0 accepts before it is stuck where it would give the window's lock back; 0: it is not. */
  readonly stuckAfter: number;
  /** Index of that lock among the words of all windows. */
  readonly lock: number;
}

/** Frame number `id` in the clear: its number is its source address and port. */
export function clearFrame(id: number): Uint8Array {
  const source = Uint8Array.of(10, 1 + (id >> 16), id >> 8, id);
  return frameOf({
    ipv6: false,
    udp: true,
    source,
    destination: Uint8Array.of(10, 0, 0, 1),
    sourcePort: id & 0xffff,
    destinationPort: 2,
    payload: id % 23,
  });
}

/** Resolves for all when the last one has come, this often. */
export function meet(control: Int32Array, times: number): void {
  if (Atomics.add(control, RaceWord.met, 1) + 1 === times * WORKERS) {
    Atomics.notify(control, RaceWord.met);
    return;
  }
  for (;;) {
    const met = Atomics.load(control, RaceWord.met);
    if (met >= times * WORKERS) return;
    Atomics.wait(control, RaceWord.met, met, 1000);
  }
}
