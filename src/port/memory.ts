// A port on shared memory, for tests and benchmarks: it receives prepared frames, in order and over again, and counts
// what it sends; a test can have the sent bytes kept.
//
// Both buffers are SharedArrayBuffers, since the device's configuration travels to the workers by structured clone.
// Source: a header of SourceWord, then records at a fixed stride: the frame's length in two bytes, then the frame, which
// so starts 2 past a multiple of 8, as in a slot. Records are copied as 64-bit words, 64 bytes at a time, written out:
// rx costs 13 ns a frame of 64 bytes so, 16 with a loop, 35 with 32-bit words, and 60 with TypedArray.set, which draws level
// at 1,400. Optimized code moves such a word without making a BigInt of it.
// Sink: SinkWord, then per frame its length, its length on the wire, its bytes, in whole words. A frame that does not fit
// is only counted. Room is taken by Atomics.add, so the workers share one sink; it may be read when they have stopped.

import type { MemoryDriver } from "../config/config.js";
import { BURST, type Burst } from "../memory/burst.js";
import { type Counters, PortCounter } from "../memory/counters.js";
import { FRAME_LIMIT, type Frames, slotStart } from "../memory/frames.js";
import { countSent, type Port } from "./port.js";

const enum SourceWord {
  frames,
  /** Bytes from one record to the next: whole chunks. */
  stride,
  /** The header is one chunk. */
  count = 16,
}

const enum SinkWord {
  /** Words taken, those of frames that did not fit included. */
  used,
  kept,
  left,
  count,
}

/** Bytes of a record before its frame. */
const LENGTH = 2;
const CHUNK = 64;
const HEADER = SourceWord.count * 4;
/** Words of a kept frame before its bytes. */
const KEPT = 2;

/** A source of frames that are all of one length, zeroed; `at(i)` is where frame i starts in `bytes`, for filling it in. */
export class PackedFrames {
  readonly bytes: Uint8Array;
  readonly shared: SharedArrayBuffer;
  readonly #stride: number;

  constructor(frames: number, length: number) {
    if (length > FRAME_LIMIT) throw new RangeError(`a frame of ${length} bytes: at most ${FRAME_LIMIT} fit`);
    const stride = Math.ceil((LENGTH + length) / CHUNK) * CHUNK;
    if (HEADER + frames * stride > 0x7fffffff) throw new RangeError(`${frames} frames of ${length} bytes: at most 2 GiB`);
    this.shared = new SharedArrayBuffer(HEADER + frames * stride);
    this.#stride = stride;
    const words = new Int32Array(this.shared);
    words[SourceWord.frames] = frames;
    words[SourceWord.stride] = stride;
    this.bytes = new Uint8Array(this.shared);
    for (let i = 0; i < frames; i++) this.resize(i, length);
  }

  at(frame: number): number {
    return HEADER + frame * this.#stride + LENGTH;
  }

  /** Makes one frame shorter than the rest. */
  resize(frame: number, length: number): void {
    this.bytes[this.at(frame) - 2] = length & 0xff;
    this.bytes[this.at(frame) - 1] = length >> 8;
  }
}

/** A source of these frames. */
export function packFrames(frames: readonly Uint8Array[]): SharedArrayBuffer {
  const packed = new PackedFrames(frames.length, Math.max(0, ...frames.map((frame) => frame.length)));
  frames.forEach((frame, i) => {
    packed.bytes.set(frame, packed.at(i));
    packed.resize(i, frame.length);
  });
  return packed.shared;
}

/** A sink that keeps frames up to this many bytes in all. */
export function createSink(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(SinkWord.count * 4 + Math.ceil(bytes / 4) * 4);
}

/** What a sink holds, and how many frames more it had no room for. Only when the workers have stopped. */
export function readSink(sink: SharedArrayBuffer): { frames: Uint8Array[]; wire: number[]; left: number } {
  const words = new Int32Array(sink);
  const bytes = new Uint8Array(sink);
  const frames: Uint8Array[] = [];
  const wire: number[] = [];
  const kept = Atomics.load(words, SinkWord.kept);
  for (let at: number = SinkWord.count; frames.length < kept; ) {
    const length = words[at];
    wire.push(words[at + 1]);
    frames.push(bytes.slice((at + KEPT) * 4, (at + KEPT) * 4 + length));
    at += KEPT + ((length + 3) >> 2);
  }
  return { frames, wire, left: Atomics.load(words, SinkWord.left) };
}

export interface MemoryPortOptions {
  /** Index of the port in the device. */
  readonly index: number;
  readonly driver: MemoryDriver;
  readonly worker: number;
  /** Those of the worker. */
  readonly counters: Counters;
}

export class MemoryPort implements Port {
  readonly index: number;
  readonly fd = -1;
  readonly down = false;
  readonly #counter: Float64Array;
  readonly #source: BigInt64Array;
  readonly #lengths: Uint16Array;
  /** The frame memory that #slots looks at. */
  #frames: Frames | undefined;
  #slots = new BigInt64Array(0);
  readonly #end: number;
  readonly #stride: number;
  readonly #sink: Int32Array | undefined;
  readonly #sinkBytes: Uint8Array | undefined;
  /** Byte at which the next record starts. */
  #at = HEADER;
  /** Frames still to hand out. */
  #left: number;

