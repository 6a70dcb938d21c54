// Every error code of the reference that is not IPsec's, over the wire, each with a sentence that says what to change.

import t from "tap";
import {
  GeneveError,
  type IpTunnelRequest,
  MatchError,
  type TunnelAdditionError,
  TunnelError,
} from "../../src/control/gen/tunneloffload.js";
import {
  change,
  create,
  criteria,
  geneveDecap,
  geneveEncap,
  getTunnel,
  NO_MACS,
  s_addr,
  startTunnelDevice,
  tunnel,
} from "./tunnel-device.js";

const { MISING_FIELDS, INVALID_TUNNEL_ID, INVALID_CAPABILITIES, INVALID_FIELD } = MatchError;
const { INVALID_OPTION, TOO_MANY_OPTIONS, INVALID_GENEVE_FIELD } = GeneveError;
const match = (matchError: MatchError) => ({ matchError });
const geneve = (geneveError: GeneveError) => ({ geneveError });
const tunnelError = { tunnelError: TunnelError.NOT_SUPPORTED_TUNNEL };

const IPV4_ANY = { sourceIp: 0, sourceIpPrefix: 0, destinationIp: 0, destinationIpPrefix: 0 };
const IPV6_ANY = { sourceIp: Buffer.alloc(0), sourceIpPrefix: 0, destinationIp: Buffer.alloc(0), destinationIpPrefix: 0 };
const v4 = (changes: Partial<typeof IPV4_ANY>) => ({ $case: "ipv4Match" as const, value: { ...IPV4_ANY, ...changes } });
const v6 = (changes: Partial<typeof IPV6_ANY>) => ({ $case: "ipv6Match" as const, value: { ...IPV6_ANY, ...changes } });
const inside = { vni: 0, macMatch: undefined, protocolType: 0, ipMatch: undefined };
const option = { optionClass: 1, type: 2, length: 1, data: Buffer.alloc(4) };
const matching = (changes: Parameters<typeof criteria>[0], more: Partial<IpTunnelRequest> = {}) =>
  tunnel(1, { matchCriteria: criteria(changes), ...more });
const encap = (changes: Parameters<typeof geneveEncap>[0]) => tunnel(1, { tunnel: geneveEncap(changes) });

