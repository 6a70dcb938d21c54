// Index of session ids: uint64 id → slot of the session table. Private to the control thread, never shared.
//
// Open addressing with linear probing, at most half full, so that a probe run stays short. A bucket holds slot + 1 (0 = empty);
// the id itself stands once, by slot. Deletion shifts the rest of the run back instead of leaving a tombstone: a table that
// is added to and deleted from for months probes no further than a new one.
//
// Ids are chosen by clients, so the hash is keyed. Its 32-bit key keeps a sequence of ids from clustering by accident or
// habit; it is no defence against a client that studies the key, and need not be: clients are allowed to delete everything.

/** Little-endian words of an id. */
const enum Word {
  low,
  high,
  count,
}

export class IdIndex {
  readonly #buckets: Int32Array;
  readonly #mask: number;
  readonly #ids: BigUint64Array;
  /** The same memory as #ids, because reading a BigInt allocates. */
  readonly #words: Uint32Array;
  /** Takes a BigInt apart without allocating. */
  readonly #id = new BigUint64Array(1);
  readonly #idWords = new Uint32Array(this.#id.buffer);
  readonly #key: number;
  #size = 0;

  /** `capacity`: slots are 0 … capacity - 1. `seed`: any 32 random bits. */
  constructor(capacity: number, seed: number) {
    let buckets = 8;
    while (buckets < capacity * 2) {
      buckets *= 2;
    }
    this.#buckets = new Int32Array(buckets);
    this.#mask = buckets - 1;
    this.#ids = new BigUint64Array(capacity);
    this.#words = new Uint32Array(this.#ids.buffer);
    this.#key = seed | 0;
  }

  get size(): number {
    return this.#size;
  }

  /** The slot of a session id, or -1. */
  get(id: bigint): number {
    return this.#buckets[this.#find(id)] - 1;
  }

  /** Puts `id` at `slot`. The slot must not hold another id; an id that is already there moves to `slot`. */
  set(id: bigint, slot: number): void {
    const bucket = this.#find(id);
    if (this.#buckets[bucket] === 0) {
      this.#size++;
    }
    this.#ids[slot] = id;
    this.#buckets[bucket] = slot + 1;
  }

  /** Returns the slot that it had, or -1. */
  delete(id: bigint): number {
    const slot = this.get(id);
    if (slot >= 0) {
      this.remove(slot);
    }
    return slot;
  }

  /** Deletes the id at `slot`, which must be there; idOf() still tells it. */
  remove(slot: number): void {
    const buckets = this.#buckets;
    const mask = this.#mask;
    let hole = this.#home(slot);
    while (buckets[hole] !== slot + 1) {
      hole = (hole + 1) & mask;
    }
    // An entry behind the hole may fill it unless that is before the bucket where its own search begins.
    for (let next = (hole + 1) & mask; buckets[next] !== 0; next = (next + 1) & mask) {
      const home = this.#home(buckets[next] - 1);
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        buckets[hole] = buckets[next];
        hole = next;
      }
    }
    buckets[hole] = 0;
    this.#size--;
  }

  /** Brings the bucket of the id at `slot` into the cache. */
  touch(slot: number): number {
    return this.#buckets[this.#home(slot)];
  }

  /** Brings the bucket of an id into the cache. */
  touchId(id: bigint): number {
    this.#id[0] = id;
    return this.#buckets[this.#hash(this.#idWords[Word.low], this.#idWords[Word.high])];
  }

  /** The id that was last put at `slot`. */
  idOf(slot: number): bigint {
    return this.#ids[slot] as bigint;
  }

  /** The bucket of `id`, or the empty one where it belongs. */
  #find(id: bigint): number {
    this.#id[0] = id;
    const low = this.#idWords[Word.low];
    const high = this.#idWords[Word.high];
    const buckets = this.#buckets;
    const words = this.#words;
    let bucket = this.#hash(low, high);
    for (;;) {
      const entry = buckets[bucket];
      if (entry === 0) {
        return bucket;
      }
      const at = (entry - 1) * Word.count;
      if (words[at] === low && words[at + Word.high] === high) {
        return bucket;
      }
      bucket = (bucket + 1) & this.#mask;
    }
  }

  #home(slot: number): number {
    const at = slot * Word.count;
    return this.#hash(this.#words[at], this.#words[at + Word.high]);
  }

  /** The finalizer of MurmurHash3, once over each word: every bit of the id reaches every bit of the bucket number. */
  #hash(low: number, high: number): number {
    return mix(mix(low ^ this.#key) ^ high ^ Math.imul(this.#key, 0x9e3779b1)) & this.#mask;
  }
}

function mix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
