// The wiring of the fast path on one screen: what happens to a burst, in order.
//
// The burst word is odd while stages may hold references into the tables (memory/grace.ts); sending needs none. Every
// frame meets exactly one fate, counted in `settle`, and `inflight` says how many frames have not met theirs yet: that
// many are lost if the worker dies here.

import type { Burst } from "../memory/burst.js";
import type { Counters } from "../memory/counters.js";
import type { EventRing } from "../memory/event-ring.js";
import { Word, wordOf } from "../memory/worker-words.js";
import type { Port } from "../port/port.js";
import { Fate } from "../reason.js";
import type { Copies } from "../stage/copy.js";
import { Departures } from "../stage/forward.js";
import { parse } from "../stage/parse.js";
import { decide } from "../stage/session.js";
import type { Topology } from "../stage/topology.js";
import type { TunnelStage } from "../stage/tunnel.js";
import type { SessionLookup } from "../table/session-lookup.js";

export class Pipeline {
  readonly #departures: Departures;

  constructor(
    readonly topology: Topology,
    readonly tunnels: TunnelStage,
    readonly sessions: SessionLookup,
    readonly closed: EventRing,
    readonly copies: Copies,
    /** By port index: where frames leave. */
    readonly egress: readonly Port[],
    readonly counters: Counters,
    readonly words: Int32Array,
    readonly worker: number,
  ) {
    this.#departures = new Departures(egress.length);
  }

  process(burst: Burst): void {
    const { words } = this;
    const epoch = wordOf(this.worker, Word.burst);
    const inflight = wordOf(this.worker, Word.inflight);
    words[inflight] = burst.n;
    Atomics.add(words, epoch, 1);
    const undecided = !this.tunnels.run(burst);
    parse(burst, this.topology, undecided);
    this.sessions.lookup(burst);
    decide(burst, this.sessions, this.closed, this.copies);
    Atomics.add(words, epoch, 1);
    this.#departures.sort(burst);
    this.#send(burst);
    this.#settle(burst);
    words[inflight] = 0;
    if (this.copies.n > 0) this.#copy(burst, inflight);
  }

  /** Copies for collectors: made of the frames that were sent, and counted as frames of their own. */
  #copy(burst: Burst, inflight: number): void {
    const { copies, words } = this;
    const { list, n } = copies;
    const epoch = wordOf(this.worker, Word.burst);
    Atomics.add(words, epoch, 1);
    copies.make(burst, this.counters, this.tunnels);
    Atomics.add(words, epoch, 1);
    words[inflight] = n;
    this.#departures.sortList(burst, list, n);
    this.#send(burst);
    const fates = this.counters.fates;
    for (let k = 0; k < n; k++) {
      const f = burst.fate[list[k]];
      fates[f] = fates[f] + 1;
    }
    copies.n = 0;
    words[inflight] = 0;
  }

  #send(burst: Burst): void {
    const { lists, counts } = this.#departures;
    for (let p = 0; p < counts.length; p++) {
      const count = counts[p];
      if (count === 0) continue;
      const list = lists[p];
      const port = this.egress[p];
      for (let i = port.tx(burst, list, count); i < count; i++) {
        burst.fate[list[i]] = port.down ? Fate.txDown : Fate.txFull;
      }
    }
  }

  #settle(burst: Burst): void {
    const { n, fate } = burst;
    const fates = this.counters.fates;
    for (let i = 0; i < n; i++) {
      const f = fate[i];
      fates[f] = fates[f] + 1;
    }
  }
}
