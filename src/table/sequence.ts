// Sequence numbers of what is sealed (RFC 4303 sections 2.2 and 3.3.3): from 1, by one per packet, shared by all workers and by all
// SAs of a key, each given out once. Never wraps: at its limit a counter stands still. The IV (RFC 4106 section 3.1) is the number XOR
// 64 random bits of the key.
//
// A counter is two Int32 words, as a 64-bit Atomics.add would need BigInt. `low` counts modulo 2³². `half` says which 2³¹ numbers
// they are; H is what it should say. The top bit of `low` is H's last one, so who knows that H is `half` or `half` + 1 knows H.
//
// Why no number is given out twice. Accesses are Atomics, hence in one order, but for the first look at both words, for which any value
// that they had before will do: Atomics cost 8 ns each (Node 20).
//  1. `half` only grows, by compareExchange from h to h + 1, and never past H: who does it found a number whose top bit is not that
//     of h, and `half` was h from before that number was taken until now, so by 2. the number's H is h + 1.
//  2. `half` is never more than one behind: the first call that comes to an end behind a border has moved it. Calls that do not
//     (workers that stall inside: one each; that died inside: one each time) would have to be 2³¹ to reach the next border, and
//     behind any border, fewer than 2³⁰ numbers are taken before `half` has moved.
//  3. A call reads h1, takes a number, helps, loads h2. By 1. and 2., the number's H is between h1 and h2 + 1. Is h2 = h1, the top bit
//     decides. Is h2 = h1 + 1, it decides but between h1 and h1 + 2; and h1 + 2 can only be when `half` was one behind it as
//     the number was taken, so at fewer than 2³⁰ behind the border. Who finds a number there had stalled for 2³⁰ packets at
//     least: he leaves that number unused and takes another, as he does when h2 is further away.
// A worker that dies between any two steps leaves a number unused, and a `half` that the next one mends.
//
// Workers that pass the first look at the limit together take one number each past it, and do not use it. Control moves the limit up
// only; it is a Float64, read and written whole (memory/counters.ts).

import { KeyCounter, type SaMemory } from "./sa-memory.js";
import { SKEW } from "./session-memory.js";

/** The last number without extended sequence numbers, and with them: to where Float64 is exact. */
export const LAST = 2 ** 32 - 1;
export const LAST_EXTENDED = 2 ** 53 - 1;

const HALF = 2 ** 31;
const HALF_MASK = 0x7fffffff;
const STALLED = 2 ** 30;

export class Sequences {
  /** What next() gave: the sequence number. */
  low = 0;
  high = 0;
  /** And the IV: big-endian, high word first. */
  ivLow = 0;
  ivHigh = 0;
  readonly #words: Int32Array;
  readonly #limits: Float64Array;

  constructor(memory: SaMemory) {
    this.#words = new Int32Array(memory.counters, SKEW);
    this.#limits = new Float64Array(memory.counters, SKEW);
  }

  /** Brings the counter into the cache. */
  touch(counter: number): number {
    return this.#words[counter * KeyCounter.size];
  }

  /**
   * Takes the next number.
   * @param counter Sa.counter
   * @returns false: there is none left, or none that may be used yet
   */
  next(counter: number, esn: boolean): boolean {
    const words = this.#words;
    const base = counter * KeyCounter.size;
    const limit = Math.min(esn ? LAST_EXTENDED : LAST, this.#limits[(base + KeyCounter.limit) >> 1]);
    for (;;) {
      const before = words[base + KeyCounter.half];
      if (numberOf(before, words[base + KeyCounter.low]) >= limit && taken(words, counter) >= limit) return false;
      const low = (Atomics.add(words, base + KeyCounter.low, 1) + 1) | 0;
      const half = halfOf(before, low);
      if (half !== before) Atomics.compareExchange(words, base + KeyCounter.half, before, half);
      const moved = Atomics.load(words, base + KeyCounter.half) - before;
      if (moved > 1 || (moved === 1 && half === before && (low & HALF_MASK) < STALLED)) continue;
      if (numberOf(half, low) > limit) return false;
      this.low = low;
      this.high = half >>> 1;
      this.ivLow = low ^ words[base + KeyCounter.ivLow];
      this.ivHigh = this.high ^ words[base + KeyCounter.ivHigh];
      return true;
    }
  }
}

/** How many numbers were taken so far: at least what it was when this was called, at most what it is on return. */
export function taken(words: Int32Array, counter: number): number {
  const base = counter * KeyCounter.size;
  for (;;) {
    const half = Atomics.load(words, base + KeyCounter.half);
    const low = Atomics.load(words, base + KeyCounter.low);
    if (Atomics.load(words, base + KeyCounter.half) === half) return numberOf(half, low);
  }
}

/** The counter goes on behind `number`. Only while no worker can reach it. */
export function goOn(words: Int32Array, counter: number, number: number): void {
  const base = counter * KeyCounter.size;
  Atomics.store(words, base + KeyCounter.half, Math.floor(number / HALF));
  Atomics.store(words, base + KeyCounter.low, number | 0);
}

/** H of `low`, given what `half` was before. */
function halfOf(half: number, low: number): number {
  return half + ((low >>> 31) ^ (half & 1));
}

function numberOf(half: number, low: number): number {
  return halfOf(half, low) * HALF + (low & HALF_MASK);
}
