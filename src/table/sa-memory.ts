// The shared memory of the security associations: how it is laid out, and how much of it there is.
//
// records   a cache line per SA, control-written: written before a rule refers to the slot, wiped a grace period after the last
//           one let go of it. `stamp` is what tells a worker that the slot is another SA than the one it has a context for.
// counters  a cache line per key that seals: contended (table/sequence.ts). SAs with the same key share one, and a key that comes back
//           finds its own again: an IV never repeats.
// windows   a cache line and a ring of bits per slot: contended, under a lock word (table/replay-window.ts).
// holding   by worker: slot + 1 of the window that it locked last, or is about to: what control frees when it dies.
// lanes     one array per worker: the SA's counters, two cache lines each.
// released  ring of slots that were let go, for workers to wipe their contexts by: `count` first, then the slots.
//
// Every array begins at byte SKEW (session-memory.ts).

import { SKEW } from "./session-memory.js";

/** Int32 fields of a record. */
export const enum Sa {
  /** Never 0 while a rule may refer to the slot, and never the same for two SAs. */
  stamp,
  spi,
  /** See SaFlags. */
  flags,
  /** Number of the key's counter, or -1: it opens. */
  counter,
  /** SaSettings.replayWindow. */
  window,
  /** In the machine's order, at 4 × salt bytes. */
  salt,
  /** 8 words, at 4 × key bytes. */
  key = 8,
  size = 16,
}

export const enum SaFlags {
  /** Bits 0-3: SuiteBits. */
  suiteMask = 0xf,
  esn = 0x10,
  seals = 0x20,
}

/**
 * Int32 fields of a counter. The number of packets sealed with the key so far is half × 2³¹ + (low & 0x7fffffff), `half`
 * being at most one behind what the top bit of `low` says (table/sequence.ts).
 */
export const enum KeyCounter {
  low,
  half,
  /** Random, per key: the IV is the sequence number XOR this. */
  ivLow,
  ivHigh,
  /** Float64 at half this index: the last number that may be given out, whatever the SA allows (ipsec.ivState). */
  limit = 4,
  size = 16,
}

/** Int32 fields of a window. */
export const enum Window {
  /** Number + 1 of the worker that holds it, or 0. */
  lock,
  /** The highest number accepted; topHigh is written after topLow, and nextHigh before (table/replay-window.ts). */
  topLow,
  topHigh,
  nextHigh,
  /** Ring of words, a bit per sequence number (RFC 6479). */
  ring = 16,
  ringWords = 512,
  size = 528,
}

/** The largest replay window: the ring less one word would allow 16,352. */
export const MAX_WINDOW = 8192;

/** Float64 fields of a lane. */
export const enum SaLane {
  packets,
  bytes,
  /** Milliseconds since the epoch. */
  lastUsed,
  /** + SaFailure. */
  failures,
  words = 16,
  shift = 4,
}

export const enum Released {
  /** Slots released so far, modulo 2³². */
  count,
  slots,
  /** Of them, the last this many can be read. */
  kept = 4096,
}

export interface SaMemory {
  readonly capacity: number;
  /** Slots: of SAs in use, and of as many in their grace period. */
  readonly slots: number;
  /** Of keys in use, and of as many that were. */
  readonly keys: number;
  readonly records: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly windows: SharedArrayBuffer;
  readonly holding: SharedArrayBuffer;
  readonly lanes: readonly SharedArrayBuffer[];
  readonly released: SharedArrayBuffer;
}

/** Allocates it; the kernel hands over the pages as they are first used. */
export function allocateSas(capacity: number, workers: number): SaMemory {
  const slots = capacity * 2;
  const keys = capacity * 2;
  return {
    capacity,
    slots,
    keys,
    records: new SharedArrayBuffer(SKEW + slots * Sa.size * 4),
    counters: new SharedArrayBuffer(SKEW + keys * KeyCounter.size * 4),
    windows: new SharedArrayBuffer(SKEW + slots * Window.size * 4),
    holding: new SharedArrayBuffer(workers * 4),
    lanes: Array.from({ length: workers }, () => new SharedArrayBuffer(SKEW + slots * SaLane.words * 8)),
    released: new SharedArrayBuffer((Released.slots + Released.kept) * 4),
  };
}