const CASES: readonly [IpTunnelRequest, Partial<TunnelAdditionError>, RegExp][] = [
  [tunnel(1, { matchCriteria: undefined }), match(MISING_FIELDS), /^match_criteria is missing: give it, if only an empty one/],
  [tunnel(1, { operation: 0 }), match(MISING_FIELDS), /^operation is _NONE: give _CREATE, _UPDATE or _DELETE$/],
  [matching({ tunnelId: 7n }), match(INVALID_TUNNEL_ID), /^match_criteria.tunnel_id 7: there is no such tunnel; create it first/],
  [change(7, 2, { nextAction: 1 }), match(INVALID_TUNNEL_ID), /^there is no tunnel 7: _CREATE it first$/],
  [change(7, 3), match(INVALID_TUNNEL_ID), /^there is no tunnel 7/],
  [change(0, 2), match(INVALID_TUNNEL_ID), /^tunnel_id is missing: give that of the tunnel$/],
  [
    matching({ match: { $case: "ipsecMatch", value: { spi: 1, sn: 0 } } }, { tunnel: geneveDecap }),
    match(INVALID_CAPABILITIES),
    /^geneve_decap cannot take what its match is for: match with geneve_match \(or vxlan_match\), or with neither$/,
  ],
  [
    matching({ ipMatch: v6({}) }, { tunnel: geneveEncap({ protocolType: 0x0800 }) }),
    match(INVALID_CAPABILITIES),
    /^geneve_encap.protocol_type carries IPv4 and match_criteria matches IPv6: give one of them$/,
  ],
  [
    matching({ ipMatch: v4({}) }, { tunnel: geneveEncap({ protocolType: 0x86dd }) }),
    match(INVALID_CAPABILITIES),
    /carries IPv6 and match_criteria matches IPv4/,
  ],
  [
    matching({ ingressInterface: "3" }),
    match(INVALID_FIELD),
    /ingress_interface "3" is no port; there are 1, host1, 2, host2, eth0.7, each/,
  ],
  [
    matching({ ingressInterface: "1." }),
    match(INVALID_FIELD),
    /ingress_interface "1.": give a VLAN id from 0 \(untagged\) to 4094, or \*/,
  ],
  [matching({ ingressInterface: "1.4095" }), match(INVALID_FIELD), /"1.4095": give a VLAN id/],
  [
    matching({ macMatch: { ...NO_MACS, sourceMac: Buffer.alloc(5) } }),
    match(INVALID_FIELD),
    /^match_criteria.mac_match.source_mac has 5 bytes; give 6, or 12 hexadecimal characters with or without colons$/,
  ],
  [
    matching({ macMatch: { ...NO_MACS, destinationMac: Buffer.from("02:00:00:00:00:0g") } }),
    match(INVALID_FIELD),
    /destination_mac has 17 bytes/,
  ],
  [
    matching({ ipMatch: v4({ sourceIp: 1, sourceIpPrefix: 33 }) }),
    match(INVALID_FIELD),
    /^match_criteria.ipv4_match.source_ip_prefix 33 is past 32: give 0 to 32$/,
  ],
  [
    matching({ ipMatch: v4({ destinationIp: s_addr("10.1.2.3"), destinationIpPrefix: 24 }) }),
    match(INVALID_FIELD),
    /ipv4_match.destination_ip 10.1.2.3 has bits set beyond its prefix of 24: clear them, or give a longer one$/,
  ],
  [
    matching({ ipMatch: v6({ sourceIp: Buffer.alloc(16, 1), sourceIpPrefix: 129 }) }),
    match(INVALID_FIELD),
    /ipv6_match.source_ip_prefix 129 is past 128/,
  ],
  [
    matching({ ipMatch: v6({ destinationIp: Buffer.alloc(15, 1) }) }),
    match(INVALID_FIELD),
    /ipv6_match.destination_ip has 15 bytes; give 16, or 32 hexadecimal characters$/,
  ],
  [
    matching({ match: { $case: "geneveMatch", value: { ...inside, vni: 0x1000000 } } }),
    match(INVALID_FIELD),
    /^match_criteria.geneve_match.vni 16777216 is past 16777215: it has 24 bits$/,
  ],
  [
    matching({ match: { $case: "vxlanMatch", value: { ...inside, ipMatch: v4({ sourceIpPrefix: 40 }) } } }),
    match(INVALID_FIELD),
    /^match_criteria.vxlan_match.ipv4_match.source_ip_prefix 40/,
  ],
  [
    matching({ match: { $case: "geneveMatch", value: { ...inside, protocolType: 0x10000 } } }),
    match(INVALID_FIELD),
    /geneve_match.protocol_type 65536 is past 65535/,
  ],
  [
    matching({
      match: {
        $case: "geneveMatch",
        value: { ...inside, protocolType: 0x800, macMatch: { ...NO_MACS, sourceMac: Buffer.alloc(6) } },
      },
    }),
    match(INVALID_FIELD),
    /geneve_match.mac_match needs Ethernet inside/,
  ],
  [
    matching({ match: { $case: "geneveMatch", value: { ...inside, protocolType: 0x800, ipMatch: v6({}) } } }),
    match(INVALID_FIELD),
    /geneve_match.protocol_type says IPv4 and its ip_match IPv6/,
  ],
  [
    tunnel(1, { nextAction: 3 as number }),
    match(INVALID_FIELD),
    /^next_action 3 is none of NONE \(0\), FORWARD \(1\), RECIRCULATE \(2\)$/,
  ],
  [
    tunnel(1, { operation: 4 as number }),
    match(INVALID_FIELD),
    /^operation 4 is none of _CREATE \(1\), _UPDATE \(2\), _DELETE \(3\)$/,
  ],
  [tunnel(1, { tunnel: undefined }), tunnelError, /^there is no tunnel in the request: give geneve/],
  [
    tunnel(1, { tunnel: { $case: "geneve", value: { encapDecap: undefined } } }),
    tunnelError,
    /^geneve is empty: give geneve_encap or geneve_decap$/,
  ],
  [tunnel(1, { tunnel: { $case: "nat", value: { sourceIp: 1 } } }), tunnelError, /^nat is not supported yet/],
  [
    encap({ geneveOption: [option, { ...option, optionClass: 0x10000 }] }),
    geneve(INVALID_OPTION),
    /^geneve_encap.geneve_option\[1\].option_class 65536 is past 65535: it has 16 bits$/,
  ],
  [encap({ geneveOption: [{ ...option, type: 256 }] }), geneve(INVALID_OPTION), /geneve_option\[0\].type 256 is past 255/],
  [
    encap({ geneveOption: [{ ...option, data: Buffer.alloc(5) }] }),
    geneve(INVALID_OPTION),
    /data has 5 bytes: give 0 to 124, in multiples of 4$/,
  ],
  [encap({ geneveOption: [{ ...option, length: 32, data: Buffer.alloc(128) }] }), geneve(INVALID_OPTION), /data has 128 bytes/],
  [
    encap({ geneveOption: [{ ...option, length: 2 }] }),
    geneve(INVALID_OPTION),
    /geneve_option\[0\].length 2 is not that of its data: give 1 for 4 bytes$/,
  ],
  [
    encap({ geneveOption: new Array(32).fill(option) }),
    geneve(TOO_MANY_OPTIONS),
    /^geneve_encap.geneve_option has 64 words of 4 bytes in all: give at most 63, headers included$/,
  ],
  [encap({ vni: 0x1000000 }), geneve(INVALID_GENEVE_FIELD), /^geneve_encap.vni 16777216 is past 16777215/],
  [
    encap({ protocolType: 0x0806 }),
    geneve(INVALID_GENEVE_FIELD),
    /protocol_type 0x806: give 0x6558 \(Ethernet, also 0\), 0x0800/,
  ],
  [encap({ optionLength: 64 }), geneve(INVALID_GENEVE_FIELD), /option_length 64 is past 63 words; 0 lets the device count$/],
  [
    encap({ criticalOptionPresent: true, geneveOption: [option] }),
    geneve(INVALID_GENEVE_FIELD),
    /critical_option_present is set, and no option has the critical bit \(0x80\) in its type/,
  ],
  [encap({ ip: undefined }), geneve(INVALID_GENEVE_FIELD), /^geneve_encap has neither outer_ipv4_pair nor outer_ipv6_pair/],
  [
    encap({ ip: { $case: "outerIpv4Pair", value: { sourceIp: 1, destinationIp: 0 } } }),
    geneve(INVALID_GENEVE_FIELD),
    /^geneve_encap.outer_ipv4_pair.destination_ip is missing/,
  ],
  [
    encap({ ip: { $case: "outerIpv6Pair", value: { sourceIp: Buffer.alloc(3), destinationIp: Buffer.alloc(16, 1) } } }),
    geneve(INVALID_GENEVE_FIELD),
    /outer_ipv6_pair.source_ip has 3 bytes/,
  ],
  [
    encap({ innerMacPair: { ...NO_MACS, sourceMac: Buffer.alloc(7) } }),
    geneve(INVALID_GENEVE_FIELD),
    /^geneve_encap.inner_mac_pair.source_mac has 7 bytes/,
  ],
];

