// Segmentation of one merged frame (GSO, TSO, GRO, LRO, USO) into the frames that the wire would have carried, while it
// is copied. What the kernel does in tcp_gso_segment, __udp_gso_segment, inet_gso_segment and skb_udp_tunnel_segment:
//   each segment   IP lengths; IPv4 identification + 1 at every level; TCP sequence; UDP length; every checksum anew,
//                  that of an outer UDP header only where it is not zero
//   the last only  FIN, PSH        the first only  CWR (RFC 3168 section 6.1.2)
// Handled: TCP and UDP over IPv4 and IPv6, with any VLAN tags, plain or inside VXLAN, Geneve or IP-in-IP, and frames beyond
// 64 KB (BIG TCP). Left out, counted as unknownGso: GRE, IPv6 routing headers (the kernel merges the former only for
// interfaces that say they can, and no stack in use sends the latter), and what else is no header chain to csum_start.

import type { Frames } from "../memory/frames.js";
import { Fate } from "../reason.js";
import { be16, be32 } from "../wire/bytes.js";
import { copySum, finish, pseudo4, pseudo6, sum, swap16 } from "../wire/checksum.js";
import { Ethernet, EtherType, Vlan } from "../wire/ethernet.js";
import { Geneve } from "../wire/geneve.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6, Ipv6Jumbo } from "../wire/ipv6.js";
import { Tcp, TcpFlag } from "../wire/tcp.js";
import { Udp } from "../wire/udp.js";
import { Vxlan } from "../wire/vxlan.js";
import { Gso } from "./offload.js";

/** IP and UDP headers in front of the transport header at the most: two tunnels. */
const LAYERS = 6;
/** Longer than any chain of headers that makes sense, and shorter than a slot. */
const HEADERS = 1024;

const enum Layer {
  ipv4,
  ipv6,
  /** UDP of a tunnel. Its IP header is the layer before it. */
  udp,
}

/** The frame can be segmented. */
export const BEGUN = -1;

export class Segmenter {
  /** Layers from the outside in: kind, and offset from the start of the frame. */
  readonly #kind = new Int32Array(LAYERS);
  readonly #at = new Int32Array(LAYERS);
  /** Identification of the merged frame, of IPv4 layers. */
  readonly #id = new Int32Array(LAYERS);
  #layers = 0;
  #protocol = 0;
  /** Offset of the TCP or UDP header from the start of the frame. */
  #transport = 0;
  #start = 0;
  #end = 0;
  /** Bytes of all headers, and of payload in a segment. */
  #headers = 0;
  #size = 0;
  #sequence = 0;
  #flags = 0;
  #udpChecksum = false;
  /** Offset in `#from` of the payload not yet sent, and its number. */
  #next = 0;
  #number = 0;
  #pending = false;

  constructor(readonly from: Frames) {}

  /** Whether segments of the frame last given to begin() wait. */
  get pending(): boolean {
    return this.#pending;
  }

  /** Length of the segment that next() writes. */
  get length(): number {
    return this.#headers + Math.min(this.#size, this.#end - this.#next);
  }

