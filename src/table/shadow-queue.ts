// Who gets a flow key next (`sessions.duplicateFlow: shadow`): for each key one queue of claims, the holder first.
// A claim is slot × 2 + direction. Circular doubly linked lists over claims, so that leaving from the middle of a million
// costs the same as leaving alone. Links are claim + 1; 0 means that the claim stands in no queue.

export class ShadowQueue {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** 1 where the claim is the one in the flow index. */
  readonly #holds: Uint8Array;

  constructor(capacity: number) {
    this.#next = new Int32Array(capacity * 2 + 1);
    this.#previous = new Int32Array(capacity * 2 + 1);
    this.#holds = new Uint8Array(capacity * 2 + 1);
  }

  /** The claim holds its key now and nobody waits. */
  hold(claim: number): void {
    const link = claim + 1;
    this.#next[link] = link;
    this.#previous[link] = link;
    this.#holds[link] = 1;
  }

  /** The claim waits behind all others of the holder's queue. */
  join(holder: number, claim: number): void {
    const head = holder + 1;
    const link = claim + 1;
    const tail = this.#previous[head];
    this.#next[tail] = link;
    this.#previous[link] = tail;
    this.#next[link] = head;
    this.#previous[head] = link;
    this.#holds[link] = 0;
  }

  /** Whether the claim is the one in the flow index. */
  holds(claim: number): boolean {
    return this.#holds[claim + 1] === 1;
  }

  /** The claim leaves its queue. @returns the claim that holds the key from now on if this one held it, or -1 */
  leave(claim: number): number {
    const link = claim + 1;
    const next = this.#next[link];
    const previous = this.#previous[link];
    const held = this.#holds[link] === 1;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#next[link] = 0;
    this.#previous[link] = 0;
    this.#holds[link] = 0;
    if (!held || next === link) return -1;
    this.#holds[next] = 1;
    return next - 1;
  }
}
