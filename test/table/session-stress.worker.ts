// The worker of session-stress.test.ts: the fast path as it is (worker/pipeline.ts) over frames of known flows, as fast as
// it goes, with an account of its own of every hit it was told.

import { parentPort, workerData } from "node:worker_threads";
import { BURST, Burst } from "../../src/memory/burst.js";
import { Counters } from "../../src/memory/counters.js";
import { EventRing } from "../../src/memory/event-ring.js";
import { Frames, SLOT, slotStart } from "../../src/memory/frames.js";
import type { Port } from "../../src/port/port.js";
import { Fate } from "../../src/reason.js";
import { Copies } from "../../src/stage/copy.js";
import { TunnelStage } from "../../src/stage/tunnel.js";
import { Routes } from "../../src/table/route.js";
import { RuleLookup } from "../../src/table/rule-lookup.js";
import { allocateRules } from "../../src/table/rule-memory.js";
import { SessionLookup } from "../../src/table/session-lookup.js";
import type { SessionMemory } from "../../src/table/session-memory.js";
import { Pipeline } from "../../src/worker/pipeline.js";
import { topology } from "../stage/device.js";
import { action, flowFrame, ingress, StressWord, type Tally } from "./session-stress.js";

export interface StressOptions {
  readonly memory: SessionMemory;
  readonly words: SharedArrayBuffer;
  /** StressWord. */
  readonly control: SharedArrayBuffer;
  /** The device's clock, milliseconds. */
  readonly clock: SharedArrayBuffer;
  readonly worker: number;
  readonly flows: number;
}

const { memory, words, control, clock, worker, flows } = workerData as StressOptions;

const sink = { tx: (_burst: Burst, _list: Int32Array, n: number) => n } as unknown as Port;
const ports = topology.role.length;
const counters = new Counters(new SharedArrayBuffer(Counters.size(ports)), ports);
const rules = allocateRules(1, 1, memory.key);
const pipeline = new Pipeline(
  topology,
  new TunnelStage(new RuleLookup(rules, 0), new Routes([]), topology, 0, 1),
  new SessionLookup(memory, worker),
  new EventRing(new SharedArrayBuffer(EventRing.size())),
  new Copies([], new Int32Array(0)),
  Array.from({ length: ports }, () => sink),
  counters,
  new Int32Array(words),
  worker,
);

// One slot per flow and direction; a burst points at any of them.
const kinds = flows * 2;
const frames = new Frames(new ArrayBuffer(Frames.size(kinds)));
const lengths = new Int32Array(kinds);
for (let k = 0; k < kinds; k++) {
  const frame = flowFrame(k >>> 1, k & 1);
  frames.bytes.fill(0xa5, k * SLOT, (k + 1) * SLOT);
  frames.bytes.set(frame, slotStart(k));
  lengths[k] = frame.length;
}

const flags = new Int32Array(control);
const now = new Float64Array(clock);
const burst = new Burst(frames);
const packets = new Float64Array(kinds);
const wrong: string[] = [];
const picked = new Int32Array(BURST);
let misses = 0;
let random = 0x9e3779b9 ^ worker;

Atomics.add(flags, StressWord.ready, 1);
Atomics.notify(flags, StressWord.ready);
while (Atomics.load(flags, StressWord.stop) === 0) {
  burst.n = BURST;
  for (let i = 0; i < BURST; i++) {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    const k = (random >>> 0) % kinds;
    picked[i] = k;
    burst.offset[i] = slotStart(k);
    burst.length[i] = lengths[k] as number;
    burst.wire[i] = lengths[k] as number;
    burst.port[i] = ingress(k >>> 1, k & 1);
    burst.time[i] = now[0] as number;
  }
  pipeline.process(burst);
  for (let i = 0; i < BURST; i++) {
    const k = picked[i] as number;
    const fate = burst.fate[i] as number;
    // A port without host and peer drops what it misses.
    if (fate === Fate.noSession || fate === Fate.noPeer) {
      misses++;
      continue;
    }
    packets[k] = (packets[k] as number) + 1;
    const wanted = action(k >>> 1) === 1 ? Fate.forwarded : Fate.sessionDrop;
    const egress = ingress(k >>> 1, 1 - (k & 1));
    if (fate !== wanted || (fate === Fate.forwarded && burst.egress[i] !== egress)) {
      if (wrong.length < 5) wrong.push(`flow ${k >>> 1} direction ${k & 1}: fate ${fate}, egress ${burst.egress[i]}`);
    }
  }
}
parentPort?.postMessage({ packets, misses, wrong } satisfies Tally);
