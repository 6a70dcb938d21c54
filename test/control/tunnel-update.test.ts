import t from "tap";
import type { IpTunnelRequest, MatchCriteria } from "../../src/control/gen/tunneloffload.js";
import { change, create, criteria, device, geneveDecap, geneveEncap, getTunnel, s_addr, tunnel } from "./tunnel-device.js";

const mac = (last: number) => Buffer.from([2, 0, 0, 0, 0, last]);
const option = (type: number) => ({ optionClass: 1, type, length: 1, data: Buffer.alloc(4, type) });

/** As the device gives it back. */
const FULL: IpTunnelRequest = tunnel(1, {
  matchCriteria: criteria({
    ingressInterface: "1.100",
    macMatch: { destinationMac: mac(1), sourceMac: mac(2) },
    ipMatch: {
      $case: "ipv4Match",
      value: {
        sourceIp: s_addr("10.0.0.0"),
        sourceIpPrefix: 8,
        destinationIp: s_addr("192.0.2.1"),
        destinationIpPrefix: 32,
      },
    },
    match: {
      $case: "geneveMatch",
      value: {
        vni: 5,
        macMatch: { destinationMac: mac(3), sourceMac: mac(4) },
        protocolType: 0x6558,
        ipMatch: {
          $case: "ipv6Match",
          value: {
            sourceIp: Buffer.alloc(16, 1),
            sourceIpPrefix: 128,
            destinationIp: Buffer.from("20010db8000000000000000000000000", "hex"),
            destinationIpPrefix: 32,
          },
        },
      },
    },
  }),
  nextAction: 2,
  tunnel: geneveEncap({
    innerMacPair: { destinationMac: mac(5), sourceMac: mac(6) },
    optionLength: 2,
    controlPacket: true,
    criticalOptionPresent: true,
    vni: 9,
    protocolType: 0x6558,
    geneveOption: [option(0x80)],
  }),
});

t.test("a tunnel is given back as the device understands it, which is as it was sent", async (t) => {
  const made = await device(t);
  const ipsec = tunnel(2, { matchCriteria: criteria({ match: { $case: "ipsecMatch", value: { spi: 7, sn: 8 } } }) });
  const vxlan = tunnel(3, {
    matchCriteria: criteria({
      tunnelId: 1n,
      match: { $case: "vxlanMatch", value: { vni: 4, macMatch: undefined, ipMatch: undefined } },
    }),
    nextAction: 0,
    tunnel: geneveDecap,
  });
  const bare = tunnel(4, { matchCriteria: criteria(), tunnel: geneveDecap });
  t.match(await create(made.client, [FULL, ipsec, vxlan, bare]), { requestStatus: 0 });
  t.same((await getTunnel(made.client, 1)).ipTunnel, FULL);
  t.match((await getTunnel(made.client, 2)).ipTunnel?.matchCriteria, ipsec.matchCriteria);
  t.same((await getTunnel(made.client, 3)).ipTunnel, vxlan);
  t.same((await getTunnel(made.client, 4)).ipTunnel, bare);
  t.same(
    [...made.rules.list()].map(({ rule }) => rule.tunnel.kind),
    ["geneve-encap", "geneve-encap", "vxlan-decap", "geneve-decap"],
  );
});

t.test("IPv4 addresses travel in either order, in matches and pairs", async (t) => {
  for (const [ipv4Order, value] of [
    ["s_addr", 0x0100000a],
    ["host", 0x0a000001],
  ] as const) {
    const made = await device(t, { ipv4Order });
    const ip = { sourceIp: value, sourceIpPrefix: 32, destinationIp: 0, destinationIpPrefix: 0 };
    const pair = { $case: "outerIpv4Pair" as const, value: { sourceIp: value, destinationIp: value } };
    const request = tunnel(1, {
      matchCriteria: criteria({ ipMatch: { $case: "ipv4Match", value: ip } }),
      tunnel: geneveEncap({ ip: pair, protocolType: 0x6558 }),
    });
    t.match(await create(made.client, [request]), { requestStatus: 0 });
    const rule = made.rules.get(1n)?.rule;
    const wanted = Uint8Array.of(10, 0, 0, 1);
    t.same(rule?.match.ip?.source?.address, wanted, ipv4Order);
    t.match(rule?.tunnel, { outer: { source: wanted, destination: wanted } });
    t.same((await getTunnel(made.client, 1)).ipTunnel, request);
  }
});

