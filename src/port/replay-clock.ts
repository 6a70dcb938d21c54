// The clock of a replay: captured time, moved on by the control thread in ticks of 100 ms, so that sessions age at the
// same packet in every run. Frames of a tick (later than the tick before, not later than it) are processed between two
// agings; spans without frames are jumped over.
//
// The protocol, in one SharedArrayBuffer:
//   words[Word.generation]  written by control. Raised by one each time that the limit has moved.
//   times[Time.limit]       written by control, before it raises the generation: workers may process frames up to here.
//   words[Word.arrived + w] written by worker w: the generation for which it has nothing left to do.
//   times[Time.next + w]    written by worker w, before it arrives: the tick of its next frame, Infinity when there is none.
// Times are milliseconds since the epoch, always whole ticks, so both sides compare the same numbers. They are plain
// stores: each is read only after the Atomics.load of a word that its writer stored (Atomics.store, Atomics.add: all
// sequentially consistent) after the time, and rewritten only after the other side has answered. A worker arrives in the
// rx that follows its last burst, so everything it did with the frames up to the limit is visible to control then.
// For a worker that died, control itself writes both words (finish).

/** Milliseconds of captured time. */
export const TICK = 100;
/** Milliseconds after which control looks again by itself. */
const LOOK = 1000;
/** In place of a generation: this worker will never arrive again. */
const FINISHED = -1;

const enum Word {
  generation,
  arrived = 2,
}

const enum Time {
  limit,
  next,
}

function layout(shared: SharedArrayBuffer, workers: number): { words: Int32Array; times: Float64Array } {
  const times = new Float64Array(shared, 0, Time.next + workers);
  return { times, words: new Int32Array(shared, times.byteLength, Word.arrived + workers) };
}

/** The end of the tick that a time lies in. */
export function tickOf(sec: number, nsec: number): number {
  return sec * 1000 + Math.ceil(nsec / (TICK * 1e6)) * TICK;
}

/** A worker's half. */
export class ReplayGate {
  /** Frames up to here may be processed, as seconds and nanoseconds. */
  limitSec = Number.NEGATIVE_INFINITY;
  limitNsec = 0;
  readonly #words: Int32Array;
  readonly #times: Float64Array;
  readonly #worker: number;
  #generation = 0;
  #arrived = false;

  constructor(shared: SharedArrayBuffer, workers: number, worker: number) {
    const { words, times } = layout(shared, workers);
    this.#words = words;
    this.#times = times;
    this.#worker = worker;
    this.#generation = Atomics.load(words, Word.generation);
  }

  /** Takes over the limit when it has moved. */
  look(): void {
    const generation = Atomics.load(this.#words, Word.generation);
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#arrived = false;
    const limit = this.#times[Time.limit];
    this.limitSec = Math.floor(limit / 1000);
    this.limitNsec = (limit - this.limitSec * 1000) * 1e6;
  }

  /** Nothing is left up to the limit; the next frame has this time (Infinity: there is none). */
  arrive(sec: number, nsec: number): void {
    if (this.#arrived) return;
    this.#arrived = true;
    this.#times[Time.next + this.#worker] = tickOf(sec, nsec);
    Atomics.store(this.#words, Word.arrived + this.#worker, this.#generation);
    Atomics.notify(this.#words, Word.arrived + this.#worker);
  }

  /** Blocks this thread until the limit moves, at most this many milliseconds. */
  wait(milliseconds: number): void {
    if (this.#arrived) Atomics.wait(this.#words, Word.generation, this.#generation, milliseconds);
  }
}

/**
 * Called with the captured time when all frames up to it are processed and none after it.
 * May return the time at which something else will be due: the clock then stops there as well.
 */
export type Age = (now: number) => Promise<number | undefined> | number | undefined;

/** Control's half. */
export class ReplayClock {
  readonly shared: SharedArrayBuffer;
  /** The captured time that the device has reached: what `age` was last called with, or the limit after that. */
  now = Number.NEGATIVE_INFINITY;
  readonly #words: Int32Array;
  readonly #times: Float64Array;
  readonly #workers: number;

  constructor(workers: number) {
    this.shared = new SharedArrayBuffer((Time.next + workers) * 8 + (Word.arrived + workers) * 4);
    const { words, times } = layout(this.shared, workers);
    this.#words = words;
    this.#times = times;
    this.#workers = workers;
    times[Time.limit] = Number.NEGATIVE_INFINITY;
    // Workers arrive at generation 1 for the first time; 0 is what the arrived words start with.
    Atomics.store(words, Word.generation, 1);
  }

  /** @returns the tick before the first frame, Infinity when there is none. Sessions that exist from the start begin then. */
  async start(): Promise<number> {
    await this.#arrivals();
    return this.#next() - TICK;
  }

  /** Waits until the tick is done, ages, and lets the next tick with frames begin. @returns whether there is one */
  async advance(age: Age): Promise<boolean> {
    await this.#arrivals();
    const next = this.#next();
    let due = this.now === Number.NEGATIVE_INFINITY ? undefined : await age(this.now);
    if (next === Number.POSITIVE_INFINITY) return false;
    const before = next - TICK;
    while (this.now < before) {
      const stop = due === undefined ? before : Math.ceil(due / TICK) * TICK;
      this.now = stop > this.now && stop < before ? stop : before;
      due = await age(this.now);
    }
    this.now = next;
    this.#times[Time.limit] = next;
    Atomics.add(this.#words, Word.generation, 1);
    Atomics.notify(this.#words, Word.generation);
    return true;
  }

  /** The worker has ended and is not waited for any more. */
  finish(worker: number): void {
    this.#times[Time.next + worker] = Number.POSITIVE_INFINITY;
    Atomics.store(this.#words, Word.arrived + worker, FINISHED);
    Atomics.notify(this.#words, Word.arrived + worker);
  }

  #next(): number {
    let next = Number.POSITIVE_INFINITY;
    for (let w = 0; w < this.#workers; w++) next = Math.min(next, this.#times[Time.next + w]);
    return next;
  }

  async #arrivals(): Promise<void> {
    const generation = Atomics.load(this.#words, Word.generation);
    // A pending waitAsync alone does not keep the process alive.
    const alive = setInterval(() => {}, LOOK);
    try {
      for (let w = Word.arrived; w < Word.arrived + this.#workers; w++) {
        for (;;) {
          const seen = Atomics.load(this.#words, w);
          if (seen === generation || seen === FINISHED) break;
          const wait = Atomics.waitAsync(this.#words, w, seen, LOOK);
          if (wait.async) await wait.value;
        }
      }
    } finally {
      clearInterval(alive);
    }
  }
}
