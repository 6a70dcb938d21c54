// Geneve and VXLAN encapsulation, RFC 8926 and 7348, opened by scapy and examined by tshark.

import t from "tap";
import { FRAME_LIMIT } from "../../src/memory/frames.js";
import { Fate } from "../../src/reason.js";
import { Next, type Tunnel, type TunnelSettings } from "../../src/table/rule.js";
import { scapy } from "./scapy.js";
import { ARP, ETHER, geneveEncap, hex, OUTER4, OUTER6, options, UDP4, UDP6, vxlanEncap } from "./tunnel-frames.js";
import { ip4, mac, TunnelRig } from "./tunnel-rig.js";
import { dissect, noTshark, tshark, warnings } from "./verdict.js";

const FLOWS = 200;
const TAGGED = `${ETHER}/Dot1Q(vlan=100,prio=3)/${UDP4}`;
const made = scapy({
  udp4: `${ETHER}/${UDP4}`,
  udp6: `${ETHER}/${UDP6}`,
  df: `${ETHER}/${UDP4.replace("ttl=9", "ttl=9,flags='DF'")}`,
  marked: `${ETHER}/${UDP4.replace("ttl=9", "ttl=9,tos=0xba")}`,
  marked6: `${ETHER}/${UDP6.replace("hlim=9", "hlim=9,tc=0xba")}`,
  ce: `${ETHER}/${UDP4.replace("ttl=9", "ttl=9,tos=0xb9")}`,
  arp: `${ETHER}/${ARP}`,
  padded: `${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1')/UDP(sport=1000,dport=2000)/Padding(bytes(18))`,
  unpadded: `${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1')/UDP(sport=1000,dport=2000)`,
  broadcast: `Ether(src='02:00:00:00:00:01',dst='ff:ff:ff:ff:ff:ff')/${ARP}`,
  multicast: `Ether(src='02:00:00:00:00:01',dst='01:00:5e:00:00:05')/IP(dst='224.0.0.5',ttl=1)/UDP(sport=1000,dport=2000)`,
  tagged: TAGGED,
  qinq: `${ETHER}/Dot1AD(vlan=200)/Dot1Q(vlan=100)/${UDP4}`,
  longer: `${ETHER}/${UDP4}/Raw(b'z'*400)`,
  flows4: `[${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1')/UDP(sport=1000+n,dport=2000) for n in range(${FLOWS})]`,
  flows6: `[${ETHER}/IPv6(src='2001:db8::1',dst='2001:db8::2')/TCP(sport=1000+n,dport=2000) for n in range(${FLOWS})]`,
  again4: `[${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',ttl=3,tos=8)/UDP(sport=1000+n,dport=2000)/Raw(b'a'*n) for n in range(${FLOWS})]`,
});
const frame = (name: string) => made.frames.get(name) as Uint8Array;

const emitted: Uint8Array[] = [];

function encap(tunnel: Tunnel, name: string, settings: Partial<TunnelSettings> = {}): Uint8Array {
  const rig = new TunnelRig();
  rig.add(1, { ingress: { port: 0, vlan: "any" } }, tunnel, Next.none, settings);
  const out = rig.receive({ frame: frame(name), port: 0 })[0];
  if (out?.fate !== Fate.count) throw new Error(`${name}: fate ${out?.fate}`);
  // By their configuration: no checksum over IPv6 (tshark calls that illegal), and a port that tshark does not know.
  if (settings.udpChecksum !== "zero" && settings.udpPort === undefined) emitted.push(out.frame);
  return out.frame;
}

const KINDS = [
  ["Geneve over IPv4", geneveEncap()],
  ["Geneve over IPv6", geneveEncap({ outer: OUTER6 })],
  ["VXLAN over IPv4", vxlanEncap(OUTER4)],
  ["VXLAN over IPv6", vxlanEncap(OUTER6)],
] as const;

