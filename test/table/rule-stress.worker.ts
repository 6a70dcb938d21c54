// The worker of rule-stress.test.ts: matches packets of known flows as fast as it goes.

import { parentPort, workerData } from "node:worker_threads";
import { Burst } from "../../src/memory/burst.js";
import { Frames } from "../../src/memory/frames.js";
import { Word, wordOf } from "../../src/memory/worker-words.js";
import { RuleLookup } from "../../src/table/rule-lookup.js";
import { Rule, type RuleMemory, TunnelLane } from "../../src/table/rule-memory.js";
import { Headers } from "../../src/tunnel/headers.js";
import { load } from "../stage/device.js";
import { FLOWS, flowFrame, Kind, readRecord, StressWord, type Tally } from "./rule-stress.js";

export interface StressOptions {
  readonly memory: RuleMemory;
  readonly words: SharedArrayBuffer;
  /** StressWord. */
  readonly control: SharedArrayBuffer;
  readonly worker: number;
}

const { memory, words, control, worker } = workerData as StressOptions;
const lookup = new RuleLookup(memory, worker);
const epoch = new Int32Array(words);
const flags = new Int32Array(control);
const flows = FLOWS * Kind.count;
const burst = new Burst(new Frames(new ArrayBuffer(Frames.size(flows))));
load(
  burst,
  Array.from({ length: flows }, (_, flow) => ({ frame: flowFrame(flow), port: 0 })),
);
const headers = new Headers();
const packets = new Map<number, number>();
const wrong: string[] = [];
let found = 0;
let missed = 0;
let random = 0x9e3779b9 ^ worker;
const amiss = (text: string) => {
  if (wrong.length < 5) wrong.push(text);
};

Atomics.add(flags, StressWord.ready, 1);
while (Atomics.load(flags, StressWord.stop) === 0) {
  Atomics.add(epoch, wordOf(worker, Word.burst), 1);
  lookup.refresh();
  for (let turn = 0; turn < 32; turn++) {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    const flow = (random >>> 0) % flows;
    const kind = Math.floor(flow / FLOWS);
    headers.read(burst, flow, lookup.ports, 0, 0);
    const slot = lookup.find(burst.frames.halves, headers.base, headers.kind);
    if (slot < 0) {
      missed++;
      const dead = lookup.deadBefore(slot, burst.frames.halves, headers.base, headers.kind);
      if (kind !== Kind.passing && !(kind === Kind.closed && dead)) amiss(`flow ${flow}: no rule`);
      continue;
    }
    found++;
    const id = readRecord(lookup.records, slot);
    // The last digits of an id name its flow.
    if (id % 100 !== flow) amiss(`flow ${flow}: rule ${id}`);
    const lane = (lookup.records[slot * Rule.size + Rule.lane] as number) << TunnelLane.shift;
    lookup.lanes[lane + TunnelLane.inPackets] = (lookup.lanes[lane + TunnelLane.inPackets] as number) + 1;
    packets.set(id, (packets.get(id) ?? 0) + 1);
  }
  Atomics.add(epoch, wordOf(worker, Word.burst), 1);
}
parentPort?.postMessage({ packets, found, missed, wrong } satisfies Tally);
