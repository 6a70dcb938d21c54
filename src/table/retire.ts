// What may be done only when no worker can hold a reference to something any more: run after a grace period.

import type { Grace } from "../memory/grace.js";

export class Retirement {
  /** Grace period not begun. */
  #pending: (() => void)[] = [];
  /** Grace period running. */
  #waiting: (() => void)[] = [];
  #scheduled = false;
  #settling = false;

  constructor(readonly grace: Grace) {}

  /** Runs `done` once every worker has left the burst that it is in now. The thing must be unlinked already. */
  after(done: () => void): void {
    this.#pending.push(done);
    this.#settle();
  }

  #settle(): void {
    // What `done` asks for waits for a grace period of its own: pending until the loop below comes to it.
    if (this.#settling) return;
    this.#settling = true;
    const left = this.#run();
    this.#settling = false;
    if (!left || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#settle();
    });
  }

  /** @returns whether some are left to wait for */
  #run(): boolean {
    for (;;) {
      if (this.#waiting.length > 0) {
        if (!this.grace.over()) return true;
        const over = this.#waiting;
        this.#waiting = [];
        for (const done of over) done();
      }
      if (this.#pending.length === 0) return false;
      this.#waiting = this.#pending;
      this.#pending = [];
      this.grace.begin();
    }
  }
}
