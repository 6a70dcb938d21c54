// The headers that ESP puts in front of a packet (RFC 4301 section 5.1.2, RFC 6040 section 4.1, RFC 3948 section 2.1), as scapy reads them; what is
// inside is opened by scapy, and must be as it was.

import t from "tap";
import { Next, type TunnelSettings } from "../../src/table/rule.js";
import { EspMode } from "../../src/table/sa.js";
import { oracle } from "./esp-oracle.js";
import { enc, frames, GCM16, SPI } from "./esp-rig.js";
import { isNatt, isTunnel } from "./esp-suites.js";
import { ETHER, hex, OUTER4, OUTER6 } from "./tunnel-frames.js";
import { TunnelRig } from "./tunnel-rig.js";

const LOAD = "UDP(sport=7,dport=9)/Raw(b'inside')";
const v4 = (fields: string) => `${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',${fields})/${LOAD}`;
const v6 = (fields: string) => `${ETHER}/IPv6(src='2001:db8::1',dst='2001:db8::2',${fields})/${LOAD}`;

interface Facts {
  readonly version: number;
  readonly tos: number;
  readonly ttl: number;
  readonly words: number;
  readonly df: number;
  readonly mf: number;
  readonly id: number;
  readonly label: number;
  readonly source: string;
  readonly destination: string;
  readonly ports: readonly number[];
  readonly macs: string;
  readonly tags: readonly number[];
  /** Bytes behind the IP packet. */
  readonly behind: number;
  /** Opened. */
  readonly inner: string;
}

interface Case {
  readonly name: string;
  readonly packet: string;
  readonly expect: Partial<Facts>;
  readonly settings?: Partial<TunnelSettings>;
  readonly outer?: 4 | 6;
  readonly mode?: EspMode;
  /** Times that it is sent. */
  readonly times?: number;
}

const D46 = 46 << 2;
const [ECT1, ECT0, CE] = [1, 2, 3];
const PORTS: Partial<TunnelSettings> = { udpPort: 4501, nattSourcePort: 4999 };
const NATT = EspMode.tunnelNatt;
const CASES: readonly Case[] = [
  ...([4, 6] as const).flatMap((outer): Case[] => [
    { name: "RFC 4301 5.1.2: TTL 64", packet: v4("ttl=9"), outer, expect: { ttl: 64 } },
    { name: "RFC 4301 5.1.2: TTL 64, IPv6 inside", packet: v6("hlim=9"), outer, expect: { ttl: 64 } },
    { name: "RFC 4301 5.1.2: TTL as set", packet: v4("ttl=9"), outer, settings: { ttl: 7 }, expect: { ttl: 7 } },
    { name: "RFC 4301 5.1.2: DSCP copied", packet: v4(`tos=${D46}`), outer, expect: { tos: D46 } },
    { name: "RFC 4301 5.1.2: DSCP copied, IPv6 inside", packet: v6(`tc=${D46}`), outer, expect: { tos: D46 } },
    { name: "RFC 2983: DSCP set", packet: v4(`tos=${D46 | ECT0}`), outer, settings: { dscp: 10 }, expect: { tos: 40 | ECT0 } },
    { name: "RFC 2983: DSCP set to 0", packet: v6(`tc=${D46}`), outer, settings: { dscp: 0 }, expect: { tos: 0 } },
    ...[0, ECT1, ECT0, CE].flatMap((ecn): Case[] => [
      { name: `RFC 6040 4.1: normal mode copies ECN ${ecn}`, packet: v4(`tos=${D46 | ecn}`), outer, expect: { tos: D46 | ecn } },
      { name: `RFC 6040 4.1: normal mode copies ECN ${ecn}, IPv6 inside`, packet: v6(`tc=${ecn}`), outer, expect: { tos: ecn } },
      {
        name: `RFC 6040 4.1: compatibility mode sends Not-ECT for ECN ${ecn}`,
        packet: v4(`tos=${D46 | ecn}`),
        outer,
        settings: { ecn: "compatibility" },
        expect: { tos: D46 },
      },
    ]),
    {
      name: "RFC 4301 5.1.2: options are not copied",
      packet: v4("options=[IPOption_RR(),IPOption_NOP()]"),
      outer,
      expect: { words: outer === 4 ? 5 : 0 },
    },
    { name: "RFC 4301 5.1.2: a flow label of its own, 0", packet: v6("fl=0xabcde"), outer, expect: { label: 0 } },
    {
      name: "addresses, MACs and tags; what stands behind the IP packet is cut",
      packet: `${v4("").replace("/IP", "/Dot1Q(vlan=5,prio=3)/IP")}/Padding(b'p'*13)`,
      outer,
      expect: {
        source: outer === 4 ? "192.0.2.1" : "2001:db8:f::1",
        destination: outer === 4 ? "192.0.2.2" : "2001:db8:f::2",
        macs: "02:00:00:00:00:01>02:00:00:00:00:02",
        tags: [5],
        behind: 0,
      },
    },
    { name: "RFC 3948 2.1: ports 4500", packet: v4(""), outer, mode: NATT, expect: { ports: [4500, 4500] } },
    { name: "RFC 3948 2.1: ports as set", packet: v6(""), outer, mode: NATT, settings: PORTS, expect: { ports: [4999, 4501] } },
  ]),
  { name: "RFC 4301 8.1: DF copied", packet: v4("flags='DF',id=9"), expect: { df: 1, id: 0, mf: 0 } },
  { name: "RFC 4301 8.1: no DF copied", packet: v4("id=9"), expect: { df: 0, mf: 0 } },
  { name: "RFC 4301 8.1: DF for IPv6", packet: v6(""), expect: { df: 1, id: 0 } },
  { name: "RFC 4301 8.1: DF set", packet: v4("id=9"), settings: { df: "set" }, expect: { df: 1, id: 0 } },
  { name: "RFC 4301 8.1: DF cleared", packet: v4("flags='DF',id=9"), settings: { df: "clear" }, expect: { df: 0 } },
  { name: "RFC 4301 8.1: DF cleared for IPv6", packet: v6(""), settings: { df: "clear" }, expect: { df: 0 } },
  { name: "RFC 6864 4: identification", packet: v4("id=9"), expect: { df: 0 }, times: 8 },
  {
    name: "RFC 4303 3.3.4: a fragment is carried by a tunnel",
    packet: v4("flags='MF',frag=3,id=9"),
    expect: { df: 0, mf: 0 },
  },
  {
    name: "RFC 4303 3.1.1: transport mode keeps the header",
    packet: v4(`tos=${D46 | CE},ttl=9,id=77,options=[IPOption_RR()]`),
    mode: EspMode.transport,
    expect: { tos: D46 | CE, ttl: 9, id: 77, words: 6, source: "10.0.0.1", destination: "10.1.0.1" },
  },
  {
    name: "RFC 4303 3.1.1: transport mode keeps the IPv6 header",
    packet: v6(`tc=${D46 | CE},hlim=9,fl=77`),
    mode: EspMode.transport,
    expect: { tos: D46 | CE, ttl: 9, label: 77, source: "2001:db8::1", destination: "2001:db8::2" },
  },
];

