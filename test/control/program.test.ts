import t from "tap";
import { parseProgram, parseSession } from "../../src/control/program.js";
import { SluiceError } from "../../src/errors.js";

const FLOW = "in_lif: 1, source_ip: 10.0.0.1, destination_ip: 10.1.0.1, protocol_id: TCP, action: { action_type: FORWARD }";

const V6 = "20010db8000000000000000000000001";

function mistakes(text: string): string[] {
  try {
    parseProgram(text, "P.yaml", "s_addr");
  } catch (error) {
    if (error instanceof SluiceError && error.code === "config") {
      return error.message.split("\n");
    }
    throw error;
  }
  return [];
}

t.test("the example of the manual becomes the request that a client would send", async (t) => {
  const text = `sessions:
  - { session_id: 1, in_lif: 1, out_lif: 2, source_ip: 10.0.0.1, source_port: 1234, destination_ip: 10.1.0.1, destination_port: 80,
      protocol_id: TCP, action: { action_type: FORWARD }, cache_timeout: 30 }
`;
  const expected = {
    sessionId: 1n,
    inLif: 1,
    outLif: 2,
    ipVersion: 0,
    sourceIp: 0x0100000a,
    sourceIpv6: Buffer.alloc(0),
    sourcePort: 1234,
    destinationIp: 0x0100010a,
    destinationIpv6: Buffer.alloc(0),
    destinationPort: 80,
    protocolId: 6,
    action: { actionType: 1, actionNextHop: 0, actionNextHopV6: Buffer.alloc(0) },
    cacheTimeout: 30,
  };
  t.same(parseProgram(text, "P.yaml", "s_addr"), { tunnels: [], sessions: [{ index: 0, line: 2, request: expected }] });
  const host = parseProgram(text, "P.yaml", "host").sessions[0]?.request;
  t.match(host, { sourceIp: 0x0a000001, destinationIp: 0x0a010001 });
});

t.test("ip_version follows from the addresses, under either field name; enum values with and without underscore", async (t) => {
  const program = parseProgram(
    `sessions:
  - in_lif: 6553601
    source_ip: 2001:db8::1
    destination_ipv6: "::ffff:192.0.2.1"
    protocol_id: _UDP
    action: { action_type: _DROP }
  - { ${FLOW}, ip_version: IPV4, session_id: 18446744073709551615 }
  - { in_lif: 1, ip_version: _IPV6, source_ip: ::1, destination_ip: fe80::2, protocol_id: 17, action: { action_type: 0 } }
`,
    "P.yaml",
    "s_addr",
  );
  t.match(program.sessions, [
    {
      line: 2,
      request: {
        inLif: 6553601,
        sessionId: 0n,
        ipVersion: 1,
        sourceIp: 0,
        sourceIpv6: Buffer.from("20010db8000000000000000000000001", "hex"),
        destinationIpv6: Buffer.from("00000000000000000000ffffc0000201", "hex"),
        protocolId: 17,
        action: { actionType: 0 },
      },
    },
    { line: 7, request: { ipVersion: 0, sessionId: 18446744073709551615n, sourcePort: 0, outLif: 0, cacheTimeout: 0 } },
    { line: 8, request: { ipVersion: 1, sourceIpv6: Buffer.from("00000000000000000000000000000001", "hex") } },
  ]);
});

t.test("empty files and empty lists are programs", async (t) => {
  for (const text of ["", "# nothing\n", "sessions:\n", "sessions: []\ntunnels: []\n"]) {
    t.same(parseProgram(text, "P.yaml", "s_addr"), { tunnels: [], sessions: [] });
  }
});

