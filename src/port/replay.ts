// The ports of `sluice replay`: all inputs as one source in the order of their time stamps, and a capture for each port
// that sent something.
//
// With several workers each reads everything and keeps the frames whose addresses (symmetric.ts) are its share: the order
// within a flow stays, and no frame crosses threads. What they send goes to part files, merged by mergeParts at the end.

import { existsSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { SluiceError } from "../errors.js";
import { BURST, type Burst } from "../memory/burst.js";
import { type Counters, PortCounter } from "../memory/counters.js";
import { slotStart } from "../memory/frames.js";
import { CaptureState } from "../native.js";
import { Fate } from "../reason.js";
import { CaptureReader, CaptureWriter, type Tell } from "./capture.js";
import { CaptureMerge, mergeCaptures } from "./merge.js";
import { countSent, type Port } from "./port.js";
import { ReplayGate } from "./replay-clock.js";
import { symmetricHash } from "./symmetric.js";

export interface ReplayInput {
  /** Index of the port that receives it. */
  readonly port: number;
  readonly path: string;
}

/** Where the packets of a replay come from and go to. */
export interface ReplayPlan {
  /** Of equal times the earlier input comes first. */
  readonly inputs: readonly ReplayInput[];
  /** Directory for what is sent; it exists. */
  readonly out: string;
  /** ReplayClock.shared */
  readonly clock: SharedArrayBuffer;
}

export interface ReplayOptions extends ReplayPlan {
  /** The device's ports: any may send. */
  readonly ports: readonly { readonly index: number; readonly name: string }[];
  readonly worker: number;
  readonly workers: number;
  readonly maxFrame: number;
  readonly counters: Counters;
  readonly tell: Tell;
}

/** What a worker opens in place of its ports. The source receives for all of them. */
export function openReplay(options: ReplayOptions): { source: ReplaySource; sinks: ReplaySink[] } {
  return { source: new ReplaySource(options), sinks: options.ports.map((port) => new ReplaySink(port, options)) };
}

export class ReplaySource implements Port {
  /** It stands for the inputs' ports: burst.port tells which. */
  readonly index = -1;
  readonly fd = -1;
  readonly down = false;
  readonly #inputs: readonly ReplayInput[];
  readonly #counted: Float64Array;
  readonly #merge: CaptureMerge;
  readonly #gate: ReplayGate;
  readonly #counters: Counters;
  readonly #worker: number;
  readonly #workers: number;
  #primed = false;
  /** Nothing to hand out up to the limit. */
  #waiting = false;

  constructor({ inputs, clock, worker, workers, maxFrame, counters, tell }: ReplayOptions) {
    this.#inputs = inputs;
    this.#counted = new Float64Array(inputs.length * 2);
    // Every worker meets the same broken file: the first one tells.
    const report = worker === 0 ? tell : () => {};
    this.#merge = new CaptureMerge(inputs.map(({ path }) => new CaptureReader(path, maxFrame, report)));
    this.#gate = new ReplayGate(clock, workers, worker);
    this.#counters = counters;
    this.#worker = worker;
    this.#workers = workers;
  }

  rx(burst: Burst): number {
    const merge = this.#merge;
    const gate = this.#gate;
    if (!this.#primed) {
      this.#primed = true;
      merge.prime(burst);
      for (let i = 0; i < this.#inputs.length; i++) this.#countOversize(i);
    }
    gate.look();
    const from = burst.n;
    let read = 0;
    while (burst.n < BURST) {
      const input = merge.find();
      if (this.#beyond()) break;
      const n = merge.read(burst, gate.limitSec, gate.limitNsec);
      this.#countOversize(input);
      read += n;
      this.#keep(burst, n, input);
      // Frames of other workers: enough for one call.
      if (n === 0 || read >= BURST) break;
    }
    this.#waiting = read === 0 && burst.n < BURST && this.#atLimit();
    burst.stamped = true;
    return burst.n - from;
  }

  tx(): number {
    return 0;
  }

  /** 1 at the limit: `wait` may be called in place of sleeping. Infinity at the end of all inputs. */
  idle(): number {
    if (!this.#waiting) return 0;
    return this.#merge.input < 0 ? Number.POSITIVE_INFINITY : 1;
  }

  /** Blocks until control moves the clock on, at most this many milliseconds. */
  wait(milliseconds: number): void {
    this.#gate.wait(milliseconds);
  }

  close(): void {
    this.#merge.close();
  }

  /** Tells control so. False when a reader has merely not got further yet through records that are too long. */
  #atLimit(): boolean {
    this.#merge.find();
    if (!this.#beyond()) return false;
    this.#gate.arrive(this.#merge.nextSec, this.#merge.nextNsec);
    return true;
  }

  /** Whether what `find` found has to wait; also at the end. */
  #beyond(): boolean {
    const { input, nextSec, nextNsec } = this.#merge;
    const { limitSec, limitNsec } = this.#gate;
    return input < 0 || nextSec > limitSec || (nextSec === limitSec && nextNsec > limitNsec);
  }

  /** Takes those of the n frames behind burst.n that are this worker's; a kept frame moves to the slot of its position. */
  #keep(burst: Burst, n: number, input: number): void {
    const { frames, length, wire, sec, nsec, time } = burst;
    const port = (this.#inputs[input] as ReplayInput).port;
    let bytes = 0;
    let to = burst.n;
    for (let i = burst.n; i < burst.n + n; i++) {
      if (this.#workers > 1) {
        const at = slotStart(i);
        if (symmetricHash(frames, at, length[i]) % this.#workers !== this.#worker) continue;
        if (to !== i) {
          frames.bytes.copyWithin(slotStart(to), at, at + length[i]);
          length[to] = length[i];
          wire[to] = wire[i];
          sec[to] = sec[i];
          nsec[to] = nsec[i];
          time[to] = time[i];
        }
      }
      burst.port[to] = port;
      bytes += wire[to];
      to++;
    }
    const counter = this.#counters.port(port);
    counter[PortCounter.rxFrames] += to - burst.n;
    counter[PortCounter.rxBytes] += bytes;
    burst.n = to;
  }

  /** Counted by worker 0 alone: every worker passes over the same records. */
  #countOversize(input: number): void {
    if (this.#worker !== 0) return;
    const state = (this.#merge.readers[input] as CaptureReader).state;
    const frames = state[CaptureState.oversize] - this.#counted[input * 2];
    if (frames === 0) return;
    const bytes = state[CaptureState.oversizeBytes] - this.#counted[input * 2 + 1];
    this.#counted[input * 2] += frames;
    this.#counted[input * 2 + 1] += bytes;
    const counter = this.#counters.port((this.#inputs[input] as ReplayInput).port);
    counter[PortCounter.rxFrames] += frames;
    counter[PortCounter.rxBytes] += bytes;
    this.#counters.fates[Fate.oversize] += frames;
  }
}

/** Writes what a port sends, with the time stamps of the input packets. The file comes with the first frame. */
export class ReplaySink implements Port {
  readonly index: number;
  readonly fd = -1;
  readonly down = false;
  readonly #path: string;
  readonly #counter: Float64Array;
  readonly #tell: Tell;
  #writer: CaptureWriter | undefined;
  #broken = false;

  constructor(port: { readonly index: number; readonly name: string }, options: ReplayOptions) {
    this.index = port.index;
    this.#path = partPath(options.out, port.name, options.worker, options.workers);
    this.#counter = options.counters.port(port.index);
    this.#tell = options.tell;
  }

  rx(): number {
    return 0;
  }

  tx(burst: Burst, list: Int32Array, n: number): number {
    if (this.#broken || n === 0) return 0;
    try {
      this.#writer ??= new CaptureWriter(this.#path, false);
      this.#writer.write(burst, list, n, burst.sec, burst.nsec);
    } catch (error) {
      this.#broken = true;
      this.#tell(error as SluiceError);
      return 0;
    }
    countSent(this.#counter, burst, list, n);
    return n;
  }

  idle(): number {
    return Number.POSITIVE_INFINITY;
  }

  close(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    this.#broken = true;
    try {
      writer?.close();
    } catch (error) {
      this.#tell(error as SluiceError);
    }
  }
}

function partPath(out: string, name: string, worker: number, workers: number): string {
  return join(out, workers === 1 ? `${name}.pcap` : `${name}.pcap.worker${worker}`);
}

/** What an earlier replay left for these ports. */
export async function leftovers(out: string, names: readonly string[]): Promise<string[]> {
  const ours = (file: string) => names.some((name) => file === `${name}.pcap` || file.startsWith(`${name}.pcap.worker`));
  return (await readdir(out)).filter(ours).map((file) => join(out, file));
}

/** Removes it, so that only ports that sent something have a capture. */
export async function clearReplay(out: string, names: readonly string[]): Promise<void> {
  for (const path of await leftovers(out, names)) await rm(path);
}

/** Makes one capture per port of what the workers wrote. To be called when all of them have ended. */
export async function mergeParts(out: string, names: readonly string[], workers: number, tell: Tell): Promise<void> {
  if (workers === 1) return;
  for (const name of names) {
    const parts = Array.from({ length: workers }, (_, w) => partPath(out, name, w, workers)).filter((part) => existsSync(part));
    const whole = partPath(out, name, 0, 1);
    if (parts.length === 1) await rename(parts[0] as string, whole);
    if (parts.length < 2) continue;
    await mergeCaptures(parts, whole, tell);
    for (const part of parts) await rm(part);
  }
}
