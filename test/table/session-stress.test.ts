// Control adds, deletes and ages as fast as it can while workers look up. Whatever a worker acted on must have been a whole
// session of that very flow, and the final counters must be exactly what the workers were told.

import { Worker } from "node:worker_threads";
import t, { type Test } from "tap";
import { Grace } from "../../src/memory/grace.js";
import { wordsSize } from "../../src/memory/worker-words.js";
import { hashKey } from "../../src/table/flow.js";
import type { SessionInfo } from "../../src/table/session.js";
import { allocateSessions } from "../../src/table/session-memory.js";
import { AddStatus, SessionTable } from "../../src/table/session-table.js";
import { PORT_OF } from "../stage/device.js";
import { list } from "./page.js";
import { frameLength, StressWord, session, type Tally } from "./session-stress.js";
import type { StressOptions } from "./session-stress.worker.js";

const START = 1_700_000_000_000;
const RUN_MS = 2000;

interface Case {
  readonly name: string;
  readonly workers: number;
  readonly capacity: number;
  readonly flows: number;
  readonly shadow?: boolean;
  readonly buckets?: number;
}

const CASES: readonly Case[] = [
  { name: "1 worker, slots reused at once", workers: 1, capacity: 3, flows: 12 },
  { name: "2 workers, slots reused at once", workers: 2, capacity: 3, flows: 12 },
  { name: "1 worker, one chain of overflow buckets", workers: 1, capacity: 40, flows: 96, buckets: 1 },
  { name: "2 workers, one chain of overflow buckets", workers: 2, capacity: 40, flows: 96, buckets: 1 },
  { name: "2 workers, shadows that inherit their key", workers: 2, capacity: 64, flows: 48, shadow: true },
];

for (const c of CASES) t.test(c.name, (t) => stress(t, c));

async function stress(t: Test, c: Case): Promise<void> {
  const allocated = allocateSessions(c.capacity, c.workers, hashKey(Uint8Array.from([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8])));
  const memory = { ...allocated, buckets: c.buckets ?? allocated.buckets };
  const words = new SharedArrayBuffer(wordsSize(c.workers));
  const control = new Int32Array(new SharedArrayBuffer(StressWord.count * 4));
  const clock = new Float64Array(new SharedArrayBuffer(8));
  clock[0] = START;
  const table = new SessionTable(memory, new Grace(new Int32Array(words), c.workers), {
    duplicateFlow: c.shadow === true ? "shadow" : "reject",
    portOf: PORT_OF,
    now: START,
    seed: 5,
  });

  // Final counters per flow × 2 + direction, and what was reported amiss.
  const packets = new Float64Array(c.flows * 2);
  const alive = new Set<bigint>();
  const amiss: string[] = [];
  table.onClosed = (info: SessionInfo) => {
    if (!alive.delete(info.id)) amiss.push(`session ${info.id} reported twice, or never added`);
    const flow = Number(info.id % BigInt(c.flows));
    packets[flow * 2] = (packets[flow * 2] as number) + info.inPackets;
    packets[flow * 2 + 1] = (packets[flow * 2 + 1] as number) + info.outPackets;
    const length = frameLength(flow);
    if (info.inBytes !== info.inPackets * length || info.outBytes !== info.outPackets * length) {
      amiss.push(`session ${info.id}: ${info.inBytes} + ${info.outBytes} bytes in frames of ${length}`);
    }
  };

  const workers = Array.from({ length: c.workers }, (_, worker) => {
    const workerData: StressOptions = {
      memory,
      words,
      control: control.buffer as SharedArrayBuffer,
      clock: clock.buffer as SharedArrayBuffer,
      worker,
      flows: c.flows,
    };
    return new Worker(new URL("./session-stress.worker.js", import.meta.url), { workerData });
  });
  const tallies = Promise.all(
    workers.map((worker) => new Promise<Tally>((done, fail) => worker.once("message", done).once("error", fail))),
  );
  while (Atomics.load(control, StressWord.ready) < c.workers) await new Promise((done) => setTimeout(done, 5));

  let random = 12345;
  const below = (n: number): number => {
    random = (Math.imul(random, 1103515245) + 12345) | 0;
    return (random >>> 8) % n;
  };
  let generation = 1n;
  let added = 0;
  const until = performance.now() + RUN_MS;
  for (let turn = 0; performance.now() < until; turn++) {
    for (let k = 0; k < 200; k++) {
      const now = clock[0] as number;
      const flow = below(c.flows);
      const id = generation * BigInt(c.flows) + BigInt(flow);
      if (table.free > 0) {
        // Noted before: a session may be found, counted and gone before add() is back.
        alive.add(id);
        if (table.add(session(flow, id, 1 + below(3)), now) === AddStatus.added) {
          generation++;
          added++;
        } else {
          alive.delete(id);
        }
      }
      if (below(3) === 0 || table.free === 0) {
        const oldest = list(table, undefined, 1 + below(4))?.at(-1);
        if (oldest !== undefined) void table.delete(oldest.id, now);
      }
    }
    clock[0] = (clock[0] as number) + (turn % 10 === 0 ? 5000 : 20);
    if (turn % 10 === 0) {
      // Due, or just seen again by a worker: half of them are deleted in the moment in which they may age.
      for (const [i, { id }] of (list(table, undefined, c.capacity) ?? []).entries()) {
        if (i % 2 !== 0) continue;
        void table.delete(id, clock[0] as number).then((info) => {
          if (info !== undefined && info.id !== id) amiss.push(`deletion of ${id} answered with ${info.id}`);
        });
        table.age(clock[0] as number, 1);
      }
    }
    table.age(clock[0], 5);
    if (turn % 4 === 0) await new Promise((done) => setImmediate(done));
  }
  const busy = { ...table.stats };
  for (const id of [...alive]) await table.delete(id, clock[0] as number);
  // A worker that lost its processor within a burst keeps the last ones waiting.
  for (let k = 0; k < 500 && table.free < c.capacity; k++) await new Promise((done) => setTimeout(done, 10));
  Atomics.store(control, StressWord.stop, 1);
  const told = await tallies;
  await Promise.all(workers.map((worker) => worker.terminate()));

  const sums = Array.from(packets, (_, k) => told.reduce((sum, tally) => sum + (tally.packets[k] as number), 0));
  t.same(
    told.flatMap((tally) => tally.wrong),
    [],
    "every decision was that of the flow's own session",
  );
  t.same(amiss.slice(0, 5), [], "each session reported once, with its own bytes");
  const off = sums.flatMap((sum, k) => (packets[k] === sum ? [] : [`flow ${k >>> 1}.${k & 1}: ${packets[k]} of ${sum}`]));
  t.same(off.slice(0, 5), [], "final counters are what the workers were told, to the packet");
  t.equal(alive.size, 0, "none is left unreported");
  t.equal(table.free, c.capacity);
  const hits = sums.reduce((a, b) => a + b, 0);
  const misses = told.reduce((sum, tally) => sum + tally.misses, 0);
  t.ok(added > 1000 && hits > 1000 && misses > 1000, "a stress it was");
  t.comment(`${added} added, ${busy.deleted} deleted, ${busy.aged} aged; ${hits} hits, ${misses} misses`);
}
