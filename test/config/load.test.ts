import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { Config } from "../../src/config/config.js";
import { EMBEDDED } from "../../src/config/defaults.js";
import { type Given, load } from "../../src/config/load.js";
import { SluiceError } from "../../src/errors.js";

const directory = t.testdir({});
const LIMITS = { maxFrame: 11_710 };

/** The message of the error that loading this text ends with, the file's directory taken out of it. */
function failure(text: string, given: Omit<Given, "file"> = {}): string {
  try {
    loadText(text, given);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "config") throw error;
    return error.message.replaceAll(`${directory}/`, "");
  }
  return "accepted";
}

function loadText(text: string, given: Omit<Given, "file"> = {}): Config {
  const file = join(directory, "sluice.yaml");
  writeFileSync(file, text);
  return load({ ...given, file }, EMBEDDED, LIMITS);
}

const TWO_PORTS = `
ports:
  - { lif: 1, driver: af_packet, interface: eth1, host: { driver: af_packet, interface: veth1 } }
  - { lif: 2, driver: af_packet, interface: eth2, host: { driver: af_packet, interface: veth2 } }
`;

t.test("the configuration of the issue is accepted and filled", async (t) => {
  const config = loadText(
    `${TWO_PORTS}
grpc: { listen: "127.0.0.1:3443" }
api: { ipv4Order: s_addr, missingSession: response }
workers: 2
sessions: { capacity: 1048576, defaultTimeout: 10, duplicateFlow: reject, tcpClose: application, closedBacklog: 1048576 }
`,
  );
  t.match(config, {
    ports: [
      { index: 0, name: "1", role: "uplink", lif: 1, peer: 2, host: 1, driver: { driver: "af_packet", interface: "eth1" } },
      { index: 1, name: "host1", role: "host", lif: 1, peer: 0, host: -1, driver: { interface: "veth1" } },
      { index: 2, name: "2", role: "uplink", lif: 2, peer: 0, host: 3 },
      { index: 3, name: "host2", role: "host", lif: 2, peer: 2, host: -1 },
    ],
    grpc: { listen: "127.0.0.1:3443" },
    workers: 2,
    maxFrame: 9216,
    sessions: { capacity: 1048576, defaultTimeout: 10, closedBacklog: 1048576 },
  });
});

const ESP = { esn: false, replayWindow: 1024, nattSourcePort: 4500 };

t.test("what tunnels begin with", async (t) => {
  const common = { df: "copy", ttl: 64, dscp: "copy", ecn: "normal", innerVlan: "move", ...ESP };
  const bare = { udpPort: 0, udpChecksum: "default", ...common };
  t.same(loadText(TWO_PORTS).tunnels, { capacity: 65_536, failClosed: 60, geneve: bare, vxlan: bare, ipsec: bare });
  const config = loadText(`${TWO_PORTS}
tunnels: { capacity: 10, failClosed: 0 }
geneve: { udpPort: 7000, udpChecksum: full }
vxlan: { udpPort: 8472, udpChecksum: zero }
outer: { df: set, ttl: 9, dscp: 46, ecn: compatibility }
innerVlan: keep
`);
  const set = { df: "set", ttl: 9, dscp: 46, ecn: "compatibility", innerVlan: "keep", ...ESP };
  t.same(config.tunnels, {
    capacity: 10,
    failClosed: 0,
    geneve: { udpPort: 7000, udpChecksum: "full", ...set },
    vxlan: { udpPort: 8472, udpChecksum: "zero", ...set },
    ipsec: { udpPort: 0, udpChecksum: "default", ...set },
  });
  for (const [line, problem] of [
    ["geneve: { udpPort: 4789 }", /geneve.udpPort: found 4789, expected a port where no other kind of tunnel is expected/],
    ["vxlan: { udpPort: 4500 }", /vxlan.udpPort: found 4500/],
    ["{ geneve: { udpPort: 9 }, vxlan: { udpPort: 9 } }", /vxlan.udpPort: found 9/],
    ["outer: { dscp: 64 }", /outer.dscp: found 64, expected copy, or a whole number from 0 to 63/],
    ["outer: { ttl: 0 }", /outer.ttl: found 0, expected a whole number from 1 to 255/],
    ["innerVlan: drop", /innerVlan: found "drop", expected one of move, keep/],
  ] as const) {
    const text = line.startsWith("{") ? `${TWO_PORTS}${line.slice(2, -2).replace("}, ", "}\n")}\n` : `${TWO_PORTS}${line}\n`;
    t.match(failure(text), problem, line);
  }
});

