// Tells the sender of a packet the size that would have fit: ICMP "fragmentation needed" (RFC 792, RFC 1191 section 4), ICMPv6
// "packet too big" (RFC 4443 section 3.2). It comes from the address that the packet was for, to the address that it came
// from, and goes back the way that it came: MACs swapped, VLAN tags kept.
//
// Not about ICMP errors, fragments but the first, and what was not sent from one host to one host (RFC 1812 section 4.3.2.7,
// RFC 4443 section 2.4 (e)); RFC 4443 allows it about multicast, but then it has no source address to come from.
// Left out: subnet broadcast addresses that arrive under a unicast MAC, since the device knows no subnets.

import type { Burst } from "../memory/burst.js";
import { slotStart } from "../memory/frames.js";
import { be16 } from "../wire/bytes.js";
import { finish, pseudo6, sum, swap16 } from "../wire/checksum.js";
import { Ethernet } from "../wire/ethernet.js";
import { Icmp, Icmpv6 } from "../wire/icmp.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6, Ipv6Extension, Ipv6Fragment } from "../wire/ipv6.js";
import { ETHERNET_HALVES, type Origins } from "./origin.js";

/** DSCP CS6: network control (RFC 1812 section 4.3.2.5, RFC 2474). */
const CONTROL_TOS = 0xc0;
const TTL = 64;
/** Extension headers that are looked behind. */
const MAX_EXTENSIONS = 8;
/** Bit of a MAC address: a group. */
const GROUP = 1;

/**
 * Writes the message for the packet that came in at position i into the slot of the next made frame.
 * @returns its length as a frame, or 0: nothing may be sent about this packet
 */
export function packetTooBig(burst: Burst, i: number, origins: Origins, slot: number, mtu: number): number {
  const { halves, bytes } = burst.frames;
  const ipv6 = origins.version[i] === 6;
  const tags = origins.tags[i];
  const start = slotStart(slot);
  const ip = start + Ethernet.length + tags;
  const message = ip + (ipv6 ? Ipv6.length : Ipv4.length);
  const quote = message + (ipv6 ? Icmpv6.length : Icmp.length);
  const limit = ip + (ipv6 ? Ipv6.minimumMtu : Icmp.errorLimit) - quote;
  const quoted = origins.quote(burst, i, quote, limit);
  if (quoted < (ipv6 ? Ipv6.length : Ipv4.length)) return 0;
  const kept = i * ETHERNET_HALVES;
  // Both addresses of hosts: the lowest byte of a half comes first.
  if (((origins.ethernet[kept] | origins.ethernet[kept + 3]) & GROUP) !== 0) return 0;
  if (ipv6 ? !answerable6(bytes, quote, quote + quoted) : !answerable4(burst, quote, quoted)) return 0;

  const ethernet = start >> 1;
  for (let h = 0; h < 3; h++) {
    halves[ethernet + h] = origins.ethernet[kept + 3 + h];
    halves[ethernet + 3 + h] = origins.ethernet[kept + h];
  }
  for (let h = 6; h < (Ethernet.length + tags) >> 1; h++) halves[ethernet + h] = origins.ethernet[kept + h];
  const length = quote + quoted - message;
  bytes.fill(0, ip, quote);
  if (ipv6) {
    bytes[ip] = 0x60;
    halves[(ip + Ipv6.payloadLength) >> 1] = swap16(length);
    bytes[ip + Ipv6.nextHeader] = Protocol.icmpv6;
    bytes[ip + Ipv6.hopLimit] = TTL;
    bytes.copyWithin(ip + Ipv6.source, quote + Ipv6.destination, quote + Ipv6.destination + 16);
    bytes.copyWithin(ip + Ipv6.destination, quote + Ipv6.source, quote + Ipv6.source + 16);
    bytes[message + Icmpv6.type] = Icmpv6.packetTooBig;
    halves[(message + Icmpv6.mtu + 2) >> 1] = swap16(mtu);
    const total = pseudo6(burst.frames, ip, Protocol.icmpv6, length) + sum(burst.frames, message, length);
    halves[(message + Icmpv6.checksum) >> 1] = finish(total);
  } else {
    bytes[ip] = Ipv4.plain;
    bytes[ip + Ipv4.tos] = CONTROL_TOS;
    halves[(ip + Ipv4.totalLength) >> 1] = swap16(Ipv4.length + length);
    // Needs no identification so (RFC 6864 section 4.1); it is smaller than any MTU that is in use.
    halves[(ip + Ipv4.flagsFragment) >> 1] = swap16(Ipv4.dontFragment);
    bytes[ip + Ipv4.ttl] = TTL;
    bytes[ip + Ipv4.protocol] = Protocol.icmp;
    bytes.copyWithin(ip + Ipv4.source, quote + Ipv4.destination, quote + Ipv4.destination + 4);
    bytes.copyWithin(ip + Ipv4.destination, quote + Ipv4.source, quote + Ipv4.source + 4);
    halves[(ip + Ipv4.checksum) >> 1] = finish(sum(burst.frames, ip, Ipv4.length));
    bytes[message + Icmp.type] = Icmp.unreachable;
    bytes[message + Icmp.code] = Icmp.fragmentationNeeded;
    halves[(message + Icmp.mtu) >> 1] = swap16(mtu);
    halves[(message + Icmp.checksum) >> 1] = finish(sum(burst.frames, message, length));
  }
  return quote + quoted - start;
}

