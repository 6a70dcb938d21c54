// A small ring of records from one worker to the control thread: what happened, for the log. A full ring loses the record and
// counts it, as does the worker itself when it tells less than there is to tell.
//
// The worker owns `tail` and `lost`, control owns `head`; each publishes with Atomics.store what it has written before.

const enum Place {
  head = 0,
  /** A cache line away, so that the two threads do not fight over one. */
  tail = 16,
  lost = 17,
  records = 32,
}

/** Words of a record. */
export const NOTICE_WORDS = 16;
const RECORDS = 64;

export class NoticeRing {
  readonly words: Int32Array;
  /** Control's: of `lost`. */
  #told = 0;

  constructor(shared: SharedArrayBuffer) {
    this.words = new Int32Array(shared);
  }

  static size(): number {
    return (Place.records + RECORDS * NOTICE_WORDS) * 4;
  }

  /** Worker only: index in `words` of the record to write before publish(), or -1. */
  begin(): number {
    const { words } = this;
    const tail = words[Place.tail];
    if (((tail - Atomics.load(words, Place.head)) | 0) < RECORDS) return Place.records + (tail & (RECORDS - 1)) * NOTICE_WORDS;
    this.lose();
    return -1;
  }

  publish(): void {
    Atomics.store(this.words, Place.tail, (this.words[Place.tail] + 1) | 0);
  }

  /** Worker only: there was something that is not told. */
  lose(): void {
    this.words[Place.lost] = (this.words[Place.lost] + 1) | 0;
  }

  /** Control only. `take` is given the index of each record. @returns how many were not told since the last call */
  drain(take: (at: number) => void): number {
    const { words } = this;
    const tail = Atomics.load(words, Place.tail);
    for (let head = words[Place.head]; head !== tail; head = (head + 1) | 0) {
      take(Place.records + (head & (RECORDS - 1)) * NOTICE_WORDS);
      Atomics.store(words, Place.head, (head + 1) | 0);
    }
    const lost = (Atomics.load(words, Place.lost) - this.#told) | 0;
    this.#told = (this.#told + lost) | 0;
    return lost;
  }
}
