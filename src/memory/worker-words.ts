// The words through which the control thread and a worker speak: one cache line per worker.
//
// | word     | written by        | read by | meaning                                                                  |
// |----------|-------------------|---------|--------------------------------------------------------------------------|
// | burst    | worker            | control | odd: inside a burst, may hold references into tables; even: holds none   |
// | inflight | worker            | control | frames received and not yet settled in the fate counters                 |
// | state    | worker (serving), control | control | WorkerState                                                      |
// | command  | control           | worker  | Command, looked at once per turn of the loop                             |
//
// When a worker has died, control owns its line until the next one is started on it.

export const enum Word {
  burst,
  inflight,
  state,
  command,
  count = 16,
}

export const enum WorkerState {
  down,
  serving,
}

export const enum Command {
  run,
  stop,
  // Fault injection: only tests set these.
  throw,
  exit,
  exhaust,
}

/** Index of a worker's word in the shared Int32Array. */
export function wordOf(worker: number, word: Word): number {
  return worker * Word.count + word;
}

/** Bytes for this many workers. */
export function wordsSize(workers: number): number {
  return workers * Word.count * 4;
}
