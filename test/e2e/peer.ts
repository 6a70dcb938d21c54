// Hosts on either side of a tunnel of which the device is one end and somebody else's implementation the other:
//
//   a:eth0 ── d:up1    d:up2 ── b:eth0 = b's tunnel (vxlan device, Open vSwitch) = the far host
//
// The inner hosts are A and B of bump.ts. Out: the tunnel takes all that a sends, its ARP and ND too. Back: what comes out
// of the tunnel goes to the session table, and without a session by way of the application's bridge to a.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { A, addsUp, B, type Bump, linkApplication, linkHost, program } from "./bump.js";
import { Capture, type Count, WHOLE } from "./capture.js";
import type { Control } from "./control.js";
import { idle, SLUICE } from "./device.js";
import { soundToTshark } from "./dissect.js";
import type { Host } from "./host.js";
import { Namespaces } from "./namespaces.js";
import { answeredPings } from "./probe.js";
import { type Remote, startRemote } from "./remote.js";

export interface Outside {
  readonly near: string;
  readonly far: string;
  /** Outer headers in front of the inner frame: Ethernet, IP, UDP, and 8 bytes of VXLAN or Geneve. */
  readonly overhead: number;
  readonly match: string;
  readonly pair: string;
}

const outside = (near: string, far: string, family: 4 | 6): Outside => ({
  near,
  far,
  overhead: 14 + (family === 6 ? 40 : 20) + 8 + 8,
  match: `ipv${family}_match: { source_ip: "${far}", destination_ip: "${near}" }`,
  pair: `outer_ipv${family}_pair: { source_ip: "${near}", destination_ip: "${far}" }`,
});

export const OUTSIDE = {
  4: outside("192.0.2.1", "192.0.2.2", 4),
  6: outside("2001:db8:f::1", "2001:db8:f::2", 6),
} as const;
/** Of the device's end, which owns no address, and of b:eth0. */
export const NEAR_MAC = "02:00:00:00:00:51";
export const FAR_MAC = "02:00:00:00:00:52";
/** Of the far host, inside. */
export const INNER_MAC = "02:00:00:00:00:b2";
export const MTU = 1500;

export const ROUTES = `routes:
  - { to: 192.0.2.0/24, port: 2, sourceMac: "${NEAR_MAC}", destinationMac: "${FAR_MAC}" }
  - { to: "2001:db8:f::/64", port: 2, sourceMac: "${NEAR_MAC}", destinationMac: "${FAR_MAC}" }
`;

export interface Shape {
  readonly kind: "geneve" | "vxlan";
  readonly family: 4 | 6;
  readonly vni: number;
  /** Of the decapsulation. */
  readonly next?: "NONE" | "RECIRCULATE";
}

const UDP_PORT = { geneve: 6081, vxlan: 4789 } as const;
/** Of the encapsulation and of the decapsulation. */
export const OUT = 1n;
export const BACK = 2n;

/** Namespaces, links and remote hands; what the far end is, the caller says before `b` is started in part `far`. */
export async function makePeers(t: Test, parts: readonly string[], far: string, build: (net: Namespaces) => void): Promise<Bump> {
  const net = new Namespaces(["a", "b", "d", "p", ...parts]);
  t.teardown(() => net.close());
  linkHost(net, "a");
  net.link("b", "eth0", "d", "up2");
  net.sh("b", `ip link set eth0 address ${FAR_MAC}`);
  linkApplication(net);
  build(net);
  const [a, b, control] = await Promise.all([
    startRemote<Host>(net, "a", "host.js"),
    startRemote<Host>(net, far, "host.js"),
    startRemote<Control>(net, "d", "control.js"),
  ]);
  return { net, a: a.remote, b: b.remote, control: control.remote };
}

