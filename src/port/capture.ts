// Capture files as ports use them: a reader that fills a burst, a writer that takes frames out of one, and errors that
// name the file.

import { SluiceError } from "../errors.js";
import type { Burst } from "../memory/burst.js";
import { slotStart } from "../memory/frames.js";
import { CaptureState, native, type PcapReader, type PcapWriter } from "../native.js";

/** Told once what is wrong with a file in use: neither a file that is cut short nor a full disk may stop a worker. */
export type Tell = (error: SluiceError) => void;

export class CaptureReader {
  /** By CaptureState; filled in by read. */
  readonly state = new Float64Array(CaptureState.count);
  readonly #reader: PcapReader;
  readonly #tell: Tell;
  #told = false;

  /** @param maxFrame records that were longer on the wire are passed over, and counted in `state` */
  constructor(
    readonly path: string,
    maxFrame: number,
    tell: Tell,
    filter = "",
  ) {
    this.#tell = tell;
    try {
      this.#reader = new native.PcapReader(path, filter, maxFrame);
    } catch (cause) {
      throw failed(`opening the capture ${path}`, cause, "give a pcap or pcapng file of Ethernet frames");
    }
  }

  /**
   * Reads up to `max` records that are not later than the limit into the positions from burst.n on: offset, length, wire,
   * sec, nsec and time. Leaves burst.n to the caller. With `max` 0 it only finds out when the next record is due.
   */
  read(burst: Burst, max: number, limitSec: number, limitNsec: number): number {
    const from = burst.n;
    const offset = burst.offset;
    for (let i = from; i < from + max; i++) offset[i] = slotStart(i);
    const n = this.#reader.read(
      this.state,
      limitSec,
      limitNsec,
      from,
      max,
      burst.frames.bytes,
      offset,
      burst.length,
      burst.wire,
      burst.sec,
      burst.nsec,
      burst.time,
    );
    if (this.state[CaptureState.failed] !== 0 && !this.#told) this.#tellFailure();
    return n;
  }

  /** Starts over. @returns whether the file could be opened again */
  rewind(): boolean {
    try {
      this.#reader.rewind();
      return true;
    } catch (cause) {
      this.#tell(failed(`opening the capture ${this.path} again`, cause, "it is not played any more"));
      return false;
    }
  }

  close(): void {
    this.#reader.close();
  }

  #tellFailure(): void {
    this.#told = true;
    const records = this.state[CaptureState.records];
    const text = `reading the capture ${this.path} failed after record ${records}: ${this.#reader.error()}`;
    this.#tell(new SluiceError("file", `${text}; what came before is used`));
  }
}

export class CaptureWriter {
  readonly #writer: PcapWriter;

  /** @param append behind what stands there, so that the workers can share one file; else the file starts empty */
  constructor(
    readonly path: string,
    append: boolean,
  ) {
    try {
      this.#writer = new native.PcapWriter(path, append);
    } catch (cause) {
      throw failed(`opening ${path} to write a capture`, cause, "check that its directory exists and may be written");
    }
  }

  /** Throws a SluiceError; after one, nothing more is written. */
  write(burst: Burst, list: Int32Array, n: number, sec: Float64Array, nsec: Int32Array): void {
    try {
      this.#writer.write(list, n, burst.frames.bytes, burst.offset, burst.length, burst.wire, sec, nsec);
    } catch (cause) {
      throw this.#failed(cause);
    }
  }

  flush(): void {
    try {
      this.#writer.flush();
    } catch (cause) {
      throw this.#failed(cause);
    }
  }

  close(): void {
    try {
      this.#writer.close();
    } catch (cause) {
      throw this.#failed(cause);
    }
  }

  #failed(cause: unknown): SluiceError {
    return failed(`writing the capture ${this.path}`, cause, "it ends here");
  }
}

function failed(doing: string, cause: unknown, advice: string): SluiceError {
  const found = cause instanceof Error ? cause.message : String(cause);
  return new SluiceError("file", `${doing} failed: ${found}; ${advice}`, { cause });
}
