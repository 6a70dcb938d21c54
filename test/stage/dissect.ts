// What scapy says of frames: the facts that the tests of fragments and ICMP compare.

import { spawnSync } from "node:child_process";

export interface Facts {
  readonly source: string;
  readonly destination: string;
  readonly vlans: readonly number[];
  readonly version: number;
  /** Of the outermost IP packet. */
  readonly length: number;
  readonly ipSource: string;
  readonly ipDestination: string;
  /** Every checksum is as scapy computes it. */
  readonly sound: boolean;
  /** Bytes behind the frame's IP packet. */
  readonly trailer: number;
  readonly fragment?: { readonly id: number; readonly offset: number; readonly more: number; readonly df: number };
  readonly icmp?: { readonly type: number; readonly code: number; readonly mtu: number; readonly quote: string };
}

const SCRIPT = `
import json, sys, logging; logging.getLogger('scapy').setLevel(logging.ERROR)
from scapy.all import *; from scapy.contrib.geneve import GENEVE
def sound(p, layer):
    q = p.copy()
    for l in ('IP', 'ICMP', 'ICMPv6PacketTooBig', 'UDP'):
        if l in q:
            f = 'cksum' if l.startswith('ICMPv6') else 'chksum'
            if l == 'UDP' and q[l].chksum == 0: break
            if f in q[l].fields: delattr(q[l], f)
        if l == layer: break
    return bytes(q) == bytes(p)
def facts(h):
    raw = bytes.fromhex(h); p = Ether(raw); out = dict(source=p.src, destination=p.dst, vlans=[]); at = 14; l = p
    while l.type in (0x8100, 0x88a8): l = l.payload; out['vlans'].append(l.vlan); at += 4
    ip = l.payload; v6 = l.type == 0x86dd
    out.update(version=6 if v6 else 4, length=ip.plen + 40 if v6 else ip.len, ipSource=ip.src, ipDestination=ip.dst)
    out['trailer'] = len(raw) - at - out['length']
    if not v6 and (ip.flags.MF or ip.frag): out.update(fragment=dict(id=ip.id, offset=ip.frag * 8, more=int(ip.flags.MF), df=int(ip.flags.DF)), sound=sound(p, 'IP'))
    elif v6 and ip.nh == 44:
        f = ip[IPv6ExtHdrFragment]; out.update(fragment=dict(id=f.id, offset=f.offset * 8, more=f.m, df=0), sound=f.res1 == 0 and f.res2 == 0)
    elif not v6 and ip.proto == 1:
        m = ip[ICMP]; out.update(icmp=dict(type=m.type, code=m.code, mtu=m.nexthopmtu, quote=raw[at + 28:].hex()), sound=sound(p, 'ICMP'))
    elif v6 and ip.nh == 58:
        m = ip[ICMPv6PacketTooBig]; out.update(icmp=dict(type=m.type, code=m.code, mtu=m.mtu, quote=raw[at + 48:].hex()), sound=sound(p, 'ICMPv6PacketTooBig'))
    else: out['sound'] = sound(p, 'UDP')
    return out
def carried(hs):
    ps = [Ether(bytes.fromhex(h)) for h in hs]
    if IPv6 in ps[0] and IPv6ExtHdrFragment in ps[0]: p = Ether() / defragment6([p[IPv6] for p in ps])
    elif len(ps) > 1:
        done = defragment(PacketList(ps)); assert len(done) == 1, done; p = done[0]
    else: p = ps[0]
    p = Ether(bytes(p))
    assert sound(p, 'UDP')
    t = p.getlayer(GENEVE) or p.getlayer(VXLAN)
    return bytes(t.payload).hex()
def carried_or_why(hs):
    try: return carried(hs)
    except Exception as e: return 'scapy: ' + repr(e)
asked = json.load(sys.stdin)
print(json.dumps(dict(facts=[facts(h) for h in asked['facts']], carried=[carried_or_why(hs) for hs in asked['carried']])))
`;

const hex = (frame: Uint8Array) => Buffer.from(frame).toString("hex");

/**
 * @param frames of which facts are wanted
 * @param packets fragments of one tunnel packet each, or the packet alone, of which the frame carried is wanted (hexadecimal)
 */
export function dissect(
  frames: readonly Uint8Array[],
  packets: readonly (readonly Uint8Array[])[] = [],
): { readonly facts: readonly Facts[]; readonly carried: readonly string[] } {
  const input = JSON.stringify({ facts: frames.map(hex), carried: packets.map((packet) => packet.map(hex)) });
  const done = spawnSync("/usr/bin/python3", ["-c", SCRIPT], { input, encoding: "utf8", maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(done.stderr);
  return JSON.parse(done.stdout) as ReturnType<typeof dissect>;
}
