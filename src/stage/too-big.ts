// Too big: packets that a tunnel has made larger than the MTU of the port that they leave by (datapath.md "Too big", RFC 4459).
//
//   outer DF clear     the outer packet leaves in fragments; VXLAN's never (RFC 7348 section 4.3)
//   else               dropped, and ICMP tells its sender the size that fits: the MTU less all that the tunnels put in front
//   IPv6 up to 1,280   every IPv6 link carries it: fragmented outside in any case, VXLAN aside, and no smaller size is ever told
//                      (RFC 2473 section 7.1, RFC 8200 section 5)
//
// `judge` decides while the tables may be read, `make` makes the frames when the burst leaves. The packet itself stays in its
// slot, whole: a collector may get a copy of it.
//
// Not judged: packets that no tunnel put a header in front of (the device is transparent), and copies for collectors.

import { BURST, type Burst, MADE } from "../memory/burst.js";
import { type Counters, PortCounter } from "../memory/counters.js";
import { ENDS, Fate } from "../reason.js";
import { TunnelLane } from "../table/rule-memory.js";
import { EspPlace } from "../tunnel/extension-headers.js";
import { fragment, fragmentsOf } from "../tunnel/fragment.js";
import type { Identification } from "../tunnel/identification.js";
import type { Origins } from "../tunnel/origin.js";
import { packetTooBig } from "../tunnel/packet-too-big.js";
import { be16 } from "../wire/bytes.js";
import { behindTags, Ethernet, EtherType } from "../wire/ethernet.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import type { Topology } from "./topology.js";

export interface TooBigOptions {
  /** ICMP messages per second and worker, and how many may come at once; 0: none. */
  readonly icmpRate: number;
}

export class TooBig {
  /** Positions of the packets that frames may be made of, in order. */
  readonly list = new Int32Array(BURST);
  n = 0;
  /** Byte offset of the outermost IP header, by position. */
  readonly #ip = new Int32Array(BURST);
  readonly #length = new Int32Array(BURST);
  /** Of what follows the headers that are in every fragment. */
  readonly #place = new EspPlace();
  /** Token bucket: messages that may be sent now, and when that was reckoned. */
  #tokens: number;
  #reckoned = 0;

  constructor(
    readonly topology: Topology,
    readonly origins: Origins,
    readonly identification: Identification,
    /** TunnelLane, of this worker. */
    readonly lanes: Float64Array,
    readonly options: TooBigOptions,
  ) {
    this.#tokens = options.icmpRate;
  }

  /** Sets the fate of every packet that is too big. @returns whether there is any in `list` */
  judge(burst: Burst): boolean {
    this.n = 0;
    if (this.origins.encapsulated === 0) return false;
    const { n, fate, egress, length } = burst;
    const { depth } = this.origins;
    const { mtu } = this.topology;
    for (let i = 0; i < n; i++) {
      if (depth[i] <= 0 || ENDS[fate[i]] === 1 || egress[i] < 0) continue;
      if (length[i] - Ethernet.length > mtu[egress[i]]) this.#look(burst, i, mtu[egress[i]]);
    }
    return this.n > 0;
  }

  #look(burst: Burst, i: number, mtu: number): void {
    const { origins } = this;
    const { bytes } = burst.frames;
    const ip = behindTags(bytes, burst.offset[i], burst.offset[i] + burst.length[i]);
    const outer6 = be16(bytes, ip - 2) === EtherType.ipv6;
    const length = outer6 ? Ipv6.length + be16(bytes, ip + Ipv6.payloadLength) : be16(bytes, ip + Ipv4.totalLength);
    if (length <= mtu) return;
    this.#ip[i] = ip;
    this.#length[i] = length;
    const small = origins.version[i] === 6 && origins.length[i] <= Ipv6.minimumMtu && origins.limit(i, mtu) < Ipv6.minimumMtu;
    const fragments = origins.vxlan[i] === 0 && (origins.dontFragment[i] === 0 || small);
    const place = this.#place;
    if (
      fragments &&
      place.find(bytes, ip, ip + length, outer6, false) &&
      fragmentsOf(outer6, place.at - ip, length, mtu) <= MADE
    ) {
      burst.fate[i] = Fate.fragmented;
      this.list[this.n++] = i;
      return;
    }
    burst.fate[i] = Fate.tooBig;
    const lane = origins.lane[i];
    this.lanes[lane + TunnelLane.outDrops] = this.lanes[lane + TunnelLane.outDrops] + 1;
    this.lanes[lane + TunnelLane.outDropBytes] = this.lanes[lane + TunnelLane.outDropBytes] + burst.wire[i];
    // An IPv6 packet of up to 1,280 bytes cannot be told to be smaller.
    if (origins.version[i] !== 0 && !small) this.list[this.n++] = i;
  }

  /**
   * Makes what leaves in place of the packet at position i: `burst.made` grows.
   * @returns false when there is no room: send what was made, then call again
   */
  make(burst: Burst, i: number, counters: Counters): boolean {
    const before = burst.made;
    if (burst.fate[i] === Fate.fragmented) {
      const mtu = this.topology.mtu[burst.egress[i]];
      const ip = this.#ip[i];
      const { bytes } = burst.frames;
      const ipv6 = bytes[ip] >>> 4 === 6;
      const length = this.#length[i];
      const place = this.#place;
      place.find(bytes, ip, ip + length, ipv6, false);
      if (before + fragmentsOf(ipv6, place.at - ip, length, mtu) > MADE) return false;
      fragment(burst, i, ip, place, length, ipv6, mtu, this.identification);
    } else {
      if (before === MADE) return false;
      this.#tell(burst, i);
    }
    const fate = burst.fate[i] === Fate.fragmented ? Fate.outerFragment : Fate.packetTooBig;
    for (let m = BURST + before; m < BURST + burst.made; m++) {
      burst.fate[m] = fate;
      burst.egress[m] = fate === Fate.outerFragment ? burst.egress[i] : burst.port[i];
    }
    const own = counters.port(burst.port[i]);
    own[PortCounter.created] = own[PortCounter.created] + burst.made - before;
    return true;
  }

  #tell(burst: Burst, i: number): void {
    const { origins } = this;
    let mtu = origins.limit(i, this.topology.mtu[burst.egress[i]]);
    if (origins.version[i] === 6) mtu = Math.max(mtu, Ipv6.minimumMtu);
    // Tunnel headers fill the port's MTU: no size would fit.
    if (mtu < Ipv4.minimumMtu || !this.#mayTell(burst.time[i])) return;
    const length = packetTooBig(burst, i, origins, BURST + burst.made, mtu);
    if (length === 0) return;
    this.#tokens--;
    const m = burst.make(i);
    burst.place(m, burst.offset[m], length);
  }

  #mayTell(now: number): boolean {
    const { icmpRate } = this.options;
    // A clock that was set back gives nothing.
    const gained = (Math.max(0, now - this.#reckoned) * icmpRate) / 1000;
    this.#tokens = Math.min(icmpRate, this.#tokens + gained);
    this.#reckoned = now;
    return this.#tokens >= 1;
  }
}
