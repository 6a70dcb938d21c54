// strongSwan, ESP in user space, as the far end of ESP in UDP (RFC 3948), AES-GCM (RFC 4106), over IPv4 and IPv6. IKE is between two
// charons, one at the far end and one behind the device, whose part in ESP the device has taken over: with the keys that it logs.
//
//   a ── device ── b: the far end, charon "right" and the far host in one
//           └───── p: charon "left" on the application's bridge, where zero SPIs and UDP 500 go to

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { parseProgram } from "../../src/control/program.js";
import { A, addsUp, B, type Bump, runDevice } from "./bump.js";
import { Capture } from "./capture.js";
import { idle } from "./device.js";
import { noNamespaces } from "./namespaces.js";
import {
  BACK,
  calm,
  counted,
  DELETE,
  FAR_MAC,
  MTU,
  makePeers,
  NEAR_MAC,
  OUT,
  OUTSIDE,
  pings,
  ROUTES,
  transfers,
} from "./peer.js";
import { Charon, type Child, childName, type Direction, type End, noStrongswan } from "./strongswan.js";

interface Shape {
  readonly family: 4 | 6;
  /** strongSwan's name, and EncType. */
  readonly proposal: string;
  readonly suite: string;
}

const SHAPES: readonly Shape[] = [
  { family: 4, proposal: "aes128gcm16", suite: "AES128GCM128" },
  { family: 6, proposal: "aes256gcm16", suite: "AES256GCM128" },
  { family: 6, proposal: "aes128gcm12", suite: "AES128GCM96" },
  { family: 4, proposal: "aes256gcm8", suite: "AES256GCM64" },
];
const PROPOSALS = SHAPES.map(({ proposal }) => proposal);
/** The far end takes what it is offered. */
const ANY = PROPOSALS.join(",");
const [GCM] = SHAPES as [Shape];
const LEFT: End = { name: "left", selectors: `${A.ip4}/32,${A.ip6}/128`, outside: "near" };
const RIGHT: End = { name: "right", selectors: `${B.ip4}/32,${B.ip6}/128`, outside: "far" };
const A_MAC = "02:00:00:00:00:a1";
/** Of kernel-libipsec's tun device. */
const INNER_MTU = 1400;
const BYTES = 500_000;
const SECONDS = 2;
const PER_SECOND = 500;
const REKEYS = 3;
const NOBODY = "02:00:00:00:00:ff";

interface Ends {
  readonly bump: Bump;
  readonly left: Charon;
  readonly right: Charon;
}

t.test("strongSwan as the far end", { skip: noNamespaces || noStrongswan }, async (t) => {
  const bump = await makePeers(t, [], "b", layOut);
  const file = join(bump.net.directory, "sluice.yaml");
  const back = [`${A.ip4}/32`, `${A.ip6}/128`].map(
    (to) => `  - { to: "${to}", port: 1, sourceMac: "${NEAR_MAC}", destinationMac: "${A_MAC}" }\n`,
  );
  writeFileSync(file, `${ROUTES}${back.join("")}`);
  const device = await runDevice(t, bump, ["-c", file]);
  const [left, right] = await Promise.all([
    Charon.start(bump.net, "p", LEFT, RIGHT, PROPOSALS),
    Charon.start(bump.net, "b", RIGHT, LEFT, [ANY]),
  ]);
  const ends = { bump, left, right };
  for (const [i, shape] of SHAPES.entries()) {
    await t.test(`${shape.suite} over IPv${shape.family}`, (t) => exchange(t, ends, shape, 9000 + 100 * i));
  }
  await t.test("rekeyed by IKE under traffic both ways", (t) => rekeyed(t, ends));
  await t.test("iperf3", (t) => compared(t, ends));
  t.equal(await device.stop(), 0);
  t.strictSame(
    device.log.filter(({ level }) => level >= 40),
    [],
    "nothing to warn of",
  );
});

/** Nobody asks for an address: a sends to the gateway's MAC, and so does the far end. */
function layOut(net: Bump["net"]): void {
  net.sh("a", `ip link set eth0 address ${A_MAC} mtu ${INNER_MTU}`);
  net.sh("p", `ip link set br0 address ${NEAR_MAC}`);
  net.run("p", ["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/br0/disable_ipv6"]);
  for (const [part, link] of [["a", "eth0"] as const, ["b", "eth0"] as const, ["p", "br0"] as const]) calm(net, part, link);
  for (const ip of [B.ip4, B.ip6]) net.sh("a", `ip neigh add ${ip} lladdr ${NEAR_MAC} dev eth0 nud permanent`);
  // Traffic selectors want addresses of their end: left's are those of a.
  for (const [part, { ip4, ip6 }] of [["p", A] as const, ["b", B] as const]) {
    net.sh(part, `ip addr add ${ip4}/32 dev lo`);
    net.sh(part, `ip addr add ${ip6}/128 dev lo`);
  }
  for (const { near, far } of Object.values(OUTSIDE)) {
    const width = far.includes(":") ? "64 nodad" : "24";
    net.sh("p", `ip addr add ${near}/${width} dev br0`);
    net.sh("b", `ip addr add ${far}/${width} dev eth0`);
    net.sh("p", `ip neigh add ${far} lladdr ${FAR_MAC} dev br0 nud permanent`);
    net.sh("b", `ip neigh add ${near} lladdr ${NEAR_MAC} dev eth0 nud permanent`);
  }
}

