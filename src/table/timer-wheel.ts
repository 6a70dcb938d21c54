// A timing wheel over slots: which of millions of timers is due, in constant time each.
//
// Timers are lazy: a session's packets do not touch the wheel; when its timer comes up, the owner looks at the time of
// the last packet and sets it again. A timer beyond the horizon comes up at the horizon and is set again.
// Links are slot + 1, so that fresh memory is an empty wheel.

/** Milliseconds of one tick. */
const TICK = 100;
/** Ticks of one turn, a power of two: 27 minutes. */
const TICKS = 16_384;

export class TimerWheel {
  readonly #heads = new Int32Array(TICKS);
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** By slot: tick position + 1, 0 when no timer is set. */
  readonly #place: Uint16Array;
  /** The tick that is worked on now; all earlier ones are done. */
  #tick = 0;

  constructor(capacity: number, now: number) {
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#place = new Uint16Array(capacity);
    this.#tick = Math.floor(now / TICK);
  }

  /** Sets the timer of a slot that has none. It comes up in the first advance() that reaches `due` (milliseconds). */
  set(slot: number, due: number): void {
    const tick = Math.min(Math.max(Math.ceil(due / TICK), this.#tick), this.#tick + TICKS - 1);
    const place = tick & (TICKS - 1);
    const head = this.#heads[place];
    this.#next[slot] = head;
    this.#previous[slot] = 0;
    if (head !== 0) this.#previous[head - 1] = slot + 1;
    this.#heads[place] = slot + 1;
    this.#place[slot] = place + 1;
  }

  clear(slot: number): void {
    const place = this.#place[slot] - 1;
    if (place < 0) return;
    const next = this.#next[slot];
    const previous = this.#previous[slot];
    if (next !== 0) this.#previous[next - 1] = previous;
    if (previous !== 0) this.#next[previous - 1] = next;
    else this.#heads[place] = next;
    this.#place[slot] = 0;
  }

  /**
   * Takes up to `max` timers that are due off the wheel and hands each to `due`, which may set it again.
   * @returns whether more are due
   */
  advance(now: number, max: number, due: (slot: number) => void): boolean {
    const until = Math.floor(now / TICK);
    // A jump of more than a turn: each place once is enough.
    if (until - this.#tick > TICKS) this.#tick = until - TICKS;
    let left = max;
    while (this.#tick <= until) {
      const place = this.#tick & (TICKS - 1);
      for (let head = this.#heads[place]; head !== 0; head = this.#heads[place]) {
        if (left-- === 0) return true;
        this.clear(head - 1);
        due(head - 1);
      }
      this.#tick++;
    }
    return false;
  }
}
