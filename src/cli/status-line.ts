// What the device did in the last second, as one line: the differences of its counters over the time between.

export interface StatusCounts {
  readonly in: number;
  readonly offloaded: number;
  readonly toHost: number;
  readonly dropped: number;
}

const digits = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export class StatusLine {
  #before: StatusCounts;
  #at: number;

  /** @param at milliseconds of a clock that never jumps */
  constructor(counts: StatusCounts, at: number) {
    this.#before = counts;
    this.#at = at;
  }

  next(counts: StatusCounts, at: number): string {
    const seconds = Math.max(at - this.#at, 1) / 1000;
    const rate = (field: keyof StatusCounts) => digits.format((counts[field] - this.#before[field]) / seconds).padStart(9);
    const line = `packets/s in ${rate("in")}   offloaded ${rate("offloaded")}   to host ${rate("toHost")}   dropped ${rate("dropped")}`;
    this.#before = counts;
    this.#at = at;
    return line;
  }
}
