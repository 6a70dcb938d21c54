// What control and workers of sa-stress.test.ts agree on.

import type { SaMemory } from "../../src/table/sa-memory.js";

export const enum StressWord {
  ready,
  /** 1: go; 2: and do not wait for a limit that moves. */
  go,
  /** Of the window's workers: numbers offered, by worker. */
  turns,
  count = 16,
}

export type StressJob =
  /** Takes numbers of counter 0, `count` of them or all that there are. */
  | { readonly kind: "seal"; readonly esn: boolean; readonly count: number }
  /** Offers these numbers to the window of slot 0, in an order of its own within blocks of `block`. */
  | {
      readonly kind: "open";
      readonly esn: boolean;
      readonly numbers: Float64Array;
      readonly block: number;
      readonly accepted: Int32Array;
    };

export interface StressOptions {
  readonly memory: SaMemory;
  readonly worker: number;
  /** StressWord. */
  readonly control: Int32Array;
  readonly job: StressJob;
}

export const WINDOW = 8192;
