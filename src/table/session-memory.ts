// The shared memory of the session table: how it is laid out, and how much of it there is.
//
// records  one cache line per session: both flow keys, what to do, TCP state. Written by control while nothing refers
//          to the slot; only the TCP words change while it lives (table/tcp-state.ts).
// index    buckets of half a cache line: seven references and a link to an overflow bucket. A reference is
//          tag (8 bits of the hash, never 0) | slot × 2 + direction; 0 is a hole. References never move, so a reader that
//          scans a bucket misses nothing that stays in it.
// lanes    one array per worker, a cache line per session: that worker's counters and the time it last saw the session.
//
// Publication: control writes the record, then the reference with Atomics.store; a reader that found a reference confirms
// it with Atomics.load before it looks at the record. Removal: see memory/grace.ts.

import type { HashKey } from "./flow.js";

export const enum Record {
  /** Source address as programmed, 1 word (IPv4) or 4. */
  source = 0,
  destination = 4,
  /** Source and destination port as read from a frame of the direction "in". */
  ports = 8,
  /** Flow word of frames in direction "in" (arriving on in_lif) and "out". */
  flowIn = 9,
  flowOut = 10,
  /** Egress port of direction in (8 bits), of direction out (8 bits), action (2 bits), next hop (14 bits): see Decision. */
  decision = 11,
  /** Bits of table/tcp-state.ts, then the sequence numbers that acknowledge each side's FIN. */
  tcp = 12,
  finIn = 13,
  finOut = 14,
  /** Control's own: the bits with which TCP closed a session that leaves for it, as a SYN may still reset those of `tcp`. */
  closed = 15,
  words = 16,
  shift = 4,
}

export const enum Decision {
  /** Egress of direction d is (decision >>> (d * 8)) & 0xff. */
  portMask = 0xff,
  directionShift = 8,
  /** What is above the ports; as a whole it equals Action.forward for FORWARD, which has no next hop. */
  actionShift = 16,
  actionMask = 3,
  nextHopShift = 18,
}

/** Float64 fields of a lane. Direction d counts at inPackets + 2 × d. */
export const enum Lane {
  inPackets,
  inBytes,
  outPackets,
  outBytes,
  /** Milliseconds since the epoch; 0: never. */
  lastSeen,
  words = 8,
  shift = 3,
}

export const enum Bucket {
  references = 7,
  /** Number of the next bucket of the chain, or 0. */
  link = 7,
  words = 8,
  shift = 3,
}

export const enum Reference {
  /** slot × 2 + direction. */
  mask = 0xffffff,
  tagShift = 24,
}

/**
 * Bytes before the first entry of each shared array. The allocator hands out large blocks 16 bytes behind the start of a
 * page, so this puts every record and lane into one cache line and no bucket into two. Elsewhere it would cost time only.
 */
export const SKEW = 48;

/** 24 bits hold slot × 2 + direction. */
export const MAX_CAPACITY = 1 << 23;

export interface SessionMemory {
  readonly capacity: number;
  /** Power of two; overflow buckets are numbered from here on. */
  readonly buckets: number;
  readonly overflow: number;
  readonly key: HashKey;
  // Entries begin at byte SKEW of each.
  readonly records: SharedArrayBuffer;
  readonly index: SharedArrayBuffer;
  /** By worker. */
  readonly lanes: readonly SharedArrayBuffer[];
}

/** Allocates it; the kernel hands over the pages as they are first used. */
export function allocateSessions(capacity: number, workers: number, key: HashKey): SessionMemory {
  // Mean 2 to 4 references in buckets of 7: one key in a hundred lies in an overflow bucket at full capacity.
  let buckets = 16;
  while (buckets * 4 < capacity * 2) buckets *= 2;
  // No chain keeps an empty overflow bucket, and one that is unlinked had a key of a session whose slot is not free yet: a
  // bucket per key is enough whatever the hash and the order of additions and deletions. What is never used costs
  // addresses, not memory.
  const overflow = capacity * 2;
  return {
    capacity,
    buckets,
    overflow,
    key,
    // One record more: control's scratch, to look a key up that is in no slot.
    records: new SharedArrayBuffer(SKEW + (capacity + 1) * Record.words * 4),
    index: new SharedArrayBuffer(SKEW + (buckets + overflow) * Bucket.words * 4),
    lanes: Array.from({ length: workers }, () => new SharedArrayBuffer(SKEW + capacity * Lane.words * 8)),
  };
}

/** The tag of a hash: its upper 8 bits, never 0. */
export function tagOf(hash: number): number {
  return hash >>> Reference.tagShift || 1;
}
