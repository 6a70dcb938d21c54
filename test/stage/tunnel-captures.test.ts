// Geneve and VXLAN captures by others under a matching rule: what is inside comes out as scapy extracts it, or drops for the
// reason that scapy's fields give. And samples of them cut at every byte, and with every byte changed.

import { basename } from "node:path";
import t from "tap";
import { Fate } from "../../src/reason.js";
import { Next } from "../../src/table/rule.js";
import { captures, noScapy, python } from "../port/rig.js";
import { geneveEncap, hex, OUTER4, OUTER6, vxlanEncap } from "./tunnel-frames.js";
import { TunnelRig } from "./tunnel-rig.js";

const chosen = captures.filter((path) => /geneve|vxlan/i.test(basename(path)));
const skip = chosen.length === 0 ? "needs ../shared/captures" : noScapy;

interface Seen {
  readonly frame: string;
  readonly tunnel: "geneve" | "vxlan" | "none";
  readonly checksum: boolean;
  /** Of Geneve; of VXLAN whether the I flag is there. */
  readonly version: number;
  readonly control: boolean;
  readonly critical: boolean;
  readonly valid: boolean;
  readonly type: number;
  readonly tagged: boolean;
  /** What the UDP datagram has behind the tunnel header. */
  readonly inner: string;
  readonly ecn: number;
}

const READ = `
import json, sys, logging; logging.getLogger('scapy').setLevel(logging.ERROR)
from scapy.all import *; from scapy.contrib.geneve import GENEVE
def right(p):
    u = p[UDP]
    if u.chksum == 0: return p.type == 0x800
    q = p.copy(); del q[UDP].chksum
    return q.__class__(bytes(q))[UDP].chksum == u.chksum
def see(p):
    s = dict(frame=bytes(p).hex(), tunnel='none', checksum=True, version=0, control=False, critical=False, valid=True, type=0x6558, tagged=False, inner='', ecn=0)
    if UDP not in p or p[UDP].dport not in (6081, 4789): return s
    b = bytes(p[UDP].payload)[:p[UDP].len - 8]
    s['checksum'] = right(p)
    s['ecn'] = (p.payload.tos if p.type == 0x800 else p.payload.tc) & 3
    if p[UDP].dport == 6081:
        g = GENEVE(b)
        s.update(tunnel='geneve', version=g.version, control=g.oam == 1, type=g.proto, critical=any(o.type & 0x80 for o in g.options), inner=b[8 + 4 * g.optionlen:].hex())
    else:
        s.update(tunnel='vxlan', valid=b[0] & 8 != 0, inner=b[8:].hex(), tagged=b[20:22] in (b'\\x81\\x00', b'\\x88\\xa8'))
    return s
print(json.dumps([[see(p) for p in rdpcap(path)] for path in sys.argv[1:]]))
`;
const files = skip === false ? (JSON.parse(python(READ, ...chosen)) as Seen[][]) : [];
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));

function expected({ tunnel, checksum, version, control, critical, valid, type, tagged }: Seen): Fate {
  if (tunnel === "none") return Fate.count;
  if (!checksum) return Fate.outerChecksum;
  if (!valid) return Fate.vxlanFlags;
  if (tagged) return Fate.vxlanInnerVlan;
  if (version !== 0) return Fate.geneveVersion;
  if (critical) return Fate.geneveCritical;
  if (control) return Fate.geneveControl;
  return [0x6558, 0x0800, 0x86dd].includes(type) ? Fate.count : Fate.geneveProtocol;
}

