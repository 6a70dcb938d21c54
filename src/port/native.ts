// The native addon, loaded once per thread, with its types. Only src/port, and the composition root for memory and
// threads, may call it.

import { createRequire } from "node:module";
import { SluiceError } from "../errors.js";

// Capture files (native/pcap.cc)

/** What a PcapReader keeps in the Float64Array that read() is given. Times as seconds and nanoseconds since the epoch. */
export const enum CaptureState {
  /** When the next record is due, Infinity after the last; at least that late when a filter has much to pass over. */
  nextSec,
  nextNsec,
  /** The first record of the file, whether the filter passes it or not. */
  firstSec,
  firstNsec,
  /** The latest time read so far. */
  lastSec,
  lastNsec,
  /** Records read since the start or the last rewind. */
  records,
  /** Records longer than maxFrame, passed over, and their bytes on the wire; a rewind does not reset them. */
  oversize,
  oversizeBytes,
  /** 1 after the last record. */
  ended,
  /** 1 when error() has something to tell. */
  failed,
  count,
}

export interface PcapReader {
  /**
   * Copies up to `max` records that are not later than the limit to frames at offset[from], offset[from + 1], … and fills
   * in the other arrays. `time` is in milliseconds and never runs backwards; sec and nsec are as they stand in the record.
   */
  read(
    state: Float64Array,
    limitSec: number,
    limitNsec: number,
    from: number,
    max: number,
    frames: Uint8Array,
    offset: Int32Array,
    length: Int32Array,
    wire: Int32Array,
    sec: Float64Array,
    nsec: Int32Array,
    time: Float64Array,
  ): number;
  rewind(): void;
  error(): string;
  close(): void;
}

export interface PcapWriter {
  /** The frames at positions list[0 … n-1], in this order. Throws what the system said when the file takes no more. */
  write(
    list: Int32Array,
    n: number,
    frames: Uint8Array,
    offset: Int32Array,
    length: Int32Array,
    wire: Int32Array,
    sec: Float64Array,
    nsec: Int32Array,
  ): void;
  flush(): void;
  close(): void;
}

export interface Native {
  /** Zeroed, page-aligned memory of this thread alone. */
  frames(bytes: number): ArrayBuffer;
  /** Asks for huge pages under a typed array (of a SharedArrayBuffer too). */
  adviseHuge(view: Uint8Array): boolean;
  /** Ties this thread to a processor. */
  pin(cpu: number): void;
  /** Names this thread for top and perf. */
  name(text: string): void;
  /** Nanoseconds of processor time that this thread has used. */
  cpuTime(): number;
  /** @param filter libpcap expression, "" for none */
  readonly PcapReader: new (
    path: string,
    filter: string,
    maxFrame: number,
  ) => PcapReader;
  /** @param append behind what is there, whole batches at a time, so that several threads may append to one file */
  readonly PcapWriter: new (
    path: string,
    append: boolean,
  ) => PcapWriter;
}

function load(): Native {
  try {
    return createRequire(import.meta.url)("../../../build/Release/sluice.node") as Native;
  } catch (cause) {
    throw new SluiceError("addon", "loading the native addon build/Release/sluice.node failed: run `npm run build`", { cause });
  }
}

export const native: Native = load();