t.test(
  "RFC 8926 3.4, 3.5: options in their order, C iff one is critical, O as given, reserved bits zero",
  { skip: made.skip },
  async (t) => {
    const cases = [
      { list: options(), control: false },
      { list: options([0x102, 1, 1], [0x103, 2, 0], [0xffff, 0x7f, 30]), control: true },
      { list: options([1, 2, 0], [2, 0x80, 2], [3, 4, 1]), control: false },
      { list: options([5, 0xff, 31], [6, 1, 30]), control: true },
    ];
    const frames = cases.map(({ list, control }) => encap(geneveEncap({ options: list, control }), "udp4"));
    const seen = dissect<[number, number, number, number, number, number, string, string]>(
      frames,
      `(lambda u: (lambda g: [g.version, g.optionlen, g.oam, g.critical, g.reserved, g.reserved2, u[8:8+g.optionlen*4].hex(), u[8+g.optionlen*4:].hex()])(GENEVE(u)))(bytes(p[UDP].payload))`,
    );
    cases.forEach(({ list, control }, i) => {
      const bytes = list.map(
        (one) =>
          `${[one.class >> 8, one.class & 255, one.type, one.data.length / 4].map((b) => b.toString(16).padStart(2, "0")).join("")}${hex(one.data)}`,
      );
      const words = bytes.join("").length / 8;
      t.same(seen[i], [0, words, control ? 1 : 0, i >= 2 ? 1 : 0, 0, 0, bytes.join(""), hex(frame("udp4"))], `${words} words`);
    });
  },
);

t.test("RFC 8926 3.4: IP inside, without Ethernet and without its padding; tags outside", { skip: made.skip }, async (t) => {
  const names = ["udp4", "unpadded", "padded", "tagged"];
  const frames = [
    ...names.map((name) => encap(geneveEncap({ protocol: 0x0800 }), name)),
    encap(geneveEncap({ protocol: 0x0800 }), "tagged", { innerVlan: "keep" }),
    encap(geneveEncap({ protocol: 0x86dd, outer: OUTER6 }), "udp6"),
  ];
  const seen = dissect<[number, number, string]>(
    frames,
    "(lambda g: [p.type, g.proto, bytes(g.payload).hex()])(GENEVE(bytes(p[UDP].payload)))",
  );
  const packet = (name: string, at = 14) => hex(frame(name).subarray(at));
  t.same(seen, [
    [0x800, 0x800, packet("udp4")],
    [0x800, 0x800, packet("unpadded")],
    [0x800, 0x800, packet("unpadded")],
    [0x8100, 0x800, packet("tagged", 18)],
    [0x8100, 0x800, packet("tagged", 18)],
    [0x86dd, 0x86dd, packet("udp6")],
  ]);
});

t.test("a tunnel that carries IPv4 only leaves IPv6 and ARP alone", { skip: made.skip }, async (t) => {
  const rig = new TunnelRig();
  rig.add(1, {}, geneveEncap({ protocol: 0x0800 }), Next.forward);
  const out = rig.receive(...["udp4", "udp6", "arp"].map((name) => ({ frame: frame(name), port: 0 })));
  t.same(
    out.map(({ fate }) => fate),
    [Fate.tunneled, Fate.count, Fate.count],
  );
});

t.test("RFC 7348 5: only the I flag, reserved fields zero; VNI 1 and 0xffffff", { skip: made.skip }, async (t) => {
  const seen = dissect<string>(
    [0x123456, 1, 0xffffff].map((vni) => encap(vxlanEncap(OUTER4, vni), "udp4")),
    "bytes(p[UDP].payload)[:8].hex()",
  );
  t.same(seen, ["0800000012345600", "0800000000000100", "08000000ffffff00"]);
});

t.test(
  "RFC 8926 3.3, 4.3, 7348 5, 6935: UDP port and checksum by default, full and zero; never 0 for a sum of zero",
  { skip: made.skip },
  async (t) => {
    const choices = ["default", "full", "zero"] as const;
    // Whatever does not end on a word, and what does.
    const cases = KINDS.flatMap(([name, tunnel]) =>
      choices.flatMap((udpChecksum) => ["udp4", "longer", "arp"].map((inner) => ({ name, tunnel, udpChecksum, inner }))),
    );
    const seen = dissect<[number, number, boolean, boolean]>(
      [
        ...cases.map(({ tunnel, inner, udpChecksum }) => encap(tunnel, inner, { udpChecksum })),
        ...KINDS.map(([, tunnel]) => encap(tunnel, "udp4", { udpPort: 7000 })),
      ],
      "[p[UDP].dport, p[UDP].len - len(bytes(p[UDP])), p[UDP].chksum != 0, p[UDP].chksum == fixed(p)[UDP].chksum]",
    );
    cases.forEach(({ name, udpChecksum }, i) => {
      const wanted = { default: name.endsWith("6"), full: true, zero: false }[udpChecksum];
      const [dport, extra, present, right] = seen[i] as (typeof seen)[number];
      t.same(
        [dport, extra, present, present ? right : true],
        [name.startsWith("G") ? 6081 : 4789, 0, wanted, true],
        `${name}: ${udpChecksum}`,
      );
    });
    t.same(
      seen.slice(cases.length).map(([dport]) => dport),
      KINDS.map(() => 7000),
    );
    // A word of the payload that makes the sum zero: what the checksum is without that word.
    const bytes = frame("udp4").slice();
    const rig = new TunnelRig();
    rig.add(1, {}, geneveEncap(), Next.none, { udpChecksum: "full" });
    bytes.fill(0, 50, 52);
    const without = rig.receive({ frame: bytes, port: 0 })[0]?.frame.subarray(40, 42) as Uint8Array;
    bytes.set(without, 50);
    t.equal(hex(rig.receive({ frame: bytes, port: 0 })[0]?.frame.subarray(40, 42)), "ffff", "RFC 768");
  },
);

