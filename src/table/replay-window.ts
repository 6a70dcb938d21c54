// Anti-replay windows (RFC 4303 section 3.4.3) of what is opened, shared by all workers: a ring of bits (RFC 6479), and extended
// sequence numbers (RFC 4303 appendix A2.2). Left out: resynchronisation after a loss of 2³² packets (A3), which costs an
// attempt at authentication for each forged packet; such a SA is rekeyed.
//
// accept() decides, under the window's lock word, which holds the worker's number. check() looks without the lock and lets pass what
// seems good, for accept() to decide; what does not, it looks at once more under the lock, so that nothing good is dropped.
// A worker says in `holding` which window it is about to lock, so that control can free it when the worker has died
// (SaTable.unlock). Nobody is told that a lock is free: it is held for some 20 ns, unless its holder lost its processor.
//
// Order of writes, so that a worker may die after any of them and nothing is accepted twice:
//  - moving on, the words of the ring ahead are cleared before the top moves. No more than STEP of them at a time: those stood for
//    numbers behind the largest window of the top before, as STEP and the words of that window (257) are within the ring's.
//    Who jumps further moves the top several times.
//  - topLow is written between nextHigh and topHigh, if these change. Read in the opposite order, two that are equal belong to the low
//    word between them; else the reader takes the lock. Who finds them different under the lock knows that a worker died: what it was to
//    accept was not accepted, all that was accepted lies before the new high word, and the ring is cleared past that border.
//  - the bit is set last, before accept() says ok.

import { MAX_WINDOW, type SaMemory, Window } from "./sa-memory.js";
import { SKEW } from "./session-memory.js";

/** ok, or 1 + SaFailure. */
export const enum Verdict {
  ok,
  /** Behind the window. So is number 0, which nobody sends. */
  tooOld,
  replayed,
}

const RING_BITS = Window.ringWords * 32;
/** Words of the ring that are cleared at once. */
const STEP = Window.ringWords - MAX_WINDOW / 32 - 1;
/** Attempts before the worker sleeps, and for how many milliseconds. */
const SPINS = 200;
const NAP = 0.1;

export class ReplayWindows {
  /** What check() takes the upper word of the sequence number for. */
  high = 0;
  readonly #words: Int32Array;
  readonly #holding: Int32Array;
  readonly #worker: number;

  constructor(memory: SaMemory, worker: number) {
    this.#words = new Int32Array(memory.windows, SKEW);
    this.#holding = new Int32Array(memory.holding);
    this.#worker = worker;
  }

  /** Brings the window's lock and top into the cache. */
  touch(slot: number): number {
    return this.#words[slot * Window.size];
  }

