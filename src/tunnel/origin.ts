// What is kept of a packet as it was received while tunnels change it, so that its sender can be told if it turns out too big
// (RFC 4459 section 3.2): its Ethernet header and tags, and where the packet is.
//
// An encapsulation leaves the packet as it was behind the headers that it puts in front. A decapsulation takes headers off,
// which a later encapsulation may write over: of those the first KEEP bytes are copied, and only where such a chain is
// possible. What follows them is in place still, unless options or a second decapsulation reach further.
//
// Costs nothing where no port has an MTU, and a copy of 11 halves for each packet that a tunnel takes where one has.

import { BURST, type Burst } from "../memory/burst.js";
import { Base, Procedure } from "../table/rule-memory.js";
import { EspTrailer } from "../wire/esp.js";
import { Ethernet } from "../wire/ethernet.js";
import type { Headers } from "./headers.js";

/** Bytes of a packet that are copied before its headers are taken off: two IPv6 headers fit with what is between them. */
const KEEP = 128;
/** Halves of an Ethernet header with two tags, rounded up. */
export const ETHERNET_HALVES = 12;

/** Tunnels that a packet goes through at the most. */
const STEPS = 8;

/** What a tunnel put in front (and behind) of the packet that it took last. */
export interface Added {
  /** Bytes by which the frame was moved in its slot. */
  readonly moved: number;
  readonly added: number;
  readonly dontFragment: boolean;
}

/** By position in the burst. */
export class Origins {
  /** Headers that were put in front of packets of this burst. */
  encapsulated = 0;
  /** Headers that were put in front and are there still. */
  readonly depth = new Int32Array(BURST);
  /** 4 or 6; 0: not IP. */
  readonly version = new Int32Array(BURST);
  /** Bytes of the IP packet. */
  readonly length = new Int32Array(BURST);
  /** Byte offset of its IP header: of where it would be, when it was taken off. */
  readonly ip = new Int32Array(BURST);
  // What tunnels did to its length, one after the other: STEPS for each position
  readonly #steps = new Int32Array(BURST);
  /** Bytes put on, or negative taken off, but for padding. */
  readonly #bytes = new Int32Array(BURST * STEPS);
  /** Whether it was padded besides: with its trailer to a multiple of 4 (ESP). */
  readonly #padded = new Uint8Array(BURST * STEPS);
  /** Where the tunnel that put the outermost header there counts: index of its first field (TunnelLane) in the lanes. */
  readonly lane = new Int32Array(BURST);
  /** Whether that header forbids that it be fragmented: by DF, or by what DF would be over IPv6. */
  readonly dontFragment = new Int32Array(BURST);
  /** Whether it is VXLAN's, which forbids it in any case (RFC 7348 section 4.3). */
  readonly vxlan = new Int32Array(BURST);
  /** Bytes of VLAN tags. */
  readonly tags = new Int32Array(BURST);
  /** MACs, tags and EtherType: ETHERNET_HALVES for each position. */
  readonly ethernet = new Uint16Array(BURST * ETHERNET_HALVES);
  /** Bytes that were copied; 0: the packet is whole where it is. */
  readonly kept = new Int32Array(BURST);
  /** Whether what follows the copied bytes is as it was. */
  readonly rest = new Int32Array(BURST);
  readonly #packets = new Uint8Array(BURST * KEEP);

  /** A packet comes to its first rule. */
  begin(i: number): void {
    this.depth[i] = 0;
    this.#steps[i] = 0;
  }

  /** The packet that tunnels are about to change; it stands as `headers` has just read it. */
  keep(burst: Burst, i: number, headers: Headers): void {
    const { halves } = burst.frames;
    const { base, tags, version } = headers;
    const from = base[Base.ethernet] >> 1;
    const to = i * ETHERNET_HALVES;
    const n = (Ethernet.length + tags) >> 1;
    for (let h = 0; h < n; h++) this.ethernet[to + h] = halves[from + h];
    this.tags[i] = tags;
    this.version[i] = version;
    this.ip[i] = base[Base.ip];
    this.length[i] = headers.ipEnd - base[Base.ip];
    this.kept[i] = 0;
    this.rest[i] = 1;
  }

  /** Before what is behind its first bytes is encrypted or decrypted. `whether`: it may turn out too big. */
  keepClear(burst: Burst, i: number, whether: boolean): void {
    if (whether && this.kept[i] === 0 && this.rest[i] === 1) this.#copy(burst, i);
    this.rest[i] = 0;
  }

  /** Before a decapsulation that an encapsulation may follow. */
  keepBytes(burst: Burst, i: number, headers: Headers): void {
    // A header of ours: the packet behind it stays.
    if (this.depth[i] > 0) return;
    if (this.kept[i] > 0) {
      this.rest[i] = 0;
      return;
    }
    this.#copy(burst, i);
    // A decapsulation writes the ECN field inside, and the checksum in the third word behind it.
    if (headers.base[Base.innerIp] + 12 > this.ip[i] + this.kept[i]) this.rest[i] = 0;
  }

  #copy(burst: Burst, i: number): void {
    const ip = this.ip[i];
    const length = Math.min(KEEP, this.length[i]);
    for (let b = 0, to = i * KEEP; b < length; b++) this.#packets[to + b] = burst.frames.bytes[ip + b];
    this.kept[i] = length;
  }

  /** The tunnel that counts there has put a header in front. */
  push(i: number, lane: number, { moved, added, dontFragment }: Added, procedure: Procedure): void {
    const padded = procedure === Procedure.ipsecEnc;
    this.encapsulated++;
    this.depth[i]++;
    this.ip[i] += moved;
    this.#step(i, added, padded);
    this.lane[i] = lane;
    this.dontFragment[i] = dontFragment ? 1 : 0;
    this.vxlan[i] = procedure === Procedure.vxlanEncap ? 1 : 0;
  }

  /** So many bytes were taken off. @param padded and padding, of ESP */
  pop(i: number, removed: number, padded: boolean): void {
    if (this.depth[i] > 0) this.depth[i]--;
    this.#step(i, -removed, padded);
  }

  #step(i: number, bytes: number, padded: boolean): void {
    const at = i * STEPS + this.#steps[i]++;
    this.#bytes[at] = bytes;
    this.#padded[at] = padded ? 1 : 0;
  }

  /** The longest that the packet may be for what becomes of it to fit `mtu`. */
  limit(i: number, mtu: number): number {
    let most = mtu;
    for (let at = i * STEPS + this.#steps[i] - 1; at >= i * STEPS; at--) {
      const bytes = this.#bytes[at];
      if (this.#padded[at] === 0) most -= bytes;
      else if (bytes > 0) most = ((most - bytes + EspTrailer.length) & -EspTrailer.alignment) - EspTrailer.length;
      else most = ((most + EspTrailer.length) & -EspTrailer.alignment) - EspTrailer.length - bytes;
    }
    return most;
  }

  /** Copies up to `limit` bytes of the packet to `to`. @returns how many */
  quote(burst: Burst, i: number, to: number, limit: number): number {
    const { bytes } = burst.frames;
    const kept = Math.min(this.kept[i], limit);
    for (let b = 0, from = i * KEEP; b < kept; b++) bytes[to + b] = this.#packets[from + b];
    if (this.rest[i] === 0) return kept;
    const length = Math.min(this.length[i], limit);
    const from = this.ip[i];
    bytes.copyWithin(to + kept, from + kept, from + length);
    return length;
  }
}
