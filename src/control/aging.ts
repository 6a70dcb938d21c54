// Drives the aging of sessions: ten times a second, in slices that are short enough for gRPC calls in between. A session
// is reported within 1 s of being due (datapath.md) as long as the thread gets a tenth of that for it.

import type { SessionTable } from "../table/session-table.js";

const PERIOD_MS = 100;
/** Work in one slice; the thread is not held longer at a time. */
const SLICE_MS = 4;

/** Returns what stops it. */
export function startAging(sessions: Pick<SessionTable, "age">, now: () => number): () => void {
  let next: NodeJS.Immediate | undefined;

  function slice(): void {
    next = undefined;
    if (sessions.age(now(), SLICE_MS)) {
      next = setImmediate(slice);
    }
  }

  const timer = setInterval(() => {
    if (next === undefined) {
      slice();
    }
  }, PERIOD_MS);

  return () => {
    clearInterval(timer);
    clearImmediate(next);
  };
}