t.test("what is said of IPsec", async (t) => {
  const config = loadText(TWO_PORTS);
  t.same(config.ipsec, { aead: "auto", capacity: 65_536, auditRate: 10, ivState: undefined });
  t.equal(config.api.revealKeys, false);
  const set = loadText(`${TWO_PORTS}
ipsec: { aead: node, capacity: 9, esn: true, replayWindow: 64, nattPort: 5000, nattSourcePort: 5001, ivState: iv }
api: { revealKeys: true }
`);
  t.same(set.ipsec, { aead: "node", capacity: 9, auditRate: 10, ivState: "iv" });
  t.match(set.tunnels.ipsec, { udpPort: 5000, esn: true, replayWindow: 64, nattSourcePort: 5001, ttl: 64 });
  t.match(set.tunnels.geneve, { udpPort: 0, ...ESP });
  t.equal(set.api.revealKeys, true);
  t.equal(loadText(`${TWO_PORTS}ipsec: { replayWindow: 0 }\n`).tunnels.ipsec.replayWindow, 0);
  for (const [line, problem] of [
    ["ipsec: { aead: fast }", /ipsec.aead: found "fast", expected one of auto, node, openssl, ipsec-mb/],
    ["ipsec: { capacity: 0 }", /ipsec.capacity: found 0, expected a whole number from 1 to 1,048,576/],
    ["ipsec: { replayWindow: 63 }", /ipsec.replayWindow: found 63, expected a whole number of packets from 64 to 8,192, or 0/],
    ["ipsec: { nattPort: 6081 }", /ipsec.nattPort: found 6081, expected a port where no other kind of tunnel is expected/],
    ["vxlan: { udpPort: 9 }\nipsec: { nattPort: 9 }", /ipsec.nattPort: found 9/],
    ["ipsec: { key: 1 }", /ipsec.key: unknown key, expected one of aead, capacity, esn/],
  ] as const) {
    t.match(failure(`${TWO_PORTS}${line}\n`), problem, line);
  }
});

t.test("defaults are those of the issue", async (t) => {
  const config = loadText(TWO_PORTS);
  t.match(config, {
    grpc: { listen: "127.0.0.1:3443" },
    api: { ipv4Order: "s_addr", missingSession: "response" },
    workers: 2,
    pin: [],
    maxFrame: 9216,
    sessions: {
      capacity: 1048576,
      defaultTimeout: 10,
      duplicateFlow: "reject",
      tcpClose: "application",
      closedBacklog: 1048576,
    },
    log: { level: "info" },
  });
});

t.test("a Config cannot be changed", async (t) => {
  const config = loadText(TWO_PORTS);
  t.ok(Object.isFrozen(config) && Object.isFrozen(config.ports) && Object.isFrozen(config.ports[0]?.driver));
});

t.test("lifs pair up 1-2 and 3-4 whatever their order; named ports have neither lif nor peer", async (t) => {
  const config = loadText(
    "ports: [{lif: 4, driver: memory}, {name: tap, driver: memory}, {lif: 3, driver: memory}, {lif: 2, driver: memory}]",
  );
  t.match(
    config.ports.map(({ name, role, lif, peer, host }) => [name, role, lif, peer, host]),
    [
      ["4", "uplink", 4, 2, -1],
      ["tap", "named", 0, -1, -1],
      ["3", "uplink", 3, 0, -1],
      ["2", "uplink", 2, -1, -1],
    ],
  );
});

t.test("every problem is listed with its place, its path, what was found and what is expected", async (t) => {
  const message = failure(
    `ports:
  - { lif: 1, driver: af_pakcet, interface: eth1 }
  - { lif: 70000, driver: memory }
workers: many
sessions:
  capacity: 9000000
  colour: blue
`,
  );
  t.equal(
    message,
    `configuration: 5 problems
  sluice.yaml:2:23: ports[0].driver: found "af_pakcet", expected one of af_packet, file, memory
  sluice.yaml:3:12: ports[1].lif: found 70000, expected a whole number from 1 to 65,535
  sluice.yaml:4:10: workers: found "many", expected a whole number from 1 to 64
  sluice.yaml:6:13: sessions.capacity: found 9000000, expected a whole number from 1 to 8,388,608
  sluice.yaml:7:11: sessions.colour: unknown key, expected one of capacity, defaultTimeout, duplicateFlow, tcpClose, closedBacklog`,
  );
});

