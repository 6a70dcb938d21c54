// The fast path's half of the session table: whose flow is this frame?
//
// Five passes over the burst: hash every flow, touch its bucket, find the reference whose tag fits, touch its record and
// lane, compare. What a large table costs is cache misses. The two passes that touch do nothing else: their loops are so
// short that the processor has the misses of many frames under way at once, where a longer body would fill its window
// with the work of two or three (a million sessions, all at random: 164 instead of 333 ns for parse, lookup and decide).
// No lock: see session-memory.ts for how a reader is kept from half-written and reused entries.

import { type Burst, Kind } from "../memory/burst.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { finish, type HashKey, mix, swapPorts } from "./flow.js";
import { Bucket, Lane, Record, Reference, type SessionMemory, SKEW, tagOf } from "./session-memory.js";

export class SessionLookup {
  readonly records: Int32Array;
  /** This worker's counters. */
  readonly lanes: Float64Array;
  readonly #index: Int32Array;
  readonly #mask: number;
  readonly #key: HashKey;
  /** Keeps the engine from dropping reads whose only purpose is to bring a line into the cache. */
  touched = 0;

  constructor(memory: SessionMemory, worker: number) {
    this.#key = memory.key;
    this.#mask = memory.buckets - 1;
    this.records = new Int32Array(memory.records, SKEW);
    this.#index = new Int32Array(memory.index, SKEW);
    this.lanes = new Float64Array(memory.lanes[worker], SKEW);
  }

  /** Sets burst.ref of every frame with Kind.flow to slot × 2 + direction, or -1; of all others to -1. */
  lookup(burst: Burst): void {
    this.#hash(burst);
    this.#touchBuckets(burst);
    this.#find(burst);
    this.#touchSessions(burst);
    this.#compare(burst);
  }

  #hash(burst: Burst): void {
    const { n, kind, flow, l3, l4, hash } = burst;
    const { words } = burst.frames;
    const { start, k1, k2 } = this.#key;
    for (let i = 0; i < n; i++) {
      const k = kind[i];
      if ((k & Kind.flow) === 0) continue;
      // Source and destination stand side by side in either header.
      let word = (l3[i] + ((k & Kind.ipv4) !== 0 ? Ipv4.source : Ipv6.source)) >> 2;
      const end = word + ((k & Kind.ipv4) !== 0 ? 2 : 8);
      let h = mix(start, flow[i], k1, k2);
      for (; word < end; word++) h = mix(h, words[word], k1, k2);
      hash[i] = finish(mix(h, words[l4[i] >> 2], k1, k2));
    }
  }

  /** The hash of a frame without a flow is that of an earlier burst: a bucket touched in vain. */
  #touchBuckets(burst: Burst): void {
    const { n, hash } = burst;
    const index = this.#index;
    const mask = this.#mask;
    let touched = 0;
    for (let i = 0; i < n; i++) touched ^= index[(hash[i] & mask) << Bucket.shift];
    this.touched = touched;
  }

  /** Sets burst.ref to the position of the first reference whose tag fits, or -1. */
  #find(burst: Burst): void {
    const { n, kind, hash, ref } = burst;
    const mask = this.#mask;
    for (let i = 0; i < n; i++) {
      const h = hash[i];
      ref[i] = (kind[i] & Kind.flow) === 0 ? -1 : this.#scan((h & mask) << Bucket.shift, 0, tagOf(h));
    }
  }

  #touchSessions(burst: Burst): void {
    const { n, ref } = burst;
    const { records, lanes } = this;
    const index = this.#index;
    let touched = 0;
    let seen = 0;
    for (let i = 0; i < n; i++) {
      const at = ref[i];
      if (at < 0) continue;
      const slot = (index[at] & Reference.mask) >>> 1;
      touched ^= records[slot << Record.shift];
      seen += lanes[slot << Lane.shift];
    }
    this.touched ^= touched ^ (seen | 0);
  }

  #compare(burst: Burst): void {
    const { n, hash, ref } = burst;
    const index = this.#index;
    for (let i = 0; i < n; i++) {
      let at = ref[i];
      if (at < 0) continue;
      const tag = tagOf(hash[i]);
      let found = -1;
      while (at >= 0) {
        const reference = Atomics.load(index, at);
        if (reference >>> Reference.tagShift === tag && this.#matches(burst, i, reference & Reference.mask)) {
          found = reference & Reference.mask;
          break;
        }
        at = this.#scan(at & ~(Bucket.words - 1), (at & (Bucket.words - 1)) + 1, tag);
      }
      ref[i] = found;
    }
  }

  /** Position of the next reference with that tag, from place `from` of the bucket at `base` on, or -1. */
  #scan(base: number, from: number, tag: number): number {
    const index = this.#index;
    const wanted = tag << Reference.tagShift;
    let bucket = base;
    let first = from;
    for (;;) {
      // All places, without a branch on what is there: which of them fits is random, and a branch would be mispredicted.
      let fits = 0;
      for (let place = 0; place < Bucket.references; place++) {
        const off = (index[bucket + place] ^ wanted) >>> Reference.tagShift;
        fits |= ((off - 1) >>> 31) << place;
      }
      fits = (fits >>> first) << first;
      if (fits !== 0) return bucket + 31 - Math.clz32(fits & -fits);
      const next = Atomics.load(index, bucket + Bucket.link);
      if (next === 0) return -1;
      bucket = next << Bucket.shift;
      first = 0;
    }
  }

  #matches(burst: Burst, i: number, ref: number): boolean {
    const records = this.records;
    const words = burst.frames.words;
    const base = (ref >>> 1) << Record.shift;
    const direction = ref & 1;
    const ports = words[burst.l4[i] >> 2];
    if (records[base + Record.flowIn + direction] !== burst.flow[i]) return false;
    if (records[base + Record.ports] !== (direction === 0 ? ports : swapPorts(ports))) return false;
    // The frame's source is the record's destination on the way back.
    const first = base + (direction === 0 ? Record.source : Record.destination);
    const second = base + (direction === 0 ? Record.destination : Record.source);
    if ((burst.kind[i] & Kind.ipv4) !== 0) {
      const a = (burst.l3[i] + Ipv4.source) >> 2;
      if (records[first] !== words[a] || records[second] !== words[a + 1]) return false;
    } else {
      const a = (burst.l3[i] + Ipv6.source) >> 2;
      for (let w = 0; w < 4; w++) {
        if (records[first + w] !== words[a + w] || records[second + w] !== words[a + 4 + w]) return false;
      }
    }
    return true;
  }
}
