// api.md 1, 4, 7 to 10 with packets: a Python client's sessions on a `sluice run` that plays captures, with the defaults and
// with the other choice of everything that can be configured.

import { resolve } from "node:path";
import t from "tap";
import { noPython, python, sluiceRun, verdicts } from "./rig.js";

const skip = noPython;
const CAPTURES = resolve("pcaps/vlan");

/** Lifs 1 and 2 play pcaps/vlan over and over: sessions of its flows count. */
const TRAFFIC = [1, 2].map(
  (lif) => `  - { lif: ${lif}, driver: file, in: ${CAPTURES}/in-${lif}.pcap, loop: true, realtime: true }\n`,
);
const MORE = [3, 4].map((lif) => `  - { lif: ${lif}, driver: memory }\n`);
const PORTS = `ports:\n${[...TRAFFIC, ...MORE].join("")}workers: 1\n`;

t.test("a device with the defaults", { skip }, async (t) => {
  const { target } = await sluiceRun(t, `${PORTS}sessions: { capacity: 256 }\n`);
  await verdicts(t, python("order.py", target, "s_addr"));
});

t.test("ipv4Order: host, missingSession: status, duplicateFlow: shadow, closedBacklog: 10", { skip }, async (t) => {
  const { target } = await sluiceRun(
    t,
    `${PORTS}api: { ipv4Order: host, missingSession: status }\nsessions: { capacity: 256, duplicateFlow: shadow, closedBacklog: 10 }\n`,
  );
  await t.test("order.py", (t) => verdicts(t, python("order.py", target, "host")));
  await t.test("other.py", (t) => verdicts(t, python("other.py", target)));
});
