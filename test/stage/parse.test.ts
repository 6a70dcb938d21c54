import fc from "fast-check";
import t from "tap";
import { Kind } from "../../src/memory/burst.js";
import { slotStart } from "../../src/memory/frames.js";
import { Fate, REASONS } from "../../src/reason.js";
import { parse } from "../../src/stage/parse.js";
import { load, newBurst, topology } from "./device.js";
import { ethernet, frameOf, ipv4, ipv6, join, tcp, udp } from "./packet.js";
import { scapy } from "./scapy.js";

const burst = newBurst();
const A4 = Uint8Array.from([10, 0, 0, 1]);
const B4 = Uint8Array.from([10, 1, 0, 1]);
const A6 = Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const B6 = Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
const NONE = new Uint8Array(0);
const PAYLOAD = new Uint8Array(7).fill(0x5a);

interface Parsed {
  readonly fate: Fate;
  /** Offsets from the start of the frame; only of flows. */
  readonly l3?: number;
  readonly l4?: number;
  readonly udp?: boolean;
  readonly ipv6?: boolean;
  readonly control?: boolean;
}

function parsed(frame: Uint8Array, port = 0): Parsed {
  load(burst, [{ frame, port }]);
  parse(burst, topology);
  const fate = burst.fate[0] as Fate;
  const kind = burst.kind[0] as number;
  if ((kind & Kind.flow) === 0) {
    if (kind !== 0) throw new Error(`kind ${kind} without a flow`);
    return { fate };
  }
  if (((kind & Kind.tcp) !== 0) === ((kind & Kind.udp) !== 0)) throw new Error(`kind ${kind}: TCP or UDP?`);
  if (((kind & Kind.ipv4) !== 0) === ((kind & Kind.ipv6) !== 0)) throw new Error(`kind ${kind}: IPv4 or IPv6?`);
  return {
    fate,
    l3: (burst.l3[0] as number) - slotStart(0),
    l4: (burst.l4[0] as number) - slotStart(0),
    udp: (kind & Kind.udp) !== 0,
    ipv6: (kind & Kind.ipv6) !== 0,
    control: (kind & Kind.control) !== 0,
  };
}

/** The fate by name: what a failing test should print. */
function fate(frame: Uint8Array, port = 0): string {
  return (REASONS[parsed(frame, port).fate] as { name: string }).name;
}

/**
 * The same question, answered by reading datapath.md "Hits" and the RFCs from top to bottom. Reads through a DataView of
 * the frame alone, which throws beyond its end.
 */
