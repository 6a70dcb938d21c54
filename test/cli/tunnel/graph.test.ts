// `sluice tunnel graph` as a process of its own against the device of the demonstration, over TCP. The pictures are written by
// hand from the rules of datapath.md "Tunnel stage".

import t from "tap";
import { entry, geneve, rig, to, vxlan } from "./rig.js";

const inside = (prefix: string) => `geneve_match: { ${to(prefix, 24)} }`;

t.test("a branch, a chain by address, an orphan, and what is never reached", async (t) => {
  const { tunnel, program } = await rig(
    t,
    entry(10, "RECIRCULATE", `ingress_interface: 1, ${to("10.1.0.0", 16)}`, geneve(5, "192.0.2.1", "192.0.2.2")),
    entry(12, "NONE", `tunnel_id: 10, geneve_match: { vni: 5, ${to("10.1.2.0", 24)} }`, geneve(6, "2001:db8::1", "2001:db8::2")),
    entry(11, "FORWARD", `tunnel_id: 10, ${inside("10.1.1.0")}`, vxlan(77, "198.51.100.1", "198.51.100.2")),
    entry(20, "RECIRCULATE", `ingress_interface: "2.100", ${to("10.2.0.0", 16)}`, vxlan(1, "203.0.113.1", "203.0.113.2")),
    entry(21, "FORWARD", `ingress_interface: "2.*", ${to("203.0.113.0", 24)}`, geneve(7, "198.18.0.1", "198.18.0.2")),
    entry(22, "FORWARD", `ingress_interface: 1, ${to("203.0.113.0", 24)}`, geneve(8, "198.18.0.1", "198.18.0.2")),
    entry(23, "FORWARD", `ingress_interface: "2.*", ${to("203.0.113.128", 25)}`, geneve(9, "198.18.0.1", "198.18.0.2")),
    entry(30, "RECIRCULATE", to("10.3.0.0", 16), geneve(1, "192.0.2.1", "192.0.2.3")),
    entry(31, "FORWARD", `tunnel_id: 30, ${to("192.0.2.3", 32)}`, geneve(2, "192.0.2.1", "192.0.2.4")),
    entry(41, "FORWARD", "tunnel_id: 21", geneve(3, "192.0.2.1", "192.0.2.5")),
    entry(50, "RECIRCULATE", 'tunnel_id: 10, ingress_interface: "1.7"', geneve(3, "192.0.2.1", "192.0.2.6")),
    entry(51, "RECIRCULATE", "tunnel_id: 50", geneve(3, "192.0.2.1", "192.0.2.6")),
    "{ tunnel_id: 50, operation: UPDATE, match_criteria: { tunnel_id: 51 } }",
    "{ tunnel_id: 30, operation: DELETE }",
  );
  const drawn = await tunnel("graph");
  t.match(drawn, { code: 0, stderr: "" });
  t.equal(
    drawn.stdout,
    `in 1, to 10.1.0.0/16
[10] geneve encap vni 5, 192.0.2.1 to 192.0.2.2
├── geneve with inner to 10.1.1.0/24
│   [11] vxlan encap vni 77, 198.51.100.1 to 198.51.100.2
│   └── straight out
├── geneve vni 5 with inner to 10.1.2.0/24
│   [12] geneve encap vni 6, 2001:db8::1 to 2001:db8::2
│   └── forwarding logic
└── else forwarding logic

in 2.100, to 10.2.0.0/16
[20] vxlan encap vni 1, 203.0.113.1 to 203.0.113.2
├┄┄ in 2.*, to 203.0.113.0/24
│   [21] geneve encap vni 7, 198.18.0.1 to 198.18.0.2
│   └── straight out
└── else forwarding logic

in 2.*, to 203.0.113.0/24
[21] geneve encap vni 7, 198.18.0.1 to 198.18.0.2: as above

in 1, to 203.0.113.0/24
[22] geneve encap vni 8, 198.18.0.1 to 198.18.0.2
└── straight out

in 2.*, to 203.0.113.128/25
[23] geneve encap vni 9, 198.18.0.1 to 198.18.0.2
└── straight out

✗ orphans: they match nothing until the tunnel before them is created again

to 192.0.2.3, after 30
[31] geneve encap vni 2, 192.0.2.1 to 192.0.2.4
└── straight out

✗ never reached: the tunnel before them does not recirculate

after 21
[41] geneve encap vni 3, 192.0.2.1 to 192.0.2.5
└── straight out

✗ never reached: they follow each other in a cycle

in 1.7, after 51
[50] geneve encap vni 3, 192.0.2.1 to 192.0.2.6
├── all (never: other ingress)
│   [51] geneve encap vni 3, 192.0.2.1 to 192.0.2.6
│   ├── in 1.7 (never: other ingress)
│   │   [50] geneve encap vni 3, 192.0.2.1 to 192.0.2.6: a cycle, dropped
│   └── else forwarding logic
└── else forwarding logic

┄┄  may follow, as it matches the outer header; ── names the tunnel before it
`,
  );
  t.equal(
    (await tunnel("graph", "20")).stdout,
    `in 2.100, to 10.2.0.0/16
[20] vxlan encap vni 1, 203.0.113.1 to 203.0.113.2
├┄┄ in 2.*, to 203.0.113.0/24
│   [21] geneve encap vni 7, 198.18.0.1 to 198.18.0.2
│   └── straight out
└── else forwarding logic

┄┄  may follow, as it matches the outer header; ── names the tunnel before it
`,
  );
  const [tree] = JSON.parse((await tunnel("graph", "10", "--json")).stdout);
  t.match(tree, {
    start: "entry",
    tunnel_id: 10,
    next: [
      { tunnel_id: 11, by: "tunnel_id", end: "straight out", next: [] },
      { tunnel_id: 12, end: "forwarding logic" },
    ],
    end: "forwarding logic",
  });
  t.match(await tunnel("graph", "99"), { code: 1, stdout: "", stderr: /^sluice: the device has no tunnel 99/ });
  t.match(await program("{ tunnel_id: 99, operation: DELETE }"), {
    code: 1,
    stderr: /:2: tunnels\[0\] \(tunnel_id 99\): there is no/,
  });
});

