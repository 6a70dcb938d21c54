// ESP that comes in fragments, and what takes the miss path, through the whole pipeline (RFC 4303 section 3.4.1, RFC 3948
// section 2.2): scapy sealed, and scapy took apart.

import t from "tap";
import { Fate } from "../../src/reason.js";
import { EspMode } from "../../src/table/sa.js";
import { dec, failuresOf, frames, saOf } from "./esp-rig.js";
import { PipelineRig } from "./pipeline-rig.js";
import { ETHER, hex, IP4, IP6 } from "./tunnel-frames.js";
import { TunnelRig } from "./tunnel-rig.js";

const inside = (bytes: number) =>
  `IP(src='10.0.0.1',dst='10.1.0.1',id=3)/UDP(sport=7,dport=9)/Raw((bytes(range(251))*80)[:${bytes}])`;
const OUT4 = IP4.replace(")", ",id=99)");
const FRAG6 = `${IP6}/IPv6ExtHdrFragment(id=99)`;
const SIZE = 1200;

/** The datagram, the fragments' layer above Ethernet, and what comes out. */
const DATAGRAMS = {
  "tunnel over IPv4": { mode: EspMode.tunnel, ipv6: false, packet: `${OUT4}/esp(${inside(3000)})`, out: inside(3000) },
  "tunnel over IPv6": { mode: EspMode.tunnel, ipv6: true, packet: `${FRAG6}/esp(${inside(3000)})`, out: inside(3000) },
  "tunnel NAT-T over IPv4": {
    mode: EspMode.tunnelNatt,
    ipv6: false,
    packet: `into_udp(${OUT4}/esp(${inside(8000)}))`,
    out: inside(8000),
  },
  "tunnel NAT-T over IPv6": {
    mode: EspMode.tunnelNatt,
    ipv6: true,
    packet: `${FRAG6}/UDP(bytes(into_udp(${IP6}/esp(${inside(2000)})))[40:])`,
    out: inside(2000),
  },
  "transport over IPv4": {
    mode: EspMode.transport,
    ipv6: false,
    packet: `${OUT4}/esp(b'g'*2500,nh=47)`,
    out: `${OUT4.replace(")", ",proto=47)")}/Raw(b'g'*2500)`,
  },
  "transport NAT-T over IPv4": {
    mode: EspMode.transportNatt,
    ipv6: false,
    packet: `into_udp(${OUT4}/esp(UDP(sport=7,dport=9,chksum=0)/Raw(b'u'*2500),nh=17))`,
    out: `${OUT4}/UDP(sport=7,dport=9,chksum=0)/Raw(b'u'*2500)`,
  },
} as const;
type Name = keyof typeof DATAGRAMS;
const NAMES = Object.keys(DATAGRAMS) as Name[];

const made = frames({
  ...Object.fromEntries(
    NAMES.flatMap((name) => {
      const { ipv6, packet, out } = DATAGRAMS[name];
      const list = ipv6 ? `fragment6(${packet},${SIZE})` : `fragment(IP(bytes(${packet})),${SIZE})`;
      return [
        [name, `[${ETHER}/f for f in ${list}]`],
        [`${name} whole`, `${ETHER}/${packet}`],
        [`${name} out`, `${ETHER}/${out}`],
      ];
    }),
  ),
  atomic: `${ETHER}/${FRAG6}/esp(${inside(9)})`,
  "atomic out": `${ETHER}/${inside(9)}`,
  "other SPI": `${ETHER}/${IP4}/esp(${inside(9)},spi=0x777)`,
  IKE: `${ETHER}/${IP4}/UDP(sport=4500,dport=4500)/Raw(bytes(4)+b'IKE')`,
  keepalive: `${ETHER}/${IP4}/UDP(sport=4500,dport=4500)/Raw(b'\\xff')`,
});
const frame = (name: string) => made.frames.get(name) as Uint8Array;
const pieces = (name: string) => {
  const all: Uint8Array[] = [];
  for (let i = 0; made.frames.has(`${name}/${i}`); i++) all.push(frame(`${name}/${i}`));
  return all;
};
const at = (frame: Uint8Array) => ({ frame, port: 0 });

