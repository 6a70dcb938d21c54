// ESP captures by others under rules for their SPIs with keys of nobody's (none are known for them): tshark says what is ESP, IKE or
// a keepalive, and nothing authenticates. And samples of them, and of what opens, cut at every byte and with bytes changed.

import { basename } from "node:path";
import t from "tap";
import { Fate } from "../../src/reason.js";
import { Next, type RuleMatch } from "../../src/table/rule.js";
import { EspMode } from "../../src/table/sa.js";
import { captures, noScapy, python } from "../port/rig.js";
import { dec, enc, frames, SUITES, total } from "./esp-rig.js";
import { ETHER, geneveEncap, hex, IP4, IP6, OUTER6, UDP4, UDP6 } from "./tunnel-frames.js";
import { TunnelRig } from "./tunnel-rig.js";
import { noTshark, tshark } from "./verdict.js";

const chosen = captures.filter((path) => /esp|ipsec|isakmp4500/i.test(basename(path)));
const skip = chosen.length === 0 ? "needs ../shared/captures" : noScapy || noTshark;
const READ = `
import json, sys, logging; logging.getLogger('scapy').setLevel(logging.ERROR)
from scapy.all import *
print(json.dumps([[bytes(p).hex() for p in rdpcap(path)] for path in sys.argv[1:]]))
`;
const files =
  skip === false
    ? (JSON.parse(python(READ, ...chosen)) as string[][]).map((all) =>
        all.map((text) => Uint8Array.from(Buffer.from(text, "hex"))),
      )
    : [];
const ANY: RuleMatch = { ingress: { port: 0, vlan: "any" } };

chosen.forEach((path, k) => {
  t.test(`${basename(path)}: as tshark has it`, { skip }, async (t) => {
    const all = files[k] as Uint8Array[];
    const seen = tshark(all, "esp.spi", "udp.port", "udpencap.nat_keepalive", "ah.spi").map(([spi = "", ports, alive, ah]) => ({
      // Behind an authentication header it is not ours (RFC 4302 is out of scope).
      spi: ah === "" ? Number(spi) : 0,
      udp: ports !== "",
      alive: alive !== "",
    }));
    const spis = [...new Set(seen.flatMap(({ spi }) => (spi === 0 ? [] : [spi])))];
    t.comment(`${all.length} frames, ${spis.length} SPIs`);
    for (const mode of [EspMode.transport, EspMode.tunnel, EspMode.transportNatt, EspMode.tunnelNatt]) {
      const natt = mode === EspMode.transportNatt || mode === EspMode.tunnelNatt;
      for (const suite of SUITES) {
        const rig = new TunnelRig();
        rig.add(1, ANY, dec(mode, suite, ...(spis.length === 0 ? [0x999] : spis)));
        let ours = 0;
        const wrong = all.flatMap((frame, i) => {
          const { spi, udp, alive } = seen[i] as (typeof seen)[number];
          const out = rig.receive({ frame, port: 0 })[0];
          const esp = spi !== 0 && udp === natt;
          if (esp || (alive && natt)) ours++;
          const fine = esp
            ? out?.fate === Fate.espAuthentication || out?.fate === Fate.espMalformed
            : out?.fate === (alive && natt ? Fate.espKeepalive : Fate.count) && hex(out?.frame) === hex(frame);
          return fine ? [] : [`frame ${i + 1}: ${out?.fate}`];
        });
        t.same(wrong, [], `mode ${mode}, suite ${suite}`);
        const counters = rig.table.get(1n)?.counters;
        t.match([counters?.inPackets, total(rig, 1).accepted, counters?.outPackets], [ours, 0, 0]);
      }
    }
  });
});