function oracle(frame: Uint8Array): Parsed {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const isTag = (type: number) => type === 0x8100 || type === 0x88a8;
  if (frame.length < 14) return { fate: Fate.malformed };
  let l3 = 14;
  let type = view.getUint16(12);
  if (isTag(type)) {
    l3 = 18;
    if (frame.length < 18) return { fate: Fate.malformed };
    type = view.getUint16(16);
    if (isTag(type)) return { fate: Fate.doubleTagged };
  }
  if (type !== 0x0800 && type !== 0x86dd) return { fate: Fate.notIp };
  const v6 = type === 0x86dd;
  const room = frame.length - l3;
  if (room < (v6 ? 40 : 20) || view.getUint8(l3) >>> 4 !== (v6 ? 6 : 4)) return { fate: Fate.malformed };
  const header = v6 ? 40 : (view.getUint8(l3) & 15) * 4;
  const total = v6 ? 40 + view.getUint16(l3 + 4) : view.getUint16(l3 + 2);
  if (header < 20 || total < header || total > room) return { fate: Fate.malformed };
  const next = view.getUint8(l3 + (v6 ? 6 : 9));
  if (!v6) {
    if (header > 20) return { fate: Fate.ipOptions };
    const word = view.getUint16(l3 + 6);
    // More fragments, or not the first one; the reserved bit and DF say nothing of fragments.
    if ((word & 0x2000) !== 0 || (word & 0x1fff) !== 0) return { fate: Fate.fragment };
  } else {
    if (next === 44) return { fate: Fate.fragment };
    // IANA "IPv6 Extension Header Types" less ESP (behind which no port can be read) and the experimental 253 and 254.
    if ([0, 43, 51, 60, 135, 139, 140].includes(next)) return { fate: Fate.extensionHeader };
  }
  if (next === 50) return { fate: Fate.noRuleEsp };
  if (next !== 6 && next !== 17) return { fate: Fate.notTcpUdp };
  const l4 = l3 + header;
  const left = total - header;
  if (next === 6) {
    if (left < 20) return { fate: Fate.malformed };
    const offset = (view.getUint8(l4 + 12) >>> 4) * 4;
    if (offset < 20 || offset > left) return { fate: Fate.malformed };
    return { fate: Fate.noSession, l3, l4, udp: false, ipv6: v6, control: (view.getUint8(l4 + 13) & 7) !== 0 };
  }
  if (left < 8) return { fate: Fate.malformed };
  const length = view.getUint16(l4 + 4);
  if (length < 8 || length > left) return { fate: Fate.malformed };
  let fate = Fate.noSession;
  const port = view.getUint16(l4 + 2);
  if (port === 6081) fate = Fate.noRuleGeneve;
  if (port === 4789) fate = Fate.noRuleVxlan;
  // RFC 3948: at least SPI and sequence number, and no non-ESP marker.
  if (port === 4500 && left >= 16 && view.getUint32(l4 + 8) !== 0) fate = Fate.noRuleEsp;
  return { fate, l3, l4, udp: true, ipv6: v6, control: false };
}

const ETHER = "Ether(src='02:00:00:00:00:01', dst='02:00:00:00:00:02')";
const V4 = "IP(src='10.0.0.1', dst='10.1.0.1')";
const V6 = "IPv6(src='2001:db8::1', dst='2001:db8::2')";
const DATA = "Raw(b'x'*30)";