t.test("next hops name a port by its name, and are known by address", async (t) => {
  const collector = "  - { name: collector, driver: af_packet, interface: eth3 }\n";
  const hops = `nextHops:
  - { ip: 12.2.3.4, port: collector, mac: "02:00:00:00:00:09" }
  - { ip: "2001:DB8::9", port: 2, mac: "FE-DC-BA-98-76-54" }
  - { ip: 12.2.3.5, port: host1, mac: "02:00:00:00:00:0a" }
  - { ip: 12.2.3.6, tunnel: 77 }
`;
  t.same(loadText(`${TWO_PORTS}${collector}${hops}`).nextHops, [
    { ip: [12, 2, 3, 4], reach: { port: 4, mac: [2, 0, 0, 0, 0, 9] } },
    {
      ip: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
      reach: { port: 2, mac: [0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54] },
    },
    { ip: [12, 2, 3, 5], reach: { port: 1, mac: [2, 0, 0, 0, 0, 10] } },
    { ip: [12, 2, 3, 6], reach: { tunnel: 77 } },
  ]);
  t.same(loadText(TWO_PORTS).nextHops, []);
  const wrong = `nextHops:
  - { ip: 12.2.3, port: 1, mac: "02:00:00:00:00:09" }
  - { ip: 12.2.3.4, port: 1, mac: "02:00:00:00:00" }
  - { ip: 12.2.3.4, tunnel: x }
`;
  t.equal(
    failure(`${TWO_PORTS}${wrong}`),
    `configuration: 3 problems
  sluice.yaml:6:11: nextHops[0].ip: found "12.2.3", expected an IPv4 or IPv6 address
  sluice.yaml:7:35: nextHops[1].mac: found "02:00:00:00:00", expected a MAC address such as 02:00:00:00:00:09
  sluice.yaml:8:29: nextHops[2].tunnel: found "x", expected a whole number from 1 to 9,007,199,254,740,991`,
  );
  const unknown = `nextHops:
  - { ip: 12.2.3.4, port: 3, mac: "02:00:00:00:00:09" }
  - { ip: 12.2.3.4, port: 1, mac: "02:00:00:00:00:09" }
  - { ip: 12.2.3.5, mac: "02:00:00:00:00:09" }
  - { ip: 12.2.3.6, port: 1, mac: "02:00:00:00:00:09", tunnel: 7 }
`;
  t.equal(
    failure(`${TWO_PORTS}${unknown}`),
    `configuration: 4 problems
  sluice.yaml:6:27: nextHops[0].port: found "3", expected a port: 1, host1, 2, host2
  sluice.yaml:7:11: nextHops[1].ip: is the address of nextHops[0] already
  sluice.yaml:8:5: nextHops[2]: expected the collector's port and mac, or the id of a tunnel that leads to it
  sluice.yaml:9:5: nextHops[3]: expected the collector's port and mac, or the id of a tunnel that leads to it`,
  );
});

t.test("keys and drivers of later versions are refused as not supported yet", async (t) => {
  t.match(failure(`${TWO_PORTS}nat: {}\n`), /: not supported yet$/);
  for (const driver of ["af_xdp", "pcap", "auto"]) {
    const message = failure(`ports: [{ lif: 1, driver: ${driver}, interface: eth0 }]`);
    t.match(message, `ports[0].driver: driver ${driver} is not supported yet`, driver);
  }
});

t.test("an MTU for a port, what becomes of what exceeds it, and bounds of reassembly", async (t) => {
  const config = loadText(
    `ports: [{ lif: 1, driver: memory, mtu: 1400, host: { driver: memory, mtu: 9000 } }, { name: tap, driver: memory }]
mtu: { onExceed: drop }
`,
  );
  t.match(config.mtu, { onExceed: "drop", icmpRate: 100 });
  t.same(
    config.ports.map(({ mtu }) => mtu),
    [1400, 9000, undefined],
  );
  t.same(loadText(TWO_PORTS).mtu, { onExceed: "icmp", icmpRate: 100 });
  t.same(loadText(TWO_PORTS).reassembly, { memory: 4_194_304, timeout: 30, perSource: 64 });
  t.match(failure(`${TWO_PORTS}reassembly: { timeout: 14 }`), /timeout: found 14, expected a whole number from 15 to 60/);
  t.match(
    failure("ports: [{ lif: 1, driver: memory, mtu: 575 }]"),
    /ports\[0\]\.mtu: found 575, expected a whole number from 576/,
  );
});