const made = frames({
  four: `${ETHER}/${IP4}/esp(${UDP4})`,
  six: `${ETHER}/Dot1Q(vlan=5)/${IP6}/esp(${UDP6},nh=41)`,
  natt: `${ETHER}/into_udp(${IP4}/esp(${UDP4},spi=0x101))`,
  "natt six": `${ETHER}/into_udp(${IP6}/esp(${UDP4},spi=0x101))`,
  headers: `${ETHER}/${IP6}/IPv6ExtHdrHopByHop()/IPv6ExtHdrRouting(addresses=['2001:db8::9'])/esp(${UDP4},spi=0x102,nh=17)`,
  options: `${ETHER}/${IP4.replace(")", ",options=[IPOption_RR()])")}/esp(bytes(${UDP4})[20:],spi=0x102,nh=17)`,
  keepalive: `${ETHER}/${IP4}/UDP(sport=4500,dport=4500)/Raw(b'\\xff')`,
  plain: `${ETHER}/Dot1Q(vlan=5)/${UDP4}`,
  "plain six": `${ETHER}/${IP6}/IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])/UDP()/Raw(b'y')`,
});

/** Rules that take whatever there is, in every mode. @param fill what stands in memory around a frame */
function rigOf(fill: number): TunnelRig {
  const rig = new TunnelRig();
  rig.fill = fill;
  // Nothing is refused as a replay: what is changed outside of ESP opens again and again.
  const open = { replayWindow: 0 };
  rig.add(1, ANY, dec(EspMode.tunnel), Next.recirculate, open);
  rig.add(2, ANY, dec(EspMode.tunnelNatt, 8, 0x101), Next.recirculate, open);
  rig.add(3, ANY, dec(EspMode.transport, 8, 0x102), Next.recirculate, open);
  rig.add(4, { ...ANY, ip: { ipv6: true } }, enc(EspMode.transport, 3, 0x103), Next.recirculate);
  rig.add(5, { ...ANY, ip: { ipv6: false } }, enc(EspMode.tunnelNatt, 8, 0x104, OUTER6), Next.none, { df: "set" });
  rig.add(6, { ...ANY, tunnelId: 4n }, geneveEncap(), Next.none, { df: "set" });
  return rig;
}

t.test(
  "cut at every byte, every byte changed: as if nothing stood behind the frame, and the counters add up",
  { skip: made.skip },
  async (t) => {
    const samples = [...made.frames.values(), ...files.flatMap((all) => all.filter(({ length }) => length < 200).slice(0, 2))];
    const rigs = [rigOf(0xa5), rigOf(0x5a)] as const;
    const differ: string[] = [];
    const met = new Map<Fate, number>();
    let packets = 0;
    const meet = (frame: Uint8Array) => {
      const [a, b] = rigs.map((rig) => rig.receive({ frame, port: 0 })[0]);
      packets++;
      met.set(a?.fate as Fate, (met.get(a?.fate as Fate) ?? 0) + 1);
      if (a?.fate !== b?.fate || hex(a?.frame) !== hex(b?.frame)) differ.push(`${hex(frame)}: ${a?.fate} ${b?.fate}`);
    };
    for (const whole of samples) {
      for (let length = 0; length <= whole.length; length++) meet(whole.slice(0, length));
      for (let at = 12; at < Math.min(whole.length, 110); at++) {
        const old = whole[at] as number;
        for (const value of [0, 0xff, old ^ 1, old ^ 2, old ^ 4, old ^ 16, old ^ 64, old ^ 128]) {
          whole[at] = value;
          meet(whole);
        }
        whole[at] = old;
      }
    }
    t.same(differ.slice(0, 3), []);
    for (const rig of rigs) {
      for (const { rule, counters } of rig.table.list()) {
        const { inPackets, outPackets, inDrops } = counters;
        const keepalives = rule.id === 2n ? (met.get(Fate.espKeepalive) ?? 0) : 0;
        t.equal(inPackets, outPackets + inDrops + keepalives, `rule ${rule.id}: ${inPackets} packets`);
        t.ok(outPackets > 0, "each had its share");
      }
    }
    for (const fate of [Fate.espAuthentication, Fate.espMalformed, Fate.outerChecksum, Fate.espFragment, Fate.espKeepalive]) {
      t.ok((met.get(fate) ?? 0) > 0, `fate ${fate}`);
    }
    t.comment(`${packets} packets of ${samples.length} frames: ${[...met].map(([fate, n]) => `${fate}: ${n}`).join(", ")}`);
  },
);
