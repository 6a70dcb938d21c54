// Forward: sorts the frames of a burst by the port they leave by, in order. Dropped frames are in no list.

import { BURST, type Burst } from "../memory/burst.js";
import { Fate, REASONS } from "../reason.js";

export class Departures {
  /** By port: positions in the burst, in order. */
  readonly lists: readonly Int32Array[];
  /** By port: how many of them. */
  readonly counts: Int32Array;
  /** 1 for each Fate that sends nothing. */
  readonly #ends = Uint8Array.from(REASONS, (reason) => (reason.kind === "drop" || reason.kind === "consumed" ? 1 : 0));

  constructor(ports: number) {
    this.lists = Array.from({ length: ports }, () => new Int32Array(BURST));
    this.counts = new Int32Array(ports);
  }

  sort(burst: Burst): void {
    const { n, fate, egress } = burst;
    const { counts, lists } = this;
    const ends = this.#ends;
    counts.fill(0);
    for (let i = 0; i < n; i++) {
      if (ends[fate[i]] === 1) continue;
      const port = egress[i];
      if (port < 0) {
        fate[i] = Fate.noPeer;
        continue;
      }
      const count = counts[port];
      lists[port][count] = i;
      counts[port] = count + 1;
    }
  }

  /** The frames at these positions alone. */
  sortList(burst: Burst, list: Int32Array, n: number): void {
    const { counts, lists } = this;
    counts.fill(0);
    for (let k = 0; k < n; k++) {
      const i = list[k];
      if (this.#ends[burst.fate[i]] === 1) continue;
      const port = burst.egress[i];
      lists[port][counts[port]++] = i;
    }
  }
}