t.test("each mistake has its code and a sentence, and leaves the table as it was", async (t) => {
  const made = await startTunnelDevice();
  t.teardown(() => made.stop());
  const seen = new Set<string>();
  for (const [request, codes, sentence] of CASES) {
    const { responses, requestStatus, errorStatus } = await create(made.client, [request]);
    const [response] = responses;
    t.match(response?.error?.errorString, sentence);
    const none = { matchError: 0, tunnelError: 0, ipsecError: 0, geneveError: 0 };
    t.same(response?.error?.errorMessage, { ...none, ...codes }, sentence.source);
    t.match({ requestStatus, errorStatus }, { requestStatus: 1, errorStatus: 1n });
    seen.add(JSON.stringify(codes));
  }
  t.equal(seen.size, 4 + 1 + 3, "every code");
  t.equal(made.rules.size, 0);
});

t.test("shapes of match beyond what the device holds: INVALID_CAPABILITIES", async (t) => {
  const made = await startTunnelDevice();
  t.teardown(() => made.stop());
  const requests: IpTunnelRequest[] = [];
  for (let source = 1; source <= 32; source++) {
    for (let destination = 1; destination <= 9; destination++) {
      const prefixes = { sourceIpPrefix: source, destinationIpPrefix: destination };
      requests.push(tunnel(requests.length + 1, { matchCriteria: criteria({ ipMatch: v4(prefixes) }) }));
    }
  }
  const { responses } = await create(made.client, requests);
  const failed = responses.flatMap(({ error }) => (error === undefined ? [] : [error]));
  t.equal(failed.length, requests.length - 256);
  t.equal(failed[0]?.errorMessage?.matchError, INVALID_CAPABILITIES);
  t.match(failed[0]?.errorString, /one combination of fields and prefix lengths too many for the device: use combinations that/);
});

