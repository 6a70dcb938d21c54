// Two devices between two hosts, the link between them encrypted: IPsec modes and suites over IPv4 and IPv6, and Geneve inside ESP.

import t, { type Test } from "tap";
import { EncType, IPSecTunnelType, type IpTunnelRequest } from "../../src/control/gen/tunneloffload.js";
import { A, B } from "./bump.js";
import { Capture, WHOLE } from "./capture.js";
import { within } from "./device.js";
import { soundToTshark } from "./dissect.js";
import { decapsulate, decrypt, type Esp, encapsulate, encrypt, from, NEXT, newKey, remove } from "./ipsec.js";
import { allIdle, endLine, type Line, type LineDevice, MAC, MTU, makeLine, type Side } from "./line.js";
import { type Namespaces, noNamespaces } from "./namespaces.js";
import { counted, transfers } from "./peer.js";
import { answeredPings, script } from "./probe.js";

const BYTES = 500_000;

interface Shape extends Esp {
  readonly name: string;
  /** Largest packets that fit, inside (RFC 4303, RFC 3948, RFC 8926; conformance.md "Overheads"). */
  readonly mtu: number;
  readonly filter: string;
  readonly esn?: boolean;
  readonly geneve?: boolean;
}

/** What is encrypted is a multiple of 4, two bytes of it the trailer. @param overhead headers, IV and ICV */
const fits = (overhead: number) => ((MTU - overhead) & ~3) - 2;

const { TUNNEL, TUNNEL_NAT_TRAVERSAL, TRANSPORT } = IPSecTunnelType;
const SHAPES: readonly Shape[] = [
  {
    name: "tunnel mode over IPv4, AES-256-GCM-16",
    mode: TUNNEL,
    encryption: EncType._AES256GCM128,
    family: 4,
    mtu: fits(20 + 8 + 8 + 16),
    filter: "ip proto 50",
  },
  {
    name: "tunnel mode over IPv6, AES-128-CCM-8, extended sequence numbers",
    mode: TUNNEL,
    encryption: EncType._AES128CCM64,
    family: 6,
    mtu: fits(40 + 8 + 8 + 8),
    filter: "ip6 proto 50",
    esn: true,
  },
  {
    name: "tunnel mode in UDP over IPv4, AES-128-GCM-16",
    mode: TUNNEL_NAT_TRAVERSAL,
    encryption: EncType._AES128GCM128,
    family: 4,
    mtu: fits(20 + 8 + 8 + 8 + 16),
    filter: "udp dst port 4500",
  },
  {
    name: "Geneve in transport mode, AES-256-CCM-12",
    mode: TRANSPORT,
    encryption: EncType._AES256CCM96,
    family: 4,
    mtu: fits(20 + 8 + 8 + 12) - 8 - 8 - 14,
    filter: "ip proto 50",
    geneve: true,
  },
];

t.test("two devices between two hosts", { skip: noNamespaces }, async (t) => {
  const line = await makeLine(t, ["d", "e"]);
  for (const [i, shape] of SHAPES.entries()) await t.test(shape.name, (t) => link(t, line, shape, 7000 + 100 * i));
  await endLine(t, line);
});

/** Tunnels of a device that towards one side encrypts, and decrypts what comes from there. */
const ENC = { first: 1, last: 2 } as const;
const DEC = { first: 3, last: 4 } as const;

/** By what leaves a device towards `far`. */
function tunnels(
  shape: Shape,
  near: Side,
  far: Side,
  out: ReturnType<typeof newKey>,
  back: ReturnType<typeof newKey>,
): IpTunnelRequest[] {
  if (!shape.geneve) return [encrypt(ENC.last, from(near), shape, far, out), decrypt(DEC.first, from(far), shape, [back])];
  return [
    encapsulate(ENC.first, from(near), far, 0xabc, NEXT.recirculate),
    encrypt(ENC.last, from(near, { tunnelId: BigInt(ENC.first) }), shape, far, out),
    decrypt(DEC.first, from(far), shape, [back], NEXT.recirculate),
    decapsulate(DEC.last, from(far, { tunnelId: BigInt(DEC.first) })),
  ];
}

