// The whole device under timeouts, packets and deletes that meet: `sluice run` plays a capture in real time, a client in
// another process adds, deletes and follows what closes (race.py).

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { writePcap } from "../../port/rig.js";
import { frame, random } from "../../replay/traffic.js";
import { noPython, python, sluiceRun, verdicts } from "./rig.js";

const FLOWS = 3000;
const SECONDS = 5;

/** Trains of packets, up to 2 ms apart. */
const TRAIN = 2;

/** A flow's trains come one second and up to a quarter apart: when its session is just due, or has just gone. */
function traffic(): Buffer {
  const below = random(7);
  const sent: { readonly us: number; readonly flow: number }[] = [];
  for (let flow = 0; flow < FLOWS; flow++) {
    for (let us = below(1_000_000); us < SECONDS * 1_000_000; us += 990_000 + below(260_000)) {
      for (let k = 0; k < TRAIN; k++, us += below(2000)) sent.push({ us, flow });
    }
  }
  sent.sort((a, b) => a.us - b.us);
  return writePcap(
    sent.map(({ us, flow }) => ({
      sec: Math.floor(us / 1_000_000),
      nsec: (us % 1_000_000) * 1000,
      data: frame({ ms: 0, flow, payload: 4 + (flow % 60) }),
    })),
  );
}

t.test("timeouts race with packets and deletes", { skip: noPython }, async (t) => {
  const directory = t.testdir({});
  const capture = join(directory, "in-1.pcap");
  writeFileSync(capture, traffic());
  const { target } = await sluiceRun(
    t,
    `ports:
  - { lif: 1, driver: file, in: ${capture}, loop: true, realtime: true, host: { driver: memory } }
  - { lif: 2, driver: memory, host: { driver: memory } }
workers: 1
sessions: { capacity: 8192 }
`,
  );
  await verdicts(t, python("race.py", target, `${FLOWS}`, `${SECONDS}`));
});
