// Room before and behind a frame in its slot, for headers and trailers.

import type { Burst } from "../memory/burst.js";
import { type Frames, SCRATCH, SLOT } from "../memory/frames.js";

/** There is none. */
export const NO_ROOM = 0x7fffffff;
/** Bytes left behind a frame that is moved, if there are as many: for trailers of later tunnels. */
const TAIL = 256;
/** Bytes behind the last frame of a slot that word-wise access may touch. */
const GUARD = 8;

/**
 * Sees to it that there are `front` bytes before `from` and `back` bytes behind `to`, moving what is between them if need be.
 * @returns by how many bytes it was moved, a multiple of 4; or NO_ROOM
 */
export function makeRoom(burst: Burst, i: number, from: number, to: number, front: number, back: number): number {
  const lowest = i * SLOT + SCRATCH;
  const end = (i + 1) * SLOT - GUARD;
  if (from - front >= lowest && to + back <= end) return 0;
  const free = end - lowest - (to - from) - front - back;
  if (free < 4) return NO_ROOM;
  const target = end - back - Math.min(TAIL, free - 4) - (to - from);
  // Down to a multiple of 4: in front of it there is room for that.
  const moved = (target - from) & ~3;
  burst.frames.bytes.copyWithin(from + moved, from, to);
  return moved;
}

/**
 * Moves an even number of bytes by a multiple of 4, also onto themselves: of headers, for which TypedArray.copyWithin takes four
 * times as long.
 */
export function moveHeaders({ halves, words }: Frames, from: number, end: number, by: number): void {
  // Whole words are from `first` to `last`.
  const first = (from + 2) >> 2;
  const last = end >> 2;
  const distance = by >> 2;
  const low = from >> 1;
  const high = (end >> 1) - 1;
  if (by < 0) {
    if ((from & 2) !== 0) halves[low + (by >> 1)] = halves[low];
    for (let w = first; w < last; w++) words[w + distance] = words[w];
    if ((end & 2) !== 0) halves[high + (by >> 1)] = halves[high];
  } else {
    if ((end & 2) !== 0) halves[high + (by >> 1)] = halves[high];
    for (let w = last - 1; w >= first; w--) words[w + distance] = words[w];
    if ((from & 2) !== 0) halves[low + (by >> 1)] = halves[low];
  }
}
