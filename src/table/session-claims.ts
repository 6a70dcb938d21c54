// Which session holds a flow key. A session claims two keys, or one; with `duplicateFlow: shadow` those that come later
// wait in line behind the holder, else a key is claimed once.

import type { SessionIndex } from "./session-index.js";
import { claims } from "./session-record.js";
import type { ShadowQueue } from "./shadow-queue.js";

export class SessionClaims {
  constructor(
    readonly records: Int32Array,
    readonly index: SessionIndex,
    readonly shadows: ShadowQueue | undefined,
  ) {}

  /** Whether one of the keys of a written record is held and cannot be waited for. */
  taken(slot: number): boolean {
    if (this.shadows !== undefined) return false;
    for (let d = claims(this.records, slot) - 1; d >= 0; d--) {
      if (this.index.find(slot, d, this.index.hash(slot, d)) >= 0) return true;
    }
    return false;
  }

  /** Claims the keys of a written record, or none. @param there, back hashes of the keys */
  publish(slot: number, there: number, back: number): boolean {
    const both = claims(this.records, slot);
    for (let d = 0; d < both && this.shadows === undefined; d++) {
      if (this.index.find(slot, d, d === 0 ? there : back) >= 0) return false;
    }
    for (let d = 0; d < both; d++) {
      const claim = (slot << 1) | d;
      const hash = d === 0 ? there : back;
      const holder = this.index.find(slot, d, hash);
      if (holder >= 0) {
        this.shadows?.join(holder, claim);
      } else {
        this.shadows?.hold(claim);
        this.index.insert(slot, d, hash);
      }
    }
    return true;
  }

  unpublish(slot: number): void {
    for (let d = claims(this.records, slot) - 1; d >= 0; d--) {
      const claim = (slot << 1) | d;
      if (this.shadows !== undefined && !this.shadows.holds(claim)) {
        this.shadows.leave(claim);
        continue;
      }
      const heir = this.shadows?.leave(claim) ?? -1;
      this.index.remove(slot, d, this.index.hash(slot, d), heir);
    }
  }
}