t.test("a mistake is told with line, path, what was found and what is expected", async (t) => {
  const cases: [string, RegExp][] = [
    ["[]", /^P.yaml:1: the file: found a list, expected a map$/],
    ["session: []", /^P.yaml:1: the file: found session, expected one of sessions, tunnels$/],
    ["sessions: 5", /^P.yaml:1: sessions: found 5, expected a list$/],
    ["sessions:\n  - 7", /^P.yaml:2: sessions\[0\]: found 7, expected a map$/],
    [
      `sessions:\n  - { ${FLOW}, cache_timeot: 3 }`,
      /^P.yaml:2: sessions\[0\]: found cache_timeot, expected one of session_id, in_lif, /,
    ],
    [
      `sessions:\n  - { ${FLOW} }\n  - { ${FLOW}, source_port: 65536 }`,
      /^P.yaml:3: sessions\[1\].source_port: found 65536, expected a port from 0 to 65535$/,
    ],
    [`sessions:\n  - { ${FLOW}, source_port: http }`, /source_port: found "http", expected a port/],
    [`sessions:\n  - { ${FLOW}, session_id: -1 }`, /session_id: found -1, expected a number from 0 to 18446744073709551615/],
    [`sessions:\n  - { ${FLOW}, session_id: 18446744073709551616 }`, /session_id: found 18446744073709551616/],
    [`sessions:\n  - { ${FLOW}, session_id: 1.5 }`, /session_id: found 1.5/],
    [`sessions:\n  - { ${FLOW}, out_lif: 1.100 }`, /out_lif: found 1.1, expected a logical interface by number/],
    [
      `sessions:\n  - { ${FLOW.replace("in_lif: 1, ", "")} }`,
      /^P.yaml:2: sessions\[0\].in_lif: found nothing, expected a logical interface/,
    ],
    [
      `sessions:\n  - { ${FLOW.replace("10.0.0.1", "10.0.0.256")} }`,
      /source_ip: found "10.0.0.256", expected an IPv4 or IPv6 address/,
    ],
    [`sessions:\n  - { ${FLOW.replace("10.0.0.1", "10.1")} }`, /source_ip: found 10.1, expected an IPv4 or IPv6 address/],
    [`sessions:\n  - { ${FLOW.replace("10.0.0.1", "fe80::1%eth0")} }`, /source_ip: found "fe80::1%eth0", expected/],
    [`sessions:\n  - { ${FLOW.replace("10.0.0.1", "fe80::1")} }`, /destination_ip: found IPv4, expected IPv6 as source_ip/],
    [`sessions:\n  - { ${FLOW}, source_ipv6: fe80::1 }`, /source_ip: found source_ipv6 too, expected one of the two/],
    [`sessions:\n  - { ${FLOW}, ip_version: IPV6 }`, /ip_version: found IPv6, expected that of the addresses, or nothing/],
    [
      `sessions:\n  - { ${FLOW.replace("source_ip: 10.0.0.1, ", "")} }`,
      /source_ip: found nothing, expected an IPv4 or IPv6 address/,
    ],
    [`sessions:\n  - { ${FLOW.replace("TCP", "SCTP")} }`, /protocol_id: found "SCTP", expected TCP, UDP, or a protocol number/],
    [
      `sessions:\n  - { ${FLOW.replace("FORWARD", "FORWRD")} }`,
      /sessions\[0\].action.action_type: found "FORWRD", expected DROP, FORWARD, MIRROR or SNOOP/,
    ],
    [
      `sessions:\n  - { ${FLOW.replace("{ action_type: FORWARD }", "FORWARD")} }`,
      /sessions\[0\].action: found "FORWARD", expected a map/,
    ],
    [
      `sessions:\n  - { ${FLOW.replace("FORWARD }", "FORWARD, to: 1 }")} }`,
      /sessions\[0\].action: found to, expected one of action_type, action_next_hop/,
    ],
    ["sessions: [", /^P.yaml is not valid YAML: .* at line 1/],
    [`sessions:\n  - { in_lif: 1, in_lif: 2 }`, /^P.yaml is not valid YAML: Map keys must be unique at line 2/],
  ];
  for (const [text, expected] of cases) {
    t.match(mistakes(text)[0], expected, text);
  }
});

t.test("what a later issue brings is refused by name", async (t) => {
  t.same(mistakes("tunnels:\n  - { tunnel_id: 5, nat: { source_ip: 192.0.2.1 } }\n"), [
    "P.yaml:2: tunnels[0].nat: found a map: not supported yet",
  ]);
});

t.test("a tunnel is the request that a client would send; what is left out is not present", async (t) => {
  const text = `tunnels:
  - tunnel_id: 1
    match_criteria:
      ingress_interface: 1
      mac_match: { source_mac: "02:00:00:00:00:01" }
      ipv4_match: { source_ip: 10.0.0.0, source_ip_prefix: 8 }
      geneve_match: { vni: 5, ipv6_match: { destination_ip: "2001:db8::1" } }
    next_action: RECIRCULATE
    geneve:
      geneve_encap:
        outer_ipv4_pair: { source_ip: 192.0.2.1, destination_ip: 192.0.2.2 }
        control_packet: true
        protocol_type: 0x6558
        geneve_option: [ { option_class: 0x102, type: 0x80, data: "0a0B0c0d" }, { length: 9 } ]
  - { tunnel_id: 1, operation: _DELETE }
  - { operation: UPDATE, vxlan_encap: { vni: 7 }, options: { udp_checksum: FULL, dont_fragment: DONT_FRAGMENT_SET, dscp: 0 } }
  - { match_criteria: {}, vxlan_decap: {} }
`;
  const empty = Buffer.alloc(0);
  const option = { optionClass: 0x102, type: 0x80, length: 1, data: Buffer.from([10, 11, 12, 13]) };
  const encap = {
    ip: { $case: "outerIpv4Pair", value: { sourceIp: 0x010200c0, destinationIp: 0x020200c0 } },
    innerMacPair: undefined,
    optionLength: 0,
    controlPacket: true,
    criticalOptionPresent: false,
    vni: 0,
    protocolType: 0x6558,
    geneveOption: [option, { optionClass: 0, type: 0, length: 9, data: empty }],
  };
  const inside = { sourceIp: empty, sourceIpPrefix: 0, destinationIp: Buffer.from(V6, "hex"), destinationIpPrefix: 0 };
  const header = { vni: 5, macMatch: undefined, protocolType: 0, ipMatch: { $case: "ipv6Match", value: inside } };
  const outer = { sourceIp: 0x0000000a, sourceIpPrefix: 8, destinationIp: 0, destinationIpPrefix: 0 };
  const criteria = {
    ingressInterface: "1",
    macMatch: { destinationMac: empty, sourceMac: Buffer.from([2, 0, 0, 0, 0, 1]) },
    ipMatch: { $case: "ipv4Match", value: outer },
    tunnelId: 0n,
    match: { $case: "geneveMatch", value: header },
  };
  const absent = { ingressInterface: "", macMatch: undefined, ipMatch: undefined, tunnelId: 0n, match: undefined };
  const { tunnels } = parseProgram(text, "P.yaml", "s_addr");
  t.same(tunnels[0]?.request, {
    tunnelId: 1n,
    operation: 1,
    matchCriteria: criteria,
    nextAction: 2,
    tunnel: { $case: "geneve", value: { encapDecap: { $case: "geneveEncap", value: encap } } },
  });
  t.match(tunnels.slice(1), [
    { index: 1, line: 15, request: { tunnelId: 1n, operation: 3, matchCriteria: undefined, tunnel: undefined } },
    {
      line: 16,
      request: { tunnelId: 0n, operation: 2, tunnel: { $case: "vxlanEncap", value: { ip: undefined, vni: 7 } } },
      options: { udpChecksum: 1, dontFragment: 1, dscp: 0, ttl: undefined },
    },
    { line: 17, request: { operation: 1, matchCriteria: absent, tunnel: { $case: "vxlanDecap" } } },
  ]);
});

