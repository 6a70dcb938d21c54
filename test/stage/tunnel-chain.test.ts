// Chains of tunnels as datapath.md "Tunnel stage" and the API's tunnel guide have them: what later rules see of a packet.

import t from "tap";
import { Fate } from "../../src/reason.js";
import { type IpMatch, Next, type Prefix } from "../../src/table/rule.js";
import { scapy } from "./scapy.js";
import { ETHER, geneveEncap, hex, INSIDE, IP4, OUTER4, OUTER6, UDP4, UDP6, vxlanEncap } from "./tunnel-frames.js";
import { ip4, ip6, TunnelRig } from "./tunnel-rig.js";
import { dissect } from "./verdict.js";

const made = scapy({
  plain: `${ETHER}/${UDP4}`,
  other: `${ETHER}/${UDP4.replace("10.1.0.1", "10.2.0.1")}`,
  six: `${ETHER}/${UDP6}`,
  tagged: `${ETHER}/Dot1Q(vlan=100)/${IP4}/UDP(dport=6081)/GENEVE(vni=5,proto=0x6558)/${INSIDE}/${UDP4}`,
  "inner tagged": `${ETHER}/${IP4}/UDP(dport=6081)/GENEVE(vni=5,proto=0x6558)/${INSIDE}/Dot1Q(vlan=100)/${UDP4}`,
  priority: `${ETHER}/Dot1Q(vlan=0,prio=5)/${UDP4}`,
  geneve: `${ETHER}/${IP4}/UDP(dport=6081)/GENEVE(vni=5,proto=0x6558)/${INSIDE}/${UDP4}`,
  "geneve other": `${ETHER}/${IP4}/UDP(dport=6081)/GENEVE(vni=5,proto=0x6558)/${INSIDE}/${UDP4.replace("10.1.0.1", "10.2.0.1")}`,
  inside: `${INSIDE}/${UDP4}`,
});
const frame = (name: string) => made.frames.get(name) as Uint8Array;
const to4 = (address: string, length = 32): IpMatch => ({ ipv6: false, destination: { address: ip4(address), length } });
const to6 = (address: string): IpMatch => ({ ipv6: true, destination: { address: ip6(address), length: 128 } as Prefix });
const counts = (rig: TunnelRig) => [...rig.table.list()].map(({ counters }) => [counters.inPackets, counters.outPackets]);

t.test(
  "ingress_interface is always the frame as received: a tag that went counts, one that came does not",
  { skip: made.skip },
  async (t) => {
    for (const [name, wanted] of [
      [
        "tagged",
        [
          [1, 1],
          [0, 0],
          [1, 1],
          [0, 0],
        ],
      ],
      [
        "inner tagged",
        [
          [0, 0],
          [1, 1],
          [0, 0],
          [1, 1],
        ],
      ],
    ] as const) {
      const rig = new TunnelRig();
      rig.add(1, { ingress: { port: 0, vlan: 100 } }, { kind: "geneve-decap" }, Next.recirculate);
      rig.add(2, {}, { kind: "geneve-decap" }, Next.recirculate);
      rig.add(3, { ingress: { port: 0, vlan: 100 }, ip: to4("10.1.0.1") }, vxlanEncap(OUTER6));
      rig.add(4, { ip: to4("10.1.0.1") }, vxlanEncap(OUTER6));
      rig.receive({ frame: frame(name), port: 0 });
      t.same(counts(rig), wanted, name);
    }
  },
);

t.test("interfaces: VID 0 is untagged; host ports are their own; named ports send only", { skip: made.skip }, async (t) => {
  const rig = new TunnelRig();
  rig.add(1, { ingress: { port: 0, vlan: 0 } }, geneveEncap());
  rig.add(2, { ingress: { port: 4, vlan: "any" } }, geneveEncap());
  const out = rig.receive(...[0, 4, 5, 1, 6].map((port) => ({ frame: frame("priority"), port })));
  t.same(
    out.map(({ fate }) => fate),
    [Fate.tunneled, Fate.tunneled, Fate.count, Fate.count, Fate.count],
  );
  t.same([out[0]?.egress, out[1]?.egress], [1, 0], "to the peer, and from the host out of its uplink");
});

t.test(
  "chained by IP: the second rule matches the first one's outer header, inside and outside of either family",
  { skip: made.skip },
  async (t) => {
    const rig = new TunnelRig();
    rig.add(1, { ip: to4("10.1.0.1") }, geneveEncap({ outer: OUTER6 }), Next.recirculate);
    rig.add(
      2,
      { ip: to6("2001:db8:f::2"), header: { kind: "geneve", vni: 0x123456, protocol: 0x6558, ip: to4("10.1.0.1") } },
      vxlanEncap(OUTER4),
    );
    const out = rig.receive({ frame: frame("plain"), port: 0 })[0];
    const [seen] = dissect<string[]>([out?.frame as Uint8Array], "[l.__name__ for l in p.layers()][:7]");
    t.same([out?.fate, seen], [Fate.tunneled, ["Ether", "IP", "UDP", "VXLAN", "Ether", "IPv6", "UDP"]]);
    t.same(counts(rig), [
      [1, 1],
      [1, 1],
    ]);
  },
);

