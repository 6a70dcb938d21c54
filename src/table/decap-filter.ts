// Whether a decapsulating rule may be for a packet of which only the outer addresses are seen: a fragment without the UDP
// header. Errs on the side of yes: rules are counted by a hash of their outer destination, those without a whole one for all.
//
// Control counts as rules come and go, workers read. Rules that match on an earlier tunnel are left out: fragments are only looked
// at as they come in.

import { isDecap, type NewRule } from "./rule.js";

const BUCKETS = 1024;
/** Words for one IP version: rules that take any destination, then those of each bucket. */
const WORDS = 1 + BUCKETS;

export class DecapFilter {
  readonly #counts: Int32Array;

  constructor(shared: SharedArrayBuffer) {
    this.#counts = new Int32Array(shared);
  }

  static size(): number {
    return 2 * WORDS * 4;
  }

  /** @param by 1 for a rule that comes, -1 for one that goes */
  count({ match, tunnel }: NewRule, by: 1 | -1): void {
    if (!isDecap(tunnel) || match.tunnelId !== undefined) return;
    const destination = match.ip?.destination;
    for (const family of [4, 16]) {
      if (match.ip !== undefined && match.ip.ipv6 !== (family === 16)) continue;
      const base = family === 4 ? 0 : WORDS;
      const whole = destination !== undefined && destination.length === family * 8;
      Atomics.add(this.#counts, whole ? base + 1 + bucket(destination.address, 0, family) : base, by);
    }
  }

  /** @param family 4 or 16: bytes of the destination at `at` */
  mayMatch(bytes: Uint8Array, at: number, family: number): boolean {
    const base = family === 4 ? 0 : WORDS;
    return this.#counts[base] > 0 || this.#counts[base + 1 + bucket(bytes, at, family)] > 0;
  }
}

function bucket(bytes: Uint8Array, at: number, length: number): number {
  let h = 0;
  for (let b = 0; b < length; b++) h = Math.imul(h ^ bytes[at + b], 0x0100_0193);
  return ((h >>> 16) ^ h) & (BUCKETS - 1);
}