t.test("what the schema refuses", async (t) => {
  const refused: [string, RegExp][] = [
    ["prots: []", /prots: unknown key, expected one of ports, nextHops, routes, tunnels, geneve, /],
    ["[1, 2]", /found \[1,2\], expected a map/],
    ["ports: [7]", /ports\[0\]: found 7, expected a map/],
    ["ports: [{ lif: 1 }]", /ports\[0\]\.driver: missing, expected one of af_packet/],
    ["ports: [{ lif: 0, driver: memory }]", /ports\[0\]\.lif: found 0, expected a whole number from 1 to 65,535/],
    ["ports: [{ lif: 1, driver: af_packet }]", /ports\[0\]\.interface: missing, expected the name of a network interface/],
    ["ports: [{ lif: 1, driver: af_packet, interface: averyveryverylongname }]", /ports\[0\]\.interface: found/],
    [
      "ports: [{ lif: 1, driver: memory, interface: eth0 }]",
      /ports\[0\]\.interface: unknown key, expected one of lif, name, host, driver/,
    ],
    ["ports: [{ name: '3', driver: memory }]", /ports\[0\]\.name: found "3", expected a name of up to 32 letters/],
    [`${TWO_PORTS}workers: 0`, /workers: found 0, expected a whole number from 1 to 64/],
    [`${TWO_PORTS}workers: 65`, /workers: found 65/],
    [`${TWO_PORTS}workers: 1.5`, /workers: found 1\.5, expected a whole number/],
    [`${TWO_PORTS}sessions: { capacity: 0 }`, /sessions\.capacity: found 0/],
    [`${TWO_PORTS}sessions: { closedBacklog: 0 }`, /sessions\.closedBacklog: found 0/],
    [`${TWO_PORTS}sessions: { duplicateFlow: maybe }`, /duplicateFlow: found "maybe", expected one of reject, shadow/],
    [`${TWO_PORTS}api: { ipv4Order: net }`, /api\.ipv4Order: found "net", expected one of s_addr, host/],
    [`${TWO_PORTS}log: { level: loud }`, /log\.level: found "loud", expected one of debug, info, warn, error/],
    [`${TWO_PORTS}grpc:`, /grpc: found null, expected a map of listen/],
    [`${TWO_PORTS}pin: 3`, /pin: found 3, expected a list of processor numbers/],
  ];
  for (const [text, message] of refused) t.match(failure(text), message, text);
});

t.test("what the schema cannot see is refused as well", async (t) => {
  const refused: [string, RegExp][] = [
    ["", /ports: no port, expected a list of at least one/],
    ["ports: [{ driver: memory }]", /ports\[0\]: found neither lif nor name/],
    ["ports: [{ lif: 1, name: a, driver: memory }]", /ports\[0\]: found both lif and name/],
    ["ports: [{ lif: 1, driver: memory }, { lif: 1, driver: memory }]", /ports\[1\]\.lif: found 1, which ports\[0\] has already/],
    [
      "ports: [{ name: a, driver: memory }, { name: a, driver: memory }]",
      /ports\[1\]\.name: found a, which ports\[0\] has already/,
    ],
    ["ports: [{ name: host1, driver: memory }]", /ports\[0\]\.name: found "host1", expected a name that no host port has/],
    ["ports: [{ name: a, driver: memory, host: { driver: memory } }]", /ports\[0\]\.host: only an uplink/],
    [
      "ports: [{ lif: 1, driver: af_packet, interface: e, host: { driver: af_packet, interface: e } }]",
      /ports\[0\]\.host\.interface: found e, which ports\[0\] has already/,
    ],
    ["ports: [{ lif: 1, driver: file, loop: true }]", /ports\[0\]\.loop: is about the file to read/],
    ["ports: [{ lif: 1, driver: file, in: ./a.pcap, out: a.pcap }]", /ports\[0\]\.in: \.\/a\.pcap is the out file of a port/],
    [
      "ports: [{ lif: 1, driver: file, out: a.pcap }, { lif: 2, driver: file, out: a.pcap }]",
      /ports\[1\]\.out: found a\.pcap, which ports\[0\] has already/,
    ],
    [`${TWO_PORTS}maxFrame: 59`, /maxFrame: found 59, expected 60 to 11710 bytes/],
    [`${TWO_PORTS}maxFrame: 11711`, /maxFrame: found 11711/],
    [`${TWO_PORTS}grpc: { listen: localhost }`, /grpc\.listen: found "localhost", expected host:port/],
    [`${TWO_PORTS}grpc: { listen: "127.0.0.1:65536" }`, /grpc\.listen: found "127\.0\.0\.1:65536", expected host:port/],
  ];
  for (const [text, message] of refused) t.match(failure(text), message, text);
});