  /**
   * Takes the merged frame at `start` of `from`, which stays untouched until the last segment.
   * @param transport csum_start, or -1: the first header of the protocol that `type` names
   * @returns BEGUN, or the reason to drop it
   */
  begin(start: number, length: number, type: number, size: number, transport: number): Fate | typeof BEGUN {
    this.#pending = false;
    this.#start = start;
    this.#end = start + length;
    this.#size = size;
    const kind = type & ~Gso.ecn;
    if (kind !== Gso.tcp4 && kind !== Gso.tcp6 && kind !== Gso.udp) return Fate.unknownGso;
    const verdict = this.#walk(transport, kind === Gso.udp ? Protocol.udp : Protocol.tcp);
    if (verdict !== BEGUN) return verdict;
    const { bytes } = this.from;
    const at = this.#start + this.#transport;
    let own: number = Udp.length;
    if (kind !== Gso.udp) {
      if (at + Tcp.length > this.#end) return Fate.malformedGso;
      own = (bytes[at + Tcp.dataOffset] >> 4) * 4;
      if (own < Tcp.length) return Fate.malformedGso;
      this.#sequence = be32(bytes, at + Tcp.sequence);
      this.#flags = bytes[at + Tcp.flags];
    }
    this.#headers = this.#transport + own;
    this.#next = this.#start + this.#headers;
    if (size === 0 || this.#headers > HEADERS || this.#next > this.#end) return Fate.malformedGso;
    // A UDP sender may do without a checksum, but not when the field holds the start of one.
    this.#udpChecksum = transport >= 0 || this.from.halves[(at + Udp.checksum) >> 1] !== 0;
    for (let i = 0; i < this.#layers; i++) {
      if (this.#kind[i] === Layer.ipv4) this.#id[i] = be16(bytes, this.#start + this.#at[i] + Ipv4.identification);
    }
    this.#number = 0;
    this.#pending = true;
    return BEGUN;
  }

  /** Passes over the next segment. */
  skip(): void {
    this.#advance(Math.min(this.#size, this.#end - this.#next));
  }

  /**
   * Writes the next segment to `to` (4n + 2, as a received frame) of `out`.
   * @returns its length
   */
  next(out: Frames, to: number): number {
    const headers = this.#headers;
    const part = Math.min(this.#size, this.#end - this.#next);
    const length = headers + part;
    copySum(out, to, this.from, this.#start, headers);
    const payload = copySum(out, to + headers, this.from, this.#next, part);

    const { bytes, halves } = out;
    for (let i = 0; i < this.#layers; i++) {
      const at = to + this.#at[i];
      const rest = length - this.#at[i];
      switch (this.#kind[i]) {
        case Layer.ipv4:
          halves[(at + Ipv4.totalLength) >> 1] = swap16(rest);
          halves[(at + Ipv4.identification) >> 1] = swap16(this.#id[i] + this.#number);
          halves[(at + Ipv4.checksum) >> 1] = 0;
          halves[(at + Ipv4.checksum) >> 1] = finish(sum(out, at, (bytes[at] & 0xf) * 4));
          break;
        case Layer.ipv6:
          halves[(at + Ipv6.payloadLength) >> 1] = swap16(rest - Ipv6.length);
          break;
        default:
          halves[(at + Udp.totalLength) >> 1] = swap16(rest);
      }
    }

    const at = to + this.#transport;
    if (this.#protocol === Protocol.tcp) {
      const sequence = (this.#sequence + (this.#next - this.#start - headers)) | 0;
      halves[(at + Tcp.sequence) >> 1] = swap16(sequence >>> 16);
      halves[(at + Tcp.sequence + 2) >> 1] = swap16(sequence);
      let flags = this.#flags;
      if (this.#next + part < this.#end) flags &= ~(TcpFlag.fin | TcpFlag.psh);
      if (this.#number > 0) flags &= ~TcpFlag.cwr;
      bytes[at + Tcp.flags] = flags;
      this.#checksum(out, to, this.#layers - 1, this.#transport, Tcp.checksum, length, payload);
    } else {
      halves[(at + Udp.totalLength) >> 1] = swap16(length - this.#transport);
      if (this.#udpChecksum) this.#checksum(out, to, this.#layers - 1, this.#transport, Udp.checksum, length, payload);
    }
    // From the inside out: an outer sum covers the inner one.
    for (let i = this.#layers - 1; i > 0; i--) {
      if (this.#kind[i] === Layer.udp && halves[(to + this.#at[i] + Udp.checksum) >> 1] !== 0) {
        this.#checksum(out, to, i - 1, this.#at[i], Udp.checksum, length, payload);
      }
    }
    this.#advance(part);
    return length;
  }

  #advance(part: number): void {
    this.#next += part;
    this.#number++;
    this.#pending = this.#next < this.#end;
  }

  /** Writes the checksum of the TCP or UDP header at offset `transport` behind the IP header of layer `ip`. */
  #checksum(out: Frames, to: number, ip: number, transport: number, field: number, length: number, payload: number): void {
    const at = to + transport;
    const header = to + this.#at[ip];
    const udp = field === Udp.checksum;
    const protocol = udp ? Protocol.udp : Protocol.tcp;
    const rest = length - transport;
    out.halves[(at + field) >> 1] = 0;
    const pseudo = this.#kind[ip] === Layer.ipv4 ? pseudo4(out, header, protocol, rest) : pseudo6(out, header, protocol, rest);
    const made = finish(pseudo + sum(out, at, this.#headers - transport) + payload);
    out.halves[(at + field) >> 1] = udp ? made || 0xffff : made;
  }

  /** Finds the headers up to the transport header. All reads lie within the frame: lengths are checked level by level. */
  #walk(transport: number, wanted: Protocol): Fate | typeof BEGUN {
    const { bytes } = this.from;
    const end = this.#end;
    const target = transport < 0 ? end : this.#start + transport;
    this.#layers = 0;
    if (target > end) return Fate.malformedGso;
    let at = this.#start + Ethernet.type;
    let type = -1;
    for (;;) {
      if (type < 0) {
        // `at` is an EtherType, with tags in front of it perhaps.
        if (at + 2 > end) return Fate.malformedGso;
        type = be16(bytes, at);
        at += 2;
        while (type === EtherType.vlan || type === EtherType.qinq) {
          if (at + Vlan.length > end) return Fate.malformedGso;
          type = be16(bytes, at + Vlan.type - 2);
          at += Vlan.length;
        }
      }
      if (this.#layers + 2 > LAYERS) return Fate.unknownGso;
      let protocol: number;
      if (type === EtherType.ipv4) {
        if (at + Ipv4.length > end) return Fate.malformedGso;
        const length = (bytes[at] & 0xf) * 4;
        if (bytes[at] >> 4 !== 4 || length < Ipv4.length) return Fate.malformedGso;
        if ((be16(bytes, at + Ipv4.flagsFragment) & Ipv4.fragmentMask) !== 0) return Fate.malformedGso;
        protocol = bytes[at + Ipv4.protocol];
        this.#push(Layer.ipv4, at);
        at += length;
      } else if (type === EtherType.ipv6) {
        if (at + Ipv6.length > end || bytes[at] >> 4 !== 6) return Fate.malformedGso;
        at += this.#removeJumbo(at);
        protocol = bytes[at + Ipv6.nextHeader];
        this.#push(Layer.ipv6, at);
        at += Ipv6.length;
        while (protocol === Protocol.hopByHop || protocol === Protocol.destinationOptions) {
          if (at + 8 > end) return Fate.malformedGso;
          protocol = bytes[at];
          at += (bytes[at + 1] + 1) * 8;
        }
      } else {
        return Fate.unknownGso;
      }
      if (at + Udp.length > end) return Fate.malformedGso;
      if (protocol === wanted && (at === target || transport < 0)) {
        this.#protocol = protocol;
        this.#transport = at - this.#start;
        return BEGUN;
      }
      if (at >= target) return Fate.malformedGso;
      type = -1;
      if (protocol === Protocol.ipv4) {
        type = EtherType.ipv4;
      } else if (protocol === Protocol.ipv6) {
        type = EtherType.ipv6;
      } else if (protocol === Protocol.udp) {
        this.#push(Layer.udp, at);
        const port = be16(bytes, at + Udp.destinationPort);
        at += Udp.length;
        // Both are 8 bytes long at least. Linux puts VXLAN on port 8472 unless told: any port but Geneve's is VXLAN here,
        // and the walk has to end at csum_start.
        if (at + Vxlan.length > end) return Fate.malformedGso;
        if (port === Geneve.port) {
          const inner = be16(bytes, at + Geneve.protocol);
          at += Geneve.length + (bytes[at] & Geneve.optionsMask) * 4;
          if (inner === Geneve.ethernet) at += Ethernet.type;
          else type = inner;
        } else {
          at += Vxlan.length + Ethernet.type;
        }
      } else {
        return protocol === Protocol.tcp ? Fate.malformedGso : Fate.unknownGso;
      }
    }
  }

  #push(kind: Layer, at: number): void {
    this.#kind[this.#layers] = kind;
    this.#at[this.#layers++] = at - this.#start;
  }

  /**
   * An IPv6 packet beyond 64 KB carries a Hop-by-Hop header with nothing but the Jumbo Payload option (RFC 2675), which no
   * segment may keep: what stands in front of it moves over it, and the frame starts 8 bytes later.
   * @returns bytes by which the IPv6 header at `at` moved
   */
  #removeJumbo(at: number): number {
    const { bytes } = this.from;
    const option = at + Ipv6.length;
    const jumbo =
      bytes[at + Ipv6.nextHeader] === Protocol.hopByHop &&
      option + Ipv6Jumbo.length <= this.#end &&
      bytes[option + Ipv6Jumbo.headerLength] === 0 &&
      bytes[option + Ipv6Jumbo.type] === Ipv6Jumbo.jumbo;
    if (!jumbo) return 0;
    bytes[at + Ipv6.nextHeader] = bytes[option];
    bytes.copyWithin(this.#start + Ipv6Jumbo.length, this.#start, option);
    this.#start += Ipv6Jumbo.length;
    return Ipv6Jumbo.length;
  }
}
