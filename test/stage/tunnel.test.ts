import t from "tap";
import { Fate } from "../../src/reason.js";
import { Next, type Tunnel } from "../../src/table/rule.js";
import { scapy } from "./scapy.js";
import { ip4, ip6, mac, TunnelRig } from "./tunnel-rig.js";
import { dissect } from "./verdict.js";

const ETHER = "Ether(src='02:00:00:00:00:01', dst='02:00:00:00:00:02')";
const INNER_MACS = { destination: mac("02:00:00:00:0b:02"), source: mac("02:00:00:00:0b:01") };
const OUTER4 = { source: ip4("192.0.2.1"), destination: ip4("192.0.2.2") };
const OUTER6 = { source: ip6("2001:db8:f::1"), destination: ip6("2001:db8:f::2") };
const INNER: Readonly<Record<string, string>> = {
  udp4: "IP(src='10.0.0.1',dst='10.1.0.1',tos=0xb9,flags='DF',ttl=9)/UDP(sport=1,dport=2)/Raw(b'x'*31)",
  udp6: "IPv6(src='2001:db8::1',dst='2001:db8::2',tc=0x2a,fl=5)/UDP(sport=1,dport=2)/Raw(b'y'*40)",
  tcp4: "IP(src='10.0.0.1',dst='10.1.0.1')/TCP(flags='PA')/Raw(b'z'*1000)",
  arp: "ARP(psrc='10.0.0.1',pdst='10.1.0.1')",
};
const TAGGED = `${ETHER}/Dot1Q(vlan=100,prio=3)/${INNER.udp4}`;

const made = scapy({
  ...Object.fromEntries(Object.entries(INNER).map(([name, text]) => [name, `${ETHER}/${text}`])),
  tagged: TAGGED,
});
const frame = (name: string) => made.frames.get(name) as Uint8Array;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

const geneve = (outer = OUTER4, vni = 0x123456, innerMac: Partial<typeof INNER_MACS> = {}): Tunnel => ({
  kind: "geneve-encap",
  outer,
  vni,
  protocol: 0x6558,
  innerMac,
  control: false,
  options: [],
});
const vxlan = (outer = OUTER4, vni = 0x123456): Tunnel => ({ kind: "vxlan-encap", outer, vni, innerMac: {} });

t.test("Geneve and VXLAN encapsulation is what scapy takes apart again", { skip: made.skip }, async (t) => {
  for (const [outer, version] of [
    [OUTER4, 4],
    [OUTER6, 6],
  ] as const) {
    for (const tunnel of [geneve(outer), vxlan(outer)]) {
      const rig = new TunnelRig();
      rig.add(1, { ingress: { port: 0, vlan: 0 } }, tunnel);
      const names = Object.keys(INNER);
      const out = rig.receive(...names.map((name) => ({ frame: frame(name), port: 0 })));
      t.same(
        out.map(({ fate, egress }) => [fate, egress]),
        names.map(() => [Fate.tunneled, 1]),
      );
      const layer = tunnel.kind === "geneve-encap" ? "GENEVE" : "VXLAN";
      const seen = dissect(
        out.map((one) => one.frame),
        `[p.src, p.dst, p[1].src, p[1].dst, p[1].ttl if p.type == 0x800 else p[1].hlim, p[1].tos if p.type == 0x800 else p[1].tc,
          p[1].flags.DF if p.type == 0x800 else None, p[1].chksum == fixed(p)[1].chksum if p.type == 0x800 else None,
          (p[UDP].chksum == 0) if p.type == 0x800 else (p[UDP].chksum == fixed(p)[UDP].chksum),
          p[UDP].dport, p[UDP].sport >= 49152, p[UDP].len == len(p[UDP]), p['${layer}'].vni, bytes(p['${layer}'].payload).hex()]`,
      );
      names.forEach((name, i) => {
        const tos = { udp4: 0xb9, udp6: 0x2a, tcp4: 0, arp: 0 }[name];
        t.same(
          seen[i],
          [
            "02:00:00:00:00:01",
            "02:00:00:00:00:02",
            version === 4 ? "192.0.2.1" : "2001:db8:f::1",
            version === 4 ? "192.0.2.2" : "2001:db8:f::2",
            64,
            tos,
            version === 4 ? name !== "tcp4" : null,
            version === 4 ? true : null,
            true,
            layer === "GENEVE" ? 6081 : 4789,
            true,
            true,
            0x123456,
            hex(frame(name)),
          ],
          `${layer} over IPv${version}: ${name}`,
        );
      });
    }
  }
});

