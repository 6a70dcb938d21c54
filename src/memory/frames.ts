// Frame memory of one worker: slots with room before and behind a frame, so that an encapsulation moves the start
// and never the packet.
//
// A worker runs each burst to completion (receive, decide, send), so the frame at position i of a burst always lives
// in slot i: there is no free list. Frames that the device makes have slots of their own behind these (memory/burst.ts). A slot is an odd number of cache lines long, so that the headers of consecutive
// frames fall into different cache sets (12,288 = 3 pages would put all of them into one).

/** Bytes in front of a frame as it is received; the Ethernet header starts 2 past a multiple of 4, so IP is aligned. */
export const HEADROOM = 514;
/** Bytes at the start of a slot that belong to no frame: for what is known or copied of the frame in it. */
export const SCRATCH = 64;
/** Bytes of one slot: 195 cache lines. */
export const SLOT = 12_480;
/** The largest frame, in bytes without FCS, that `maxFrame` may ask for: a slot less its headroom and 256 bytes of tail. */
export const FRAME_LIMIT = SLOT - HEADROOM - 256;

/** Three views of the same bytes; offsets are always in bytes. `halves` and `words` read in the machine's order (little endian). */
export class Frames {
  readonly bytes: Uint8Array;
  readonly halves: Uint16Array;
  readonly words: Int32Array;

  /** @param buffer at least `Frames.size(slots)` bytes, page aligned when the kernel shall use it as well. */
  constructor(readonly buffer: ArrayBuffer) {
    this.bytes = new Uint8Array(buffer);
    this.halves = new Uint16Array(buffer);
    this.words = new Int32Array(buffer);
  }

  /** Bytes needed for this many slots, in whole pages. */
  static size(slots: number): number {
    return Math.ceil((slots * SLOT) / 4096) * 4096;
  }
}

/** Byte offset at which the frame at position i of a burst starts when it is received. */
export function slotStart(i: number): number {
  return i * SLOT + HEADROOM;
}
