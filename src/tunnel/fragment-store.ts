// Frames that wait, in a fixed part of the worker's frame memory behind the slots of its bursts: chains of blocks.
//
// A frame is known by its first block, which has its facts. Frames of one datagram are linked by `next`, in the order in
// which they came.

import type { Burst } from "../memory/burst.js";
import { POSITIONS } from "../memory/burst.js";
import { Frames, slotStart } from "../memory/frames.js";

/** Bytes of a block: a frame of 1,514 bytes needs one. */
export const BLOCK = 2048;
/** Where the store begins: the frame memory has that, and the bytes of the store. */
const START = Frames.size(POSITIONS);

export class FragmentStore {
  readonly blocks: number;
  /** Blocks that nobody has. */
  free: number;
  // By first block
  /** Next frame in the list that it stands in, or -1. */
  readonly next: Int32Array;
  readonly length: Int32Array;
  /** Bytes of the frame before what it carries of the datagram: fewer than a block has. */
  readonly front: Int32Array;
  /** What it carries of the datagram: from where, and how much. */
  readonly from: Int32Array;
  readonly size: Int32Array;
  /** 1: its bytes came before. */
  readonly duplicate: Uint8Array;
  readonly #wire: Int32Array;
  readonly #port: Int32Array;
  readonly #time: Float64Array;
  readonly #sec: Float64Array;
  readonly #nsec: Int32Array;
  /** By block: the next one of its frame, or of the free ones. */
  readonly #chain: Int32Array;
  #head = 0;

  constructor(bytes: number) {
    const blocks = Math.floor(bytes / BLOCK);
    this.blocks = blocks;
    this.free = blocks;
    this.next = new Int32Array(blocks);
    this.length = new Int32Array(blocks);
    this.front = new Int32Array(blocks);
    this.from = new Int32Array(blocks);
    this.size = new Int32Array(blocks);
    this.duplicate = new Uint8Array(blocks);
    this.#wire = new Int32Array(blocks);
    this.#port = new Int32Array(blocks);
    this.#time = new Float64Array(blocks);
    this.#sec = new Float64Array(blocks);
    this.#nsec = new Int32Array(blocks);
    this.#chain = Int32Array.from({ length: blocks }, (_, b) => b + 1);
  }

  /** Takes a copy of a frame. @returns its first block, or -1: no room */
  hold(burst: Burst, i: number): number {
    const length = burst.length[i];
    const needed = Math.max(1, Math.ceil(length / BLOCK));
    if (needed > this.free) return -1;
    this.free -= needed;
    const first = this.#head;
    const chain = this.#chain;
    for (let b = first, at = 0, left = needed; left > 0; left--, at += BLOCK, b = chain[b]) {
      const from = burst.offset[i] + at;
      burst.frames.bytes.copyWithin(START + b * BLOCK, from, from + Math.min(BLOCK, length - at));
      this.#head = chain[b];
    }
    this.next[first] = -1;
    this.length[first] = length;
    this.duplicate[first] = 0;
    this.#wire[first] = burst.wire[i];
    this.#port[first] = burst.port[i];
    this.#time[first] = burst.time[i];
    this.#sec[first] = burst.sec[i];
    this.#nsec[first] = burst.nsec[i];
    return first;
  }

  release(first: number): void {
    const chain = this.#chain;
    const count = Math.max(1, Math.ceil(this.length[first] / BLOCK));
    let last = first;
    for (let left = count; left > 1; left--) last = chain[last];
    chain[last] = this.#head;
    this.#head = first;
    this.free += count;
  }

  /** Puts a frame at position i of a burst, as it came. */
  load(first: number, burst: Burst, i: number): void {
    const start = slotStart(i);
    this.copy(first, 0, this.length[first], burst.frames.bytes, start);
    burst.offset[i] = start;
    burst.length[i] = this.length[first];
    burst.wire[i] = this.#wire[first];
    burst.port[i] = this.#port[first];
    burst.time[i] = this.#time[first];
    burst.sec[i] = this.#sec[first];
    burst.nsec[i] = this.#nsec[first];
  }

  /** Copies `length` bytes of a frame, from its byte `from` on, which is in its first block. */
  copy(first: number, from: number, length: number, bytes: Uint8Array, to: number): void {
    let block = first;
    let at = from;
    for (let left = length; left > 0; block = this.#chain[block], at = 0) {
      const n = Math.min(BLOCK - at, left);
      const source = START + block * BLOCK + at;
      bytes.copyWithin(to, source, source + n);
      to += n;
      left -= n;
    }
  }

  /** Whether what the frame carries of its datagram is what stands at `at`, as long. */
  carries(first: number, bytes: Uint8Array, at: number): boolean {
    let block = first;
    let offset = this.front[first];
    for (let b = 0; b < this.size[first]; b++, offset++) {
      if (offset === BLOCK) {
        block = this.#chain[block];
        offset = 0;
      }
      if (bytes[START + block * BLOCK + offset] !== bytes[at + b]) return false;
    }
    return true;
  }
}
