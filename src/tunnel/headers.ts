// What rules can see of a packet: where its outermost headers are, and those inside a Geneve or VXLAN header.
//
// Nothing is judged here: a packet whose lengths do not agree is of a class that fewer rules match, and drops under its own rule
// or takes the miss path. `cut` is a UDP datagram to a tunnel port that is too short for the header.
//
// Lengths are checked here once, for each header by itself; what `kind` says is there can be read unchecked.

import type { Burst } from "../memory/burst.js";
import { SLOT } from "../memory/frames.js";
import { Base, Class, Header, Meta } from "../table/rule-memory.js";
import { be16 } from "../wire/bytes.js";
import { Esp, hasSpi, KEEPALIVE } from "../wire/esp.js";
import { behindTags, Ethernet, EtherType } from "../wire/ethernet.js";
import { Geneve } from "../wire/geneve.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6, Ipv6Fragment } from "../wire/ipv6.js";
import { Udp } from "../wire/udp.js";
import { EspPlace, isExtension } from "./extension-headers.js";

/** Bytes of VLAN tags that may stand before a header that is looked at: two. */
const MAX_TAGS = 8;

/** One packet at a time; reused for all. */
export class Headers {
  /** By Base: byte offset in frame memory. */
  readonly base = new Int32Array(Base.count);
  /** Class. */
  kind = 0;
  /** First byte behind the frame. */
  end = 0;
  /** Bytes of VLAN tags between the MACs and the EtherType. */
  tags = 0;
  /** What the Ethernet header (behind its tags) carries; its payload begins at base[Base.ip]. */
  type = 0;
  /** 0, 4 or 6. */
  version = 0;
  /** First byte behind the IP packet; the frame may have padding there. */
  ipEnd = 0;
  /** TOS or traffic class. */
  tos = 0;
  dontFragment = false;
  /** A fragment, but not the first. */
  laterFragment = false;
  /** Any fragment. */
  fragment = false;
  /** Protocol behind the IP header; of IPv6 the first next header, or the one behind a Fragment header there. */
  protocol = 0;
  /** Byte offset behind the IP header, and behind that Fragment header. */
  transport = 0;
  header = Header.none;
  /** 0, 4, 6, or 3: less than an Ethernet header. */
  innerVersion = 0;
  /** Bytes of VLAN tags inside. */
  innerTags = 0;
  /** EtherType inside, behind the tags; base[Base.innerIp] is its payload. */
  innerType = 0;
  readonly #place = new EspPlace();

  /**
   * @param ports by UDP port: Header
   * @param tunnel number + 1 of the last tunnel applied, or 0
   */
  read(burst: Burst, i: number, ports: Uint8Array, ingress: number, tunnel: number): void {
    const { bytes, words } = burst.frames;
    const { base } = this;
    const start = burst.offset[i];
    const meta = i * SLOT;
    this.end = start + burst.length[i];
    base[Base.meta] = meta;
    base[Base.ethernet] = start;
    words[(meta >> 2) + Meta.ingress] = ingress;
    words[(meta >> 2) + Meta.tunnel] = tunnel;
    words[(meta >> 2) + Meta.port] = 0;
    this.header = Header.none;
    this.version = 0;
    this.innerVersion = 0;
    this.tags = 0;
    this.type = 0;
    if (start + Ethernet.length <= this.end) {
      const at = behindTags(bytes, start, Math.min(this.end, start + Ethernet.length + MAX_TAGS));
      const type = be16(bytes, at - 2);
      this.tags = at - start - Ethernet.length;
      this.type = type;
      base[Base.ip] = at;
      if (type === EtherType.ipv4) this.#ipv4(bytes, at);
      else if (type === EtherType.ipv6) this.#ipv6(bytes, at);
      if (this.version !== 0 && !this.laterFragment) this.#transport(burst, bytes, ports, meta);
    }
    this.kind =
      (tunnel === 0 ? 0 : Class.tunnel) +
      classOf(this.version) * Class.ip +
      this.header * Class.header +
      classOf(this.innerVersion) * Class.inner;
  }