t.test("an update replaces what is present and keeps the rest", async (t) => {
  const full = FULL.matchCriteria as MatchCriteria;
  const ip = full.ipMatch as Extract<MatchCriteria["ipMatch"], { $case: "ipv4Match" }>;
  const header = full.match as Extract<MatchCriteria["match"], { $case: "geneveMatch" }>;
  const any = { sourceIp: 0, sourceIpPrefix: 0, destinationIp: 0, destinationIpPrefix: 0 };
  const matched = (changes: Partial<MatchCriteria>) => ({ ...FULL, matchCriteria: { ...full, ...changes } });
  const encap = (changes: Parameters<typeof geneveEncap>[0]) => ({ ...FULL, tunnel: encapOf(changes) });
  const nothing = { ip: undefined, vni: 0 };
  const cases: [string, Partial<IpTunnelRequest>, IpTunnelRequest][] = [
    ["nothing", {}, FULL],
    ["an empty match", { matchCriteria: criteria() }, FULL],
    ["next_action", { nextAction: 1 }, { ...FULL, nextAction: 1 }],
    ["the interface", { matchCriteria: criteria({ ingressInterface: "2" }) }, matched({ ingressInterface: "2" })],
    [
      "one of two MACs",
      { matchCriteria: criteria({ macMatch: { destinationMac: Buffer.alloc(0), sourceMac: mac(9) } }) },
      matched({ macMatch: { destinationMac: mac(1), sourceMac: mac(9) } }),
    ],
    [
      "an address brings its prefix along",
      { matchCriteria: criteria({ ipMatch: { $case: "ipv4Match", value: { ...any, sourceIp: s_addr("10.9.9.9") } } }) },
      matched({ ipMatch: { $case: "ipv4Match", value: { ...ip.value, sourceIp: s_addr("10.9.9.9"), sourceIpPrefix: 32 } } }),
    ],
    [
      "a prefix alone",
      { matchCriteria: criteria({ ipMatch: { $case: "ipv4Match", value: { ...any, sourceIpPrefix: 16 } } }) },
      matched({ ipMatch: { $case: "ipv4Match", value: { ...ip.value, sourceIpPrefix: 16 } } }),
    ],
    [
      "a field of the tunnel header",
      { matchCriteria: criteria({ match: { $case: "geneveMatch", value: { ...NOTHING_INSIDE, vni: 77 } } }) },
      matched({ match: { $case: "geneveMatch", value: { ...header.value, vni: 77 } } }),
    ],
    [
      "another tunnel header",
      { matchCriteria: criteria({ match: { $case: "ipsecMatch", value: { spi: 1, sn: 2 } } }) },
      matched({ match: { $case: "ipsecMatch", value: { spi: 1, sn: 2 } } }),
    ],
    ["the VNI", { tunnel: geneveEncap({ ...nothing, vni: 10 }) }, encap({ vni: 10 })],
    [
      "one end of the tunnel",
      {
        tunnel: geneveEncap({
          ...nothing,
          ip: { $case: "outerIpv4Pair", value: { sourceIp: 0, destinationIp: s_addr("198.51.100.1") } },
        }),
      },
      encap({
        ip: { $case: "outerIpv4Pair", value: { sourceIp: s_addr("192.0.2.1"), destinationIp: s_addr("198.51.100.1") } },
      }),
    ],
    [
      "options as a whole; C follows",
      { tunnel: geneveEncap({ ...nothing, geneveOption: [option(1), option(2)] }) },
      encap({ geneveOption: [option(1), option(2)], optionLength: 4, criticalOptionPresent: false }),
    ],
    ["another tunnel", { tunnel: geneveDecap }, { ...FULL, tunnel: geneveDecap }],
  ];
  for (const [what, update, expected] of cases) {
    const made = await device(t);
    await create(made.client, [FULL, tunnel(2)]);
    const answer = await create(made.client, [change(1, 2, update)]);
    t.match(answer, { requestStatus: 0, responses: [{ tunnelId: 1n }] }, what);
    t.same((await getTunnel(made.client, 1)).ipTunnel, expected, what);
    t.same(
      [...made.rules.list()].map(({ rule }) => rule.id),
      [1n, 2n],
    );
  }
});

t.test("an update that would be wrong as a whole changes nothing", async (t) => {
  const made = await device(t);
  await create(made.client, [FULL]);
  const prefix = { sourceIp: 0, sourceIpPrefix: 0, destinationIp: 0, destinationIpPrefix: 24 };
  const answer = await create(made.client, [
    change(1, 2, { matchCriteria: criteria({ ipMatch: { $case: "ipv4Match", value: prefix } }) }),
  ]);
  t.match(answer.responses[0]?.error?.errorString, /destination_ip 192.0.2.1 has bits set beyond its prefix of 24/);
  t.same((await getTunnel(made.client, 1)).ipTunnel, FULL);
});

t.test("GeneveDecap is of VXLAN as long as its match is: an update of the match changes it", async (t) => {
  const made = await device(t);
  const kind = () => made.rules.get(1n)?.rule.tunnel.kind;
  const vxlan: MatchCriteria["match"] = { $case: "vxlanMatch", value: { vni: 1, macMatch: undefined, ipMatch: undefined } };
  await create(made.client, [tunnel(1, { matchCriteria: criteria({ match: vxlan }), tunnel: geneveDecap })]);
  t.equal(kind(), "vxlan-decap");
  await create(made.client, [change(1, 2, { nextAction: 2 })]);
  t.equal(kind(), "vxlan-decap");
  const geneve: MatchCriteria["match"] = { $case: "geneveMatch", value: { ...NOTHING_INSIDE, vni: 2 } };
  await create(made.client, [change(1, 2, { matchCriteria: criteria({ match: geneve }) })]);
  t.equal(kind(), "geneve-decap");
  await create(made.client, [change(1, 2, { matchCriteria: criteria({ match: vxlan }), tunnel: geneveDecap })]);
  t.equal(kind(), "vxlan-decap");
});

const NOTHING_INSIDE = { vni: 0, macMatch: undefined, protocolType: 0, ipMatch: undefined };

/** FULL's encapsulation with changes. */
function encapOf(changes: Parameters<typeof geneveEncap>[0]): IpTunnelRequest["tunnel"] {
  const { tunnel: full } = FULL;
  const encap = full?.$case === "geneve" ? full.value.encapDecap : undefined;
  return encap?.$case === "geneveEncap" ? geneveEncap({ ...encap.value, ...changes }) : full;
}