/** Name → packet in scapy's words, and its fate. */
const TABLE: Readonly<Record<string, readonly [string, string]>> = {
  "tcp/ipv4": [`${ETHER}/${V4}/TCP(sport=1,dport=2,flags='PA')/${DATA}`, "no-session"],
  "tcp/ipv6": [`${ETHER}/${V6}/TCP(sport=1,dport=2,flags='A')`, "no-session"],
  "udp/ipv4": [`${ETHER}/${V4}/UDP(sport=1,dport=2)/${DATA}`, "no-session"],
  "udp/ipv6": [`${ETHER}/${V6}/UDP(sport=1,dport=2)`, "no-session"],
  "tcp with options": [`${ETHER}/${V4}/TCP(options=[('MSS',1460),('Timestamp',(1,2)),('WScale',7)],flags='A')`, "no-session"],
  "tcp, all option room": [`${ETHER}/${V6}/TCP(options=[('NOP',None)]*40,flags='A')/${DATA}`, "no-session"],
  "udp without checksum": [`${ETHER}/${V4}/UDP(chksum=0)/${DATA}`, "no-session"],
  "wrong checksums": [`${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',chksum=1)/TCP(chksum=1,flags='A')`, "no-session"],
  "ethernet padding": [`${ETHER}/${V4}/UDP()/Padding(b'\\0'*18)`, "no-session"],
  "ethernet padding, ipv6": [`${ETHER}/${V6}/TCP(flags='A')/Padding(b'\\xff'*100)`, "no-session"],
  "DF alone": [`${ETHER}/IP(dst='10.1.0.1',src='10.0.0.1',flags='DF')/UDP()`, "no-session"],
  "reserved flag alone": [`${ETHER}/IP(dst='10.1.0.1',src='10.0.0.1',flags='evil')/UDP()`, "no-session"],
  "C-tag": [`${ETHER}/Dot1Q(vlan=100,prio=3)/${V4}/TCP(flags='A')`, "no-session"],
  "S-tag": [`${ETHER}/Dot1AD(vlan=100)/${V6}/UDP()`, "no-session"],
  "priority tag": [`${ETHER}/Dot1Q(vlan=0,prio=5)/${V4}/UDP()`, "no-session"],
  "two C-tags": [`${ETHER}/Dot1Q(vlan=1)/Dot1Q(vlan=2)/${V4}/UDP()`, "double-tagged"],
  "S-tag and C-tag": [`${ETHER}/Dot1AD(vlan=1)/Dot1Q(vlan=2)/${V4}/UDP()`, "double-tagged"],
  "C-tag and S-tag": [`${ETHER}/Dot1Q(vlan=1)/Dot1AD(vlan=2)/${V4}/UDP()`, "double-tagged"],
  arp: [`${ETHER}/ARP(psrc='10.0.0.1', pdst='10.0.0.2')`, "not-ip"],
  "tagged arp": [`${ETHER}/Dot1Q(vlan=7)/ARP(psrc='10.0.0.1', pdst='10.0.0.2')`, "not-ip"],
  stp: ["Dot3(src='02:00:00:00:00:01', dst='01:80:c2:00:00:00')/LLC(dsap=0x42,ssap=0x42,ctrl=3)/STP()", "not-ip"],
  mpls: [`${ETHER}/MPLS(label=16)/${V4}/UDP()`, "not-ip"],
  pppoe: [`${ETHER}/PPPoE(sessionid=1)/PPP(proto=0x21)/${V4}/UDP()`, "not-ip"],
  icmp: [`${ETHER}/${V4}/ICMP()/${DATA}`, "not-tcp-udp"],
  icmpv6: [`${ETHER}/${V6}/ICMPv6EchoRequest()`, "not-tcp-udp"],
  sctp: [`${ETHER}/${V4}/SCTP()`, "not-tcp-udp"],
  gre: [`${ETHER}/${V4}/GRE()/${V4}/UDP()`, "not-tcp-udp"],
  "ip in ip": [`${ETHER}/${V4}/${V4}/UDP()`, "not-tcp-udp"],
  esp: [`${ETHER}/${V4}/ESP(spi=1,seq=1,data=b'x'*32)`, "no-rule-esp"],
  "esp/ipv6": [`${ETHER}/${V6}/ESP(spi=1,seq=1,data=b'x'*32)`, "no-rule-esp"],
  "esp in udp": [`${ETHER}/${V4}/UDP(sport=4500,dport=4500)/ESP(spi=1,seq=1,data=b'x'*32)`, "no-rule-esp"],
  "ike in udp": [`${ETHER}/${V4}/UDP(sport=4500,dport=4500)/Raw(bytes(4)+b'x'*32)`, "no-session"],
  keepalive: [`${ETHER}/${V6}/UDP(sport=4500,dport=4500)/Raw(b'\\xff')`, "no-session"],
  geneve: [`${ETHER}/${V4}/UDP(dport=6081)/Raw(bytes.fromhex('0000655800000500'))`, "no-rule-geneve"],
  vxlan: [`${ETHER}/${V6}/UDP(dport=4789)/VXLAN(vni=5)/${ETHER}`, "no-rule-vxlan"],
  "no next header": [`${ETHER}/IPv6(src='2001:db8::1',dst='2001:db8::2',nh=59)`, "not-tcp-udp"],
  "router alert": [`${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',options=[IPOption_Router_Alert()])/UDP()`, "ip-options"],
  "record route": [
    `${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',options=[IPOption_RR(length=39,routers=['0.0.0.0']*9)])/TCP()`,
    "ip-options",
  ],
  "hop-by-hop": [`${ETHER}/${V6}/IPv6ExtHdrHopByHop(options=[RouterAlert()])/UDP()`, "extension-header"],
  "destination options": [`${ETHER}/${V6}/IPv6ExtHdrDestOpt(options=[PadN()])/TCP()`, "extension-header"],
  routing: [`${ETHER}/${V6}/IPv6ExtHdrRouting(addresses=['2001:db8::3'])/TCP()`, "extension-header"],
  authentication: [`${ETHER}/${V6}/AH(nh=17,spi=1,seq=1,icv=b'x'*12)/UDP()`, "extension-header"],
  "fragments/ipv4": [`[${ETHER}/f for f in fragment(${V4}/UDP()/Raw(b'x'*3000), fragsize=1000)]`, "fragment"],
  "fragments/ipv6": [`[${ETHER}/f for f in fragment6(${V6}/IPv6ExtHdrFragment(id=1)/UDP()/Raw(b'x'*3000), 1280)]`, "fragment"],
  "atomic fragment": [`${ETHER}/${V6}/IPv6ExtHdrFragment(id=1)/UDP()`, "fragment"],
  "zero total length": [`${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',len=0)/TCP()`, "malformed"],
  "wrong version": [`${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',version=6)/TCP()`, "malformed"],
  "wrong version, ipv6": [`${ETHER}/IPv6(src='2001:db8::1',dst='2001:db8::2',version=4)/TCP()`, "malformed"],
  "header length 4": [`${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',ihl=4)/TCP()`, "malformed"],
  "header length beyond the datagram": [`${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',ihl=15)/UDP()`, "malformed"],
  "tcp data offset 4": [`${ETHER}/${V4}/TCP(dataofs=4,flags='A')/${DATA}`, "malformed"],
  "tcp data offset 15, no room": [`${ETHER}/${V4}/TCP(dataofs=15,flags='A')/${DATA}`, "malformed"],
  "udp length 0": [`${ETHER}/${V6}/UDP(len=0)/${DATA}`, "malformed"],
  "udp length 7": [`${ETHER}/${V4}/UDP(len=7)/${DATA}`, "malformed"],
  "udp length one too long": [`${ETHER}/${V4}/UDP(len=39)/${DATA}`, "malformed"],
  "udp length one too short": [`${ETHER}/${V4}/UDP(len=37)/${DATA}`, "no-session"],
  "jumbogram length": [`${ETHER}/IPv6(src='2001:db8::1',dst='2001:db8::2',plen=0,nh=17)/UDP()`, "malformed"],
};