t.test("a mistake in a tunnel is told like one in a session", async (t) => {
  const cases: [string, RegExp][] = [
    [
      "{ tunel_id: 1 }",
      /^P.yaml:2: tunnels\[0\]: found tunel_id, expected one of tunnel_id, operation, match_criteria, next_action,/,
    ],
    ["{ next_action: GO }", /tunnels\[0\].next_action: found "GO", expected NONE, FORWARD or RECIRCULATE/],
    [
      "{ match_criteria: { ingress_interface: 1.100 } }",
      /ingress_interface: found 1.1, expected a port as text, such as 1, host1, "1.100"/,
    ],
    [
      "{ match_criteria: { vxlan_match: { mac: 1 } } }",
      /match_criteria.vxlan_match: found mac, expected one of vni, mac_match, ipv4_match/,
    ],
    ["{ match_criteria: { ipv4_match: { source_ip: ::1 } } }", /ipv4_match.source_ip: found "::1", expected an IPv4 address/],
    [
      "{ match_criteria: { ipv4_match: {}, ipv6_match: {} } }",
      /match_criteria: found ipv4_match and ipv6_match, expected one of them/,
    ],
    ["{ geneve: {}, vxlan_decap: {} }", /tunnels\[0\]: found geneve and vxlan_decap, expected one of them/],
    [
      "{ geneve: { geneve_encap: { geneve_option: [ { data: 01020304 } ] } } }",
      /geneve_option\[0\].data: found 1020304, expected hexadecimal digits in quotes/,
    ],
    [
      "{ geneve: { geneve_encap: { inner_mac_pair: { source_mac: x } } } }",
      /source_mac: found "x", expected a MAC address such as/,
    ],
    ["{ options: { udp_checksum: SOME } }", /options.udp_checksum: found "SOME", expected DEFAULT, FULL or ZERO/],
  ];
  for (const [entry, expected] of cases) t.match(mistakes(`tunnels:\n  - ${entry}\n`)[0], expected, entry);
});

t.test("all mistakes are told at once, up to twenty", async (t) => {
  t.equal(mistakes(`sessions:\n${`  - { ${FLOW}, source_port: x }\n`.repeat(3)}`).length, 3);
  const many = mistakes(`sessions:\n${`  - { ${FLOW}, source_port: x }\n`.repeat(30)}`);
  t.equal(many.length, 21);
  t.equal(many[20], "and 10 more");
});

t.test("one session by itself follows the same rules, under the names that its user knows", async (t) => {
  const fields = { in_lif: 1n, source_ip: "10.0.0.1", destination_ip: "10.1.0.1", protocol_id: "TCP" };
  const action = { action_type: "DROP", action_next_hop: undefined };
  const [entry] = parseProgram(`sessions:\n  - { ${FLOW.replace("FORWARD", "DROP")} }`, "P.yaml", "host").sessions;
  t.same(parseSession({ ...fields, action }, "host", {}), entry?.request);
  const names = { source_ip: "--source", destination_ip: "--destination", action_type: "--action" };
  const mistake = (changes: object) => () => parseSession({ ...fields, action, ...changes }, "host", names);
  t.throws(mistake({ source_ip: "::1" }), { code: "usage", message: /^--destination: found IPv4, expected IPv6 as --source$/ });
  t.throws(mistake({ action: { action_type: "GO" } }), { code: "usage", message: /^--action: found "GO", expected/ });
});
