// Forward: sorts the frames of a burst by the port they leave by, in order. Dropped frames are in no list.

import { BURST, type Burst, POSITIONS } from "../memory/burst.js";
import { ENDS, Fate } from "../reason.js";

export class Departures {
  /** By port: positions in the burst, in order. */
  readonly lists: readonly Int32Array[];
  /** The same lists from BURST on: Port.tx takes that many at a time. */
  readonly rest: readonly Int32Array[];
  /** By port: how many of them. */
  readonly counts: Int32Array;

  constructor(ports: number) {
    this.lists = Array.from({ length: ports }, () => new Int32Array(POSITIONS));
    this.rest = this.lists.map((list) => list.subarray(BURST));
    this.counts = new Int32Array(ports);
  }

  /** Frames from position `from` up to `to`, each followed by what was made of it. */
  sort(burst: Burst, from = 0, to = burst.n): void {
    const { fate, egress, parent } = burst;
    const { counts, lists } = this;
    counts.fill(0);
    const madeEnd = BURST + burst.made;
    let m = BURST;
    for (let i = from; i < to; i++) {
      const port = egress[i];
      if (ENDS[fate[i]] === 0) {
        if (port < 0) fate[i] = Fate.noPeer;
        else lists[port][counts[port]++] = i;
      }
      for (; m < madeEnd && parent[m] === i; m++) {
        const own = egress[m];
        lists[own][counts[own]++] = m;
      }
    }
  }

  /** The frames at these positions alone. */
  sortList(burst: Burst, list: Int32Array, n: number): void {
    const { counts, lists } = this;
    counts.fill(0);
    for (let k = 0; k < n; k++) {
      const i = list[k];
      if (ENDS[burst.fate[i]] === 1) continue;
      const port = burst.egress[i];
      lists[port][counts[port]++] = i;
    }
  }
}