t.test("what is allowed at the limits", async (t) => {
  const made = await startTunnelDevice();
  t.teardown(() => made.stop());
  const requests = [
    encap({ geneveOption: new Array(63).fill({ ...option, length: 0, data: Buffer.alloc(0) }), optionLength: 63 }),
    encap({ geneveOption: [{ ...option, type: 0x82, length: 31, data: Buffer.alloc(124) }], criticalOptionPresent: true }),
    // A known client says 4 for one option of 8 bytes.
    encap({ optionLength: 4, geneveOption: [{ ...option, length: 1 }], vni: 0xffffff }),
    matching({ ipMatch: v4({ sourceIpPrefix: 8 }) }),
    matching({ ingressInterface: "host1.4094" }),
    matching({ ingressInterface: "eth0.7.*" }),
    matching({ macMatch: { sourceMac: Buffer.from("02:00:0a:00:00:01"), destinationMac: Buffer.from("0200000B0000") } }),
    matching({ ipMatch: v6({ sourceIp: Buffer.from("20010db8000000000000000000000000"), sourceIpPrefix: 32 }) }),
  ].map((request, i) => ({ ...request, tunnelId: BigInt(i + 1) }));
  const answer = await create(made.client, requests);
  t.same(
    answer.responses.map(({ error }) => error?.errorString),
    requests.map(() => undefined),
  );
  t.match((await getTunnel(made.client, 2)).ipTunnel?.tunnel, {
    value: { encapDecap: { value: { optionLength: 32, criticalOptionPresent: true, protocolType: 0x6558 } } },
  });
  t.match((await getTunnel(made.client, 6)).ipTunnel?.matchCriteria?.ingressInterface, "2.*");
  t.match((await getTunnel(made.client, 7)).ipTunnel?.matchCriteria?.macMatch, {
    sourceMac: Buffer.from("02000a000001", "hex"),
    destinationMac: Buffer.from("0200000b0000", "hex"),
  });
  t.match((await getTunnel(made.client, 8)).ipTunnel?.matchCriteria?.ipMatch?.value, {
    sourceIp: Buffer.from("20010db8000000000000000000000000", "hex"),
    sourceIpPrefix: 32,
  });
});