t.test(
  "RFC 8926 4.4.1: outer DF copied, set or cleared; a fragmentable packet has an identification, no two alike",
  { skip: made.skip },
  async (t) => {
    const copied = { udp4: false, df: true, udp6: true, arp: true } as const;
    const names = ["udp4", "df", "udp6", "arp"] as const;
    const cases = [geneveEncap(), vxlanEncap(OUTER4)].flatMap((tunnel) =>
      (["copy", "set", "clear"] as const).flatMap((df) => names.map((name) => ({ tunnel, df, name }))),
    );
    const seen = dissect<[number, boolean]>(
      cases.map(({ tunnel, df, name }) => encap(tunnel, name, { df })),
      "[int(p[IP].flags), p[IP].chksum == fixed(p)[IP].chksum]",
    );
    cases.forEach(({ tunnel, df, name }, i) => {
      const set = df === "copy" ? copied[name] : df === "set";
      t.same(seen[i], [set ? 2 : 0, true], `${tunnel.kind} ${df} ${name}`);
    });
    const rig = new TunnelRig();
    rig.add(1, {}, geneveEncap(), Next.none);
    const ids = Array.from({ length: 1000 }, () => {
      const out = rig.receive({ frame: frame("udp4"), port: 0 })[0]?.frame as Uint8Array;
      return ((out[18] as number) << 8) | (out[19] as number);
    });
    t.equal(new Set(ids).size, 1000, "RFC 6864 4.2");
  },
);

t.test(
  "RFC 8926 4.4.2, 2983, 6040 4.1: outer TTL; DSCP copied or set; ECN in normal and compatibility mode",
  { skip: made.skip },
  async (t) => {
    const names = ["udp4", "marked", "marked6", "ce", "arp"];
    const tos: Record<string, number> = { udp4: 0, marked: 0xba, marked6: 0xba, ce: 0xb9, arp: 0 };
    const cases = KINDS.flatMap(([kind, tunnel]) =>
      (["copy", 0, 10, 63] as const).flatMap((dscp) =>
        (["normal", "compatibility"] as const).flatMap((ecn) =>
          names.map((name) => ({ kind, tunnel, dscp, ecn, name, ttl: dscp === 10 ? 1 : 255 })),
        ),
      ),
    );
    const seen = dissect<[number, number, boolean, string]>(
      cases.map(({ tunnel, name, dscp, ecn, ttl }) => encap(tunnel, name, { dscp, ecn, ttl })),
      "(lambda o: [o.tos if o.version == 4 else o.tc, o.ttl if o.version == 4 else o.hlim, o.version == 6 or o.chksum == fixed(p)[1].chksum, bytes(p[UDP].payload)[8:].hex()])(p[1])",
    );
    cases.forEach(({ kind, dscp, ecn, name, ttl }, i) => {
      const from = tos[name] as number;
      const outer = (dscp === "copy" ? from & 0xfc : dscp << 2) | (ecn === "normal" ? from & 3 : 0);
      t.same(seen[i], [outer, ttl, true, hex(frame(name))], `${kind}: ${name}, DSCP ${dscp}, ECN ${ecn}`);
    });
  },
);