async function establish({ left }: Ends, { family, proposal }: Shape): Promise<Child> {
  await left.control("--initiate", "--child", childName(family, proposal));
  return left.nextChild("own");
}

const terminate = ({ left }: Ends, { family }: Shape) => left.control("--terminate", "--ike", `ip${family}`);

async function program(t: Test, { control }: Bump, text: string): Promise<void> {
  const { tunnels } = parseProgram(text, "strongswan", "s_addr");
  t.strictSame(await control.tunnels(tunnels.map(({ request }) => request)), []);
}

const sa = ({ spi, key }: Direction) => `{ spi: ${spi}, encryption_key: "${key}", operation: CREATE }`;

const esp = ({ suite }: Shape) => `tunnel_type: TUNNEL_NAT_TRAVERSAL, encryption_type: ${suite}`;

/** What left would do. */
function tunnels(shape: Shape, { inbound, outbound }: Child): string {
  const { near, far, match } = OUTSIDE[shape.family];
  const pair = `ipv${shape.family}_tunnel: { source_ip: "${near}", destination_ip: "${far}" }`;
  return `tunnels:
  - tunnel_id: ${OUT}
    match_criteria: { ingress_interface: 1, mac_match: { destination_mac: "${NEAR_MAC}" } }
    next_action: FORWARD
    ipsec_tunnel: { ipsec_enc: { ${esp(shape)}, ${pair}, ipsec_sa: ${sa(outbound)} } }
  - tunnel_id: ${BACK}
    match_criteria: { ingress_interface: 2, ${match} }
    next_action: FORWARD
    ipsec_tunnel: { ipsec_dec: { ${esp(shape)}, ipsec_sas: [${sa(inbound)}] } }
`;
}

/** Packets of an SA, of tcpdump; `spi` undefined: of any. */
function espFilter(family: 4 | 6, source: string, spi?: number): string {
  const at = family === 4 ? "udp[8:4]" : "ip6[48:4]";
  return `src host ${source} and udp port 4500 and ${at} ${spi === undefined ? "!= 0" : `= ${spi}`} and greater 80`;
}

async function exchange(t: Test, ends: Ends, shape: Shape, port: number): Promise<void> {
  const { bump } = ends;
  const { net, control } = bump;
  const { near, far } = OUTSIDE[shape.family];
  const child = await establish(ends, shape);
  await program(t, bump, tunnels(shape, child));
  const captures = await Promise.all([Capture.start(net, "b", "eth0"), Capture.start(net, "p", "host2")]);
  const [atB, application] = captures;
  const failures = await drops(control);
  pings(t, net, "b", { ...OUTSIDE[shape.family], overhead: MTU - INNER_MTU });
  await t.test("TCP both ways", (t) => transfers(t, bump, port, BYTES));
  await idle(control);
  await Promise.all(captures.map((capture) => capture.stop()));
  const sent = atB.count(espFilter(shape.family, near, child.outbound.spi));
  const received = atB.count(espFilter(shape.family, far, child.inbound.spi));
  t.strictSame(counted(await control.tunnel(OUT)).out, sent, "the device counts what left it encrypted");
  t.strictSame(counted(await control.tunnel(BACK)).in, received, "and what came");
  t.ok(sent.packets > 500 && received.packets > 500);
  t.equal(atB.count(`host ${A.ip4} or host ${A.ip6}`).packets, 0, "nothing is in clear outside");
  t.equal(application.count(espFilter(shape.family, far)).packets, 0, "no ESP comes to the charon behind the device");
  t.equal(await drops(control), failures, "the device drops nothing");
  await addsUp(t, bump);
  await program(t, bump, DELETE);
  await terminate(ends, shape);
}

async function drops(control: Bump["control"]): Promise<number> {
  const { fates } = await control.stats();
  return fates.filter(({ kind }) => kind === "drop").reduce((sum, { packets }) => sum + Number(packets), 0);
}