const made = scapy(Object.fromEntries(Object.entries(TABLE).map(([name, [text]]) => [name, text])));

t.test("every kind of frame that scapy makes meets its fate", { skip: made.skip }, async (t) => {
  for (const [name, frame] of made.frames) {
    const entry = TABLE[name] ?? TABLE[name.slice(0, name.lastIndexOf("/"))];
    t.equal(fate(frame), entry?.[1], name);
    t.same(parsed(frame), oracle(frame), `${name}: agrees with the reading of the RFCs`);
  }
  t.ok(made.frames.size >= Object.keys(TABLE).length + 4, "several fragments each");
});

t.test("every frame cut at every byte, padded, or with any byte changed agrees with the RFCs", { skip: made.skip }, async (t) => {
  let cuts = 0;
  for (const [name, frame] of made.frames) {
    for (let length = 0; length <= Math.min(frame.length, 200); length++, cuts++) {
      const cut = frame.slice(0, length);
      if (JSON.stringify(parsed(cut)) !== JSON.stringify(oracle(cut))) {
        t.same(parsed(cut), oracle(cut), `${name} cut to ${length} bytes`);
      }
    }
    t.same(parsed(join(frame, new Uint8Array(9))), oracle(join(frame, new Uint8Array(9))), `${name} padded`);
  }
  t.comment(`${cuts} cuts`);
  const frames = [...made.frames.values()];
  const change = fc.array(fc.tuple(fc.nat({ max: 90 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.nat({ max: frames.length - 1 }), change, fc.nat({ max: 1600 }), (which, changes, cut) => {
      const frame = Uint8Array.from(frames[which] as Uint8Array).slice(0, cut < 200 ? cut : undefined);
      for (const [at, value] of changes) if (at < frame.length) frame[at] = value;
      return JSON.stringify(parsed(frame)) === JSON.stringify(oracle(frame));
    }),
    { numRuns: 20_000 },
  );
});

t.test("random bytes never throw and never make a flow beyond the end of the frame", async () => {
  const types = fc.constantFrom([8, 0, 0x45], [0x86, 0xdd, 0x60], [0x81, 0, 0], [0x88, 0xa8, 1]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120, size: "max" }), types, fc.boolean(), (bytes, type, steer) => {
      if (steer && bytes.length >= 15) bytes.set(type, 12);
      const result = parsed(bytes);
      if (result.l4 !== undefined && result.l4 + (result.udp === true ? 8 : 20) > bytes.length) return false;
      return JSON.stringify(result) === JSON.stringify(oracle(bytes));
    }),
    { numRuns: 20_000 },
  );
});

