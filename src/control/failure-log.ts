// One line for streams with failures, at most one a second: a client that errs in a loop does not fill the log.

import type { BaseLogger } from "pino";

const LOG_PERIOD_MS = 1000;

export class FailureLog {
  #last = Number.NEGATIVE_INFINITY;
  #unsaid = 0;

  /** `what`: "sessions were not added". */
  constructor(
    private readonly log: Pick<BaseLogger, "info">,
    private readonly what: string,
  ) {}

  /** `first`: the number of the request, and what is wrong with it. */
  write(failures: number, first: string | undefined): void {
    if (failures === 0) return;
    const now = performance.now();
    this.#unsaid += failures;
    if (now - this.#last < LOG_PERIOD_MS) return;
    this.log.info(`${this.#unsaid} ${this.what}${first === undefined ? "" : `; request ${first}`}`);
    this.#last = now;
    this.#unsaid = 0;
  }
}
