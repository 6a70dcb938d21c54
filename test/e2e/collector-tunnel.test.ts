// MIRROR and SNOOP whose collector is behind a tunnel: copies arrive as Geneve (opened by tcpdump and byte by byte) and as
// VXLAN packets (opened by Linux's vxlan device).

import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { A, addsUp, B, type Bump, type Flow, makeBump, program, runDevice } from "./bump.js";
import { Capture, WHOLE } from "./capture.js";
import { idle, met } from "./device.js";
import { soundToTshark } from "./dissect.js";
import { noVxlan } from "./linux-vxlan.js";
import { noNamespaces } from "./namespaces.js";
import { counted, FAR_MAC, NEAR_MAC, OUTSIDE, sluiceProgram } from "./peer.js";

const COUNT = 300;
const SIZE = 600;
const BYTES = 1_000_000;
/** Copies of whole frames fit. */
const MTU = 1600;
const VNI = { geneve: 0x00c0de, vxlan: 99 };
const HOP = { geneve: "12.2.3.4", vxlan: "2001:db8::9" } as const;
const ID = { geneve: 90n, vxlan: 91n } as const;
const CONFIG = `ports: [ { name: collector, driver: af_packet, interface: col } ]
nextHops:
  - { ip: ${HOP.geneve}, tunnel: ${ID.geneve} }
  - { ip: "${HOP.vxlan}", tunnel: ${ID.vxlan} }
routes:
  - { to: 192.0.2.0/24, port: collector, sourceMac: "${NEAR_MAC}", destinationMac: "${FAR_MAC}" }
  - { to: "2001:db8:f::/64", port: collector, sourceMac: "${NEAR_MAC}", destinationMac: "${FAR_MAC}" }
`;
/** No packet matches: nobody sends to the collectors but the device. */
const TUNNELS = `tunnels:
  - { tunnel_id: ${ID.geneve}, match_criteria: { ipv4_match: { destination_ip: ${OUTSIDE[4].far} } }, next_action: FORWARD,
      geneve: { geneve_encap: { ${OUTSIDE[4].pair}, vni: ${VNI.geneve} } } }
  - { tunnel_id: ${ID.vxlan}, match_criteria: { ipv6_match: { destination_ip: "${OUTSIDE[6].far}" } }, next_action: FORWARD,
      vxlan_encap: { ${OUTSIDE[6].pair}, vni: ${VNI.vxlan} } }
`;
const DELETE = `tunnels:
  - { tunnel_id: ${ID.geneve}, operation: DELETE }
  - { tunnel_id: ${ID.vxlan}, operation: DELETE }
`;

t.test("collectors behind tunnels", { skip: noNamespaces || noVxlan }, async (t) => {
  const bump = await makeBump(t);
  const { net } = bump;
  net.link("p", "col", "d", "col");
  net.sh("p", `ip link set col mtu ${MTU} address ${FAR_MAC}`);
  net.sh("d", `ip link set col mtu ${MTU}`);
  const { near, far } = OUTSIDE[6];
  net.sh("p", `ip addr add ${far}/64 dev col nodad`);
  net.sh("p", `ip link add vx0 type vxlan id ${VNI.vxlan} local ${far} remote ${near} dstport 4789`);
  net.quiet("p", "vx0");
  net.sh("p", "ip link set vx0 up");
  const file = join(net.directory, "collector.yaml");
  writeFileSync(file, CONFIG);
  const device = await runDevice(t, bump, ["-c", file]);
  await t.test("while there is no tunnel the copies are dropped, and nothing else", (t) => without(t, bump, 7300));
  sluiceProgram(t, net, TUNNELS);
  await t.test("MIRROR: UDP, copies in Geneve over IPv4", (t) => udp(t, bump, "geneve", "MIRROR", 7400));
  await t.test("SNOOP: UDP, copies in VXLAN over IPv6", (t) => udp(t, bump, "vxlan", "SNOOP", 7500));
  await t.test("MIRROR: TCP, copies in VXLAN over IPv6", (t) => tcp(t, bump, "vxlan", 7600));
  await t.test("MIRROR: TCP, copies in Geneve over IPv4", (t) => tcp(t, bump, "geneve", 7700));
  sluiceProgram(t, net, DELETE);
  await t.test("when the tunnels are gone the copies are dropped again", (t) => without(t, bump, 7800));
  t.equal(await device.stop(), 0);
});

type Kind = keyof typeof ID;

const flowOf = (protocol: Flow["protocol"], kind: Kind, action: "MIRROR" | "SNOOP", port: number) =>
  ({ id: port, protocol, from: A.ip4, fromPort: port, to: B.ip4, toPort: port + 1, action, nextHop: HOP[kind] }) as const;