t.test("an encapsulation into what it matches itself is a cycle; one that takes all leaves nothing to others", async (t) => {
  const { tunnel } = await rig(
    t,
    entry(1, "RECIRCULATE", `ingress_interface: 1, ${to("172.16.0.0", 12)}`, geneve(1, "10.0.0.1", "172.16.0.1")),
    entry(2, "RECIRCULATE", `ingress_interface: 2, ${to("172.16.0.0", 12)}`, geneve(2, "10.0.0.1", "172.16.0.1")),
    entry(3, "RECIRCULATE", "ingress_interface: 2, tunnel_id: 2", geneve(3, "2001:db8::1", "2001:db8::2")),
  );
  t.equal(
    (await tunnel("graph")).stdout,
    `in 1, to 172.16.0.0/12
[1] geneve encap vni 1, 10.0.0.1 to 172.16.0.1
├┄┄ in 1, to 172.16.0.0/12
│   [1] geneve encap vni 1, 10.0.0.1 to 172.16.0.1: a cycle, dropped
└── else forwarding logic

in 2, to 172.16.0.0/12
[2] geneve encap vni 2, 10.0.0.1 to 172.16.0.1
└── in 2
    [3] geneve encap vni 3, 2001:db8::1 to 2001:db8::2
    └── forwarding logic

┄┄  may follow, as it matches the outer header; ── names the tunnel before it
`,
  );
});

t.test("chains end after 8 tunnels, pictures at the limit and at 80 columns", async (t) => {
  const long = "2001:db8:1111:2222:3333:4444:5555";
  const chain = Array.from({ length: 8 }, (_, i) =>
    entry(i + 2, "RECIRCULATE", `tunnel_id: ${i + 1}, ingress_interface: "1.100"`, vxlan(9, `${long}:0001`, `${long}:0002`)),
  );
  const first = entry(1, "RECIRCULATE", 'ingress_interface: "1.100"', geneve(1, `${long}:0001`, `${long}:0002`));
  const { tunnel } = await rig(t, first, ...chain);
  const { stdout } = await tunnel("graph");
  t.match(stdout, /\n {28}└── dropped, where one more matches: at most 8\n {32}tunnels\n$/);
  t.notMatch(stdout, /\[9\]/);
  for (const line of stdout.split("\n")) t.ok(line.length <= 80, line);
  const cut = await tunnel("graph", "--limit", "2");
  t.match(cut, { code: 0, stderr: /ends after 2 steps, the device has 9 tunnels: --limit/ });
  t.match(cut.stdout, /\n {4}└── and 1 more\n$/);
  t.match(await tunnel("graph", "2", "--limit", "8"), { code: 0, stderr: "" });
});

t.test("a device without tunnels has no picture", async (t) => {
  const { tunnel } = await rig(t);
  t.match(await tunnel("graph"), { code: 0, stdout: "no tunnels\n", stderr: "" });
  t.match(await tunnel("graph", "--json"), { code: 0, stdout: "[]\n" });
  t.match(await tunnel("graph", "0"), { code: 2, stderr: /0 is not a tunnel id/ });
});
