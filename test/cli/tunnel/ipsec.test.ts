// IPsec tunnels on the command line: `sluice program`, `tunnel list`, `get` and `graph`, `sa list`, each a process of its own
// against the device of the demonstration, over TCP.

import t from "tap";
import { sluice } from "../command.js";
import { entry, geneve, rig, to } from "./rig.js";

const KEYS = ["a1b2c3d4e5f60718293a4b5c6d7e8f90deadbeef", "0f1e2d3c4b5a69788796a5b4c3d2e1f0cafef00d"];
const key = (i: number) => `encryption_key: "${KEYS[i]}"`;
const suite = (mode: string) => `tunnel_type: ${mode}, encryption_type: AES128GCM128`;
const ends = "ipv4_tunnel: { source_ip: 192.0.2.1, destination_ip: 192.0.2.2 }";
const enc = `ipsec_tunnel: { ipsec_enc: { ${suite("TUNNEL")}, ipsec_sa: { spi: 1000, ${key(0)} }, ${ends} } }`;
const dec = (mode: string) =>
  `ipsec_tunnel: { ipsec_dec: { ${suite(mode)}, ipsec_sas: [ { spi: 2000, ${key(0)} }, { spi: 2001, ${key(1)} } ] } }`;

t.test("what is shown of IPsec tunnels and their SAs, never with a key", async (t) => {
  const { target, tunnel, program } = await rig(
    t,
    entry(1, "RECIRCULATE", `ingress_interface: 1, ${to("10.7.0.0", 16)}`, geneve(5, "192.0.2.8", "192.0.2.9")),
    entry(2, "FORWARD", "tunnel_id: 1", enc),
    entry(
      3,
      "NONE",
      `${to("192.0.2.7", 32)}, ipsec_match: {}`,
      `${dec("TUNNEL_NAT_TRAVERSAL")}, options: { esn: true, replay_window: 64 }`,
    ),
  );
  const outputs: string[] = [];
  const shown = async (...args: string[]) => {
    const { code, stdout, stderr } = await sluice(...args, "--target", target);
    t.match({ code, stderr }, { code: 0, stderr: "" });
    outputs.push(stdout);
    return stdout;
  };
  const rows = (text: string) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(/ {2,}/g, " | "));

  const [list, graph, two, three, all, some, whole] = (await Promise.all(
    ["tunnel list", "tunnel graph", "tunnel get 2", "tunnel get 3", "sa list", "sa list 3 --json", "tunnel list --json"].map(
      (command) => shown(...command.split(" ")),
    ),
  )) as [string, string, string, string, string, string, string];
  t.same(rows(list).slice(2), [
    "2 | ipsec encrypt | forward | 0 | 0 | 0 | after 1",
    "3 | ipsec decrypt | none | 0 | 0 | 0 | to 192.0.2.7, esp",
  ]);
  t.equal(
    graph,
    `in 1, to 10.7.0.0/16
[1] geneve encap vni 5, 192.0.2.8 to 192.0.2.9
└── all
    [2] ipsec encrypt tunnel AES128GCM128 spi 0x3e8, 192.0.2.1 to 192.0.2.2
    └── straight out

to 192.0.2.7, esp
[3] ipsec decrypt tunnel in udp AES128GCM128 spi 0x7d0, 0x7d1
└── forwarding logic
`,
  );
  t.match(
    three,
    /mode +tunnel in udp\nsuite +AES128GCM128\nspi +0x7d0, 0x7d1\n.*\nsequence +64 bits \(extended\)\nreplay window +64\nudp port +4500\n/,
  );
  t.match(
    two,
    /outer +192.0.2.1 to 192.0.2.2\nmode +tunnel\nsuite +AES128GCM128\nspi +0x3e8\n.*\nsequence +32 bits\nudp checksum/,
  );

  const [titles, ...sas] = rows(all);
  t.equal(titles, "tunnel | spi | direction | mode | suite | packets | bytes | sequence | window | age | used | failures");
  t.match(sas, [
    /^2 \| 0x3e8 \| encrypt \| tunnel \| AES128GCM128 \| 0 \| 0 \| 0 \| - \| \d+s \| never \| -$/,
    /^3 \| 0x7d0 \| decrypt \| tunnel in udp \| AES128GCM128 \| 0 \| 0 \| 0 \| 64 esn \| \d+s \| never \| -$/,
    /^3 \| 0x7d1 \| decrypt/,
  ]);
  t.match(JSON.parse(some), [
    { tunnel_id: 3, spi: 2000, direction: "decrypt", esn: true, replay_window: 64, packets: 0, failures: {} },
    { tunnel_id: 3, spi: 2001 },
  ]);

  // What is listed can be sent back as an update: SAs without keys stay.
  const listed = JSON.parse(whole) as { ip_tunnel: Record<string, unknown> }[];
  t.match(listed[1]?.ip_tunnel, { ipsec_tunnel: { ipsec_enc: { tunnel_type: "TUNNEL", ipsec_sa: { spi: 1000 } } } });
  const updates = listed.map(({ ip_tunnel }) => JSON.stringify({ ...ip_tunnel, operation: "UPDATE" }));
  t.match(await program(...updates), { code: 0, stdout: "3 of 3 tunnel requests carried out\n" });
  const again = listed.map(({ ip_tunnel }, i) => JSON.stringify({ ...ip_tunnel, tunnel_id: 10 + i }));
  const refused = await program(...again);
  t.match(refused, { code: 1, stderr: /ipsec_enc.ipsec_sa.encryption_key is missing: give the key of SPI 1000/ });

  t.match(await sluice("sa", "list", "9", "--target", target), { code: 1, stderr: /there is no tunnel 9/ });
  await Promise.all([tunnel("delete", "2"), tunnel("delete", "3")]);
  t.same(await Promise.all([shown("sa", "list"), shown("sa", "list", "--json")]), ["no security associations\n", "[]\n"]);
  for (const text of outputs) for (const secret of KEYS) t.notOk(text.toLowerCase().includes(secret.slice(0, 12)));
});

