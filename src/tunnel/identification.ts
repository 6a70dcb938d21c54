// Identifications of packets that may be fragmented: unique for as long as a counter takes to come round, over all
// workers, which take turns (RFC 6864 section 4.3, RFC 8200 section 4.5).
//
// IPv4's 16 bits come round after 65,536 packets of the device: at high rates sooner than RFC 6864 asks for, which 16 bits
// cannot avoid. IPv6's 32 bits are the counter through a keyed one-to-one mixing, so that nobody can guess the next one
// (RFC 7739 section 5).

import type { HashKey } from "../table/flow.js";

export class Identification {
  #short: number;
  #long: number;

  constructor(
    worker: number,
    readonly workers: number,
    readonly key: HashKey,
  ) {
    this.#short = worker;
    this.#long = worker;
  }

  next16(): number {
    this.#short = (this.#short + this.workers) & 0xffff;
    return this.#short;
  }

  /** As a signed word. */
  next32(): number {
    this.#long = (this.#long + this.workers) | 0;
    let id = this.#long ^ this.key.start;
    // Each step can be undone, so two counts never give the same.
    id = Math.imul(id ^ (id >>> 16), this.key.k1 | 1);
    id = Math.imul(id ^ (id >>> 15), this.key.k2 | 1);
    return id ^ (id >>> 16);
  }
}