const made = frames(Object.fromEntries(CASES.map(({ packet }, i) => [`${i}`, packet])));
const inputs = CASES.map((_, i) => made.frames.get(`${i}`) as Uint8Array);
const sealed =
  made.skip === false
    ? CASES.map(({ mode = EspMode.tunnel, outer = 4, settings, times = 1 }, i) => {
        const rig = new TunnelRig();
        const ingress = { port: 0, vlan: "any" as const };
        rig.add(1, { ingress }, enc(mode, GCM16, SPI, outer === 4 ? OUTER4 : OUTER6), Next.forward, settings);
        return rig.receive(...new Array(times).fill({ frame: inputs[i], port: 0 }));
      })
    : [];
const READ = `
def facts(frame, tunnel, natt):
    p = Ether(bytes.fromhex(frame)); ip = p[Dot1Q].payload if Dot1Q in p else p.payload
    four = ip.version == 4; length = ip.len if four else ip.plen + 40
    f = dict(version=ip.version, source=ip.src, destination=ip.dst, macs=p.src + '>' + p.dst, tags=[p[Dot1Q].vlan] if Dot1Q in p else [])
    if four: f.update(tos=ip.tos, ttl=ip.ttl, words=ip.ihl, df=int(ip.flags.DF), mf=int(ip.flags.MF) + ip.frag, id=ip.id, label=0)
    else: f.update(tos=ip.tc, ttl=ip.hlim, words=0, df=0, mf=0, id=0, label=ip.fl)
    f.update(ports=[ip[UDP].sport, ip[UDP].dport] if natt else [], behind=len(ip) - length)
    return dict(f, inner=bytes(opened(ip, ${GCM16}, ${SPI}, tunnel, natt=f['ports'])).hex())
out = [facts(*a) for a in asked]`;
const asked = sealed.flatMap((outcomes, i) => {
  const { mode = EspMode.tunnel } = CASES[i] as Case;
  return outcomes.map(({ frame }) => [hex(frame), isTunnel(mode), isNatt(mode)]);
});
const seen = made.skip === false ? oracle<Facts[]>(READ, asked) : [];

let from = 0;
CASES.forEach(({ name, packet, expect, outer = 4, times = 1 }, i) => {
  const facts = seen.slice(from, from + times);
  from += times;
  t.test(
    `${name}${/^RFC 4301 8|6864|transport|fragment/.test(name) ? "" : `, IPv${outer} outside`}`,
    { skip: made.skip },
    async (t) => {
      for (const one of facts) t.match(one, expect);
      const frame = inputs[i] as Uint8Array;
      const at = packet.includes("Dot1Q") ? 18 : 14;
      const padding = packet.includes("Padding") ? 13 : 0;
      for (const { inner } of facts)
        t.equal(inner, hex(frame.subarray(at, frame.length - padding)), "what is inside is as it was");
      if (times > 1) t.equal(new Set(facts.map(({ id }) => id)).size, times, "no two of them the same");
    },
  );
});
