// The wiring of the fast path on one screen: what happens to a burst, in order.
//
// The burst word is odd while stages may hold references into the tables (memory/grace.ts); sending needs none. Every
// frame meets exactly one fate, counted in `settle`, and `inflight` says how many frames have not met theirs yet: that
// many are lost if the worker dies here.

import { BURST, type Burst } from "../memory/burst.js";
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
    this.tunnels.reassembly?.expire(burst.time[burst.n - 1]);
    this.#run(burst);
    this.#release(burst);
  }

  /** When there is nothing to process: keys that are gone are wiped, fragments that have waited too long leave. Infinity as the time: all. */
  expire(burst: Burst, now: number): void {
    const { reassembly, esp } = this.tunnels;
    esp?.contexts.refresh();
    if (reassembly === undefined || reassembly.due > now) return;
    reassembly.expire(now);
    this.#release(burst);
  }

  /** Sends the fragments that reassembly lets go. */
  #release(burst: Burst): void {
    const { tunnels } = this;
    const { reassembly } = tunnels;
    if (reassembly === undefined || !reassembly.leaving) return;
    tunnels.released = true;
    while (reassembly.leaving) {
      burst.n = reassembly.release(burst);
      this.#run(burst);
    }
    tunnels.released = false;
  }

  #run(burst: Burst): void {
    const { words } = this;
    const epoch = wordOf(this.worker, Word.burst);
    const inflight = wordOf(this.worker, Word.inflight);
    words[inflight] = burst.n;
    Atomics.add(words, epoch, 1);
    const undecided = !this.tunnels.run(burst);
    parse(burst, this.topology, undecided);
    this.sessions.lookup(burst);
    decide(burst, this.sessions, this.closed, this.copies);
    const tooBig = this.tunnels.tooBig.judge(burst);
    Atomics.add(words, epoch, 1);
    const from = tooBig ? this.#make(burst, inflight) : 0;
    this.#departures.sort(burst, from);
    this.#send(burst);
    this.#settle(burst, 0, burst.n);
    this.#settle(burst, BURST, BURST + burst.made);
    burst.made = 0;
    words[inflight] = 0;
    if (this.copies.n > 0) this.#copy(burst, inflight);
  }

  /**
   * Makes the frames that leave in place of packets that are too big for their port, in order: when there is no room for
   * more, what stands before is sent first. @returns the position from which on the burst is still to be sent
   */
  #make(burst: Burst, inflight: number): number {
    const { words, counters } = this;
    const { tooBig } = this.tunnels;
    let from = 0;
    for (let k = 0; k < tooBig.n; k++) {
      const i = tooBig.list[k];
      let before = burst.made;
      if (!tooBig.make(burst, i, counters)) {
        this.#departures.sort(burst, from, i);
        this.#send(burst);
        this.#settle(burst, BURST, BURST + before);
        words[inflight] -= before;
        burst.made = 0;
        before = 0;
        from = i;
        tooBig.make(burst, i, counters);
      }
      words[inflight] += burst.made - before;
    }
    return from;
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
    const { lists, rest, counts } = this.#departures;
    for (let p = 0; p < counts.length; p++) {
      const count = counts[p];
      if (count === 0) continue;
      this.#sendTo(this.egress[p], burst, lists[p], Math.min(count, BURST));
      if (count > BURST) this.#sendTo(this.egress[p], burst, rest[p], count - BURST);
    }
  }

  #sendTo(port: Port, burst: Burst, list: Int32Array, count: number): void {
    for (let i = port.tx(burst, list, count); i < count; i++) {
      burst.fate[list[i]] = port.down ? Fate.txDown : Fate.txFull;
    }
  }

  #settle({ fate }: Burst, from: number, to: number): void {
    const fates = this.counters.fates;
    for (let i = from; i < to; i++) {
      const f = fate[i];
      fates[f] = fates[f] + 1;
    }
  }
}
