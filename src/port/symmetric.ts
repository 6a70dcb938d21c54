// A hash that is the same for both directions of a flow and for all fragments of its datagrams: over the two addresses
// alone, of IP behind any number of VLAN tags, else over the two MACs. Ports and protocol are left out: fragments lack the
// former, and the next header of an IPv6 fragment is another than that of a whole packet of the same flow.

import type { Frames } from "../memory/frames.js";
import { Ethernet, EtherType, Vlan } from "../wire/ethernet.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";

const enum Address {
  mac = 6,
  ipv4 = 4,
  ipv6 = 16,
}

/** Unsigned; 0 for frames without two MACs. */
export function symmetricHash(frames: Frames, offset: number, length: number): number {
  const bytes = frames.bytes;
  const end = offset + length;
  if (length < Ethernet.length) return 0;
  let at = offset + Ethernet.type;
  let type = word16(bytes, at);
  while ((type === EtherType.vlan || type === EtherType.qinq) && at + Vlan.length + 2 <= end) {
    at += Vlan.length;
    type = word16(bytes, at);
  }
  at += 2;
  if (type === EtherType.ipv4 && at + Ipv4.length <= end) {
    return pair(bytes, at + Ipv4.source, at + Ipv4.destination, Address.ipv4);
  }
  if (type === EtherType.ipv6 && at + Ipv6.length <= end) {
    return pair(bytes, at + Ipv6.source, at + Ipv6.destination, Address.ipv6);
  }
  return pair(bytes, offset + Ethernet.source, offset + Ethernet.destination, Address.mac);
}

/** The sum of both hashes does not tell which of them came first. */
function pair(bytes: Uint8Array, a: number, b: number, length: number): number {
  return (hash(bytes, a, length) + hash(bytes, b, length)) >>> 0;
}

/** FNV-1a with the finalizer of MurmurHash3, since the sum is taken modulo a small number. */
function hash(bytes: Uint8Array, offset: number, length: number): number {
  let h = 0x811c9dc5 | 0;
  for (let i = offset; i < offset + length; i++) h = Math.imul(h ^ bytes[i], 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function word16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}
