// One bounded ring of numbers from one worker to the control thread (session slots whose connection closed).
//
// The worker owns `tail`, control owns `head`; each publishes its own with Atomics.store after touching the entries, and
// loads the other's with Atomics.load before. A full ring drops the event and counts it: the reader must not depend on
// every one of them (a session that TCP closed still ages).

const enum Place {
  head = 0,
  /** A cache line away, so that the two threads do not fight over one. */
  tail = 16,
  dropped = 17,
  entries = 32,
}

/**
 * Entries, a power of two: a worker that closes half a million connections a second fills it in an eighth of a second, and
 * control looks every 20 ms. 256 KiB, of which an idle device touches a page.
 */
const SIZE = 65_536;

export class EventRing {
  readonly #words: Int32Array;

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared);
  }

  static size(): number {
    return (Place.entries + SIZE) * 4;
  }

  /** Worker only. */
  push(event: number): void {
    const words = this.#words;
    const tail = words[Place.tail];
    if (((tail - Atomics.load(words, Place.head)) | 0) >= SIZE) {
      words[Place.dropped] = words[Place.dropped] + 1;
      return;
    }
    words[Place.entries + (tail & (SIZE - 1))] = event;
    Atomics.store(words, Place.tail, (tail + 1) | 0);
  }

  /** Control only: hands over every event that is there now. */
  drain(take: (event: number) => void): void {
    const words = this.#words;
    let head = words[Place.head];
    const tail = Atomics.load(words, Place.tail);
    while (head !== tail) {
      take(words[Place.entries + (head & (SIZE - 1))]);
      head = (head + 1) | 0;
      Atomics.store(words, Place.head, head);
    }
  }
}