/** Nothing but what a test sends: counts are compared to the packet. */
export function calm(net: Namespaces, part: string, link: string): void {
  const script = [
    `echo 0 > /proc/sys/net/ipv6/conf/${link}/router_solicitations`,
    ...["ipv4", "ipv6"].map((family) => `echo 3600 > /proc/sys/net/${family}/neigh/${link}/delay_first_probe_time`),
  ].join("; ");
  const done = net.run(part, ["sh", "-c", script]);
  if (done.status !== 0) throw new Error(`calming ${link} in ${part}: ${done.stderr}`);
}

export function tunnels({ kind, family, vni, next = "NONE" }: Shape): string {
  const { match, pair } = OUTSIDE[family];
  const [encap, decap] =
    kind === "geneve"
      ? [`geneve: { geneve_encap: { ${pair}, vni: ${vni} } }`, "geneve: { geneve_decap: {} }"]
      : [`vxlan_encap: { ${pair}, vni: ${vni} }`, "vxlan_decap: {}"];
  const header = kind === "geneve" ? "geneve_match" : "vxlan_match";
  return `tunnels:
  - { tunnel_id: ${OUT}, match_criteria: { ingress_interface: 1 }, next_action: FORWARD, ${encap} }
  - { tunnel_id: ${BACK}, match_criteria: { ingress_interface: 2, ${match}, ${header}: { vni: ${vni} } }, next_action: ${next}, ${decap} }
`;
}

export const DELETE = `tunnels:
  - { tunnel_id: ${OUT}, operation: DELETE }
  - { tunnel_id: ${BACK}, operation: DELETE }
`;

/** `sluice program FILE`. */
export function sluiceProgram(t: Test, net: Namespaces, text: string): void {
  const file = join(net.directory, "program.yaml");
  writeFileSync(file, text);
  const done = net.run("d", [process.execPath, SLUICE, "program", file]);
  t.equal(done.status, 0, `sluice program: ${done.stdout}${done.stderr}`);
}

/** Pings of both sizes and families both ways. `far`: the far host's namespace. */
export function pings(t: Test, net: Namespaces, far: string, { overhead }: Outside): void {
  // What the outer IP packet may hold is the inner frame without its Ethernet header, less what comes in front of it.
  const mtu = MTU - overhead;
  for (const [part, four, six] of [["a", B.ip4, B.ip6] as const, [far, A.ip4, A.ip6] as const]) {
    t.equal(answeredPings(net, part, four, 5), 5, `IPv4 pings from ${part} are answered`);
    t.equal(answeredPings(net, part, six, 5), 5, `IPv6 pings from ${part} are answered`);
    t.equal(answeredPings(net, part, four, 3, mtu - 28), 3, `${part}: IPv4 pings of ${mtu} bytes`);
    t.equal(answeredPings(net, part, six, 3, mtu - 48), 3, `${part}: IPv6 pings of ${mtu} bytes`);
  }
}

/** A connection from either side, bytes both ways on each. */
export async function transfers(t: Test, { a, b }: Pick<Bump, "a" | "b">, port: number, bytes: number): Promise<void> {
  for (const [client, server, from, to, family] of [
    [a, b, A.ip4, B.ip4, 4],
    [b, a, B.ip6, A.ip6, 6],
  ] as const) {
    await server.listen(to, port + family);
    const here = await client.connect(to, port + family, port + family + 1);
    const there = await server.accepted(port + family + 1);
    const sums = await Promise.all([
      client.send(here, bytes),
      server.receive(there, bytes),
      server.send(there, bytes),
      client.receive(here, bytes),
    ]);
    t.equal(sums[1], sums[0], `TCP from ${from} to ${to}: ${bytes} bytes arrive intact`);
    t.equal(sums[3], sums[2], `${bytes} bytes come back intact`);
    await client.end(here);
    t.equal(await server.ended(there), "fin");
    await server.end(there);
    t.equal(await client.ended(here), "fin");
  }
}