  #ipv4(bytes: Uint8Array, ip: number): void {
    if (ip + Ipv4.length > this.end || bytes[ip] >>> 4 !== 4) return;
    const header = (bytes[ip] & Ipv4.ihlMask) << 2;
    this.ipEnd = ip + be16(bytes, ip + Ipv4.totalLength);
    if (header < Ipv4.length || ip + header > this.ipEnd || this.ipEnd > this.end) return;
    const fragment = be16(bytes, ip + Ipv4.flagsFragment);
    this.version = 4;
    this.tos = bytes[ip + Ipv4.tos];
    this.dontFragment = (fragment & Ipv4.dontFragment) !== 0;
    this.fragment = (fragment & Ipv4.fragmentMask) !== 0;
    this.laterFragment = (fragment & Ipv4.offsetMask) !== 0;
    this.protocol = bytes[ip + Ipv4.protocol];
    this.transport = ip + header;
  }

  #ipv6(bytes: Uint8Array, ip: number): void {
    if (ip + Ipv6.length > this.end || bytes[ip] >>> 4 !== 6) return;
    this.ipEnd = ip + Ipv6.length + be16(bytes, ip + Ipv6.payloadLength);
    if (this.ipEnd > this.end) return;
    this.version = 6;
    this.tos = (be16(bytes, ip) >>> 4) & 0xff;
    this.dontFragment = true;
    this.fragment = false;
    this.laterFragment = false;
    this.protocol = bytes[ip + Ipv6.nextHeader];
    this.transport = ip + Ipv6.length;
    if (this.protocol === Protocol.fragment && this.transport + Ipv6Fragment.length <= this.ipEnd) {
      const offset = be16(bytes, this.transport + Ipv6Fragment.offset);
      this.fragment = (offset & (Ipv6Fragment.offsetMask | Ipv6Fragment.more)) !== 0;
      this.laterFragment = (offset & Ipv6Fragment.offsetMask) !== 0;
      // Every fragment says what the datagram carries; a datagram in one fragment is as good as whole (RFC 6946).
      this.protocol = bytes[this.transport + Ipv6Fragment.nextHeader];
      this.transport += Ipv6Fragment.length;
    }
  }

  #transport(burst: Burst, bytes: Uint8Array, ports: Uint8Array, meta: number): void {
    const l4 = this.transport;
    const { protocol } = this;
    if (protocol === Protocol.esp) {
      this.base[Base.header] = l4;
      if (l4 + Esp.length <= this.ipEnd) this.header = Header.esp;
      return;
    }
    if (protocol !== Protocol.udp) {
      // ESP of transport mode stands behind IPv6 extension headers (RFC 4303 section 3.1.1).
      if (this.version === 6 && isExtension(protocol)) this.#espBehind(bytes);
      return;
    }
    if (l4 + Udp.length > this.ipEnd) return;
    const port = be16(bytes, l4 + Udp.destinationPort);
    const header = l4 + Udp.length;
    // What UDP does not count as its own is in no tunnel's packet.
    const end = Math.min(this.ipEnd, l4 + be16(bytes, l4 + Udp.totalLength));
    burst.frames.words[(meta >> 2) + Meta.port] = port;
    this.base[Base.header] = header;
    const announced = ports[port];
    if (announced === Header.none) return;
    if (announced === Header.esp) {
      if (header + Esp.length <= end && hasSpi(bytes, header)) this.header = Header.esp;
      else if (header + 1 === end && bytes[header] === KEEPALIVE) this.header = Header.keepalive;
      return;
    }
    if (header + Geneve.length > end) {
      this.header = Header.cut;
      return;
    }
    this.header = announced;
    this.#inside(bytes, header, announced, end);
  }

  #espBehind(bytes: Uint8Array): void {
    const place = this.#place;
    if (!place.find(bytes, this.base[Base.ip], this.ipEnd, true, true) || place.at + Esp.length > this.ipEnd) return;
    this.base[Base.header] = place.at;
    this.header = Header.esp;
  }

  /** Headers inside Geneve or VXLAN, as far as they are whole. */
  #inside(bytes: Uint8Array, header: number, announced: Header, end: number): void {
    let at = header + Geneve.length;
    let type: number = Geneve.ethernet;
    if (announced === Header.geneve) {
      at += (bytes[header] & Geneve.optionsMask) << 2;
      type = be16(bytes, header + Geneve.protocol);
    }
    this.innerTags = 0;
    this.innerType = 0;
    this.base[Base.innerEthernet] = at;
    if (type === Geneve.ethernet) {
      const payload = at + Ethernet.length;
      if (payload > end) {
        this.innerVersion = CUT;
        return;
      }
      at = behindTags(bytes, at, Math.min(end, payload + MAX_TAGS));
      this.innerTags = at - payload;
      type = be16(bytes, at - 2);
    }
    this.innerType = type;
    this.base[Base.innerIp] = at;
    if (type === EtherType.ipv4 && at + Ipv4.length <= end && bytes[at] >>> 4 === 4) this.innerVersion = 4;
    else if (type === EtherType.ipv6 && at + Ipv6.length <= end && bytes[at] >>> 4 === 6) this.innerVersion = 6;
  }
}

const CUT = 3;

function classOf(version: number): number {
  return version === 4 ? 1 : version === 6 ? 2 : version;
}
