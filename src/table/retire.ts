// What may be done only when no worker can hold a reference to something any more: run after a grace period.

import type { Grace } from "../memory/grace.js";

export class Retirement {
  /** Grace period not begun. */
  #pending: (() => void)[] = [];
  /** Grace period running. */
  #waiting: (() => void)[] = [];
  #scheduled = false;

  constructor(readonly grace: Grace) {}

  /** Runs `done` once every worker has left the burst that it is in now. The thing must be unlinked already. */
  after(done: () => void): void {
    this.#pending.push(done);
    this.#settle();
  }

  #settle(): void {
    for (;;) {
      if (this.#waiting.length > 0) {
        if (!this.grace.over()) break;
        const over = this.#waiting;
        this.#waiting = [];
        for (const done of over) done();
      }
      if (this.#pending.length === 0) return;
      this.#waiting = this.#pending;
      this.#pending = [];
      this.grace.begin();
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#settle();
    });
  }
}
