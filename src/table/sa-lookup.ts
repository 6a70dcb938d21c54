// The fast path's half of the security associations: one per worker.
//
// A worker keeps a context (aead/aead.ts) per slot that it has used, beside the stamp that the record had then. A rule led to the slot and
// the stamps differ: the slot is another SA now, and the context is made anew. refresh() tells which slots were released, so that
// contexts of keys that nobody uses any more are wiped.

import { ReplayWindows } from "./replay-window.js";
import { Released, Sa, SaLane, type SaMemory } from "./sa-memory.js";
import { Sequences } from "./sequence.js";
import { SKEW } from "./session-memory.js";

export class SaLookup {
  /** Fields: Sa. */
  readonly records: Int32Array;
  /** The same memory: the key at 4 × Sa.key, the salt at 4 × Sa.salt. */
  readonly recordBytes: Uint8Array;
  /** This worker's counters. Fields: SaLane. */
  readonly lanes: Float64Array;
  readonly sequences: Sequences;
  readonly windows: ReplayWindows;
  /** See refresh(). */
  readonly released = new Int32Array(Released.kept);
  /** As of RuleLookup. */
  touched = 0;
  readonly #ring: Int32Array;
  /** Of Released.count. */
  #seen: number;

  constructor(memory: SaMemory, worker: number) {
    this.records = new Int32Array(memory.records, SKEW);
    this.recordBytes = new Uint8Array(memory.records, SKEW);
    this.lanes = new Float64Array(memory.lanes[worker], SKEW);
    this.sequences = new Sequences(memory);
    this.windows = new ReplayWindows(memory, worker);
    this.#ring = new Int32Array(memory.released);
    this.#seen = Atomics.load(this.#ring, Released.count);
  }

  /** Touches what packets of these slots will need, as RuleLookup.touch does. */
  touch(slots: Int32Array, n: number): void {
    const { records, lanes, sequences, windows } = this;
    let touched = 0;
    let seen = 0;
    for (let i = 0; i < n; i++) {
      const slot = slots[i];
      touched ^= records[slot * Sa.size];
      seen += lanes[slot << SaLane.shift];
    }
    for (let i = 0; i < n; i++) {
      const slot = slots[i];
      const counter = records[slot * Sa.size + Sa.counter];
      touched ^= counter >= 0 ? sequences.touch(counter) : windows.touch(slot);
    }
    this.touched ^= touched ^ (seen | 0);
  }

  /**
   * Call once per burst, inside it. A slot that was released may hold another SA by now: its context is to be wiped when its
   * stamp is not that of the record.
   * @returns how many slots at the start of `released` were, since the last call; -1: too many, look at every context
   */
  refresh(): number {
    const ring = this.#ring;
    const count = Atomics.load(ring, Released.count);
    const seen = this.#seen;
    if (count === seen) return 0;
    this.#seen = count;
    const n = (count - seen) | 0;
    for (let i = 0; i < n && i < Released.kept; i++) {
      this.released[i] = ring[Released.slots + ((seen + i) & (Released.kept - 1))];
    }
    // Control may be writing the next entry already, in the place of the oldest.
    const behind = (Atomics.load(ring, Released.count) - seen) | 0;
    return n >= 0 && behind >= 0 && behind < Released.kept ? n : -1;
  }
}