t.test("RFC 7348 6.1, 8926 4.7: tags move outside in their order, or stay inside", { skip: made.skip }, async (t) => {
  const cases = KINDS.flatMap(([name, tunnel]) =>
    ["tagged", "qinq"].flatMap((inner) => (["move", "keep"] as const).map((innerVlan) => ({ name, tunnel, inner, innerVlan }))),
  );
  const seen = dissect<[string, string]>(
    cases.map(({ tunnel, inner, innerVlan }) => encap(tunnel, inner, { innerVlan })),
    "[bytes(p)[:12 + (0 if p.type in (0x800, 0x86dd) else 4 if p.payload.type in (0x800, 0x86dd) else 8)].hex(), bytes(p[UDP].payload)[8:].hex()]",
  );
  cases.forEach(({ name, inner, innerVlan }, i) => {
    const whole = hex(frame(inner));
    const tags = inner === "tagged" ? 8 : 16;
    const moved = [whole.slice(0, 24 + tags), whole.slice(0, 24) + whole.slice(24 + tags)];
    t.same(seen[i], innerVlan === "move" ? moved : [whole.slice(0, 24), whole], `${name}: ${inner}, ${innerVlan}`);
  });
});

t.test(
  "RFC 8926 4.4.3: to a group address it needs a route, whose MACs it gets; any port leads to its peer",
  { skip: made.skip },
  async (t) => {
    for (const name of ["broadcast", "multicast"]) {
      const rig = new TunnelRig();
      rig.add(1, {}, geneveEncap());
      t.equal(rig.receive({ frame: frame(name), port: 0 })[0]?.fate, Fate.noRoute);
      t.match(rig.table.get(1n)?.counters, { inPackets: 1, outPackets: 1, outDrops: 1 });
      const route = {
        address: ip4("192.0.2.0"),
        length: 24,
        port: 2,
        destinationMac: mac("02:00:00:00:0d:02"),
        sourceMac: mac("02:00:00:00:0d:01"),
      };
      const routed = new TunnelRig([route]);
      routed.add(1, {}, geneveEncap());
      const out = routed.receive({ frame: frame(name), port: 0 })[0];
      t.same([out?.fate, out?.egress, hex(out?.frame.subarray(0, 12))], [Fate.tunneled, 2, "020000000d02020000000d01"]);
      t.equal(hex(out?.frame.subarray(50)), hex(frame(name)), "inside as it was");
      emitted.push(out?.frame as Uint8Array);
    }
    const rig = new TunnelRig();
    rig.add(1, {}, geneveEncap());
    const out = rig.receive(...[0, 1, 2, 3, 4, 5].map((port) => ({ frame: frame("udp4"), port })));
    t.same(
      out.map(({ fate, egress }) => (fate === Fate.noRoute ? "none" : egress)),
      [1, 0, 0, "none", 0, 1],
    );
  },
);

t.test(
  "RFC 8926 3.3, 7348 5, 6438: source port and flow label: stable in a flow, spread over flows",
  { skip: made.skip },
  async (t) => {
    const of = (tunnel: Tunnel, group: string) => {
      const rig = new TunnelRig();
      rig.add(1, {}, tunnel, Next.none);
      return Array.from(
        { length: FLOWS },
        (_, n) => rig.receive({ frame: frame(`${group}/${n}`), port: 0 })[0]?.frame as Uint8Array,
      );
    };
    for (const [name, tunnel] of KINDS) {
      const expression = "[p[UDP].sport, p[1].fl if p[1].version == 6 else 0]";
      const seen = dissect<[number, number]>(
        [...of(tunnel, "flows4"), ...of(tunnel, "again4"), ...of(tunnel, "flows6")],
        expression,
      );
      const [first, again, six] = [0, 1, 2].map((k) => seen.slice(k * FLOWS, (k + 1) * FLOWS));
      t.same(again, first, `${name}: the same for other packets of the flows`);
      for (const group of [first, six]) {
        const ports = (group ?? []).map(([port]) => port);
        t.ok(Math.min(...ports) >= 49152, "in the dynamic range");
        t.ok(new Set(ports).size > FLOWS * 0.95, `${name}: ${new Set(ports).size} ports`);
        t.ok(Math.max(...ports) - Math.min(...ports) > 12000, "all over it");
        if (name.endsWith("6")) t.ok(new Set((group ?? []).map(([, label]) => label)).size > FLOWS * 0.95, "flow labels");
      }
    }
  },
);