async function link(t: Test, line: Line, shape: Shape, port: number): Promise<void> {
  const { net, devices } = line;
  const [d, e] = devices as [LineDevice, LineDevice];
  const [there, back] = [newKey(0x1000 + port, shape), newKey(0x2000 + port, shape)];
  const options = shape.esn ? { tunnelId: 0n, esn: true } : undefined;
  t.strictSame(await d.control.tunnels(tunnels(shape, "a", "b", there, back), options), []);
  t.strictSame(await e.control.tunnels(tunnels(shape, "b", "a", back, there), options), []);
  const captures = await Promise.all([
    Capture.start(net, "d", "up2", WHOLE),
    Capture.start(net, "a", "eth0"),
    Capture.start(net, "b", "eth0"),
  ]);
  const [between] = captures;
  await t.test("pings", async (t) => {
    for (const [part, address, size] of [
      ["a", B.ip4, 56],
      ["b", A.ip4, 1],
      ["a", B.ip6, 2],
      ["b", A.ip6, 3],
    ] as const) {
      t.equal(answeredPings(net, part, address, 5, size), 5, `${part} to ${address}, ${size} bytes`);
    }
  });
  await t.test("path MTU", (t) => pathMtu(t, line, shape));
  forgetMtus(net);
  await t.test("TCP both ways", (t) => transfers(t, line, port, BYTES));
  for (const [part, addresses] of [["a", B] as const, ["b", A] as const]) {
    t.match(net.sh(part, `ip route get ${addresses.ip4}`), `mtu ${shape.mtu}`, `${part}: TCP found out what fits IPv4`);
    t.match(net.sh(part, `ip route get ${addresses.ip6}`), `mtu ${shape.mtu}`, `${part}: and IPv6`);
  }
  await allIdle(line);
  await Promise.all(captures.map((capture) => capture.stop()));
  t.equal(between.count(`not (${shape.filter})`).packets, 0, "there is nothing but ESP between the devices");
  soundToTshark(t, between, "frame", "ESP");
  await t.test("counters", (t) => adds(t, line, shape, captures));
  for (const { control } of devices) {
    t.strictSame(await control.tunnels((shape.geneve ? [1, 2, 3, 4] : [2, 3]).map(remove)), []);
  }
  forgetMtus(net);
}

function forgetMtus(net: Namespaces): void {
  for (const part of ["a", "b"]) {
    net.sh(part, "ip route flush cache");
    net.sh(part, "ip -6 route flush cache");
  }
}

/** The largest packets fit; of larger ones their sender is told. */
async function pathMtu(t: Test, { net }: Line, { mtu }: Shape): Promise<void> {
  t.equal(answeredPings(net, "a", B.ip4, 1, mtu - 28), 1, `IPv4 pings of ${mtu} bytes pass`);
  t.equal(answeredPings(net, "b", A.ip6, 1, mtu - 48), 1, `IPv6 pings of ${mtu} bytes pass`);
  for (const [part, address, header] of [["a", B.ip4, 28] as const, ["b", A.ip6, 48] as const]) {
    const known = () => net.sh(part, `ip route get ${address}`).includes(`mtu ${mtu}`);
    t.notOk(known());
    // Ends by itself, unanswered.
    net.spawn(part, ["/usr/bin/python3", script("probe.py"), "ping", address, "1", `${mtu + 1 - header}`], { stdio: "ignore" });
    t.ok(await within(2000, known), `${part}: a byte more, and ICMP says ${mtu}`);
  }
}

/** The devices' own, in their hosts' names. */
const TOO_BIG = "icmp[icmptype] == 3 or (ip6 proto 58 and ip6[40] == 2)";

/** What one device's tunnels produce is what was seen between, and what the other's receive; and so on. */
async function adds(t: Test, { devices }: Line, shape: Shape, [between, atA, atB]: readonly Capture[]): Promise<void> {
  const [d, e] = devices as [LineDevice, LineDevice];
  for (const [near, far, source, ends] of [[d, e, MAC.a, atB] as const, [e, d, MAC.b, atA] as const]) {
    const out = counted(await near.control.tunnel(BigInt(ENC.last)));
    const back = counted(await far.control.tunnel(BigInt(DEC.first)));
    const came = counted(await far.control.tunnel(BigInt(shape.geneve ? DEC.last : DEC.first)));
    const seen = between?.count(`ether src ${source}`);
    t.strictSame(back.in, seen, `${far.part} received what was seen`);
    t.strictSame(came.out, ends?.count(`ether src ${source} and not (${TOO_BIG})`), "and made of it what its host got");
    const [sealed] = await near.control.sas(BigInt(ENC.last));
    const [opened] = await far.control.sas(BigInt(DEC.first));
    t.strictSame(opened?.failures, {}, "no failure");
    t.equal(opened?.packets, BigInt(back.out.packets));
    t.equal(sealed?.packets, BigInt(out.out.packets), `${near.part} sealed what its tunnel put out`);
    t.equal(sealed?.packets, sealed?.sequenceNumber, "a number for each packet");
    t.equal(sealed?.esn, shape.esn === true);
    t.equal(opened?.sequenceNumber, sealed?.sequenceNumber);
  }
}
