// Copies for collectors (datapath.md "Session stage": MIRROR, SNOOP): the frame as received, its destination MAC that of
// the next hop; or encapsulated by a tunnel that leads there.
//
// A copy needs no memory: once the burst is sent, nobody needs the frames any more (Port.tx keeps nothing), so the frame
// itself is changed where it lies and sent again; a tunnel's headers grow into its headroom.

import { BURST, type Burst } from "../memory/burst.js";
import type { Counters } from "../memory/counters.js";
import { PortCounter } from "../memory/counters.js";
import { Fate } from "../reason.js";
import { Ethernet } from "../wire/ethernet.js";
import type { TunnelStage } from "./tunnel.js";

export interface NextHop {
  /** Index of the port that it is reached by; -1: by a tunnel. */
  readonly port: number;
  /** 6 bytes. */
  readonly mac: Uint8Array;
}

export class Copies {
  /** Positions in the burst of the frames to copy, in order. */
  readonly list = new Int32Array(BURST);
  n = 0;
  /** By position in `list`: index of the next hop. */
  readonly #hop = new Int32Array(BURST);
  readonly #port: Int32Array;
  /** By next hop: three machine-order halves. */
  readonly #mac: Uint16Array;

  /** @param rules by next hop: slot + 1 of the rule whose tunnel leads there, or 0; read inside a burst */
  constructor(
    nextHops: readonly NextHop[],
    readonly rules: Int32Array,
  ) {
    this.#port = Int32Array.from(nextHops, ({ port }) => port);
    const bytes = new Uint8Array(nextHops.length * Ethernet.address);
    nextHops.forEach(({ mac }, hop) => {
      bytes.set(mac, hop * Ethernet.address);
    });
    this.#mac = new Uint16Array(bytes.buffer);
  }

  /** The frame at position i of the burst is for that next hop as well. At most once for each frame. */
  add(i: number, hop: number): void {
    this.list[this.n] = i;
    this.#hop[this.n++] = hop;
  }

  /** Turns the frames in the list into their copies. The originals must have been sent and their fates counted. */
  make(burst: Burst, counters: Counters, tunnels: TunnelStage): void {
    const { n, list } = this;
    const { frames, offset, egress, fate, port } = burst;
    for (let k = 0; k < n; k++) {
      const i = list[k];
      const hop = this.#hop[k];
      const own = counters.port(port[i]);
      own[PortCounter.created] = own[PortCounter.created] + 1;
      if (this.#port[hop] < 0) {
        const rule = Atomics.load(this.rules, hop) - 1;
        const sent = rule < 0 ? Fate.noTunnel : tunnels.through(burst, i, rule);
        fate[i] = sent === Fate.tunneled ? Fate.copied : sent;
        continue;
      }
      // Every frame begins at an even offset.
      const to = (offset[i] + Ethernet.destination) >> 1;
      const from = (hop * Ethernet.address) >> 1;
      frames.halves[to] = this.#mac[from];
      frames.halves[to + 1] = this.#mac[from + 1];
      frames.halves[to + 2] = this.#mac[from + 2];
      egress[i] = this.#port[hop];
      fate[i] = Fate.copied;
    }
  }
}