async function exchange({ a, b }: Bump, flow: ReturnType<typeof flowOf>) {
  const [here, there] = [await a.bind(flow.from, flow.fromPort), await b.bind(flow.to, flow.toPort)];
  await Promise.all([
    a.datagrams(here, flow.to, flow.toPort, COUNT, SIZE),
    b.datagrams(there, flow.from, flow.fromPort, COUNT, SIZE + 1),
  ]);
  return [await b.received(there, COUNT), await a.received(here, COUNT)];
}

async function without(t: Test, bump: Bump, port: number): Promise<void> {
  const { control } = bump;
  const flow = flowOf("UDP", "geneve", "MIRROR", port);
  t.strictSame(await control.add(program([flow])), []);
  const before = await met(control, "no-tunnel");
  t.match(await exchange(bump, flow), [{ distinct: COUNT }, { distinct: COUNT }], "each arrives");
  await idle(control);
  t.equal((await met(control, "no-tunnel")) - before, 2 * COUNT, "the copies are counted as dropped");
  await control.delete(BigInt(port));
  await addsUp(t, bump);
}

async function udp(t: Test, bump: Bump, kind: Kind, action: "MIRROR" | "SNOOP", port: number): Promise<void> {
  const flow = flowOf("UDP", kind, action, port);
  await copied(t, bump, kind, flow, `udp port ${port}`, async () => {
    t.match(await exchange(bump, flow), [{ distinct: COUNT }, { distinct: COUNT }], "each arrives");
  });
}

async function tcp(t: Test, bump: Bump, kind: Kind, port: number): Promise<void> {
  const { a, b } = bump;
  const flow = flowOf("TCP", kind, "MIRROR", port);
  await b.listen(flow.to, flow.toPort);
  // SYN, FIN and RST are not copied.
  await copied(t, bump, kind, flow, `tcp port ${port} and tcp[13] & 7 == 0`, async () => {
    const here = await a.connect(flow.to, flow.toPort, flow.fromPort);
    const there = await b.accepted(flow.fromPort);
    const sums = await Promise.all([a.send(here, BYTES), b.receive(there, BYTES), b.send(there, BYTES), a.receive(here, BYTES)]);
    t.equal(sums[1], sums[0], `${BYTES} bytes arrive intact`);
    t.equal(sums[3], sums[2], `${BYTES} bytes come back intact`);
    await a.end(here);
    t.equal(await b.ended(there), "fin");
    await b.end(there);
  });
}

/** The collector gets the frames that the hosts get, each once, in the tunnel's headers. */
async function copied(t: Test, bump: Bump, kind: Kind, flow: Flow, filter: string, traffic: () => Promise<void>): Promise<void> {
  const { net, control } = bump;
  const outside = OUTSIDE[kind === "geneve" ? 4 : 6];
  t.strictSame(await control.add(program([flow])), []);
  const captures = await Promise.all(
    [["a", "eth0"] as const, ["b", "eth0"] as const, ["p", "col"] as const, ["p", "vx0"] as const].map(([part, name]) =>
      Capture.start(net, part, name, WHOLE),
    ),
  );
  const [atA, atB, collector, opened] = captures as [Capture, Capture, Capture, Capture];
  const before = counted(await control.tunnel(ID[kind]));
  await traffic();
  await idle(control);
  await Promise.all(captures.map((capture) => capture.stop()));
  const originals = [...atB.frames(`${filter} and src host ${A.ip4}`), ...atA.frames(`${filter} and src host ${B.ip4}`)];
  const outer = `udp dst port ${kind === "geneve" ? 6081 : 4789} and src host ${outside.near} and ether dst ${FAR_MAC}`;
  const packets = collector.frames(outer);
  t.ok(originals.length >= 2 * COUNT);
  t.equal(packets.length, originals.length, "a copy of each reaches the collector");
  t.equal(digest(packets.map((packet) => packet.subarray(outside.overhead))), digest(originals), "whole and unchanged");
  if (kind === "vxlan") t.equal(digest(opened.frames(filter)), digest(originals), "and so Linux gets them out");
  else t.equal(collector.count(`${outer} and geneve ${VNI.geneve}`).packets, packets.length, "under its VNI");
  soundToTshark(t, collector, `eth.src == ${NEAR_MAC}`, "copies");
  const after = counted(await control.tunnel(ID[kind]));
  const wanted = { packets: packets.length, bytes: packets.reduce((sum, { length }) => sum + length, 0) };
  t.strictSame(
    { packets: after.out.packets - before.out.packets, bytes: after.out.bytes - before.out.bytes },
    wanted,
    "the tunnel counts them",
  );
  const session = await control.delete(BigInt(flow.id));
  t.equal(Number(session?.inPackets) + Number(session?.outPackets), packets.length, "the session counts each once");
  await addsUp(t, bump);
}

/** Whatever their order. */
function digest(frames: readonly Buffer[]): string {
  const hash = createHash("sha256");
  for (const frame of frames.map((one) => one.toString("hex")).sort()) hash.update(frame);
  return hash.digest("hex");
}