function opening(mode: EspMode) {
  const rig = new PipelineRig();
  rig.add(1, {}, dec(mode));
  return Object.assign(rig, { table: rig.rules });
}

for (const name of NAMES) {
  t.test(`RFC 4303 3.4.1: fragments of ESP are made whole before they are opened: ${name}`, { skip: made.skip }, async (t) => {
    const { mode } = DATAGRAMS[name];
    const all = pieces(name);
    t.ok(all.length > 1, `${all.length} fragments`);
    for (const [order, list] of Object.entries({
      "in order": all,
      reversed: [...all].reverse(),
      "one twice": [all[0], ...all],
    })) {
      const rig = opening(mode);
      const sent = rig.receive(...list.map((one) => at(one as Uint8Array)));
      t.same(
        sent.map(({ port, frame }) => [port, hex(frame)]),
        [[1, hex(frame(`${name} out`))]],
        order,
      );
      t.match(saOf(rig, 1), { packets: 1, sequence: 1n });
      t.match(rig.rules.get(1n)?.counters, { inPackets: 1, outPackets: 1, inDrops: 0 });
      t.equal(rig.imbalance, 0);
      t.same(rig.receive(...all.map(at)), [], "a replay in fragments");
      t.same(failuresOf(rig, 1), { replayed: 1 });
      t.equal(rig.imbalance, 0);
    }
  });
}

t.test("RFC 4303 3.4.1: fragments that are never whole go nowhere, and the window stays", { skip: made.skip }, async (t) => {
  for (const name of NAMES) {
    const rig = opening(DATAGRAMS[name].mode);
    const all = pieces(name);
    t.same(rig.receive(...all.slice(0, -1).map(at)), []);
    t.same(rig.idle(rig.now + 60_000), []);
    t.ok(rig.fate(Fate.reassemblyTimeout) > 0);
    t.match([saOf(rig, 1).packets, rig.imbalance], [0, 0]);
    t.equal(hex(rig.receive(at(frame(`${name} whole`)))[0]?.frame), hex(frame(`${name} out`)));
  }
});

t.test("RFC 4303 3.4.1: a fragment that is offered to ESP as it is drops, and is counted", { skip: made.skip }, async (t) => {
  for (const name of NAMES) {
    const rig = new TunnelRig();
    rig.add(1, {}, dec(DATAGRAMS[name].mode));
    t.equal(rig.receive(at(pieces(name)[0] as Uint8Array))[0]?.fate, Fate.espFragment, name);
    t.same(failuresOf(rig, 1), { fragment: 1 });
  }
});

t.test("RFC 6946: a fragment header of a whole datagram is no fragment", { skip: made.skip }, async (t) => {
  t.equal(hex(opening(EspMode.tunnel).receive(at(frame("atomic")))[0]?.frame), hex(frame("atomic out")));
});

t.test(
  "RFC 4303 3.4.2, RFC 3948 2.2: IKE and an SPI of nobody's go to the host as they are, and are counted",
  { skip: made.skip },
  async (t) => {
    const rig = opening(EspMode.tunnelNatt);
    const HOST = 4;
    const sent = rig.receive(
      at(frame("IKE")),
      at(frame("other SPI")),
      at(frame("keepalive")),
      at(frame("tunnel over IPv4 whole")),
    );
    t.same(
      sent.map(({ port, frame }) => [port, hex(frame)]),
      ["IKE", "other SPI", "tunnel over IPv4 whole"].map((name) => [HOST, hex(frame(name))]),
    );
    t.match([rig.fate(Fate.noRuleEsp), rig.fate(Fate.noSession), rig.fate(Fate.espKeepalive), rig.imbalance], [2, 1, 1, 0]);
  },
);