t.test("bounds are accepted where they lie", async (t) => {
  const accepted = [
    "maxFrame: 60",
    "maxFrame: 11710",
    "workers: 64",
    "sessions: { capacity: 8388608, closedBacklog: 1 }",
    'grpc: { listen: "[::1]:3443" }',
    'grpc: { listen: "localhost:0" }',
    'grpc: { listen: "127.9.9.9:65535" }',
  ];
  for (const line of accepted) t.equal(failure(`${TWO_PORTS}${line}\n`), "accepted", line);
});

t.test("a YAML syntax error is reported with file, line and column", async (t) => {
  t.match(failure("ports:\n  - { lif: 1, driver: memory\nworkers: 2\n"), /^configuration: sluice\.yaml:\d+:\d+: /);
  t.match(failure("workers: 1\nworkers: 2\n"), /^configuration: sluice\.yaml:2:1: Map keys must be unique/);
});

t.test("a file that cannot be read is named", async (t) => {
  t.throws(() => load({ file: "/nowhere/sluice.yaml" }, EMBEDDED, LIMITS), {
    code: "config",
    message: /reading the configuration file \/nowhere\/sluice\.yaml failed: ENOENT/,
  });
});

t.test("without a file and without ports the fallback holds, with the other options applied", async (t) => {
  const config = load({ grpc: "127.0.0.1:0", workers: 3 }, EMBEDDED, LIMITS);
  t.same(
    config.ports.map(({ name }) => name),
    ["1", "host1", "2", "host2"],
  );
  t.equal(config.grpc.listen, "127.0.0.1:0");
  t.equal(config.workers, 3);
});

t.test("--port replaces the file's port of the same lif and adds what the file has not", async (t) => {
  const ports = ["lif=2,driver=file,in=b.pcap,loop=true", "lif=3,driver=af_packet,interface=eth3,host=veth3,rxFrames=128"];
  const config = loadText(TWO_PORTS, { ports });
  t.match(
    config.ports.map(({ name, driver }) => [name, driver]),
    [
      ["1", { interface: "eth1" }],
      ["host1", { interface: "veth1" }],
      ["2", { driver: "file", in: "b.pcap", loop: true, realtime: false }],
      ["3", { driver: "af_packet", interface: "eth3", rxFrames: 128 }],
      ["host3", { driver: "af_packet", interface: "veth3" }],
    ],
  );
});

t.test("--port may describe the host port key by key", async (t) => {
  const config = load({ ports: ["lif=1,driver=memory,host.driver=file,host.out=x.pcap"] }, EMBEDDED, LIMITS);
  t.match(config.ports[1]?.driver, { driver: "file", out: "x.pcap" });
});

t.test("a problem in an option names the option", async (t) => {
  const options: [Omit<Given, "file">, RegExp][] = [
    [
      { ports: ["lif=1,driver=memory,interface=eth0"] },
      /^configuration: --port lif=1,driver=memory,interface=eth0: ports\[0\]\.interface: unknown key/,
    ],
    [
      { ports: ["lif=x,driver=memory"] },
      /^configuration: --port lif=x,driver=memory: ports\[0\]\.lif: found "x", expected a whole number/,
    ],
    [{ ports: ["lif"] }, /^--port lif: found "lif", expected key=value/],
    [{ grpc: "3443" }, /^configuration: --grpc: grpc\.listen: found "3443"/],
    [{ workers: 100 }, /^configuration: --workers: workers: found 100/],
  ];
  for (const [given, message] of options) {
    t.throws(() => load(given, EMBEDDED, LIMITS), { code: "config", message }, JSON.stringify(given));
  }
});
