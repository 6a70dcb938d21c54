// Fragments of a packet that this device encapsulated: of IPv4 (RFC 791 section 3.2, RFC 6864) in place of its header, of IPv6
// behind a Fragment header (RFC 8200 section 4.5). Only ESP of transport mode has options and extension headers: its sender's.
//
// The packet stays as it is; its fragments are made frames of their own (memory/burst.ts).

import type { Burst } from "../memory/burst.js";
import { slotStart } from "../memory/frames.js";
import { be16 } from "../wire/bytes.js";
import { finish, sum, swap16 } from "../wire/checksum.js";
import { Ipv4, Ipv4Option, Protocol } from "../wire/ipv4.js";
import { Ipv6, Ipv6Fragment } from "../wire/ipv6.js";
import type { EspPlace } from "./extension-headers.js";
import type { Identification } from "./identification.js";

/** Offsets are in units of 8 bytes: that many bytes are carried by all fragments but the last. */
const UNIT_MASK = ~7;

/**
 * How many fragments a packet makes.
 * @param header bytes that are in each of them
 * @param length of the IP packet
 */
export function fragmentsOf(ipv6: boolean, header: number, length: number, mtu: number): number {
  const most = room(ipv6, header, mtu);
  return most > 0 ? Math.ceil((length - header) / most) : Number.POSITIVE_INFINITY;
}

function room(ipv6: boolean, header: number, mtu: number): number {
  return (mtu - header - (ipv6 ? Ipv6Fragment.length : 0)) & UNIT_MASK;
}

/**
 * Makes the fragments; the burst has room for them.
 * @param ip byte offset of the IP header of the frame at position i
 * @param place of what follows the headers that are in every fragment
 * @param length bytes of the IP packet
 */
export function fragment(
  burst: Burst,
  i: number,
  ip: number,
  { at: rest, link }: EspPlace,
  length: number,
  ipv6: boolean,
  mtu: number,
  identification: Identification,
): void {
  const { bytes, halves, words } = burst.frames;
  const ethernet = burst.offset[i];
  const header = rest - ip;
  const fragmentHeader = ipv6 ? Ipv6Fragment.length : 0;
  const front = rest - ethernet;
  const payload = length - header;
  const most = room(ipv6, header, mtu);
  // A packet that was not to be fragmented has none that is unique.
  const drawn = !ipv6 && (be16(bytes, ip + Ipv4.flagsFragment) & Ipv4.dontFragment) !== 0;
  const id4 = drawn ? swap16(identification.next16()) : halves[(ip + Ipv4.identification) >> 1];
  const id = ipv6 ? identification.next32() : id4;
  for (let at = 0; at < payload; at += most) {
    const carried = Math.min(most, payload - at);
    const more = at + carried < payload;
    const m = burst.make(i);
    // Tags are whole words, so IP headers are aligned.
    const start = slotStart(m);
    const head = start + front - header;
    bytes.copyWithin(start, ethernet, ethernet + front);
    bytes.copyWithin(start + front + fragmentHeader, rest + at, rest + at + carried);
    if (ipv6) {
      const extension = head + header;
      halves[(head + Ipv6.payloadLength) >> 1] = swap16(header - Ipv6.length + fragmentHeader + carried);
      halves[extension >> 1] = bytes[head + link - ip];
      halves[(extension + Ipv6Fragment.offset) >> 1] = swap16(at | (more ? Ipv6Fragment.more : 0));
      words[(extension + Ipv6Fragment.identification) >> 2] = id;
      bytes[head + link - ip] = Protocol.fragment;
    } else {
      if (at > 0) firstOnly(bytes, head + Ipv4.length, head + header);
      halves[(head + Ipv4.totalLength) >> 1] = swap16(header + carried);
      halves[(head + Ipv4.identification) >> 1] = id;
      halves[(head + Ipv4.flagsFragment) >> 1] = swap16((at >> 3) | (more ? Ipv4.moreFragments : 0));
      halves[(head + Ipv4.checksum) >> 1] = 0;
      halves[(head + Ipv4.checksum) >> 1] = finish(sum(burst.frames, head, header));
    }
    burst.place(m, start, front + fragmentHeader + carried);
  }
}

/** Options that only the first fragment has become such as say nothing (RFC 791 section 3.1). */
function firstOnly(bytes: Uint8Array, from: number, to: number): void {
  for (let at = from; at < to && bytes[at] !== Ipv4Option.end; ) {
    const length = bytes[at] === Ipv4Option.none ? 1 : bytes[at + 1];
    // Wrong: nothing can be told of what follows.
    const end = length === 0 ? to : Math.min(at + length, to);
    if ((bytes[at] & Ipv4Option.copied) === 0) bytes.fill(Ipv4Option.none, at, end);
    at = end;
  }
}
