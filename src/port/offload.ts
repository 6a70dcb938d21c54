// What the kernel says about a frame that its network card is meant to finish: struct virtio_net_hdr
// (<linux/virtio_net.h>; Virtio 1.2 section 5.1.6), and the checksum half of that work. Segmentation is gso.ts.

import { crc32c, finish, sum, type View } from "../wire/checksum.js";
import { Sctp } from "../wire/sctp.js";

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
 * Zero becomes 0xffff as in the kernel (skb_checksum_help): the same number, and for UDP not "none".
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
  view.halves[(at + offset) >> 1] = finish(sum(view, at, length - from)) || 0xffff;
  return true;
}