async function rekeyed(t: Test, ends: Ends): Promise<void> {
  const { bump } = ends;
  const { net, a, b } = bump;
  const { near, far } = OUTSIDE[GCM.family];
  const children = [await establish(ends, GCM)];
  await program(t, bump, tunnels(GCM, children[0] as Child));
  const capture = await Capture.start(net, "b", "eth0");
  const [here, there] = [await a.bind(A.ip4, 9900), await b.bind(B.ip4, 9900)];
  await a.start(here, B.ip4, 9900, 200, PER_SECOND);
  await b.start(there, A.ip4, 9900, 200, PER_SECOND);
  for (let i = 0; i < REKEYS; i++) children.push(await rekey(t, ends, children[i] as Child));
  await Promise.all([a.stop(here), b.stop(there)]);
  // What was begun is sent to its end.
  await idle(bump.control);
  const sent = [await a.stop(here), await b.stop(there)] as const;
  t.equal((await b.received(there, sent[0])).distinct, sent[0], "all from a arrive");
  t.equal((await a.received(here, sent[1])).distinct, sent[1], "all from b arrive");
  await capture.stop();
  for (const [source, direction] of [
    [near, "outbound"],
    [far, "inbound"],
  ] as const) {
    const packets = children.map((child) => capture.count(espFilter(4, source, child[direction].spi)).packets);
    t.ok(
      packets.every((count) => count > 10),
      `packets from ${source} under each key: ${packets}`,
    );
  }
  await addsUp(t, bump);
  await program(t, bump, DELETE);
  await terminate(ends, GCM);
}

/** Begun by the far end. Left's answer is held back until the device has the new SA to receive with. */
async function rekey(t: Test, { bump, left, right }: Ends, old: Child): Promise<Child> {
  const answers = (mac: string) =>
    bump.net.sh("p", `ip neigh replace ${OUTSIDE[GCM.family].far} lladdr ${mac} dev br0 nud permanent`);
  const enc = (one: string) => update(OUT, `ipsec_enc: { ${esp(GCM)}, ipsec_sa: ${one} }`);
  const dec = (one: string) => update(BACK, `ipsec_dec: { ${esp(GCM)}, ipsec_sas: [${one}] }`);
  answers(NOBODY);
  const done = right.control("--rekey", "--child", childName(GCM.family, ANY));
  const child = await left.nextChild("other");
  await program(t, bump, dec(sa(child.inbound)));
  answers(FAR_MAC);
  await done;
  await right.logged(/outbound CHILD_SA \S+ established with SPIs/);
  await program(t, bump, enc(sa(child.outbound)));
  await left.logged(/received DELETE for ESP CHILD_SA/);
  await program(t, bump, dec(`{ spi: ${old.inbound.spi}, operation: DELETE }`));
  await sleep(100);
  return child;
}

const update = (tunnel: bigint, ipsec: string) =>
  `tunnels: [{ tunnel_id: ${tunnel}, operation: UPDATE, ipsec_tunnel: { ${ipsec} } }]`;

/** The far end's throughput with the device, and with charon behind it, which then does its own ESP. */
async function compared(t: Test, ends: Ends): Promise<void> {
  if (spawnSync("iperf3", ["--version"]).status !== 0) {
    t.comment("iperf3 is not installed (Debian package iperf3)");
    return;
  }
  const { bump } = ends;
  const { net } = bump;
  for (const reverse of [false, true]) {
    const child = await establish(ends, GCM);
    await program(t, bump, tunnels(GCM, child));
    const device = await iperf(t, net, "a", reverse);
    await program(t, bump, DELETE);
    await terminate(ends, GCM);
    // Sequence numbers begin anew with whoever counts them, so the SA does too.
    await establish(ends, GCM);
    const charon = await iperf(t, net, "p", reverse);
    await terminate(ends, GCM);
    const direction = reverse ? "from" : "towards";
    const rates = `${device.toFixed(0)} Mbit/s with the device, ${charon.toFixed(0)} Mbit/s with strongSwan at both ends`;
    t.ok(device > 1 && charon > 1, `${direction} strongSwan: ${rates}`);
  }
}

/** Mbit/s that arrive. */
async function iperf(t: Test, net: Bump["net"], part: string, reverse: boolean): Promise<number> {
  const server = net.spawn("b", ["iperf3", "-s", "-1", "--forceflush", "-B", B.ip4], { stdio: ["ignore", "pipe", "inherit"] });
  await once(server.stdout as NodeJS.ReadableStream, "data");
  const options = ["-c", B.ip4, "-B", A.ip4, "-t", `${SECONDS}`, "-J", ...(reverse ? ["-R"] : [])];
  const done = net.run(part, ["iperf3", ...options]);
  t.equal(done.status, 0, `iperf3: ${done.stderr}`);
  if (server.exitCode === null) await once(server, "exit");
  const { end } = JSON.parse(done.stdout) as { readonly end: { readonly sum_received: { readonly bits_per_second: number } } };
  return end.sum_received.bits_per_second / 1e6;
}
