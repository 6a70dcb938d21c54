// A worker of esp-race.test.ts: seals its own packets on the SA that all use, then receives copies of everybody's.

import { parentPort, workerData } from "node:worker_threads";
import { openAead } from "../../src/aead/choose.js";
import { BURST, Burst } from "../../src/memory/burst.js";
import { Frames } from "../../src/memory/frames.js";
import { Fate } from "../../src/reason.js";
import { TunnelStage } from "../../src/stage/tunnel.js";
import { Routes } from "../../src/table/route.js";
import { RuleLookup } from "../../src/table/rule-lookup.js";
import { SaLookup } from "../../src/table/sa-lookup.js";
import { load, topology } from "./device.js";
import { ALL, CLEAR_PORT, clearFrame, EACH, meet, PLACE, type RaceOptions, RaceWord, SEALED_PORT, WORKERS } from "./esp-race.js";

const { rules, sas, worker, control, sealed, order, accepted, stuckAfter, lock } = workerData as RaceOptions;
const burst = new Burst(new Frames(new ArrayBuffer(Frames.size(BURST))));
const aead = openAead("openssl", burst.frames.bytes);
const stage = new TunnelStage(new RuleLookup(rules, worker), new Routes([]), topology, worker, WORKERS, undefined, undefined, {
  sas: new SaLookup(sas, worker),
  aead,
});
const words = new Int32Array(control);
const places = new Uint8Array(sealed);
const sequence = new Int32Array(order);
const times = new Int32Array(accepted);
const wrong: string[] = [];
let meetings = 0;

function run(frames: readonly Uint8Array[], port: number): Uint8Array[] {
  load(
    burst,
    frames.map((frame) => ({ frame, port })),
  );
  burst.now = 1;
  // Together, as often as it can be.
  if (stuckAfter === 0) meet(words, ++meetings);
  stage.run(burst);
  return frames.map((_, i) =>
    burst.frames.bytes.slice(burst.offset[i], (burst.offset[i] as number) + (burst.length[i] as number)),
  );
}

const ids = (from: number, of: (k: number) => number) => Array.from({ length: BURST }, (_, k) => of(from + k));

for (let done = 0; done < EACH; done += BURST) {
  const numbers = ids(done, (k) => worker * EACH + k);
  for (const [i, frame] of run(numbers.map(clearFrame), CLEAR_PORT).entries()) {
    if (burst.fate[i] !== Fate.tunneled) wrong.push(`packet ${numbers[i]} was not sealed: fate ${burst.fate[i]}`);
    const at = (numbers[i] as number) * PLACE;
    places[at] = frame.length;
    places.set(frame, at + 2);
  }
}
parentPort?.postMessage("sealed");
meet(words, ++meetings);
// Control is the one that has to be waited for: it brings the packets into order.
while (Atomics.load(sequence, ALL) === 0) Atomics.wait(sequence, ALL, 0, 1000);

if (stuckAfter > 0 && worker === 0) getStuck();
while (stuckAfter > 0 && worker > 0 && Atomics.load(words, RaceWord.held) === 0) Atomics.wait(words, RaceWord.held, 0, 1000);
let own = 0;
for (let done = 0; done < ALL; done += BURST) {
  const numbers = ids(done, (k) => sequence[k] as number);
  const frames = numbers.map((id) => places.slice(id * PLACE + 2, id * PLACE + 2 + (places[id * PLACE] as number)));
  for (const [i, frame] of run(frames, SEALED_PORT).entries()) {
    const fate = burst.fate[i];
    if (fate === Fate.tunneled) {
      own++;
      Atomics.add(times, numbers[i] as number, 1);
      if (Buffer.compare(frame, clearFrame(numbers[i] as number)) !== 0) wrong.push(`packet ${numbers[i]} is another one`);
    } else if (fate !== Fate.espReplayed && fate !== Fate.espTooOld) wrong.push(`packet ${numbers[i]}: fate ${fate}`);
  }
}
aead.close();
parentPort?.postMessage({ own, wrong: wrong.slice(0, 5) });

/** As if the thread lost its processor for good between accepting a packet and giving the lock back. */
function getStuck(): void {
  const { store } = Atomics;
  let left = stuckAfter;
  const instead = (array: Int32Array, index: number, value: number): number => {
    if (array.buffer === sas.windows && index === lock && value === 0 && --left === 0) {
      store(words, RaceWord.held, 1);
      Atomics.notify(words, RaceWord.held);
      for (;;) Atomics.wait(words, RaceWord.held, 1, 1000);
    }
    return store(array, index, value);
  };
  Atomics.store = instead as typeof Atomics.store;
}
