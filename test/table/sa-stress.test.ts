// Workers race for the sequence numbers of one key, and on the window of one SA. More threads than cores: who loses its processor
// inside is overtaken by thousands.

import { Worker } from "node:worker_threads";
import t from "tap";
import { ReplayWindows, Verdict } from "../../src/table/replay-window.js";
import { allocateSas, type SaMemory, Window } from "../../src/table/sa-memory.js";
import { SKEW } from "../../src/table/session-memory.js";
import { moveCounter, moveTop, setLimit, tableOf } from "./sa-rig.js";
import { type StressJob, type StressOptions, StressWord } from "./sa-stress.js";

const WORKERS = 3;
const EACH = 100_000;
const TWO32 = 2 ** 32;

async function start(memory: SaMemory, job: StressJob, workers = WORKERS, go = 2) {
  const control = new Int32Array(new SharedArrayBuffer(StressWord.count * 4));
  // Without tap's hooks, of which each thread would load its own in a second.
  const threads = Array.from({ length: workers }, (_, worker) => {
    const workerData: StressOptions = { memory, worker, control, job };
    return new Worker(new URL("./sa-stress.worker.js", import.meta.url), { workerData, execArgv: [], env: {} });
  });
  const results = Promise.all(
    threads.map((w) => new Promise<never>((done, fail) => w.once("message", done).once("error", fail))),
  );
  while (Atomics.load(control, StressWord.ready) < workers) await new Promise((done) => setTimeout(done, 2));
  Atomics.store(control, StressWord.go, go);
  Atomics.notify(control, StressWord.go);
  return { control, threads, results };
}

async function race(memory: SaMemory, esn: boolean, count: number): Promise<Float64Array> {
  const { results } = await start(memory, { kind: "seal", esn, count });
  const given = (await results) as Float64Array[];
  const all = Float64Array.from(given.flatMap((numbers) => [...numbers]));
  return all.sort();
}

for (const [name, from] of [
  ["from 1", 0],
  ["across 2³¹", 2 ** 31 - EACH],
  ["across 2³²", TWO32 - EACH],
  ["across 2³³", 2 * TWO32 - EACH],
] as const) {
  t.test(`each number is given to one worker, and none is left out: ${name}`, async (t) => {
    const memory = allocateSas(1, WORKERS);
    moveCounter(memory, 0, from);
    const all = await race(memory, true, EACH);
    t.equal(all.length, WORKERS * EACH);
    t.equal(
      all.findIndex((n, i) => n !== from + 1 + i),
      -1,
    );
  });
}

t.test("the last numbers before 2³² are given out, each once, and none behind", async (t) => {
  const memory = allocateSas(1, WORKERS);
  moveCounter(memory, 0, TWO32 - 1 - EACH);
  const all = await race(memory, false, EACH);
  t.equal(all.length, EACH);
  t.equal(
    all.findIndex((n, i) => n !== TWO32 - EACH + i),
    -1,
  );
});

t.test("a limit that moves while workers run into it: each number once, none past it", async (t) => {
  const memory = allocateSas(1, WORKERS);
  moveCounter(memory, 0, 0, 1);
  const { control, results } = await start(memory, { kind: "seal", esn: true, count: EACH }, WORKERS, 1);
  let limit = 1;
  for (const until = performance.now() + 100; performance.now() < until; limit += 5) setLimit(memory, 0, limit);
  setLimit(memory, 0, limit);
  Atomics.store(control, StressWord.go, 2);
  const all = ((await results) as Float64Array[]).flatMap((numbers) => [...numbers]);
  t.equal(new Set(all).size, all.length);
  t.ok(all.every((n) => n <= limit));
  t.ok(all.length > 10_000);
  t.comment(`${all.length} up to ${limit}`);
});

/** Numbers from `from` on, with leaps between blocks: over the window, the ring, and far. */
function offered(from: number): Float64Array {
  const leaps = [0, 0, 9_000, 0, 16_384, 0, 0, 300, 1_000_000];
  let next = from;
  return Float64Array.from({ length: 40 * BLOCK }, (_, i) => {
    if (i % BLOCK === 0) next += leaps[(i / BLOCK) % leaps.length] as number;
    return next++;
  });
}

/** A worker in one block has offered all of those before it: what is too old for another one was accepted. */
const BLOCK = 4096;

for (const [name, esn, from] of [
  ["from 1", false, 1],
  ["extended, across 2³²", true, TWO32 - BLOCK - BLOCK / 2],
] as const) {
  t.test(`all workers offer all numbers: each is accepted once: ${name}`, async (t) => {
    const memory = allocateSas(1, WORKERS);
    if (from > 1) moveTop(memory, 0, from - 1);
    const numbers = offered(from);
    const accepted = new Int32Array(new SharedArrayBuffer(numbers.length * 4));
    const { results } = await start(memory, { kind: "open", esn, numbers, block: BLOCK, accepted });
    const refused = (await results) as number[][];
    t.equal(
      accepted.findIndex((n) => n !== 1),
      -1,
    );
    t.comment(`refused by check(), by the high word: ${refused.join(" · ")}`);
  });
}

t.test("a worker that is killed, wherever it is, leaves nothing locked for good and nothing to accept twice", async (t) => {
  let held = 0;
  for (let round = 0; round < 8; round++) {
    const memory = allocateSas(1, 1);
    const numbers = offered(1);
    const accepted = new Int32Array(new SharedArrayBuffer(numbers.length * 4));
    const { control, threads } = await start(memory, { kind: "open", esn: false, numbers, block: BLOCK, accepted }, 1);
    while (Atomics.load(control, StressWord.turns) < 500 + round * 700);
    await threads[0]?.terminate();
    const words = new Int32Array(memory.windows, SKEW);
    if (words[Window.lock] !== 0) held++;
    tableOf(memory).unlock(0);
    t.equal(words[Window.lock], 0);
    const windows = new ReplayWindows(memory, 0);
    const again = numbers.findIndex((n, i) => (accepted[i] as number) > 0 && windows.accept(0, n | 0, 0, 8192) === Verdict.ok);
    t.equal(again, -1);
  }
  t.comment(`${held} died with the lock`);
});
