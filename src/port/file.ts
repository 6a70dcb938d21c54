// A port on capture files: it receives what stands in `in`, and what it sends is written to `out` or counted and gone.
//
// Workers: worker 0 alone reads `in` (a file is one queue), so a device whose only inputs are files has work for one
// worker; `sluice replay` spreads. Every worker sends: all append whole batches to the same `out`, which prepareFile
// has emptied before the first worker started, so a worker that takes the place of a dead one loses nothing.
// A worker 0 that takes the place of a dead one starts `in` over.
//
// Time stamps in `out` are the device's clock: the captured ones repeat when a file loops, and mean nothing beside the
// frames of live interfaces.

import { resolve } from "node:path";
import type { FileDriver } from "../config/config.js";
import { SluiceError } from "../errors.js";
import { BURST, type Burst, POSITIONS } from "../memory/burst.js";
import { type Counters, PortCounter } from "../memory/counters.js";
import { CaptureState } from "../native.js";
import { Fate } from "../reason.js";
import { CaptureReader, CaptureWriter, type Tell } from "./capture.js";
import { countSent, type Port } from "./port.js";

/** A frame later than this many milliseconds (the worker slept or was held up) shifts the schedule; it is not made up for. */
const LATE = 100;
/** Milliseconds between two rounds of a capture whose records all have one time stamp: there is no mean gap. */
const ROUND = 1000;

export interface FilePortOptions {
  /** Index of the port in the device. */
  readonly index: number;
  readonly driver: FileDriver;
  readonly worker: number;
  readonly maxFrame: number;
  /** Those of the worker. */
  readonly counters: Counters;
  readonly tell: Tell;
  /** Milliseconds of a clock that never jumps; for tests. */
  readonly clock?: () => number;
}

/** Creates `out` anew. To be called once per port, before any worker opens it. */
export function prepareFile(driver: FileDriver): void {
  if (driver.out === undefined) return;
  if (driver.in !== undefined && resolve(driver.in) === resolve(driver.out)) {
    throw new SluiceError("file", `a port cannot read and write the same file ${driver.out}: give another \`out\``);
  }
  new CaptureWriter(driver.out, false).close();
}

export class FilePort implements Port {
  readonly index: number;
  readonly fd = -1;
  readonly down = false;
  readonly #counter: Float64Array;
  readonly #fates: Float64Array;
  readonly #loop: boolean;
  readonly #realtime: boolean;
  readonly #tell: Tell;
  readonly #clock: () => number;
  /** Undefined: nothing (more) to receive. */
  #reader: CaptureReader | undefined;
  /** Undefined: what is sent is only counted. */
  #writer: CaptureWriter | undefined;
  #broken = false;
  /** On #clock: when the first record of this round is due. NaN before the first rx. */
  #start = Number.NaN;
  /** Frames handed out in this round. */
  #round = 0;
  /** Oversize records and their bytes that are counted already. */
  #oversize = 0;
  #oversizeBytes = 0;
  // The time stamps of what is sent, by position in the burst.
  readonly #sec = new Float64Array(POSITIONS);
  readonly #nsec = new Int32Array(POSITIONS);

  constructor({ index, driver, worker, maxFrame, counters, tell, clock = () => performance.now() }: FilePortOptions) {
    this.index = index;
    this.#counter = counters.port(index);
    this.#fates = counters.fates;
    this.#loop = driver.loop;
    this.#realtime = driver.realtime;
    this.#tell = tell;
    this.#clock = clock;
    if (driver.in !== undefined && worker === 0) this.#reader = new CaptureReader(driver.in, maxFrame, tell, driver.filter);
    if (driver.out !== undefined) this.#writer = new CaptureWriter(driver.out, true);
  }

