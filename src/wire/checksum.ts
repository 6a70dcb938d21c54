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
  // Four words a turn, and both halves apart in 32-bit integers: half the time of the plain loop.
  let low = 0;
  let high = 0;
  let w = at >> 2;
  const last = end >> 2;
  if ((at & 3) === 0) {
    for (; w + 4 <= last; w += 4) {
      const w0 = words[w];
      const w1 = words[w + 1];
      const w2 = words[w + 2];
      const w3 = words[w + 3];
      low = (low + (w0 & 0xffff) + (w1 & 0xffff) + (w2 & 0xffff) + (w3 & 0xffff)) | 0;
      high = (high + (w0 >>> 16) + (w1 >>> 16) + (w2 >>> 16) + (w3 >>> 16)) | 0;
    }
    for (; w < last; w++) {
      low = (low + (words[w] & 0xffff)) | 0;
      high = (high + (words[w] >>> 16)) | 0;
    }
    at = w * 4;
  }
  total += low + high;
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
    let low = 0;
    let high = 0;
    let i = 0;
    if (shift === 0) {
      for (; i + 4 <= count; i += 4) {
        const w0 = inWords[first + i];
        const w1 = inWords[first + i + 1];
        const w2 = inWords[first + i + 2];
        const w3 = inWords[first + i + 3];
        outWords[out + i] = w0;
        outWords[out + i + 1] = w1;
        outWords[out + i + 2] = w2;
        outWords[out + i + 3] = w3;
        low = (low + (w0 & 0xffff) + (w1 & 0xffff) + (w2 & 0xffff) + (w3 & 0xffff)) | 0;
        high = (high + (w0 >>> 16) + (w1 >>> 16) + (w2 >>> 16) + (w3 >>> 16)) | 0;
      }
      for (; i < count; i++) {
        const word = inWords[first + i];
        outWords[out + i] = word;
        low = (low + (word & 0xffff)) | 0;
        high = (high + (word >>> 16)) | 0;
      }
    } else {
      // A word of the target straddles two of the source.
      const rest = 32 - shift;
      let held = inWords[first];
      for (; i < count; i++) {
        const next = inWords[first + i + 1];
        const word = (held >>> shift) | (next << rest);
        held = next;
        outWords[out + i] = word;
        low = (low + (word & 0xffff)) | 0;
        high = (high + (word >>> 16)) | 0;
      }
    }
    total += low + high;
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

/** As finish, of UDP: zero means that there is none (RFC 768). */
export function finishUdp(total: number): number {
  return finish(total) || 0xffff;
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
