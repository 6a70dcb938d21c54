// Control's half of the flow index: finding, publishing and withdrawing references. One writer; workers read at any time.
// Layout and publication rules: session-memory.ts.

import { Flow, finish, mix, swapPorts } from "./flow.js";
import { Bucket, Record, Reference, type SessionMemory, SKEW, tagOf } from "./session-memory.js";

export class SessionIndex {
  readonly #memory: SessionMemory;
  readonly #index: Int32Array;
  readonly #records: Int32Array;
  readonly #mask: number;
  /** Numbers of overflow buckets that were used and are free again. */
  readonly #freed: number[] = [];
  /** The next overflow bucket that was never used. */
  #fresh: number;
  /** Overflow buckets taken out of their chain, which readers may still stand in. */
  readonly #unlinked: number[] = [];

  /** Where the last find() would insert: a hole, or the last bucket of the chain when there is none. */
  #hole = -1;
  #last = 0;

  constructor(memory: SessionMemory) {
    this.#memory = memory;
    this.#index = new Int32Array(memory.index, SKEW);
    this.#records = new Int32Array(memory.records, SKEW);
    this.#mask = memory.buckets - 1;
    this.#fresh = memory.buckets;
  }

  /** Hash of the key that this record claims in this direction. */
  hash(slot: number, direction: number): number {
    const { start, k1, k2 } = this.#memory.key;
    const records = this.#records;
    const base = slot << Record.shift;
    const flow = records[base + Record.flowIn + direction];
    const first = base + (direction === 0 ? Record.source : Record.destination);
    const second = base + (direction === 0 ? Record.destination : Record.source);
    const words = (flow & Flow.ipv6) !== 0 ? 4 : 1;
    let h = mix(start, flow, k1, k2);
    for (let w = 0; w < words; w++) h = mix(h, records[first + w], k1, k2);
    for (let w = 0; w < words; w++) h = mix(h, records[second + w], k1, k2);
    return finish(mix(h, this.#ports(base, direction), k1, k2));
  }

  /** Brings the bucket of a hash into the cache. */
  touch(hash: number): number {
    return this.#index[(hash & this.#mask) << Bucket.shift];
  }

  /**
   * The reference (slot × 2 + direction) that holds the same key as this one claims, or -1.
   * Remembers where insert() may put it.
   */
  find(slot: number, direction: number, hash: number): number {
    const tag = tagOf(hash);
    this.#hole = -1;
    let bucket = hash & this.#mask;
    for (;;) {
      const base = bucket << Bucket.shift;
      for (let at = base; at < base + Bucket.references; at++) {
        const reference = this.#index[at];
        if (reference === 0) {
          if (this.#hole < 0) this.#hole = at;
        } else if (reference >>> Reference.tagShift === tag && this.#same(slot, direction, reference & Reference.mask)) {
          return reference & Reference.mask;
        }
      }
      this.#last = base;
      bucket = this.#index[base + Bucket.link];
      if (bucket === 0) return -1;
    }
  }

  /** Publishes a reference to a complete record whose key find() has just not found. */
  insert(slot: number, direction: number, hash: number): void {
    const reference = (tagOf(hash) << Reference.tagShift) | (slot << 1) | direction;
    if (this.#hole >= 0) {
      Atomics.store(this.#index, this.#hole, reference);
      return;
    }
    const bucket = this.#freed.pop() ?? this.#fresh++;
    const base = bucket << Bucket.shift;
    if (base >= this.#index.length) throw new Error("session index: more overflow buckets than keys");
    this.#index.fill(0, base, base + Bucket.words);
    this.#index[base] = reference;
    Atomics.store(this.#index, this.#last + Bucket.link, bucket);
  }

  /**
   * Withdraws a published reference, or hands its key over to `heir`, a reference to a record with the same key, in one
   * store. Readers may hold the old one until the grace period is over.
   */
  remove(slot: number, direction: number, hash: number, heir = -1): void {
    const wanted = (slot << 1) | direction;
    let before = 0;
    let bucket = hash & this.#mask;
    do {
      const base = bucket << Bucket.shift;
      for (let at = base; at < base + Bucket.references; at++) {
        const reference = this.#index[at];
        if (reference === 0 || (reference & Reference.mask) !== wanted) continue;
        Atomics.store(this.#index, at, heir < 0 ? 0 : (tagOf(hash) << Reference.tagShift) | heir);
        if (bucket >= this.#memory.buckets) this.#unlinkIfEmpty(bucket, before);
        return;
      }
      before = base;
      bucket = this.#index[base + Bucket.link];
    } while (bucket !== 0);
  }

  /** Overflow buckets unlinked so far: give them back with reclaim() after a grace period. */
  takeUnlinked(): number[] {
    return this.#unlinked.splice(0);
  }

  reclaim(buckets: readonly number[]): void {
    for (const bucket of buckets) this.#freed.push(bucket);
  }

  /** Whether both records claim the same key, each in its direction. */
  #same(slot: number, direction: number, other: number): boolean {
    const records = this.#records;
    const a = slot << Record.shift;
    const b = (other >>> 1) << Record.shift;
    const reversed = other & 1;
    if (records[a + Record.flowIn + direction] !== records[b + Record.flowIn + reversed]) return false;
    if (this.#ports(a, direction) !== this.#ports(b, reversed)) return false;
    const aFirst = a + (direction === 0 ? Record.source : Record.destination);
    const aSecond = a + (direction === 0 ? Record.destination : Record.source);
    const bFirst = b + (reversed === 0 ? Record.source : Record.destination);
    const bSecond = b + (reversed === 0 ? Record.destination : Record.source);
    for (let w = 0; w < 4; w++) {
      if (records[aFirst + w] !== records[bFirst + w] || records[aSecond + w] !== records[bSecond + w]) return false;
    }
    return true;
  }

  #ports(base: number, direction: number): number {
    const ports = this.#records[base + Record.ports];
    return direction === 0 ? ports : swapPorts(ports);
  }

  #unlinkIfEmpty(bucket: number, before: number): void {
    const base = bucket << Bucket.shift;
    for (let at = base; at < base + Bucket.references; at++) if (this.#index[at] !== 0) return;
    // The bucket keeps its link until it is reclaimed: a reader inside it still finds the rest of the chain.
    Atomics.store(this.#index, before + Bucket.link, this.#index[base + Bucket.link]);
    this.#unlinked.push(bucket);
  }
}
