// api.md 1 to 10 as a client sees it that shares no code with the server: Python's gRPC and protobuf, both by Google, in a
// process of its own against `sluice run` in another. The scenarios are in the *.py beside this file.

import { resolve } from "node:path";
import t from "tap";
import { noPython, python, sluiceRun, verdicts } from "./rig.js";

const skip = noPython;
const CAPTURES = resolve("pcaps/vlan");

/** Lifs 1 and 2 play pcaps/vlan over and over: sessions of its flows count. */
const TRAFFIC = [1, 2].map(
  (lif) => `  - { lif: ${lif}, driver: file, in: ${CAPTURES}/in-${lif}.pcap, loop: true, realtime: true }\n`,
);
const MORE = [3, 4, 5].map((lif) => `  - { lif: ${lif}, driver: memory }\n`);
const PORTS = `ports:\n${[...TRAFFIC, ...MORE].join("")}workers: 1\n`;

t.test("a device with the defaults", { skip }, async (t) => {
  const { target } = await sluiceRun(t, `${PORTS}sessions: { capacity: 256, defaultTimeout: 2 }\n`);
  for (const script of ["add.py", "cancelled.py", "paging.py", "closed.py"]) {
    await t.test(script, (t) => verdicts(t, python(script, target)));
  }
  await t.test("order.py", (t) => verdicts(t, python("order.py", target, "s_addr")));
});

t.test("ipv4Order: host, missingSession: status, duplicateFlow: shadow, closedBacklog: 10", { skip }, async (t) => {
  const { target } = await sluiceRun(
    t,
    `${PORTS}api: { ipv4Order: host, missingSession: status }\nsessions: { capacity: 256, duplicateFlow: shadow, closedBacklog: 10 }\n`,
  );
  await t.test("order.py", (t) => verdicts(t, python("order.py", target, "host")));
  await t.test("other.py", (t) => verdicts(t, python("other.py", target)));
});
