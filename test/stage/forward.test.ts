import t from "tap";
import { BURST } from "../../src/memory/burst.js";
import { Fate, REASONS } from "../../src/reason.js";
import { Departures } from "../../src/stage/forward.js";
import { newBurst } from "./device.js";

t.test("sorts frames by the port they leave by, in order, and leaves out what ends here", async (t) => {
  const burst = newBurst();
  const departures = new Departures(3);
  const fates = [Fate.forwarded, Fate.sessionDrop, Fate.noSession, Fate.tcpControl, Fate.fromHost, Fate.malformed, Fate.oversize];
  const egress = [2, 2, 0, 2, 1, 2, 1];
  burst.n = fates.length;
  burst.fate.set(fates);
  burst.egress.set(egress);
  departures.sort(burst);
  t.same([...departures.counts], [1, 1, 3]);
  t.equal(departures.lists[0]?.[0], 2);
  t.equal(departures.lists[1]?.[0], 4);
  t.same([...(departures.lists[2] as Int32Array).subarray(0, 3)], [0, 3, 5]);
  t.same([...burst.fate.subarray(0, 7)], fates, "no fate has changed");
});

t.test("a frame that has nowhere to go is dropped as such", async (t) => {
  const burst = newBurst();
  const departures = new Departures(1);
  burst.n = 3;
  burst.fate.set([Fate.noSession, Fate.sessionDrop, Fate.notIp]);
  burst.egress.set([-1, -1, 0]);
  departures.sort(burst);
  t.same([...burst.fate.subarray(0, 3)], [Fate.noPeer, Fate.sessionDrop, Fate.notIp]);
  t.same([...departures.counts], [1]);
});

t.test("every fate either leaves or ends, a full burst fits one port, an empty one clears the lists", async (t) => {
  const burst = newBurst();
  const departures = new Departures(1);
  for (let fate = 0; fate < Fate.count; fate++) {
    burst.n = BURST;
    burst.fate.fill(fate);
    burst.egress.fill(0);
    departures.sort(burst);
    const kind = (REASONS[fate] as { kind: string }).kind;
    t.equal(departures.counts[0], kind === "out" || kind === "miss" ? BURST : 0, (REASONS[fate] as { name: string }).name);
  }
  burst.n = 0;
  departures.sort(burst);
  t.same([...departures.counts], [0]);
});