chosen.forEach((path, k) => {
  t.test(`${basename(path)}: what is inside, as scapy has it`, { skip }, async (t) => {
    const rig = new TunnelRig();
    rig.add(1, { ingress: { port: 0, vlan: "any" } }, { kind: "geneve-decap" }, Next.none);
    rig.add(2, { ingress: { port: 0, vlan: "any" } }, { kind: "vxlan-decap" }, Next.none);
    const seen = files[k] as Seen[];
    let out = 0;
    seen.forEach((one, i) => {
      t.equal(one.ecn, 0, "nothing to combine");
      const got = rig.receive({ frame: bytesOf(one.frame), port: 0 })[0];
      const fate = expected(one);
      const macs = one.type === 0x6558 ? "" : `${one.frame.slice(0, 24)}${one.type.toString(16).padStart(4, "0")}`;
      t.equal(got?.fate, fate, `frame ${i + 1}`);
      t.equal(hex(got?.frame), fate === Fate.count && one.tunnel !== "none" ? macs + one.inner : one.frame, `frame ${i + 1}`);
      if (fate === Fate.count && one.tunnel !== "none") out++;
    });
    const sum = [1n, 2n].map((id) => rig.table.get(id)?.counters);
    t.equal((sum[0]?.outPackets ?? 0) + (sum[1]?.outPackets ?? 0), out);
    t.equal((sum[0]?.inPackets ?? 0) + (sum[1]?.inPackets ?? 0), seen.filter(({ tunnel }) => tunnel !== "none").length);
  });
});

/** Both decapsulations, rules that look inside, and encapsulations for what is left. */
function rigOf(fill: number): TunnelRig {
  const rig = new TunnelRig();
  rig.fill = fill;
  const ingress = { port: 0, vlan: "any" as const };
  rig.add(1, { ingress }, { kind: "geneve-decap" }, Next.recirculate);
  rig.add(2, { ingress }, { kind: "vxlan-decap" }, Next.recirculate);
  const inner = { ipv6: false, destination: { address: new Uint8Array(4), length: 1 } };
  rig.add(3, { ingress, header: { kind: "geneve", vni: 10, protocol: 0x6558, ip: inner } }, { kind: "geneve-decap" }, Next.none);
  rig.add(4, { ingress, header: { kind: "vxlan", vni: 0, ip: inner } }, { kind: "vxlan-decap" }, Next.none);
  rig.add(5, { ingress, ip: { ipv6: false } }, geneveEncap({ outer: OUTER6, protocol: 0x0800 }), Next.none);
  rig.add(6, { ingress }, vxlanEncap(OUTER4), Next.none, { udpChecksum: "full", innerVlan: "keep" });
  return rig;
}

t.test(
  "cut at every byte, and every byte changed: as if nothing stood behind the frame, and the counters add up",
  { skip },
  async (t) => {
    const samples = files.flatMap((seen) =>
      seen.filter(({ tunnel, frame }) => tunnel !== "none" && frame.length < 700).slice(0, 2),
    );
    t.ok(samples.length > 10);
    const rigs = [rigOf(0xa5), rigOf(0x5a)] as const;
    let packets = 0;
    const differ: string[] = [];
    const fates = new Map<Fate, number>();
    const meet = (frame: Uint8Array) => {
      const [a, b] = rigs.map((rig) => rig.receive({ frame, port: 0 })[0]);
      packets++;
      fates.set(a?.fate as Fate, (fates.get(a?.fate as Fate) ?? 0) + 1);
      // The identification of fragmentable packets counts in both alike.
      if (a?.fate !== b?.fate || hex(a?.frame) !== hex(b?.frame)) differ.push(hex(frame));
    };
    for (const { frame } of samples) {
      const whole = bytesOf(frame);
      for (let length = 0; length <= whole.length; length++) meet(whole.slice(0, length));
      for (let at = 0; at < whole.length; at++) {
        const old = whole[at] as number;
        for (const value of at < 70
          ? [0, 0xff, old ^ 1, old ^ 2, old ^ 4, old ^ 8, old ^ 16, old ^ 32, old ^ 64, old ^ 128]
          : [0, 0xff, old ^ 1]) {
          whole[at] = value;
          meet(whole);
        }
        whole[at] = old;
      }
    }
    t.same(differ.slice(0, 3), []);
    for (const rig of rigs) {
      for (const { counters } of rig.table.list()) {
        t.equal(counters.inPackets, counters.outPackets + counters.inDrops);
        t.ok(counters.inPackets > 0, "each had its share");
      }
    }
    for (const fate of [
      Fate.count,
      Fate.outerChecksum,
      Fate.tunnelMalformed,
      Fate.geneveVersion,
      Fate.geneveOptions,
      Fate.vxlanFlags,
    ]) {
      t.ok((fates.get(fate) ?? 0) > 0, `fate ${fate}: ${fates.get(fate)}`);
    }
    t.comment(`${packets} packets of ${samples.length} frames`);
  },
);
