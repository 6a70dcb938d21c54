// Sessions on their way out: unlinked, not yet free. A queue in the order of unlinking, in typed arrays because sessions come
// due by the million. Three parts, oldest first: grace period over (to be finished), grace period running, not begun.
//
//   head ──► graced ──► running ──► tail
//
// Positions count up for ever; the arrays are a ring that doubles when it is full, up to the number of slots.

/** What ended a session. */
export const enum Cause {
  aged,
  deleted,
  closedByTcp,
}

const FIRST_SIZE = 1024;

export class Leaving {
  #slots = new Int32Array(FIRST_SIZE);
  #causes = new Uint8Array(FIRST_SIZE);
  #ends = new Float64Array(FIRST_SIZE);
  #head = 0;
  #graced = 0;
  #running = 0;
  #tail = 0;

  /** Of the session that next() took last. */
  slot = 0;
  cause: Cause = Cause.aged;
  /** Milliseconds since the epoch. */
  endTime = 0;

  /** Is a grace period running? */
  get running(): boolean {
    return this.#running > this.#graced;
  }

  get empty(): boolean {
    return this.#head === this.#tail;
  }

  push(slot: number, cause: Cause, endTime: number): void {
    if (this.#tail - this.#head === this.#slots.length) this.#grow();
    const at = this.#tail & (this.#slots.length - 1);
    this.#slots[at] = slot;
    this.#causes[at] = cause;
    this.#ends[at] = endTime;
    this.#tail++;
  }

  /** A grace period begins for all that were pushed so far. */
  begin(): void {
    this.#running = this.#tail;
  }

  /** It is over. */
  end(): void {
    this.#graced = this.#running;
  }

  /** Takes the oldest whose grace period is over. @returns whether there was one */
  next(): boolean {
    if (this.#head === this.#graced) return false;
    const at = this.#head++ & (this.#slots.length - 1);
    this.slot = this.#slots[at];
    this.cause = this.#causes[at];
    this.endTime = this.#ends[at];
    return true;
  }

  #grow(): void {
    const size = this.#slots.length * 2;
    const [slots, causes, ends] = [new Int32Array(size), new Uint8Array(size), new Float64Array(size)];
    const mask = this.#slots.length - 1;
    for (let position = this.#head; position < this.#tail; position++) {
      const to = position & (size - 1);
      slots[to] = this.#slots[position & mask];
      causes[to] = this.#causes[position & mask];
      ends[to] = this.#ends[position & mask];
    }
    this.#slots = slots;
    this.#causes = causes;
    this.#ends = ends;
  }
}
