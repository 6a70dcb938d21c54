// The one interface of all packet I/O. A port belongs to one worker thread: each worker opens its own instance of every
// port of the device (for af_packet: its own ring in the interface's fanout group), so nothing here is shared or locked.

import type { Burst } from "../memory/burst.js";
import { PortCounter } from "../memory/counters.js";

export interface Port {
  /** Index of the port in the device (Config.ports). */
  readonly index: number;
  /**
   * File descriptor that becomes readable when frames wait, or -1 when there is none to wait for. It may change: an
   * interface that was deleted and came back has a new socket. Read it anew before each poll.
   */
  readonly fd: number;
  /** Whether the device under it is known to be down or gone. What tx does not take then is txDown, else txFull. */
  readonly down: boolean;

  /**
   * Appends waiting frames to the burst from position burst.n on, up to its capacity, raises burst.n, and counts what it
   * took (frames, bytes, extra segments, drops of its own) in the PortCounters it was opened with.
   * Never blocks. Writes offset, length, wire, port and time of each frame.
   * @returns frames appended
   */
  rx(burst: Burst): number;

  /**
   * Sends the frames at these positions of the burst, in order. Never blocks and never queues: what the device under it
   * does not take now is left out and the rest of the list with it. A frame that the device refuses for its size does not
   * stop those behind it: it is passed over and its burst.fate becomes txTooBig. Counts what it sent in its PortCounters.
   * The caller sets the fates before, sets that of the frames not done with to txDown (`down`) or txFull after, and
   * counts all fates then.
   * @returns frames done with, sent or refused, counted from the start of the list
   */
  tx(burst: Burst, list: Int32Array, n: number): number;

  /**
   * Milliseconds for which rx will certainly have nothing (a paced file), 0 when frames may be there now,
   * Infinity when rx will never return anything again (a file at its end).
   */
  idle(): number;

  /** Gives back sockets, rings and files. Safe to call twice. */
  close(): void;
}

/** Counts the first n frames of the list as sent, with their bytes on the wire. */
export function countSent(own: Float64Array, burst: Burst, list: Int32Array, n: number): void {
  const { wire } = burst;
  let bytes = 0;
  for (let k = 0; k < n; k++) bytes += wire[list[k]];
  own[PortCounter.txFrames] += n;
  own[PortCounter.txBytes] += bytes;
}
