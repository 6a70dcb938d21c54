// Which counter a key that seals takes its sequence numbers and IVs from: control's half of table/sequence.ts.
//
// One counter per AES key, whatever salt, suite, SPI or tunnel it is used with, for IVs must not repeat under the key (RFC 4106
// section 3.1). A key that comes back goes on where it was: the counters of unused keys are kept, and the one unused for the longest gives way
// when there are no others. Its key starts anew then, with another random IV, as all do after a restart.
//
// With an IvStore (ipsec.ivState) they do not: a counter may only run to a limit that the store has written down before, and a
// key that comes back starts behind that.

import { KeyCounter, type SaMemory } from "./sa-memory.js";
import { goOn, LAST_EXTENDED, taken } from "./sequence.js";
import { SKEW } from "./session-memory.js";

/** What outlives the process: the numbers up to `limit` may have been used. */
export interface IvRecord {
  readonly fingerprint: string;
  readonly ivLow: number;
  readonly ivHigh: number;
  readonly limit: number;
}

export interface IvStore {
  /** Numbers to reserve at once. */
  readonly block: number;
  get(fingerprint: string): IvRecord | undefined;
  /** Keeps these, in the place of older ones of the same keys: for good, when it returns. Throws when it cannot. */
  put(records: readonly IvRecord[]): void;
  /** No counter has this key any more: its record may give way to others. */
  idle(fingerprint: string): void;
}

export interface KeyCounterOptions {
  readonly random: (bytes: number) => Uint8Array;
  /** Of a key: the same for the same key, and nothing that tells the key. */
  readonly fingerprint: (key: Uint8Array) => string;
  readonly ivs?: IvStore;
}

export class KeyCounters {
  readonly #options: KeyCounterOptions;
  readonly #words: Int32Array;
  readonly #limits: Float64Array;
  readonly #byKey = new Map<string, number>();
  /** By counter: SAs that use it, and the fingerprint of its key. */
  readonly #users: Int32Array;
  readonly #keys: string[] = [];
  /** Counters of keys without users, the longest unused first. */
  readonly #unused = new Set<number>();
  /** Counters without a key, below #fresh. */
  readonly #free: number[] = [];
  #fresh = 0;

  constructor(memory: SaMemory, options: KeyCounterOptions) {
    this.#options = options;
    this.#words = new Int32Array(memory.counters, SKEW);
    this.#limits = new Float64Array(memory.counters, SKEW);
    this.#users = new Int32Array(memory.keys);
  }

  /** The key's counter for one SA more, or -1: all are in use. */
  take(key: Uint8Array): number {
    const fingerprint = this.#options.fingerprint(key);
    const counter = this.#byKey.get(fingerprint) ?? this.#open(fingerprint);
    if (counter < 0) return -1;
    this.#unused.delete(counter);
    this.#users[counter]++;
    return counter;
  }

  /** A SA less. No worker can reach it through that one any more. */
  release(counter: number): void {
    if (--this.#users[counter] === 0) this.#unused.add(counter);
  }

  /** The last number that was given out. */
  last(counter: number): number {
    return Math.min(taken(this.#words, counter), this.#limit(counter));
  }

  /** Reserves further ahead for those that are past half of their block. Call every 100 ms; throws what the store does. */
  extend(): void {
    const { ivs } = this.#options;
    if (ivs === undefined) return;
    const due: [fingerprint: string, counter: number, limit: number][] = [];
    for (const [fingerprint, counter] of this.#byKey) {
      const limit = this.#limit(counter);
      if (limit >= LAST_EXTENDED || this.last(counter) < limit - ivs.block / 2) continue;
      due.push([fingerprint, counter, Math.min(limit + ivs.block, LAST_EXTENDED)]);
    }
    if (due.length === 0) return;
    ivs.put(due.map(([fingerprint, counter, limit]) => this.#record(fingerprint, counter, limit)));
    for (const [, counter, limit] of due) this.#limits[limitOf(counter)] = limit;
  }

  /** Gives back what was reserved and not used. Only when no worker runs any more. */
  settle(): void {
    this.#options.ivs?.put([...this.#byKey].map(([fingerprint, at]) => this.#record(fingerprint, at, this.last(at))));
  }

  #open(fingerprint: string): number {
    const counter = this.#place();
    if (counter < 0) return -1;
    try {
      this.#start(counter, fingerprint);
    } catch (error) {
      this.#free.push(counter);
      throw error;
    }
    this.#byKey.set(fingerprint, counter);
    this.#keys[counter] = fingerprint;
    return counter;
  }

  /** A counter that is nobody's, or -1. */
  #place(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#fresh < this.#users.length) return this.#fresh++;
    for (const counter of this.#unused) {
      this.#unused.delete(counter);
      this.#byKey.delete(this.#keys[counter]);
      this.#options.ivs?.idle(this.#keys[counter]);
      return counter;
    }
    return -1;
  }

  #start(counter: number, fingerprint: string): void {
    const { random, ivs } = this.#options;
    const kept = ivs?.get(fingerprint);
    const iv = random(8);
    const drawn = new DataView(iv.buffer, iv.byteOffset);
    const base = counter * KeyCounter.size;
    this.#words[base + KeyCounter.ivLow] = kept?.ivLow ?? drawn.getInt32(0);
    this.#words[base + KeyCounter.ivHigh] = kept?.ivHigh ?? drawn.getInt32(4);
    const from = kept?.limit ?? 0;
    const limit = ivs === undefined ? LAST_EXTENDED : Math.min(from + ivs.block, LAST_EXTENDED);
    ivs?.put([this.#record(fingerprint, counter, limit)]);
    goOn(this.#words, counter, from);
    this.#limits[limitOf(counter)] = limit;
  }

  #record(fingerprint: string, counter: number, limit: number): IvRecord {
    const base = counter * KeyCounter.size;
    return {
      fingerprint,
      ivLow: this.#words[base + KeyCounter.ivLow],
      ivHigh: this.#words[base + KeyCounter.ivHigh],
      limit,
    };
  }

  #limit(counter: number): number {
    return this.#limits[limitOf(counter)];
  }
}

function limitOf(counter: number): number {
  return (counter * KeyCounter.size + KeyCounter.limit) >> 1;
}