function answerable4({ frames }: Burst, ip: number, quoted: number): boolean {
  const { bytes } = frames;
  const header = (bytes[ip] & Ipv4.ihlMask) << 2;
  if (header > quoted || finish(sum(frames, ip, header)) !== 0) return false;
  if ((be16(bytes, ip + Ipv4.flagsFragment) & Ipv4.offsetMask) !== 0) return false;
  if (!isHost4(bytes, ip + Ipv4.source) || !isHost4(bytes, ip + Ipv4.destination)) return false;
  return bytes[ip + Ipv4.protocol] !== Protocol.icmp || (header < quoted && !isError4(bytes[ip + header + Icmp.type]));
}

/** Neither this network (0), nor loopback (127), nor multicast and above (224 and up, limited broadcast among them). */
function isHost4(bytes: Uint8Array, at: number): boolean {
  return bytes[at] !== 0 && bytes[at] !== 127 && bytes[at] < 224;
}

function isError4(type: number): boolean {
  return (
    type === Icmp.unreachable ||
    type === Icmp.sourceQuench ||
    type === Icmp.redirect ||
    type === Icmp.timeExceeded ||
    type === Icmp.parameterProblem
  );
}

function answerable6(bytes: Uint8Array, ip: number, end: number): boolean {
  if (!isHost6(bytes, ip + Ipv6.source) || !isHost6(bytes, ip + Ipv6.destination)) return false;
  let next = bytes[ip + Ipv6.nextHeader];
  let at = ip + Ipv6.length;
  for (let headers = 0; headers < MAX_EXTENSIONS; headers++) {
    if (next === Protocol.icmpv6) return at < end && !isError6(bytes[at + Icmpv6.type]);
    if (next === Protocol.fragment) {
      if (at + Ipv6Fragment.length > end) return false;
      if ((be16(bytes, at + Ipv6Fragment.offset) & Ipv6Fragment.offsetMask) !== 0) return false;
      next = bytes[at + Ipv6Fragment.nextHeader];
      at += Ipv6Fragment.length;
    } else if (next === Protocol.hopByHop || next === Protocol.routing || next === Protocol.destinationOptions) {
      if (at + Ipv6Extension.length > end) return false;
      const length = Ipv6Extension.length + (bytes[at + Ipv6Extension.words] << 3);
      next = bytes[at + Ipv6Extension.nextHeader];
      at += length;
    } else {
      return true;
    }
  }
  return false;
}

/** Neither multicast, nor unspecified, nor loopback. */
function isHost6(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === 0xff) return false;
  for (let b = 0; b < 15; b++) if (bytes[at + b] !== 0) return true;
  return bytes[at + 15] > 1;
}

function isError6(type: number): boolean {
  return type < Icmpv6.informational || type === Icmpv6.redirect;
}
