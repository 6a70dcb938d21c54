// Control adds, updates and deletes rules as fast as it can while workers match. A packet meets the old rule or the new one,
// whole, never none while there is one; and the counters are what the workers were told, to the packet.

import { Worker } from "node:worker_threads";
import t, { type Test } from "tap";
import { Grace } from "../../src/memory/grace.js";
import { wordsSize } from "../../src/memory/worker-words.js";
import { hashKey } from "../../src/table/flow.js";
import { allocateRules } from "../../src/table/rule-memory.js";
import { RuleStatus, RuleTable } from "../../src/table/rule-table.js";
import { FLOWS, Kind, matchOf, ruleOf, StressWord, type Tally, writeRecord } from "./rule-stress.js";
import type { StressOptions } from "./rule-stress.worker.js";

const RUN_MS = 2500;

for (const workers of [1, 2]) {
  t.test(`${workers} worker${workers > 1 ? "s" : ""}, chains of many rules`, (t) => stress(t, workers));
}

async function stress(t: Test, workers: number): Promise<void> {
  // Few heads: most rules share a chain.
  const allocated = allocateRules(64, workers, hashKey(Uint8Array.from([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8])));
  const memory = { ...allocated, live: new SharedArrayBuffer(8), dead: new SharedArrayBuffer(8) };
  const words = new SharedArrayBuffer(wordsSize(workers));
  const control = new Int32Array(new SharedArrayBuffer(StressWord.count * 4));
  const table = new RuleTable(memory, new Grace(new Int32Array(words), workers), { compile: writeRecord, failClosed: 1e9 });

  const counted = new Map<number, number>();
  const amiss: string[] = [];
  let version = 1;
  let refused = 0;
  let serial = 1;
  let deletes = 0;
  const add = (id: number, flow: number, way: number): boolean => {
    const done = table.add(ruleOf(id, matchOf(flow, way), ++version), 0) === RuleStatus.done;
    if (!done) refused++;
    return done;
  };
  const drop = (id: number): void => {
    deletes++;
    void table.delete(BigInt(id), 0).then((info) => {
      if (info === undefined) amiss.push(`rule ${id} was not there`);
      else counted.set(id, (counted.get(id) ?? 0) + info.counters.inPackets);
    });
  };
  const update = (id: number, flow: number, way: number): void => {
    if (table.update(ruleOf(id, matchOf(flow, way), ++version)) !== RuleStatus.done) refused++;
  };

  for (let f = 0; f < FLOWS; f++) {
    add(100 + Kind.updated * FLOWS + f, Kind.updated * FLOWS + f, 0);
    const shared = Kind.shared * FLOWS + f;
    add(100 + shared, shared, 1);
    add(200 + shared, shared, 0);
    add(100 * serial++ + Kind.closed * FLOWS + f, Kind.closed * FLOWS + f, 0);
  }
  const closed = new Map(Array.from({ length: FLOWS }, (_, f) => [f, 100 * (f + 1) + Kind.closed * FLOWS + f]));

  const threads = Array.from({ length: workers }, (_, worker) => {
    const workerData: StressOptions = { memory, words, control: control.buffer as SharedArrayBuffer, worker };
    return new Worker(new URL("./rule-stress.worker.js", import.meta.url), { workerData });
  });
  const tallies = Promise.all(
    threads.map((thread) => new Promise<Tally>((done, fail) => thread.once("message", done).once("error", fail))),
  );
  while (Atomics.load(control, StressWord.ready) < workers) await new Promise((done) => setTimeout(done, 5));

  let random = 12345;
  const below = (n: number): number => {
    random = (Math.imul(random, 1103515245) + 12345) | 0;
    return (random >>> 8) % n;
  };
  const passing: number[] = [];
  let operations = 0;
  const until = performance.now() + RUN_MS;
  while (performance.now() < until) {
    // Slots for what is in its grace period are bounded: a worker that lost its processor holds control up.
    const before = refused;
    for (let k = 0; k < 20 && refused === before; k++, operations++) {
      const f = below(FLOWS);
      update(100 + Kind.updated * FLOWS + f, Kind.updated * FLOWS + f, below(3) === 0 ? below(5) : 0);
      update(100 + Kind.shared * FLOWS + f, Kind.shared * FLOWS + f, below(2));
      const next = 100 * ++serial + Kind.closed * FLOWS + f;
      drop(closed.get(f) as number);
      closed.set(f, next);
      while (!add(next, Kind.closed * FLOWS + f, 0)) await new Promise((done) => setImmediate(done));
      const id = 100 * ++serial + Kind.passing * FLOWS + f;
      if (passing.length < 8 && add(id, Kind.passing * FLOWS + f, below(5))) passing.push(id);
      if (below(2) === 0 && passing.length > 0) drop(passing.splice(below(passing.length), 1)[0] as number);
    }
    await new Promise((done) => setImmediate(done));
  }
  Atomics.store(control, StressWord.stop, 1);
  const told = await tallies;
  for (const { rule } of [...table.list()]) drop(Number(rule.id));
  for (let k = 0; k < 500 && counted.size < deletes; k++) await new Promise((done) => setTimeout(done, 10));
  await Promise.all(threads.map((thread) => thread.terminate()));

  t.same(
    told.flatMap(({ wrong }) => wrong),
    [],
    "every packet met a whole rule of its own",
  );
  t.same(amiss.slice(0, 5), []);
  const sums = new Map<number, number>();
  for (const { packets } of told) for (const [id, n] of packets) sums.set(id, (sums.get(id) ?? 0) + n);
  const off = [...counted].filter(([id, n]) => n !== (sums.get(id) ?? 0)).map(([id, n]) => `${id}: ${n} of ${sums.get(id) ?? 0}`);
  t.same(off.slice(0, 5), [], "final counters are what the workers were told, to the packet");
  t.same([...sums.keys()].filter((id) => !counted.has(id)).slice(0, 5), [], "and there are none for others");
  const found = told.reduce((sum, tally) => sum + tally.found, 0);
  t.ok(operations > 500 && found > 50_000, "a stress it was");
  t.comment(
    `${operations} turns, ${deletes} deleted, ${refused} refused; ${found} found, ${told.reduce((sum, tally) => sum + tally.missed, 0)} missed`,
  );
}