t.test("a bad key is refused without being told", async (t) => {
  const { program } = await rig(t);
  const bad = (text: string) =>
    entry(1, "NONE", "", `ipsec_tunnel: { ipsec_dec: { ipsec_sas: [ { spi: 300, encryption_key: ${text} } ] } }`);
  for (const [text, sentence] of [
    [`"${KEYS[0]}"`, /ipsec_sas\[0\].encryption_key has 20 bytes: its suite takes 36 \(key and salt\) or 32/],
    [`"${KEYS[0]}x"`, /encryption_key: found something else, expected hexadecimal digits in quotes/],
  ] as const) {
    const { code, stdout, stderr } = await program(bad(text));
    t.equal(code, 1);
    t.match(stderr, sentence);
    t.notOk(`${stdout}${stderr}`.includes((KEYS[0] as string).slice(0, 8)));
  }
});

t.test("graph: what encryption makes is followed by its outer addresses and its SPI", async (t) => {
  const ips = to("192.0.2.2", 32);
  const { tunnel } = await rig(
    t,
    entry(1, "RECIRCULATE", `ingress_interface: 1, ${to("10.7.0.0", 16)}`, enc),
    entry(2, "FORWARD", `${ips}, ipsec_match: { spi: 1000 }`, geneve(1, "192.0.2.3", "192.0.2.4")),
    entry(3, "FORWARD", `${ips}, ipsec_match: { spi: 1001 }`, geneve(2, "192.0.2.3", "192.0.2.4")),
    entry(4, "NONE", ips, dec("TUNNEL")),
  );
  t.equal(
    (await tunnel("graph")).stdout,
    `in 1, to 10.7.0.0/16
[1] ipsec encrypt tunnel AES128GCM128 spi 0x3e8, 192.0.2.1 to 192.0.2.2
├┄┄ to 192.0.2.2, esp spi 0x3e8
│   [2] geneve encap vni 1, 192.0.2.3 to 192.0.2.4
│   └── straight out
└── else forwarding logic

to 192.0.2.2, esp spi 0x3e8
[2] geneve encap vni 1, 192.0.2.3 to 192.0.2.4: as above

to 192.0.2.2, esp spi 0x3e9
[3] geneve encap vni 2, 192.0.2.3 to 192.0.2.4
└── straight out

to 192.0.2.2
[4] ipsec decrypt tunnel AES128GCM128 spi 0x7d0, 0x7d1
└── forwarding logic

┄┄  may follow, as it matches the outer header; ── names the tunnel before it
`,
  );
});