t.test("a valid frame cut at any byte is malformed, whatever lies behind it in memory", async (t) => {
  const whole = {
    "tcp/ipv4": ethernet(0x0800, ipv4(A4, B4, 6, tcp(1, 2, PAYLOAD))),
    "udp/ipv4": ethernet(0x0800, ipv4(A4, B4, 17, udp(1, 2, PAYLOAD))),
    "tcp/ipv6": ethernet(0x86dd, ipv6(A6, B6, 6, tcp(1, 2, PAYLOAD))),
    "udp/ipv6": ethernet(0x86dd, ipv6(A6, B6, 17, udp(1, 2, PAYLOAD))),
    "tagged tcp/ipv4": ethernet(0x0800, ipv4(A4, B4, 6, tcp(1, 2, NONE)), [{ tpid: 0x8100, tci: 100 }]),
    "tagged udp/ipv6": ethernet(0x86dd, ipv6(A6, B6, 17, udp(1, 2, NONE)), [{ tpid: 0x88a8, tci: 100 }]),
    "options/ipv4": ethernet(0x0800, ipv4(A4, B4, 17, udp(1, 2, NONE), 0, [0x94, 4, 0, 0])),
  };
  for (const [name, frame] of Object.entries(whole)) {
    const wanted = name.startsWith("options") ? "ip-options" : "no-session";
    t.equal(fate(frame), wanted, name);
    for (let length = 0; length < frame.length; length++) {
      // The rest of the frame stays in the slot, as the rest of an earlier, longer one would.
      load(burst, [{ frame, port: 0 }]);
      burst.length[0] = length;
      burst.wire[0] = length;
      parse(burst, topology);
      if (burst.fate[0] !== Fate.malformed || burst.kind[0] !== 0) t.fail(`${name} cut to ${length} bytes`);
    }
  }
});

t.test("lengths one off", async (t) => {
  const patch = (frame: Uint8Array, at: number, by: number) => {
    const copy = Uint8Array.from(frame);
    copy[at] = (copy[at] as number) + by;
    return copy;
  };
  const pad = (frame: Uint8Array) => join(frame, [0]);
  const tcp4 = ethernet(0x0800, ipv4(A4, B4, 6, tcp(1, 2, PAYLOAD)));
  const bare = ethernet(0x0800, ipv4(A4, B4, 6, tcp(1, 2, NONE)));
  const udp4 = ethernet(0x0800, ipv4(A4, B4, 17, udp(1, 2, PAYLOAD)));
  const udp6 = ethernet(0x86dd, ipv6(A6, B6, 17, udp(1, 2, NONE)));
  // Low byte of IPv4 total length: 14 + 3; of IPv6 payload length: 14 + 5; of UDP length behind them: + 5.
  t.equal(fate(patch(tcp4, 17, 1)), "malformed", "IP one beyond the frame");
  t.equal(fate(patch(pad(tcp4), 17, 1)), "no-session", "IP one longer, and the byte is there");
  t.equal(fate(patch(tcp4, 17, -1)), "no-session", "a payload byte less: padding");
  t.equal(fate(patch(bare, 17, -1)), "malformed", "IP ends within the TCP header");
  t.equal(fate(patch(udp4, 17, -1)), "malformed", "UDP reaches beyond IP");
  t.equal(fate(patch(pad(udp4), 39, 1)), "malformed", "UDP into the padding");
  t.equal(fate(patch(udp4, 39, -1)), "no-session", "surplus area (RFC 9868)");
  t.equal(fate(patch(udp6, 19, -1)), "malformed");
  t.equal(fate(patch(udp6, 19, 1)), "malformed");
  t.equal(fate(patch(udp6, 59, -1)), "malformed", "UDP length 7");
  for (const [offset, options, wanted] of [
    [4, 40, "malformed"],
    [5, 0, "no-session"],
    [6, 3, "malformed"],
    [6, 4, "no-session"],
    [15, 39, "malformed"],
    [15, 40, "no-session"],
  ] as const) {
    const segment = tcp(1, 2, new Uint8Array(options));
    segment[12] = offset << 4;
    t.equal(
      fate(ethernet(0x0800, ipv4(A4, B4, 6, segment))),
      wanted,
      `data offset ${offset}, ${options} bytes behind the header`,
    );
  }
});

