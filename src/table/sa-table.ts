// The security associations as control sees them: the one writer of their records, and of whose counters they use.
//
// A SA stands in a slot from add() to release(). In between, rules come to refer to the slot and let go of it (RuleTable); retire() says
// that the last one did and workers may still be at it, release() that none is. Then everything is wiped here, and workers are told
// to wipe their contexts: each at the start of its next burst.

import { type KeyCounterOptions, KeyCounters } from "./key-counters.js";
import { type NewSa, SaFailure, type SaInfo, type SaSettings } from "./sa.js";
import { Released, Sa, SaFlags, SaLane, type SaMemory, Window } from "./sa-memory.js";
import { LAST } from "./sequence.js";
import { SKEW } from "./session-memory.js";

interface State {
  readonly created: number;
  readonly keyLength: number;
  readonly saltLength: number;
  retired: boolean;
}

export class SaTable {
  readonly #memory: SaMemory;
  readonly #counters: KeyCounters;
  readonly #records: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #windows: Int32Array;
  readonly #holding: Int32Array;
  readonly #released: Int32Array;
  readonly #lanes: readonly Float64Array[];
  readonly #states: (State | undefined)[] = [];
  readonly #free: number[] = [];
  #fresh = 0;
  #size = 0;
  #stamp = 0;

  constructor(memory: SaMemory, options: KeyCounterOptions) {
    this.#memory = memory;
    this.#counters = new KeyCounters(memory, options);
    this.#records = new Int32Array(memory.records, SKEW);
    this.#bytes = new Uint8Array(memory.records, SKEW);
    this.#windows = new Int32Array(memory.windows, SKEW);
    this.#holding = new Int32Array(memory.holding);
    this.#released = new Int32Array(memory.released);
    this.#lanes = memory.lanes.map((lane) => new Float64Array(lane, SKEW));
  }

  /** SAs that are not retired. */
  get size(): number {
    return this.#size;
  }

