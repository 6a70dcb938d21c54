// Keeps AddSession from holding the thread: within one turn of the event loop its streams together get BUDGET_MS, and what
// does not fit goes on in the next, behind timers and other calls. A stream that waits is paused, which reaches its client
// through flow control: grpc-js takes a message off the connection only when the stream is read.

const BUDGET_MS = 3;

export class Pace {
  /** When the work of this turn began; undefined before. */
  #since: number | undefined;
  #waiting: (() => void)[] = [];

  /** Is the time of this turn used up? */
  get over(): boolean {
    if (this.#since === undefined) {
      this.#begin();
      return false;
    }
    return performance.now() - this.#since > BUDGET_MS;
  }

  /** Runs `step` in a later turn, after all that waited before it. */
  later(step: () => void): void {
    this.#waiting.push(step);
    if (this.#since === undefined) {
      this.#begin();
    }
  }

  #begin(): void {
    this.#since = performance.now();
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#since = undefined;
    const steps = this.#waiting;
    this.#waiting = [];
    for (let i = 0; i < steps.length; i++) {
      if (this.over) {
        this.#waiting = steps.slice(i).concat(this.#waiting);
        return;
      }
      (steps[i] as () => void)();
    }
  };
}