t.test("the VLAN id tells flows apart, a priority tag and the tag's priority do not", async (t) => {
  const flow = { ipv6: false, source: A4, destination: B4, udp: true, sourcePort: 1, destinationPort: 2 };
  const word = (port: number, ...tags: { tpid: number; tci: number }[]) => {
    load(burst, [{ frame: frameOf({ ...flow, tags }), port }]);
    parse(burst, topology);
    return burst.flow[0];
  };
  const untagged = word(0);
  t.equal(word(0, { tpid: 0x8100, tci: 0 }), untagged, "VID 0");
  t.equal(word(0, { tpid: 0x8100, tci: 0xf000 }), untagged, "priority 7, DEI, VID 0");
  t.equal(word(0, { tpid: 0x8100, tci: 5 }), word(0, { tpid: 0x8100, tci: 0xe005 }), "priority");
  t.equal(word(0, { tpid: 0x88a8, tci: 5 }), word(0, { tpid: 0x8100, tci: 5 }), "S-tag");
  const words = [
    untagged,
    word(1),
    ...[1, 2, 4095].map((tci) => word(0, { tpid: 0x8100, tci })),
    word(1, { tpid: 0x8100, tci: 1 }),
  ];
  t.equal(new Set(words).size, words.length);
});

t.test("SYN, FIN and RST mark a control packet, no other flag does", async (t) => {
  for (let flags = 0; flags < 256; flags++) {
    const control = parsed(ethernet(0x0800, ipv4(A4, B4, 6, tcp(1, 2, NONE, { flags })))).control;
    if (control !== ((flags & 7) !== 0)) t.fail(`flags ${flags}`);
  }
  t.pass("256 sets of flags");
});

t.test("frames of host ports and named ports are not parsed", async (t) => {
  const frame = ethernet(0x0800, ipv4(A4, B4, 17, udp(1, 2, NONE)));
  t.equal(fate(frame, 4), "from-host");
  t.equal(fate(frame, 6), "collector-rx");
  t.equal(fate(frame.slice(0, 3), 4), "from-host");
});

t.test("a miss leaves by the host port, by the peer where there is none, or not at all", async (t) => {
  const frame = ethernet(0x0806, NONE);
  load(
    burst,
    Array.from({ length: 7 }, (_, port) => ({ frame, port })),
  );
  parse(burst, topology);
  t.same([...burst.egress.subarray(0, 7)], [4, 5, 0, -1, 0, 1, -1]);
  t.same([...burst.kind.subarray(0, 7)], [0, 0, 0, 0, 0, 0, 0]);
  t.ok(
    burst.fate.subarray(7).every((f) => f === (0xa5a5a5a5 | 0)),
    "nothing beyond the burst is touched",
  );
});
