// The Internet checksum (RFC 1071), and the CRC32c of SCTP (RFC 9260 appendix A).
//
// A "sum" here is the ones' complement sum of 16-bit words as this machine reads them, not yet folded. Such sums do not
// mind the byte order as long as it is one (RFC 1071 section 2(B)): only a number that enters as a number, such as a length,
// needs its bytes swapped. A sum of up to 128 KB fits 32 bits. All regions start at even offsets.

import { Ipv4 } from "./ipv4.js";
import { Ipv6 } from "./ipv6.js";

/** The same bytes three ways; memory/frames.ts has them. */
export interface View {
  readonly bytes: Uint8Array;
  readonly halves: Uint16Array;
  readonly words: Int32Array;
}

/** Sum of `length` bytes from the even offset `at`; an odd last byte counts as if a zero followed it. */
export function sum(view: View, at: number, length: number): number {
  const { halves, words } = view;
  const end = at + length;
  let total = 0;
  if ((at & 2) !== 0 && length >= 2) {
    total = halves[at >> 1];
    at += 2;
  }
  for (; at + 4 <= end; at += 4) {
    const word = words[at >> 2];
    total += (word & 0xffff) + (word >>> 16);
  }
  if (end - at >= 2) {
    total += halves[at >> 1];
    at += 2;
  }
  return end > at ? total + view.bytes[at] : total;
}

/** Sum of the pseudo-header of TCP and UDP over the IPv4 header at `ip` (RFC 9293 section 3.1). */
export function pseudo4(view: View, ip: number, protocol: number, length: number): number {
  return sum(view, ip + Ipv4.source, 8) + swap16(protocol) + swap16(length);
}

/** Sum of the pseudo-header over the IPv6 header at `ip` (RFC 8200 section 8.1); takes no routing header into account. */
export function pseudo6(view: View, ip: number, protocol: number, length: number): number {
  return sum(view, ip + Ipv6.source, 32) + swap16(protocol) + swap16(length);
}

/** Copies bytes to the even offset `at` of `to`, from any offset of another buffer, and returns their sum: one pass for both. */
export function copySum(to: View, at: number, from: View, source: number, length: number): number {
  const end = at + length;
  let total = 0;
  if ((at & 2) !== 0 && length >= 2) {
    const half = from.bytes[source] | (from.bytes[source + 1] << 8);
    to.halves[at >> 1] = half;
    total = half;
    at += 2;
    source += 2;
  }
  const count = (end - at) >> 2;
  if (count > 0) {
    const outWords = to.words;
    const inWords = from.words;
    const out = at >> 2;
    const first = source >> 2;
    const shift = (source & 3) << 3;
    if (shift === 0) {
      for (let i = 0; i < count; i++) {
        const word = inWords[first + i];
        outWords[out + i] = word;
        total += (word & 0xffff) + (word >>> 16);
      }
    } else {
      // A word of the target straddles two of the source.
      const rest = 32 - shift;
      let low = inWords[first];
      for (let i = 0; i < count; i++) {
        const high = inWords[first + i + 1];
        const word = (low >>> shift) | (high << rest);
        low = high;
        outWords[out + i] = word;
        total += (word & 0xffff) + (word >>> 16);
      }
    }
    at += count * 4;
    source += count * 4;
  }
  for (let even = true; at < end; even = !even) {
    const byte = from.bytes[source++];
    to.bytes[at++] = byte;
    total += even ? byte : byte << 8;
  }
  return total;
}

/** The checksum of a sum: folded into 16 bits and inverted, as this machine writes it. */
export function finish(total: number): number {
  let folded = (total & 0xffff) + (total >>> 16);
  folded = (folded & 0xffff) + (folded >>> 16);
  return ~folded & 0xffff;
}

/** A 16-bit number as the words of a sum have it. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/** Table of the reflected polynomial 0x1EDC6F41. */
const CRC32C = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC32c of `length` bytes; stands in an SCTP header least significant byte first. */
export function crc32c(bytes: Uint8Array, at: number, length: number): number {
  let crc = -1;
  for (const end = at + length; at < end; at++) crc = (crc >>> 8) ^ CRC32C[(crc ^ bytes[at]) & 0xff];
  return ~crc;
}
