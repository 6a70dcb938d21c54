// The AEAD contexts of one worker: made from the SA's key when its first packet comes, wiped when control lets go of the SA.

import { type Aead, icvLength, keyLength, SuiteBits, saltLength } from "../aead/aead.js";
import type { SaLookup } from "../table/sa-lookup.js";
import { Sa, SaFlags } from "../table/sa-memory.js";

const ICV_LENGTHS = Uint8Array.from({ length: SuiteBits.count }, (_, suite) => icvLength(suite));

export class EspContexts {
  /** By SA slot: the stamp of the SA that the context is of, or 0. */
  readonly #stamps: Int32Array;

  constructor(
    readonly sas: SaLookup,
    readonly aead: Aead,
  ) {
    this.#stamps = new Int32Array(sas.records.length / Sa.size);
  }

  /** Makes the context ready. @returns false: there is no such SA any more */
  ready(slot: number): boolean {
    if (slot < 0) return false;
    const stamp = this.sas.records[slot * Sa.size + Sa.stamp];
    return stamp !== 0 && (this.#stamps[slot] === stamp || this.#make(slot, stamp));
  }

  /** Bytes of the ICV. */
  icv(slot: number): number {
    return ICV_LENGTHS[this.sas.records[slot * Sa.size + Sa.flags] & SaFlags.suiteMask];
  }

  #make(slot: number, stamp: number): boolean {
    const { records, recordBytes } = this.sas;
    const record = slot * Sa.size;
    const suite = records[record + Sa.flags] & SaFlags.suiteMask;
    const key = (record + Sa.key) * 4;
    const salt = (record + Sa.salt) * 4;
    this.aead.set(
      slot,
      suite,
      recordBytes.subarray(key, key + keyLength(suite)),
      recordBytes.subarray(salt, salt + saltLength(suite)),
    );
    this.#stamps[slot] = stamp;
    return true;
  }

  /** Wipes the contexts of SAs that are gone. Call once per burst, inside it, and when idle. */
  refresh(): void {
    const { released } = this.sas;
    const n = this.sas.refresh();
    if (n === 0) return;
    if (n > 0) for (let k = 0; k < n; k++) this.#check(released[k]);
    else for (let slot = 0; slot < this.#stamps.length; slot++) this.#check(slot);
  }

  #check(slot: number): void {
    const stamp = this.#stamps[slot];
    if (stamp === 0 || stamp === this.sas.records[slot * Sa.size + Sa.stamp]) return;
    this.aead.wipe(slot);
    this.#stamps[slot] = 0;
  }
}