  rx(burst: Burst): number {
    const reader = this.#reader;
    if (reader === undefined) return 0;
    if (Number.isNaN(this.#start)) {
      this.#start = this.#clock();
      reader.read(burst, 0, 0, 0);
    }
    let limitSec = Number.POSITIVE_INFINITY;
    let limitNsec = 0;
    if (this.#realtime) {
      const now = this.#clock();
      const next = this.#elapsed(CaptureState.nextSec);
      if (now - this.#start - next > LATE) this.#start = now - next;
      const state = reader.state;
      // A microsecond of grace, for what the conversions round off.
      const due = state[CaptureState.firstNsec] + (now - this.#start) * 1e6 + 1000;
      const seconds = Math.floor(due / 1e9);
      limitSec = state[CaptureState.firstSec] + seconds;
      limitNsec = Math.floor(due - seconds * 1e9);
    }
    const n = reader.read(burst, BURST - burst.n, limitSec, limitNsec);
    this.#received(burst, n);
    this.#countOversize(reader.state);
    if (reader.state[CaptureState.ended] !== 0) this.#endRound(burst, reader);
    return n;
  }

  tx(burst: Burst, list: Int32Array, n: number): number {
    if (this.#broken) return 0;
    if (this.#writer !== undefined) {
      const { time } = burst;
      for (let k = 0; k < n; k++) {
        const i = list[k];
        const seconds = Math.floor(time[i] / 1000);
        this.#sec[i] = seconds;
        this.#nsec[i] = Math.floor((time[i] - seconds * 1000) * 1e6);
      }
      try {
        this.#writer.write(burst, list, n, this.#sec, this.#nsec);
        this.#writer.flush();
      } catch (error) {
        this.#broken = true;
        this.#tell(error as SluiceError);
        return 0;
      }
    }
    countSent(this.#counter, burst, list, n);
    return n;
  }

  idle(): number {
    if (this.#reader === undefined) return Number.POSITIVE_INFINITY;
    if (!this.#realtime || Number.isNaN(this.#start)) return 0;
    return Math.max(0, this.#start + this.#elapsed(CaptureState.nextSec) - this.#clock());
  }

  close(): void {
    this.#reader?.close();
    this.#reader = undefined;
    const writer = this.#writer;
    this.#writer = undefined;
    this.#broken ||= writer !== undefined;
    try {
      writer?.close();
    } catch (error) {
      this.#tell(error as SluiceError);
    }
  }

  /** The frame is of this moment, whatever its record says. */
  #received(burst: Burst, n: number): void {
    const from = burst.n;
    let bytes = 0;
    for (let i = from; i < from + n; i++) {
      burst.port[i] = this.index;
      burst.time[i] = burst.now;
      bytes += burst.wire[i];
    }
    burst.n = from + n;
    this.#round += n;
    this.#counter[PortCounter.rxFrames] += n;
    this.#counter[PortCounter.rxBytes] += bytes;
  }

  #countOversize(state: Float64Array): void {
    const frames = state[CaptureState.oversize] - this.#oversize;
    if (frames === 0) return;
    const bytes = state[CaptureState.oversizeBytes] - this.#oversizeBytes;
    this.#oversize += frames;
    this.#oversizeBytes += bytes;
    this.#counter[PortCounter.rxFrames] += frames;
    this.#counter[PortCounter.rxBytes] += bytes;
    this.#fates[Fate.oversize] += frames;
  }

  /**
   * Starts the file over, or ends. The round is as long as the whole file, with what the filter passes over: ports that
   * play parts of one capture stay in step.
   */
  #endRound(burst: Burst, reader: CaptureReader): void {
    const records = reader.state[CaptureState.records];
    const span = this.#elapsed(CaptureState.lastSec);
    this.#start += span + (span > 0 ? span / (records - 1) : ROUND);
    if (this.#loop && this.#round === 0) {
      this.#tell(new SluiceError("file", `playing ${reader.path} in a loop: no frame in it is for this port; check its filter`));
    }
    if (this.#loop && this.#round > 0 && reader.rewind()) {
      this.#round = 0;
      reader.read(burst, 0, 0, 0);
    } else {
      reader.close();
      this.#reader = undefined;
    }
  }

  /** Milliseconds from the first record of the file to the time at this index of its state. */
  #elapsed(at: CaptureState.nextSec | CaptureState.lastSec): number {
    const state = (this.#reader as CaptureReader).state;
    const seconds = state[at] - state[CaptureState.firstSec];
    return seconds * 1e3 + (state[at + 1] - state[CaptureState.firstNsec]) / 1e6;
  }
}
