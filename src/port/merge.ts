// Several captures as one, in the order of their time stamps; of equal times the earlier input comes first. The order
// within a file stands: a record with an earlier time than one before it counts as of that one's time.
// Memory is one burst and one record per input, however long the files are.

import { setImmediate } from "node:timers/promises";
import { SluiceError } from "../errors.js";
import { BURST, Burst } from "../memory/burst.js";
import { FRAME_LIMIT, Frames } from "../memory/frames.js";
import { CaptureState } from "../native.js";
import { CaptureReader, CaptureWriter, type Tell } from "./capture.js";

/** Bursts after which mergeCaptures lets the event loop run. */
const BREATH = 64;

export class CaptureMerge {
  /** Time of the next record, Infinity at the end; valid after `find`. */
  nextSec = Number.POSITIVE_INFINITY;
  nextNsec = 0;
  /** Input of the next record, or of the last `read`; -1 at the end. */
  input = -1;

  constructor(readonly readers: readonly CaptureReader[]) {}

  /** Looks up the first record of each input. */
  prime(burst: Burst): void {
    for (const reader of this.readers) reader.read(burst, 0, 0, 0);
  }

  /** Finds the input whose turn it is. @returns it, or -1 at the end of all */
  find(): number {
    this.input = -1;
    this.nextSec = Number.POSITIVE_INFINITY;
    this.nextNsec = 0;
    for (let i = 0; i < this.readers.length; i++) {
      const state = (this.readers[i] as CaptureReader).state;
      const sec = state[CaptureState.nextSec];
      const nsec = state[CaptureState.nextNsec];
      if (sec < this.nextSec || (sec === this.nextSec && nsec < this.nextNsec)) {
        this.nextSec = sec;
        this.nextNsec = nsec;
        this.input = i;
      }
    }
    return this.input;
  }

  /**
   * Reads from the input that `find` found until it is another's turn, the limit is passed or the burst is full.
   * Leaves burst.n to the caller. @returns records read; 0 also when a reader gave up its turn to look further
   */
  read(burst: Burst, limitSec: number, limitNsec: number): number {
    const input = this.input;
    for (let i = 0; i < this.readers.length; i++) {
      if (i === input) continue;
      const state = (this.readers[i] as CaptureReader).state;
      let sec = state[CaptureState.nextSec];
      let nsec = state[CaptureState.nextNsec];
      // An earlier input has the first turn at its time; so the other's ends a nanosecond before.
      if (i < input && --nsec < 0) {
        nsec += 1e9;
        sec--;
      }
      if (sec < limitSec || (sec === limitSec && nsec < limitNsec)) {
        limitSec = sec;
        limitNsec = nsec;
      }
    }
    return (this.readers[input] as CaptureReader).read(burst, BURST - burst.n, limitSec, limitNsec);
  }

  close(): void {
    for (const reader of this.readers) reader.close();
  }
}

/** Merges captures that this device wrote into one file. */
export async function mergeCaptures(parts: readonly string[], out: string, tell: Tell): Promise<void> {
  const burst = new Burst(new Frames(new ArrayBuffer(Frames.size(BURST))));
  const readers = parts.map((part) => new CaptureReader(part, FRAME_LIMIT, tell));
  const merge = new CaptureMerge(readers);
  const writer = new CaptureWriter(out, false);
  const all = Int32Array.from({ length: BURST }, (_, i) => i);
  try {
    merge.prime(burst);
    for (let turn = 1; merge.find() >= 0; turn++) {
      burst.n = merge.read(burst, Number.POSITIVE_INFINITY, 0);
      writer.write(burst, all, burst.n, burst.sec, burst.nsec);
      burst.n = 0;
      if (turn % BREATH === 0) await setImmediate();
    }
    const large = readers.find((reader) => reader.state[CaptureState.oversize] > 0);
    if (large) throw new SluiceError("file", `merging ${large.path} failed: it has frames longer than ${FRAME_LIMIT} bytes`);
  } finally {
    merge.close();
    writer.close();
  }
}