/** A session of the inner flow: what comes out of the tunnel is the session's, and the application sees none of it. */
export async function innerSession(t: Test, { net, a, b, control }: Bump, port: number, bytes: number): Promise<void> {
  const flow = { id: port, protocol: "TCP", from: A.ip4, fromPort: port + 1, to: B.ip4, toPort: port } as const;
  await b.listen(B.ip4, port);
  const here = await a.connect(B.ip4, port, port + 1);
  const there = await b.accepted(port + 1);
  t.strictSame(await control.add(program([flow])), []);
  const [application, atA] = await Promise.all([Capture.start(net, "p", "host2"), Capture.start(net, "a", "eth0")]);
  const sums = await Promise.all([b.send(there, bytes), a.receive(here, bytes)]);
  t.equal(sums[1], sums[0], `${bytes} bytes arrive intact`);
  await idle(control);
  await Promise.all([application.stop(), atA.stop()]);
  const session = await control.delete(BigInt(port));
  const arrived = atA.count(`tcp src port ${port}`);
  t.ok(arrived.bytes > bytes);
  t.strictSame(
    { packets: Number(session?.outPackets), bytes: Number(session?.outBytes) },
    arrived,
    "the session counts what came out of the tunnel",
  );
  t.equal(application.count(`tcp port ${port}`).packets, 0, "none of it reached the application");
  await a.end(here);
  t.equal(await b.ended(there), "fin");
  await b.end(there);
}

/** Runs traffic through a pair of tunnels; what they count, and what tshark says of it where there is not too much of it. */
export async function throughTunnels(
  t: Test,
  bump: Bump,
  shape: Shape,
  traffic: () => PromiseLike<unknown>,
  dissected = true,
): Promise<void> {
  const { net, control } = bump;
  const { near, overhead } = OUTSIDE[shape.family];
  net.sh("a", `ip link set eth0 mtu ${MTU - overhead}`);
  const snap = dissected ? WHOLE : undefined;
  const captures = await Promise.all([Capture.start(net, "b", "eth0", snap), Capture.start(net, "a", "eth0", snap)]);
  const [atB, atA] = captures;
  sluiceProgram(t, net, tunnels(shape));
  await traffic();
  await idle(control);
  const before = [counted(await control.tunnel(OUT)), counted(await control.tunnel(BACK))];
  await Promise.all(captures.map((capture) => capture.stop()));
  const after = [counted(await control.tunnel(OUT)), counted(await control.tunnel(BACK))];
  const sent = atB.count(`udp dst port ${UDP_PORT[shape.kind]} and src host ${near}`);
  const arrived = atA.count(`ether src ${INNER_MAC}`);
  t.ok(sent.packets > 20 && arrived.packets > 20);
  // Hosts' super-frames are counted as the packets that the device makes of them, so inside is what outside is without headers.
  const wanted = { in: without(sent, overhead), out: sent };
  // A host may announce itself while the captures end: what they have lies between two looks then, which else are equal.
  const seen = [wanted, { in: without(arrived, -overhead), out: arrived }];
  const numbers = (of: typeof before) => of.flatMap((one) => [one.in.packets, one.in.bytes, one.out.packets, one.out.bytes]);
  const [least, counts, most] = [numbers(before), numbers(seen), numbers(after)];
  const message = "encapsulation and decapsulation count what tcpdump saw";
  t.ok(
    counts.every((count, i) => (least[i] as number) <= count && count <= (most[i] as number)),
    message,
    { least, counts, most },
  );
  if (dissected) {
    soundToTshark(t, atB, `eth.src == ${NEAR_MAC}`, "encapsulated packets");
    soundToTshark(t, atA, `eth.src == ${INNER_MAC}`, "decapsulated packets");
  }
  await addsUp(t, bump);
  sluiceProgram(t, net, DELETE);
}

/** A tunnel's counters as numbers. */
export function counted(counters: Awaited<ReturnType<Remote<Control>["tunnel"]>>) {
  return {
    in: { packets: Number(counters?.inPackets), bytes: Number(counters?.inBytes) },
    out: { packets: Number(counters?.outPackets), bytes: Number(counters?.outBytes) },
  };
}

const without = ({ packets, bytes }: Count, each: number): Count => ({ packets, bytes: bytes - packets * each });