  constructor({ index, driver, worker, counters }: MemoryPortOptions) {
    this.index = index;
    this.#counter = counters.port(index);
    const source = driver.source ?? new SharedArrayBuffer(HEADER);
    const header = new Int32Array(source);
    const frames = header[SourceWord.frames];
    this.#source = new BigInt64Array(source);
    this.#lengths = new Uint16Array(source);
    this.#stride = header[SourceWord.stride];
    this.#end = HEADER + frames * this.#stride;
    const reads = frames > 0 && (worker === 0 || driver.everyWorker);
    this.#left = reads ? (driver.total ?? frames) : 0;
    this.#sink = driver.sink && new Int32Array(driver.sink);
    this.#sinkBytes = driver.sink && new Uint8Array(driver.sink);
  }

  rx(burst: Burst): number {
    const from = burst.n;
    // #left may be Infinity: `| 0` keeps the loop in integers.
    const n = Math.min(BURST - from, this.#left) | 0;
    if (n === 0) return 0;
    if (this.#frames !== burst.frames) {
      this.#frames = burst.frames;
      this.#slots = new BigInt64Array(burst.frames.buffer);
    }
    const source = this.#source;
    const lengths = this.#lengths;
    const slots = this.#slots;
    const stride = this.#stride;
    const last = this.#end;
    const index = this.index;
    const { offset, length, wire, port, time, now } = burst;
    let at = this.#at;
    let bytes = 0;
    let longest = 0;
    for (let i = from; i < from + n; i++) {
      const start = slotStart(i);
      const frame = lengths[at >> 1];
      const s = at >> 3;
      const d = (start - LENGTH) >> 3;
      slots[d] = source[s] as bigint;
      slots[d + 1] = source[s + 1] as bigint;
      slots[d + 2] = source[s + 2] as bigint;
      slots[d + 3] = source[s + 3] as bigint;
      slots[d + 4] = source[s + 4] as bigint;
      slots[d + 5] = source[s + 5] as bigint;
      slots[d + 6] = source[s + 6] as bigint;
      slots[d + 7] = source[s + 7] as bigint;
      longest = Math.max(longest, frame);
      offset[i] = start;
      length[i] = frame;
      wire[i] = frame;
      port[i] = index;
      time[i] = now;
      bytes += frame;
      at += stride;
      if (at === last) at = HEADER;
    }
    if (longest > CHUNK - LENGTH) this.#copyRest(burst, n);
    this.#at = at;
    this.#left -= n;
    burst.n = from + n;
    this.#counter[PortCounter.rxFrames] += n;
    this.#counter[PortCounter.rxBytes] += bytes;
    return n;
  }

  /** What rx left out of longer frames; apart, since it would slow the loop down for short ones. */
  #copyRest(burst: Burst, n: number): void {
    const source = this.#source;
    const slots = this.#slots;
    const { length } = burst;
    let at = this.#at;
    for (let i = burst.n; i < burst.n + n; i++) {
      const end = (at + LENGTH + length[i] + 7) >> 3;
      let d = (slotStart(i) + CHUNK - LENGTH) >> 3;
      for (let s = (at + CHUNK) >> 3; s < end; s += 8, d += 8) {
        slots[d] = source[s] as bigint;
        slots[d + 1] = source[s + 1] as bigint;
        slots[d + 2] = source[s + 2] as bigint;
        slots[d + 3] = source[s + 3] as bigint;
        slots[d + 4] = source[s + 4] as bigint;
        slots[d + 5] = source[s + 5] as bigint;
        slots[d + 6] = source[s + 6] as bigint;
        slots[d + 7] = source[s + 7] as bigint;
      }
      at += this.#stride;
      if (at === this.#end) at = HEADER;
    }
  }

  tx(burst: Burst, list: Int32Array, n: number): number {
    countSent(this.#counter, burst, list, n);
    if (this.#sink !== undefined && this.#sinkBytes !== undefined) {
      for (let k = 0; k < n; k++) keep(this.#sink, this.#sinkBytes, burst, list[k]);
    }
    return n;
  }

  idle(): number {
    return this.#left > 0 ? 0 : Number.POSITIVE_INFINITY;
  }

  close(): void {
    this.#left = 0;
  }
}

function keep(sink: Int32Array, bytes: Uint8Array, burst: Burst, i: number): void {
  const start = burst.offset[i];
  const length = burst.length[i];
  const size = KEPT + ((length + 3) >> 2);
  // Once over its end it stays there: the count of words must not wrap.
  const full = Atomics.load(sink, SinkWord.used) > sink.length;
  const at = full ? sink.length : SinkWord.count + Atomics.add(sink, SinkWord.used, size);
  if (at + size > sink.length) {
    Atomics.add(sink, SinkWord.left, 1);
    return;
  }
  sink[at] = length;
  sink[at + 1] = burst.wire[i];
  bytes.set(burst.frames.bytes.subarray(start, start + length), (at + KEPT) * 4);
  Atomics.add(sink, SinkWord.kept, 1);
}