  /**
   * Throws what the IvStore does.
   * @returns slot, or -1: the table is full
   */
  add(sa: NewSa, now: number): number {
    if (this.#size === this.#memory.capacity) return -1;
    if (this.#free.length === 0 && this.#fresh === this.#memory.slots) return -1;
    const counter = sa.seals ? this.#counters.take(sa.key) : -1;
    if (sa.seals && counter < 0) return -1;
    const slot = this.#free.pop() ?? this.#fresh++;
    this.#states[slot] = { created: now, keyLength: sa.key.length, saltLength: sa.salt.length, retired: false };
    this.#size++;
    const base = slot * Sa.size;
    const records = this.#records;
    records[base + Sa.spi] = sa.spi;
    records[base + Sa.flags] = sa.suite | (sa.esn ? SaFlags.esn : 0) | (sa.seals ? SaFlags.seals : 0);
    records[base + Sa.counter] = counter;
    records[base + Sa.window] = sa.replayWindow;
    this.#bytes.set(sa.key, (base + Sa.key) * 4);
    this.#bytes.set(sa.salt, (base + Sa.salt) * 4);
    this.#stamp = (this.#stamp + 1) | 0 || 1;
    Atomics.store(records, base + Sa.stamp, this.#stamp);
    return slot;
  }

  /** No rule refers to the slot any more: it does not count, while workers may still use it. release() must follow. */
  retire(slot: number): void {
    const state = this.#state(slot);
    if (!state.retired) this.#size--;
    state.retired = true;
  }

  /** No worker can reach the slot through a rule any more: wipes it. */
  release(slot: number): void {
    this.retire(slot);
    this.#states[slot] = undefined;
    const base = slot * Sa.size;
    const counter = this.#records[base + Sa.counter];
    if (counter >= 0) this.#counters.release(counter);
    else this.#windows.fill(0, slot * Window.size, (slot + 1) * Window.size);
    this.#records.fill(0, base, base + Sa.size);
    for (const lane of this.#lanes) lane.fill(0, slot << SaLane.shift, (slot + 1) << SaLane.shift);
    const count = this.#released[Released.count];
    this.#released[Released.slots + (count & (Released.kept - 1))] = slot;
    Atomics.store(this.#released, Released.count, (count + 1) | 0);
    this.#free.push(slot);
  }

  /** From the next packet on. */
  configure(slot: number, { esn, replayWindow }: SaSettings): void {
    const base = slot * Sa.size;
    Atomics.store(this.#records, base + Sa.window, replayWindow);
    const flags = this.#records[base + Sa.flags] & ~SaFlags.esn;
    Atomics.store(this.#records, base + Sa.flags, flags | (esn ? SaFlags.esn : 0));
  }

  /** Whether the SA has this key and salt. Takes as long whether they are alike or not. */
  matches(slot: number, key: Uint8Array, salt: Uint8Array): boolean {
    const { keyLength, saltLength } = this.#state(slot);
    if (key.length !== keyLength || salt.length !== saltLength) return false;
    const at = slot * Sa.size * 4;
    let different = 0;
    for (let i = 0; i < keyLength; i++) different |= key[i] ^ this.#bytes[at + Sa.key * 4 + i];
    for (let i = 0; i < saltLength; i++) different |= salt[i] ^ this.#bytes[at + Sa.salt * 4 + i];
    return different === 0;
  }

  info(slot: number): SaInfo {
    const { created } = this.#state(slot);
    const base = slot * Sa.size;
    const flags = this.#records[base + Sa.flags];
    const seals = (flags & SaFlags.seals) !== 0;
    const esn = (flags & SaFlags.esn) !== 0;
    const sum = (field: number) => this.#lanes.reduce((n, lane) => n + lane[(slot << SaLane.shift) + field], 0);
    return {
      spi: this.#records[base + Sa.spi] >>> 0,
      suite: flags & SaFlags.suiteMask,
      seals,
      esn,
      replayWindow: this.#records[base + Sa.window],
      created,
      lastUsed: Math.max(...this.#lanes.map((lane) => lane[(slot << SaLane.shift) + SaLane.lastUsed])),
      packets: sum(SaLane.packets),
      bytes: sum(SaLane.bytes),
      sequence: seals ? this.#lastSealed(slot, esn) : this.#top(slot),
      failures: Array.from({ length: SaFailure.count }, (_, failure) => sum(SaLane.failures + failure)),
    };
  }

  /** The key, then the salt: a copy, for whoever asked for api.revealKeys. */
  reveal(slot: number): Uint8Array {
    const { keyLength, saltLength } = this.#state(slot);
    const at = slot * Sa.size * 4;
    const material = new Uint8Array(keyLength + saltLength);
    material.set(this.#bytes.subarray(at + Sa.key * 4, at + Sa.key * 4 + keyLength));
    material.set(this.#bytes.subarray(at + Sa.salt * 4, at + Sa.salt * 4 + saltLength), keyLength);
    return material;
  }

  /** Frees the window that a worker held as it died. Call before another one is started in its place. */
  unlock(worker: number): void {
    const slot = this.#holding[worker] - 1;
    if (slot >= 0) Atomics.compareExchange(this.#windows, slot * Window.size + Window.lock, worker + 1, 0);
  }

  /** Reserves sequence numbers ahead (KeyCounters.extend): call every 100 ms when there is an IvStore. */
  extend(): void {
    this.#counters.extend();
  }

  /** Gives reserved sequence numbers back to the IvStore. Only when no worker runs any more, and none will. */
  settle(): void {
    this.#counters.settle();
  }

  /** Zeroes all keys. */
  close(): void {
    this.#records.fill(0);
  }

  #state(slot: number): State {
    const state = this.#states[slot];
    if (state === undefined) throw new RangeError(`no SA in slot ${slot}`);
    return state;
  }

  /** Of the key, which other SAs may share. */
  #lastSealed(slot: number, esn: boolean): bigint {
    const last = this.#counters.last(this.#records[slot * Sa.size + Sa.counter]);
    return BigInt(esn ? last : Math.min(last, LAST));
  }

  #top(slot: number): bigint {
    const windows = this.#windows;
    const base = slot * Window.size;
    const high = Atomics.load(windows, base + Window.topHigh);
    const low = Atomics.load(windows, base + Window.topLow) >>> 0;
    const next = Atomics.load(windows, base + Window.nextHigh);
    // On its way across a border, or a worker died there: see replay-window.ts.
    if (next !== high) return BigInt(next) << 32n;
    return (BigInt(high) << 32n) | BigInt(low);
  }
}
