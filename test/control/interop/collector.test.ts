// MIRROR and SNOOP as a Python client asks for them, with collectors in the configuration (collector.py).

import { resolve } from "node:path";
import t from "tap";
import { noPython, python, sluiceRun, verdicts } from "./rig.js";

const skip = noPython;
const CAPTURES = resolve("pcaps/vlan");

t.test("MIRROR and SNOOP with collectors", { skip }, async (t) => {
  const host = "host: { driver: memory }";
  const ports = [1, 2].map(
    (lif) => `  - { lif: ${lif}, driver: file, in: ${CAPTURES}/in-${lif}.pcap, loop: true, realtime: true, ${host} }\n`,
  );
  const hops = ["12.2.3.4", "2001:db8::9"].map((ip) => `  - { ip: "${ip}", port: collector, mac: "02:00:00:00:00:09" }\n`);
  for (const order of ["s_addr", "host"]) {
    const { target } = await sluiceRun(
      t,
      `ports:\n${ports.join("")}  - { name: collector, driver: memory }\nnextHops:\n${hops.join("")}workers: 1
api: { ipv4Order: ${order} }\nsessions: { capacity: 256 }\n`,
    );
    await t.test(`collector.py, ${order}`, (t) => verdicts(t, python("collector.py", target, order)));
  }
});
