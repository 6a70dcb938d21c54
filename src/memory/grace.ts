// Grace periods: when has every worker let go of what was unlinked?
//
// Order that makes it safe: control unlinks with Atomics.store and then loads the burst words; a worker makes its burst
// word odd with Atomics.store and then reads tables, confirming with Atomics.load what it acts on. These accesses are
// sequentially consistent, so a worker whose word was seen even, or changed since the snapshot, cannot reach what was
// unlinked before the snapshot.

import { Word, wordOf } from "./worker-words.js";

export class Grace {
  readonly #seen: Int32Array;

  constructor(
    readonly words: Int32Array,
    readonly workers: number,
  ) {
    this.#seen = new Int32Array(workers);
  }

  /** Remembers which workers are inside a burst now. Call after unlinking. */
  begin(): void {
    for (let w = 0; w < this.workers; w++) this.#seen[w] = Atomics.load(this.words, wordOf(w, Word.burst));
  }

  /** Whether every worker was outside a burst at begin() or has left that one. */
  over(): boolean {
    for (let w = 0; w < this.workers; w++) {
      const seen = this.#seen[w];
      if ((seen & 1) === 1) {
        if (Atomics.load(this.words, wordOf(w, Word.burst)) === seen) return false;
        this.#seen[w] = 0;
      }
    }
    return true;
  }
}
