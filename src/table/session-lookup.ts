// The fast path's half of the session table: whose flow is this frame?
//
// Three passes over the burst. The first hashes every flow and reads the first word of its bucket; the second finds the
// reference whose tag fits and reads the first word of its record and lane; the third compares. The reads of a pass do
// not wait for each other, so the processor overlaps their cache misses, which are what a large table costs.
// No lock: see session-memory.ts for how a reader is kept from half-written and reused entries.

import { type Burst, Kind } from "../memory/burst.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { finish, mix, swapPorts } from "./flow.js";
import { Bucket, Lane, Record, Reference, type SessionMemory, tagOf } from "./session-memory.js";

export class SessionLookup {
  readonly records: Int32Array;
  /** This worker's counters. */
  readonly lanes: Float64Array;
  readonly #index: Int32Array;
  readonly #mask: number;
  readonly #memory: SessionMemory;
  /** Keeps the engine from dropping reads whose only purpose is to bring a line into the cache. */
  touched = 0;

  constructor(memory: SessionMemory, worker: number) {
    this.#memory = memory;
    this.#mask = memory.buckets - 1;
    this.records = new Int32Array(memory.records);
    this.#index = new Int32Array(memory.index);
    this.lanes = new Float64Array(memory.lanes[worker] as SharedArrayBuffer);
  }

  /** Sets burst.ref of every frame with Kind.flow to slot × 2 + direction, or -1; of all others to -1. */
  lookup(burst: Burst): void {
    const { n, kind, hash, ref } = burst;
    const index = this.#index;
    const records = this.records;
    const lanes = this.lanes;
    const mask = this.#mask;
    let touched = this.touched;
    let seen = 0;

    for (let i = 0; i < n; i++) {
      if (((kind[i] as number) & Kind.flow) === 0) continue;
      const h = this.#hash(burst, i);
      hash[i] = h;
      touched ^= index[(h & mask) << Bucket.shift] as number;
    }

    for (let i = 0; i < n; i++) {
      ref[i] = -1;
      if (((kind[i] as number) & Kind.flow) === 0) continue;
      const h = hash[i] as number;
      const at = this.#scan((h & mask) << Bucket.shift, 0, tagOf(h));
      if (at < 0) continue;
      ref[i] = at;
      const slot = ((index[at] as number) & Reference.mask) >>> 1;
      touched ^= records[slot << Record.shift] as number;
      seen += lanes[slot << Lane.shift] as number;
    }

    for (let i = 0; i < n; i++) {
      let at = ref[i] as number;
      while (at >= 0) {
        const reference = Atomics.load(index, at);
        if (
          reference >>> Reference.tagShift === tagOf(hash[i] as number) &&
          this.#matches(burst, i, reference & Reference.mask)
        ) {
          break;
        }
        at = this.#scan(at & ~(Bucket.words - 1), (at & (Bucket.words - 1)) + 1, tagOf(hash[i] as number));
      }
      ref[i] = at < 0 ? -1 : this.#confirmed;
    }
    this.touched = touched ^ (seen | 0);
  }

  /** The reference that #matches found equal last. */
  #confirmed = -1;

  #hash(burst: Burst, i: number): number {
    const { start, k1, k2 } = this.#memory.key;
    const words = burst.frames.words;
    const l3 = burst.l3[i] as number;
    let h = mix(start, burst.flow[i] as number, k1, k2);
    if (((burst.kind[i] as number) & Kind.ipv4) !== 0) {
      const a = (l3 + Ipv4.source) >> 2;
      h = mix(h, words[a] as number, k1, k2);
      h = mix(h, words[a + 1] as number, k1, k2);
    } else {
      const a = (l3 + Ipv6.source) >> 2;
      for (let w = 0; w < 8; w++) h = mix(h, words[a + w] as number, k1, k2);
    }
    return finish(mix(h, words[(burst.l4[i] as number) >> 2] as number, k1, k2));
  }

  /** Position of the next reference with that tag, from place `from` of the bucket at `base` on, or -1. */
  #scan(base: number, from: number, tag: number): number {
    const index = this.#index;
    let bucket = base;
    let place = from;
    for (;;) {
      for (; place < Bucket.references; place++) {
        if ((index[bucket + place] as number) >>> Reference.tagShift === tag) return bucket + place;
      }
      const next = Atomics.load(index, bucket + Bucket.link);
      if (next === 0) return -1;
      bucket = next << Bucket.shift;
      place = 0;
    }
  }

  #matches(burst: Burst, i: number, ref: number): boolean {
    const records = this.records;
    const words = burst.frames.words;
    const base = (ref >>> 1) << Record.shift;
    const direction = ref & 1;
    const ports = words[(burst.l4[i] as number) >> 2] as number;
    if (records[base + Record.flowIn + direction] !== burst.flow[i]) return false;
    if (records[base + Record.ports] !== (direction === 0 ? ports : swapPorts(ports))) return false;
    // The frame's source is the record's destination on the way back.
    const first = base + (direction === 0 ? Record.source : Record.destination);
    const second = base + (direction === 0 ? Record.destination : Record.source);
    if (((burst.kind[i] as number) & Kind.ipv4) !== 0) {
      const a = ((burst.l3[i] as number) + Ipv4.source) >> 2;
      if (records[first] !== words[a] || records[second] !== words[a + 1]) return false;
    } else {
      const a = ((burst.l3[i] as number) + Ipv6.source) >> 2;
      for (let w = 0; w < 4; w++) {
        if (records[first + w] !== words[a + w] || records[second + w] !== words[a + 4 + w]) return false;
      }
    }
    this.#confirmed = ref;
    return true;
  }
}
