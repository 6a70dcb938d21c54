// What a packet decides of the IP header that a tunnel puts in front of it (RFC 2003 section 3.1, RFC 4301 section 5.1.2); the rest is in
// the rule's template.

import type { Frames } from "../memory/frames.js";
import { Settings } from "../table/rule-memory.js";
import { finish, swap16 } from "../wire/checksum.js";
import { Ipv4 } from "../wire/ipv4.js";
import type { Headers } from "./headers.js";
import type { Identification } from "./identification.js";

/** DSCP (RFC 2983) and ECN (RFC 6040 section 4.1), where the template has none. @param tos of the packet inside; 0: it is not IP */
export function outerTos(settings: number, tos: number): number {
  const dscp = (settings & Settings.dscpSet) !== 0 ? 0 : tos & 0xfc;
  return (settings & Settings.ecnCompatibility) !== 0 ? dscp : dscp | (tos & 3);
}

/** DF, and what it would be over IPv6. */
export function outerDontFragment(settings: number, headers: Headers): boolean {
  return (
    (settings & Settings.dfSet) !== 0 || ((settings & Settings.dfClear) === 0 && (headers.version !== 4 || headers.dontFragment))
  );
}

/** @param templateSum Rule.ipSum. @param total bytes of the IPv4 packet */
export function writeOuter4(
  { bytes, halves }: Frames,
  ip: number,
  templateSum: number,
  total: number,
  tos: number,
  dontFragment: boolean,
  identification: Identification,
): void {
  const totalHalf = swap16(total);
  // An atomic datagram needs no identification (RFC 6864 section 4.1).
  const id = dontFragment ? 0 : swap16(identification.next16());
  const flags = dontFragment ? swap16(Ipv4.dontFragment) : 0;
  halves[(ip + Ipv4.totalLength) >> 1] = totalHalf;
  halves[(ip + Ipv4.identification) >> 1] = id;
  halves[(ip + Ipv4.flagsFragment) >> 1] = flags;
  bytes[ip + Ipv4.tos] |= tos;
  // What was added to the template's sum: the TOS is the upper byte of its half.
  halves[(ip + Ipv4.checksum) >> 1] = finish(templateSum + totalHalf + id + flags + (tos << 8));
}