t.test("inner MACs are replaced, tags move outside, or stay inside", { skip: made.skip }, async (t) => {
  for (const innerVlan of ["move", "keep"] as const) {
    const rig = new TunnelRig();
    rig.add(1, { ingress: { port: 0, vlan: 100 } }, geneve(OUTER4, 7, INNER_MACS), Next.forward, { innerVlan });
    const [out] = rig.receive({ frame: frame("tagged"), port: 0 });
    const [seen] = dissect(
      [out?.frame as Uint8Array],
      "[p.type, p[Dot1Q].vlan if p.type == 0x8100 else None, bytes(p[GENEVE].payload).hex()]",
    );
    const macs = `${hex(INNER_MACS.destination)}${hex(INNER_MACS.source)}`;
    const rest = hex(frame("tagged").subarray(12));
    const wanted = innerVlan === "move" ? [0x8100, 100, macs + rest.slice(8)] : [0x800, null, macs + rest];
    t.same(seen, wanted, innerVlan);
  }
});

t.test("what one device encapsulates the next one decapsulates, and the frame is as before", { skip: made.skip }, async (t) => {
  for (const tunnel of [geneve(), geneve(OUTER6), vxlan(), vxlan(OUTER6)]) {
    const [here, there] = [new TunnelRig(), new TunnelRig()];
    here.add(1, { ingress: { port: 0, vlan: 0 } }, tunnel);
    const decap: Tunnel = { kind: tunnel.kind === "geneve-encap" ? "geneve-decap" : "vxlan-decap" };
    const kind = tunnel.kind === "geneve-encap" ? ("geneve" as const) : ("vxlan" as const);
    there.add(2, { header: { kind, vni: 0x123456, protocol: 0 } }, decap, Next.none);
    const names = Object.keys(INNER);
    const sent = here.receive(...names.map((name) => ({ frame: frame(name), port: 0 })));
    const out = there.receive(...sent.map(({ frame }) => ({ frame, port: 0 })));
    names.forEach((name, i) => {
      t.equal(out[i]?.fate, Fate.count);
      t.equal(hex(out[i]?.frame as Uint8Array), hex(frame(name)), `${tunnel.kind}: ${name}`);
    });
    t.match(there.table.get(2n)?.counters, { inPackets: 4, outPackets: 4, inDrops: 0 });
  }
});

t.test("chains: by tunnel id, encapsulated eight times, and no more", { skip: made.skip }, async (t) => {
  const rig = new TunnelRig();
  rig.add(1, { ingress: { port: 0, vlan: 0 } }, geneve(), Next.recirculate);
  for (let id = 2; id <= 8; id++) {
    rig.add(
      id,
      { ingress: { port: 0, vlan: 0 }, tunnelId: BigInt(id - 1) },
      vxlan(OUTER6, id),
      id === 8 ? Next.forward : Next.recirculate,
    );
  }
  const [out] = rig.receive({ frame: frame("udp4"), port: 0 });
  t.equal(out?.fate, Fate.tunneled);
  t.equal(out?.frame.length, frame("udp4").length + 50 + 7 * 70);
  rig.add(9, { ingress: { port: 1, vlan: 0 } }, vxlan(), Next.recirculate);
  const [again] = rig.receive({ frame: frame("udp4"), port: 1 });
  t.equal(again?.fate, Fate.tooManyTunnels);
});

t.test(
  "fails closed when the next rule of a chain has just been deleted, but not for what comes to it first",
  { skip: made.skip },
  async (t) => {
    const rig = new TunnelRig();
    rig.add(1, { ip: { ipv6: false, destination: { address: ip4("10.1.0.1"), length: 32 } } }, geneve(), Next.recirculate);
    rig.add(2, { ip: { ipv6: false, destination: { address: ip4("192.0.2.0"), length: 24 } } }, vxlan(OUTER6), Next.forward);
    t.equal(rig.receive({ frame: frame("udp4"), port: 0 })[0]?.fate, Fate.tunneled);
    await rig.table.delete(2n, 1000);
    await new Promise(setImmediate);
    t.equal(rig.receive({ frame: frame("udp4"), port: 0 })[0]?.fate, Fate.failClosed);
    t.match(rig.table.get(1n)?.counters, { outPackets: 2, outDrops: 1 });
    rig.table.age(60_999);
    t.equal(rig.receive({ frame: frame("udp4"), port: 0 })[0]?.fate, Fate.failClosed);
    rig.table.age(61_000);
    t.equal(rig.receive({ frame: frame("udp4"), port: 0 })[0]?.fate, Fate.count, "to the forwarding logic");
  },
);
