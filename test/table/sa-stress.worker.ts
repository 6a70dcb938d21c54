// The workers of sa-stress.test.ts: race for the numbers of one counter, or on one window.

import { parentPort, workerData } from "node:worker_threads";
import { Verdict } from "../../src/table/replay-window.js";
import { SaLookup } from "../../src/table/sa-lookup.js";
import { type StressJob, type StressOptions, StressWord, WINDOW } from "./sa-stress.js";

const { memory, worker, control, job } = workerData as StressOptions;
const { sequences, windows } = new SaLookup(memory, worker);

Atomics.add(control, StressWord.ready, 1);
Atomics.wait(control, StressWord.go, 0);
parentPort?.postMessage(job.kind === "seal" ? seal(job) : open(job));

function seal({ esn, count }: Extract<StressJob, { kind: "seal" }>): Float64Array {
  const numbers = new Float64Array(count);
  let n = 0;
  while (n < count) {
    const last = Atomics.load(control, StressWord.go) === 2;
    if (sequences.next(0, esn)) numbers[n++] = sequences.high * 2 ** 32 + (sequences.low >>> 0);
    else if (last) break;
  }
  return numbers.slice(0, n);
}

/** @returns for each number that the window refused before authentication: 0; by the wrong high word: 1 */
function open({ esn, numbers, block, accepted }: Extract<StressJob, { kind: "open" }>): number[] {
  const refused = [0, 0];
  // Other steps in other workers; odd, so that each visits all of a block.
  const step = 2 * (worker * 517 + 911) + 1;
  for (let from = 0; from < numbers.length; from += block) {
    const size = Math.min(block, numbers.length - from);
    for (let k = 0, at = worker * 77; k < size; k++, at += step) {
      const i = from + ((at & (block - 1)) % size);
      const number = numbers[i] as number;
      const high = Math.floor(number / 2 ** 32);
      control[StressWord.turns + worker]++;
      if (windows.check(0, number | 0, esn, WINDOW) !== Verdict.ok) refused[0]++;
      else if (windows.high !== high) refused[1]++;
      else if (windows.accept(0, number | 0, high, WINDOW) === Verdict.ok) Atomics.add(accepted, i, 1);
    }
  }
  return refused;
}