t.test("frames of every size, 14 to 9216 bytes, there and back, with IP and UDP lengths that fit", async (t) => {
  const frames = Array.from({ length: 9217 }, (_, size) => size).filter(
    (size) => size >= 14 && (size < 1700 || size > 9150 || size % 61 === 0),
  );
  for (const [name, tunnel] of KINDS) {
    const [here, there] = [new TunnelRig(), new TunnelRig()];
    here.add(1, {}, tunnel, Next.none);
    there.add(1, {}, { kind: name.startsWith("G") ? "geneve-decap" : "vxlan-decap" }, Next.none);
    const ip = name.endsWith("6") ? 40 : 20;
    const bad: number[] = [];
    for (const size of frames) {
      const original = Uint8Array.from({ length: size }, (_, i) => (i === 12 ? 0x88 : i === 13 ? 0xb5 : (i * 31 + size) & 0xfe));
      const sent = here.receive({ frame: original, port: 0 })[0]?.frame as Uint8Array;
      const be = (at: number) => ((sent[at] as number) << 8) | (sent[at + 1] as number);
      const back = there.receive({ frame: sent, port: 0 })[0];
      const fits =
        sent.length === 14 + ip + 16 + size &&
        be(ip === 40 ? 18 : 16) === (ip === 40 ? 0 : 20) + 16 + size &&
        be(14 + ip + 4) === 16 + size;
      if (!fits || back?.fate !== Fate.count || Buffer.compare(back.frame, original) !== 0) bad.push(size);
    }
    t.same(bad, [], name);
  }
});

t.test("shorter than an Ethernet header: no rule's", async (t) => {
  const rig = new TunnelRig();
  rig.add(1, { ingress: { port: 0, vlan: "any" } }, geneveEncap());
  for (let size = 0; size < 14; size++) t.equal(rig.receive({ frame: new Uint8Array(size), port: 0 })[0]?.fate, Fate.count);
});

t.test("chains that need more headroom than there is move the frame; what does not fit drops", { skip: made.skip }, async (t) => {
  const long = options(...Array.from({ length: 2 }, (_, k) => [1, 1, 31 - k] as const));
  const chain = (tunnels: readonly Tunnel[]) => {
    const rig = new TunnelRig();
    tunnels.forEach((tunnel, i) => {
      rig.add(i + 1, i === 0 ? {} : { tunnelId: BigInt(i) }, tunnel, i + 1 === tunnels.length ? Next.none : Next.recirculate);
    });
    return rig;
  };
  const random = (size: number) =>
    Uint8Array.from({ length: size }, (_, i) => (i === 12 ? 0x88 : i === 13 ? 0xb5 : (i * 37) & 0xfe));
  const eight = chain(Array.from({ length: 8 }, (_, i) => vxlanEncap(OUTER6, i + 1)));
  for (const size of [14, 64, 1514, 9000, 9216]) {
    const out = eight.receive({ frame: random(size), port: 0 })[0];
    t.equal(out?.frame.length, size + 8 * 70);
    t.equal(hex(out?.frame.subarray(8 * 70)), hex(random(size)), `${size} bytes inside eight tunnels`);
  }
  const mixed = chain([geneveEncap({ options: long }), geneveEncap({ options: long, outer: OUTER6 }), vxlanEncap(OUTER4)]);
  const added = 50 + 252 + 70 + 252 + 50;
  const sizes = [1000, 9216, FRAME_LIMIT, FRAME_LIMIT - 1, FRAME_LIMIT - 2, FRAME_LIMIT - 3];
  for (const size of sizes) {
    const out = mixed.receive({ frame: random(size), port: 0 })[0];
    t.equal(out?.fate, Fate.count);
    t.equal(hex(out?.frame.subarray(added)), hex(random(size)), `${size} bytes`);
  }
  const huge = chain(Array.from({ length: 8 }, () => geneveEncap({ options: long, outer: OUTER6 })));
  const [out] = huge.receive({ frame: random(FRAME_LIMIT), port: 0 });
  t.equal(out?.fate, Fate.noHeadroom);
  const drops = Array.from({ length: 8 }, (_, i) => huge.table.get(BigInt(i + 1))?.counters.inDrops);
  t.equal(
    drops.reduce((sum = 0, n = 0) => sum + n, 0),
    1,
    "counted once, where it ended",
  );
});

t.test("tshark takes every kind of packet that we emit apart without a warning", { skip: made.skip || noTshark }, async (t) => {
  t.ok(emitted.length > 200);
  t.same(warnings(emitted), []);
  const bad = tshark(emitted, "ip.checksum.status", "udp.checksum.status", "frame.protocols").filter(
    ([ip = "", udp = "", protocols = ""]) => ip.includes("0") || udp.includes("0") || !/:(geneve|vxlan)(:|$)/.test(protocols),
  );
  t.same(bad, [], "checksums good, or none; and it knows the tunnel");
});
