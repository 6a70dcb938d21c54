// MIRROR and SNOOP on real interfaces: traffic between two hosts, and what a collector behind a named port gets of it.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { A, addsUp, B, type Bump, counters, type Flow, makeBump, program, runDevice } from "./bump.js";
import { Capture } from "./capture.js";
import { idle, met } from "./device.js";
import { noNamespaces } from "./namespaces.js";

const COUNT = 500;
const SIZE = 600;
const BYTES = 4_000_000;
const MACS = ["02:00:00:00:00:09", "02:00:00:00:00:0a"] as const;
const CONFIG = `ports: [ { name: collector, driver: af_packet, interface: col } ]
nextHops:
  - { ip: 12.2.3.4, port: collector, mac: "${MACS[0]}" }
  - { ip: "2001:db8::9", port: collector, mac: "${MACS[1]}" }
`;

t.test("collectors", { skip: noNamespaces }, async (t) => {
  const bump = await makeBump(t);
  const { net } = bump;
  net.link("p", "col", "d", "col");
  net.quiet("p", "col");
  const file = join(net.directory, "collector.yaml");
  writeFileSync(file, CONFIG);
  const device = await runDevice(t, bump, ["-c", file]);
  await t.test("MIRROR: UDP over IPv4 goes straight through, the collector gets copies", (t) => udp(t, bump, "MIRROR", 4));
  await t.test("SNOOP: UDP over IPv6 goes to the application, the collector gets copies", (t) => udp(t, bump, "SNOOP", 6));
  await t.test("MIRROR: a TCP connection over IPv6", (t) => tcp(t, bump, "MIRROR", 6));
  await t.test("SNOOP: a TCP connection over IPv4", (t) => tcp(t, bump, "SNOOP", 4));
  await t.test("a collector whose interface is down loses the copies, and nobody else anything", (t) => down(t, bump));
  t.equal(await device.stop(), 0);
});

function flowOf(id: number, protocol: Flow["protocol"], action: "MIRROR" | "SNOOP", family: 4 | 6): Required<Omit<Flow, "vlan">> {
  const [from, to] = family === 6 ? [A.ip6, B.ip6] : [A.ip4, B.ip4];
  // The next hop's family has nothing to do with the session's.
  return {
    id,
    protocol,
    from,
    fromPort: id,
    to,
    toPort: 80,
    action,
    nextHop: family === 6 ? "12.2.3.4" : "2001:db8::9",
    timeout: 60,
  };
}

async function udp(t: Test, bump: Bump, action: "MIRROR" | "SNOOP", family: 4 | 6): Promise<void> {
  const { net, a, b, control } = bump;
  const flow = flowOf(7000 + family, "UDP", action, family);
  const [here, there] = [await a.bind(flow.from, flow.fromPort), await b.bind(flow.to, flow.toPort)];
  t.strictSame(await control.add(program([flow])), []);
  const [application, collector] = await Promise.all([Capture.start(net, "p", "host1"), Capture.start(net, "p", "col")]);
  const before = await met(control, "copied");
  await Promise.all([
    a.datagrams(here, flow.to, flow.toPort, COUNT, SIZE),
    b.datagrams(there, flow.from, flow.fromPort, COUNT, SIZE + 1),
  ]);
  t.match(await b.received(there, COUNT), { packets: COUNT, distinct: COUNT }, "each from a arrives once");
  t.match(await a.received(here, COUNT), { packets: COUNT, distinct: COUNT }, "each from b arrives once");
  await idle(control);
  await Promise.all([application.stop(), collector.stop()]);
  const headers = 14 + (family === 6 ? 40 : 20) + 8;
  const wanted = {
    in: { packets: COUNT, bytes: COUNT * (headers + SIZE) },
    out: { packets: COUNT, bytes: COUNT * (headers + SIZE + 1) },
  };
  const mac = `ether dst ${MACS[family === 6 ? 0 : 1]} and udp port ${flow.fromPort}`;
  const copies = {
    in: collector.count(`${mac} and src host ${flow.from}`),
    out: collector.count(`${mac} and src host ${flow.to}`),
  };
  t.strictSame(copies, wanted, "the collector got a copy of each, under its MAC");
  t.equal((await met(control, "copied")) - before, 2 * COUNT, "counted as copies");
  t.equal(application.count(`udp port ${flow.fromPort}`).packets, action === "SNOOP" ? 2 * COUNT : 0, "at the application");
  t.strictSame(counters(await control.delete(BigInt(flow.id))), wanted, "the session counts each once");
  await addsUp(t, bump);
}

async function tcp(t: Test, bump: Bump, action: "MIRROR" | "SNOOP", family: 4 | 6): Promise<void> {
  const { net, a, b, control } = bump;
  const flow = { ...flowOf(7100 + family, "TCP", action, family), toPort: 7100 + family + 1000 };
  await b.listen(flow.to, flow.toPort);
  t.strictSame(await control.add(program([flow])), []);
  const [application, collector] = await Promise.all([Capture.start(net, "p", "host1"), Capture.start(net, "p", "col")]);
  const here = await a.connect(flow.to, flow.toPort, flow.fromPort);
  const there = await b.accepted(flow.fromPort);
  const sums = await Promise.all([a.send(here, BYTES), b.receive(there, BYTES)]);
  t.equal(sums[1], sums[0], `${BYTES} bytes arrive intact`);
  await a.end(here);
  t.equal(await b.ended(there), "fin");
  await b.end(there);
  await idle(control);
  await Promise.all([application.stop(), collector.stop()]);
  const session = counters(await control.delete(BigInt(flow.id)));
  const flags = family === 6 ? "ip6[53]" : "tcp[13]";
  const data = (direction: string) => `tcp and ${direction} port ${flow.fromPort} and ${flags} & 7 == 0`;
  t.strictSame({ in: collector.count(data("src")), out: collector.count(data("dst")) }, session, "copies of all that it counts");
  t.equal(collector.count(`tcp and ${flags} & 7 != 0`).packets, 0, "SYN and FIN are not copied");
  t.ok(application.count(`tcp and ${flags} & 2 != 0`).packets >= 2, "the application saw SYN and SYN+ACK");
  const atApplication = application.count(data("src"));
  t.strictSame(atApplication.packets, action === "SNOOP" ? session?.in.packets : 0, "and with SNOOP the data");
  await addsUp(t, bump);
}

async function down(t: Test, bump: Bump): Promise<void> {
  const { net, a, b, control } = bump;
  const flow = { ...flowOf(7200, "UDP", "MIRROR", 4), toPort: 7201 };
  const [here, there] = [await a.bind(flow.from, flow.fromPort), await b.bind(flow.to, flow.toPort)];
  t.strictSame(await control.add(program([flow])), []);
  net.sh("d", "ip link set col down");
  const before = await met(control, "tx-down");
  await a.datagrams(here, flow.to, flow.toPort, COUNT, SIZE);
  t.match(await b.received(there, COUNT), { packets: COUNT, distinct: COUNT }, "each arrives");
  await idle(control);
  t.equal((await met(control, "tx-down")) - before, COUNT, "the copies are dropped, and counted");
  net.sh("d", "ip link set col up");
  await control.delete(BigInt(flow.id));
  await addsUp(t, bump);
}
