// Counters of one worker, in shared memory: written by that worker alone, read by the control thread at any time.
// A counter is a Float64 (exact to 2^53), so that a 64-bit value is read and written whole.

/** Counters of one port as one worker sees it; a cache line per port. */
export const enum PortCounter {
  /** Frames taken from the wire; a super-frame that the kernel merged counts once. */
  rxFrames,
  rxBytes,
  /** Frames made of what came in here: the second and later segments of super-frames, copies for collectors. */
  created,
  txFrames,
  txBytes,
  /** Frames that the kernel dropped because the receive ring was full. They never reached Sluice. */
  kernelDrops,
  /** Times that the receive ring stood full. */
  freezes,
  spare,
  count,
}

/** Room for the fates of src/reason.ts. */
export const FATES = 128;

export class Counters {
  /** By Fate. */
  readonly fates: Float64Array;
  readonly #ports: Float64Array[] = [];

  constructor(shared: SharedArrayBuffer, ports: number) {
    this.fates = new Float64Array(shared, 0, FATES);
    for (let p = 0; p < ports; p++) {
      this.#ports.push(new Float64Array(shared, (FATES + p * PortCounter.count) * 8, PortCounter.count));
    }
  }

  static size(ports: number): number {
    return (FATES + ports * PortCounter.count) * 8;
  }

  /** By PortCounter. */
  port(index: number): Float64Array {
    return this.#ports[index];
  }
}