t.test("chained by tunnel id, which no other packet has and which outranks all else", { skip: made.skip }, async (t) => {
  const rig = new TunnelRig();
  rig.add(1, { ip: to4("10.1.0.1") }, geneveEncap(), Next.recirculate);
  rig.add(2, { tunnelId: 1n }, vxlanEncap(OUTER6));
  rig.add(
    3,
    {
      ip: {
        ipv6: false,
        source: { address: OUTER4.source, length: 32 },
        destination: { address: OUTER4.destination, length: 32 },
      },
    },
    vxlanEncap(OUTER4),
  );
  t.equal(rig.receive({ frame: frame("plain"), port: 0 })[0]?.fate, Fate.tunneled);
  t.equal(rig.receive({ frame: frame("other"), port: 0 })[0]?.fate, Fate.count);
  t.same(counts(rig), [
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
});

t.test("two rules on one tunnel id, split by the inner address after decapsulation", { skip: made.skip }, async (t) => {
  const rig = new TunnelRig();
  rig.add(1, { header: { kind: "geneve", vni: 5, protocol: 0 } }, { kind: "geneve-decap" }, Next.recirculate);
  rig.add(2, { tunnelId: 1n, ip: to4("10.1.0.0", 16) }, vxlanEncap(OUTER4, 2));
  rig.add(3, { tunnelId: 1n, ip: to4("10.2.0.0", 16) }, vxlanEncap(OUTER6, 3));
  const out = rig.receive({ frame: frame("geneve"), port: 0 }, { frame: frame("geneve other"), port: 0 });
  const seen = dissect<unknown[]>(
    out.map((one) => one.frame),
    "[p.src, p[VXLAN].vni, p[VXLAN].payload.src, p[VXLAN][IP].dst]",
  );
  t.same(seen, [
    ["02:00:00:00:0c:01", 2, "02:00:00:00:0c:01", "10.1.0.1"],
    ["02:00:00:00:0c:01", 3, "02:00:00:00:0c:01", "10.2.0.1"],
  ]);
  t.same(counts(rig), [
    [2, 2],
    [1, 1],
    [1, 1],
  ]);
});

t.test(
  "decapsulated frames are encapsulated from odd places too: checksums over IPv6, of tagged and untagged",
  { skip: made.skip },
  async (t) => {
    const rig = new TunnelRig();
    rig.add(1, { header: { kind: "geneve", vni: 5, protocol: 0 } }, { kind: "geneve-decap" }, Next.recirculate);
    rig.add(2, { tunnelId: 1n }, geneveEncap({ outer: OUTER6 }), Next.recirculate, { udpChecksum: "full" });
    rig.add(3, { tunnelId: 2n }, vxlanEncap(OUTER4), Next.none, { udpChecksum: "full" });
    const out = rig.receive({ frame: frame("geneve"), port: 0 }, { frame: frame("inner tagged"), port: 0 });
    const seen = dissect<unknown[]>(
      out.map((one) => one.frame),
      "[p[UDP].chksum == fixed(p)[UDP].chksum, (lambda q: [q[UDP].chksum == fixed(q)[UDP].chksum, bytes(GENEVE(bytes(q[UDP].payload)).payload).hex()])(p[VXLAN].payload)]",
    );
    t.same(seen[0], [true, [true, hex(frame("inside"))]]);
    t.same((seen[1] as [boolean, unknown[]])[0], true);
    t.same(((seen[1] as [boolean, unknown[]])[1] as unknown[])[0], true);
  },
);

t.test(
  "NONE goes to the forwarding logic without matching again; a chain without an end does so too",
  { skip: made.skip },
  async (t) => {
    for (const next of [Next.none, Next.recirculate]) {
      const rig = new TunnelRig();
      rig.add(1, { header: { kind: "geneve", vni: 5, protocol: 0 } }, { kind: "geneve-decap" }, next);
      rig.add(2, { ip: to4("10.1.0.1") }, vxlanEncap(OUTER4), Next.recirculate);
      const out = rig.receive({ frame: frame("geneve"), port: 0 })[0];
      t.equal(out?.fate, Fate.count);
      if (next === Next.none) t.equal(hex(out?.frame), hex(frame("inside")));
      t.same(counts(rig), [[1, 1], next === Next.none ? [0, 0] : [1, 1]]);
    }
  },
);

t.test("a rule that was deleted keeps its chain closed, and nobody else's", { skip: made.skip }, async (t) => {
  const rig = new TunnelRig();
  rig.add(1, { ip: to4("10.1.0.1") }, geneveEncap(), Next.recirculate);
  rig.add(2, { tunnelId: 1n }, vxlanEncap(OUTER6));
  void rig.table.delete(2n, 0);
  t.equal(rig.receive({ frame: frame("plain"), port: 0 })[0]?.fate, Fate.failClosed);
  t.match(rig.table.get(1n)?.counters, { inPackets: 1, outPackets: 1, outDrops: 1 });
  await rig.table.delete(1n, 0);
  // Whatever ids and numbers come into use now.
  for (let id = 10; id < 40; id++) rig.add(id, { ip: to4(`10.2.0.${id}`) }, geneveEncap(), Next.recirculate);
  rig.add(50, { ip: to4("10.2.0.1") }, geneveEncap(), Next.recirculate);
  t.equal(rig.receive({ frame: frame("other"), port: 0 })[0]?.fate, Fate.count);
  t.equal(rig.receive({ frame: frame("plain"), port: 0 })[0]?.fate, Fate.count, "its first rule is gone: it has no chain");
});
