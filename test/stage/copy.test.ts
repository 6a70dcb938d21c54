import t from "tap";
import { Counters, PortCounter } from "../../src/memory/counters.js";
import { SLOT, slotStart } from "../../src/memory/frames.js";
import { Fate } from "../../src/reason.js";
import { Copies } from "../../src/stage/copy.js";
import { FACTS, load, NEXT_HOPS, newBurst } from "./device.js";
import { TunnelRig } from "./tunnel-rig.js";

t.test("a copy is the frame with the next hop's destination MAC, and nothing else changes", async (t) => {
  const burst = newBurst();
  const frames = [60, 61, 1514].map((length, i) => Uint8Array.from({ length }, (_, at) => (at + i) & 0xff));
  load(
    burst,
    frames.map((frame, port) => ({ frame, port })),
  );
  const copies = new Copies(NEXT_HOPS, new Int32Array(NEXT_HOPS.length));
  copies.add(0, 1);
  copies.add(2, 0);
  const counters = new Counters(new SharedArrayBuffer(Counters.size(FACTS.length)), FACTS.length);
  const before = burst.frames.bytes.slice();
  copies.make(burst, counters, new TunnelRig().stage);
  for (const [i, hop] of [
    [0, 1],
    [2, 0],
  ] as const) {
    before.set(NEXT_HOPS[hop]?.mac as Uint8Array, slotStart(i));
    t.equal(burst.egress[i], NEXT_HOPS[hop]?.port);
    t.equal(burst.fate[i], Fate.copied);
    t.equal(counters.port(i)[PortCounter.created], 1, "made of what this port received");
  }
  t.same(burst.frames.bytes.subarray(0, 3 * SLOT), before.subarray(0, 3 * SLOT));
  t.equal(counters.port(1)[PortCounter.created], 0);
});