  /**
   * Before authentication: infers `high`, and sorts out what accept() would not take.
   * @param low as in the packet
   * @param window SaSettings.replayWindow
   */
  check(slot: number, low: number, esn: boolean, window: number): Verdict {
    const words = this.#words;
    const base = slot * Window.size;
    if (!esn) {
      if (this.#look(base, low, 0, 0, words[base + Window.topLow], window) === Verdict.ok) return Verdict.ok;
    } else {
      const topHigh = Atomics.load(words, base + Window.topHigh);
      const topLow = Atomics.load(words, base + Window.topLow);
      if (Atomics.load(words, base + Window.nextHigh) === topHigh) {
        const high = infer(low >>> 0, topHigh, topLow >>> 0, window);
        if (this.#look(base, low, high, topHigh, topLow, window) === Verdict.ok) return Verdict.ok;
      }
    }
    this.#lock(slot);
    const topHigh = words[base + Window.topHigh];
    const topLow = words[base + Window.topLow];
    const high = esn ? infer(low >>> 0, topHigh, topLow >>> 0, window) : 0;
    const verdict = this.#look(base, low, high, topHigh, topLow, window);
    Atomics.store(words, base + Window.lock, 0);
    return verdict;
  }

  /** After authentication: decides, and moves the window. With a window of 0, all but number 0 is ok. */
  accept(slot: number, low: number, high: number, window: number): Verdict {
    const words = this.#words;
    const base = slot * Window.size;
    this.#lock(slot);
    const topHigh = words[base + Window.topHigh];
    const topLow = words[base + Window.topLow];
    const verdict = this.#look(base, low, high, topHigh, topLow, window);
    if (verdict === Verdict.ok) {
      const ahead = distance(high, low, topHigh, topLow);
      if (ahead > 0) this.#advance(base, low, high, ahead);
      // Without a window, older ones are ok too: they have no bit.
      if (ahead > -MAX_WINDOW) words[ringWord(base, low)] |= 1 << (low & 31);
    }
    Atomics.store(words, base + Window.lock, 0);
    return verdict;
  }

  #look(base: number, low: number, high: number, topHigh: number, topLow: number, window: number): Verdict {
    this.high = high;
    if ((low | high) === 0) return Verdict.tooOld;
    const ahead = distance(high, low, topHigh, topLow);
    if (ahead > 0 || window === 0) return Verdict.ok;
    if (-ahead >= window) return Verdict.tooOld;
    return (this.#words[ringWord(base, low)] & (1 << (low & 31))) === 0 ? Verdict.ok : Verdict.replayed;
  }

  /** Moves the top `ahead` numbers on, to this one. Under the lock. */
  #advance(base: number, low: number, high: number, ahead: number): void {
    const words = this.#words;
    const topLow = words[base + Window.topLow];
    const topHigh = words[base + Window.topHigh];
    // Once around the ring is all of it.
    const blocks = ahead >= RING_BITS ? Window.ringWords : ((topLow & 31) + ahead) >>> 5;
    if (blocks === 0) {
      words[base + Window.topLow] = low;
      return;
    }
    for (let cleared = 0; cleared < blocks; ) {
      const until = Math.min(blocks, cleared + STEP);
      while (cleared < until) words[ringWord(base, topLow + ++cleared * 32)] = 0;
      if (cleared === blocks) break;
      const between = (topLow + cleared * 32) | 0;
      this.#publish(base, between, topHigh + (between >>> 0 < topLow >>> 0 ? 1 : 0));
    }
    this.#publish(base, low, high);
  }

  #publish(base: number, low: number, high: number): void {
    const words = this.#words;
    if (words[base + Window.topHigh] === high) {
      Atomics.store(words, base + Window.topLow, low);
      return;
    }
    Atomics.store(words, base + Window.nextHigh, high);
    Atomics.store(words, base + Window.topLow, low);
    Atomics.store(words, base + Window.topHigh, high);
  }

  #lock(slot: number): void {
    const words = this.#words;
    const base = slot * Window.size;
    this.#holding[this.#worker] = slot + 1;
    for (let spins = 1; ; spins++) {
      const holder = Atomics.compareExchange(words, base + Window.lock, 0, this.#worker + 1);
      if (holder === 0) break;
      if (spins % SPINS === 0) Atomics.wait(words, base + Window.lock, holder, NAP);
    }
    const next = words[base + Window.nextHigh];
    if (next === words[base + Window.topHigh]) return;
    Atomics.store(words, base + Window.topLow, 0);
    Atomics.store(words, base + Window.topHigh, next);
  }
}

/**
 * RFC 4303 appendix A2.2: the upper word with which the number is in the window or ahead of it. Without a window, the one with which
 * it is nearest to the top. No number is before 0.
 */
function infer(low: number, topHigh: number, topLow: number, window: number): number {
  const width = window === 0 ? 0x80000000 : window;
  if (topLow >= width - 1) return low >= topLow - width + 1 ? topHigh : topHigh + 1;
  return topHigh > 0 && low >= topLow - width + 1 + 0x100000000 ? topHigh - 1 : topHigh;
}

/** How far the number is ahead of the top; negative: behind. */
function distance(high: number, low: number, topHigh: number, topLow: number): number {
  return (high - topHigh) * 0x100000000 + ((low >>> 0) - (topLow >>> 0));
}

function ringWord(base: number, low: number): number {
  return base + Window.ring + ((low >>> 5) & (Window.ringWords - 1));
}
