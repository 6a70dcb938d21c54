// What the kernel says about a frame that its network card is meant to finish: struct virtio_net_hdr
// (<linux/virtio_net.h>; Virtio 1.2 section 5.1.6), and the checksum half of that work. Segmentation is gso.ts.

import { crc32c, finish, sum, type View } from "../wire/checksum.js";
import { Sctp } from "../wire/sctp.js";
import { Udp } from "../wire/udp.js";

/** Bits of `flags`. */
export const enum Offload {
  /** The sum from csum_start on has yet to be finished. */
  needsChecksum = 1,
}

/** `gso_type`. */
export const enum Gso {
  none = 0,
  tcp4 = 1,
  tcp6 = 4,
  udp = 5,
  /** Added to it: CWR stands in the first segment only. It does so without this bit too. */
  ecn = 0x80,
}

/**
 * Finishes the checksum of the frame at `start`: the field holds the sum of the pseudo-header, the rest is to be added.
 * It may be an inner one; an outer UDP checksum, where there is one, was made to fit the finished inner one already.
 * UDP's zero becomes 0xffff: the same number, and not "none" (RFC 768). In TCP it stays, as network cards leave it.
 *
 * Offset 8 is that of SCTP alone, whose CRC32c is left unfinished by the same flag.
 * @returns false when the offsets lie outside the frame
 */
export function finishChecksum(view: View, start: number, length: number, from: number, offset: number): boolean {
  if (((from | offset) & 1) !== 0 || from + offset + 2 > length) return false;
  const at = start + from;
  if (offset === Sctp.checksum) {
    if (from + Sctp.length > length) return false;
    view.bytes.fill(0, at + Sctp.checksum, at + Sctp.length);
    const crc = crc32c(view.bytes, at, length - from);
    for (let i = 0; i < 4; i++) view.bytes[at + Sctp.checksum + i] = crc >>> (8 * i);
    return true;
  }
  const checksum = finish(sum(view, at, length - from));
  view.halves[(at + offset) >> 1] = checksum === 0 && offset === Udp.checksum ? 0xffff : checksum;
  return true;
}
