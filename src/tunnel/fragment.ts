// Fragments of an outer packet that this device made: of IPv4 (RFC 791 section 3.2, RFC 6864) in place of its header, of IPv6
// behind a Fragment header (RFC 8200 section 4.5). The outer header has no options and no extension header.
//
// The packet stays as it is; its fragments are made frames of their own (memory/burst.ts).

import type { Burst } from "../memory/burst.js";
import { slotStart } from "../memory/frames.js";
import { finish, sum, swap16 } from "../wire/checksum.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6, Ipv6Fragment } from "../wire/ipv6.js";
import type { Identification } from "./identification.js";

/** Offsets are in units of 8 bytes: that many bytes are carried by all fragments but the last. */
const UNIT_MASK = ~7;

/** How many fragments a packet of this length makes. */
export function fragmentsOf(ipv6: boolean, length: number, mtu: number): number {
  const header = ipv6 ? Ipv6.length : Ipv4.length;
  return Math.ceil((length - header) / room(ipv6, mtu));
}

function room(ipv6: boolean, mtu: number): number {
  return (mtu - (ipv6 ? Ipv6.length + Ipv6Fragment.length : Ipv4.length)) & UNIT_MASK;
}

/**
 * Makes the fragments; the burst has room for them.
 * @param ip byte offset of the IP header of the frame at position i
 * @param length bytes of the IP packet
 */
export function fragment(
  burst: Burst,
  i: number,
  ip: number,
  length: number,
  ipv6: boolean,
  mtu: number,
  identification: Identification,
): void {
  const { bytes, halves, words } = burst.frames;
  const ethernet = burst.offset[i];
  const header = ipv6 ? Ipv6.length : Ipv4.length;
  const fragmentHeader = ipv6 ? Ipv6Fragment.length : 0;
  const front = ip - ethernet + header;
  const payload = length - header;
  const most = room(ipv6, mtu);
  // Unique, and drawn anew: a packet that was not to be fragmented has none.
  const id = ipv6 ? identification.next32() : swap16(identification.next16());
  for (let at = 0; at < payload; at += most) {
    const carried = Math.min(most, payload - at);
    const more = at + carried < payload;
    const m = burst.make(i);
    // Tags are whole words, so IP headers are aligned.
    const start = slotStart(m);
    const head = start + front - header;
    bytes.copyWithin(start, ethernet, ethernet + front);
    bytes.copyWithin(start + front + fragmentHeader, ip + header + at, ip + header + at + carried);
    if (ipv6) {
      const extension = head + Ipv6.length;
      halves[(head + Ipv6.payloadLength) >> 1] = swap16(fragmentHeader + carried);
      halves[extension >> 1] = bytes[head + Ipv6.nextHeader];
      halves[(extension + Ipv6Fragment.offset) >> 1] = swap16(at | (more ? Ipv6Fragment.more : 0));
      words[(extension + Ipv6Fragment.identification) >> 2] = id;
      bytes[head + Ipv6.nextHeader] = Protocol.fragment;
    } else {
      halves[(head + Ipv4.totalLength) >> 1] = swap16(header + carried);
      halves[(head + Ipv4.identification) >> 1] = id;
      halves[(head + Ipv4.flagsFragment) >> 1] = swap16((at >> 3) | (more ? Ipv4.moreFragments : 0));
      halves[(head + Ipv4.checksum) >> 1] = 0;
      halves[(head + Ipv4.checksum) >> 1] = finish(sum(burst.frames, head, header));
    }
    burst.place(m, start, front + fragmentHeader + carried);
  }
}
