// Parse: what is in the frame, and does it have a flow that a session may hold (datapath.md "Session stage", Hits)?
//
// A flow: at most one VLAN tag, IPv4 without options or IPv6 with TCP or UDP as its first next header, no fragment,
// lengths that agree. Everything else gets the fate that says why not, and takes the miss path untouched: a device that
// cannot parse must not drop. Header checksums are not verified. Frames from a host port are not parsed: they leave by
// their uplink; frames that a named port receives are dropped.
//
// Lengths are checked once, from the outside in; after that, reads are unchecked. What is read must be there (`end`); what
// headers say of lengths must agree with the frame as it was on the wire (`wireEnd`), which differs for the records of a
// truncated capture: one that holds the headers is served as the whole frame was.

import { type Burst, Kind } from "../memory/burst.js";
import { SLOT } from "../memory/frames.js";
import { Fate } from "../reason.js";
import { flowWord } from "../table/flow.js";
import { be16 } from "../wire/bytes.js";
import { Esp, hasSpi } from "../wire/esp.js";
import { Ethernet, EtherType, Vlan } from "../wire/ethernet.js";
import { Geneve } from "../wire/geneve.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { Tcp, TcpFlag } from "../wire/tcp.js";
import { Udp } from "../wire/udp.js";
import { Vxlan } from "../wire/vxlan.js";
import { Role, type Topology } from "./topology.js";

/**
 * Sets kind, fate and egress of every frame; flow, l3 and l4 of those with Kind.flow.
 * @param undecided whether every frame is to be looked at; else those with a fate (not Fate.count) are left as they are
 */
export function parse(burst: Burst, topology: Topology, undecided = true): void {
  const { n, port, kind, fate, egress } = burst;
  for (let i = 0; i < n; i++) {
    kind[i] = 0;
    if (!undecided && fate[i] !== Fate.count) continue;
    const p = port[i];
    const role = topology.role[p];
    egress[i] = topology.miss[p];
    fate[i] =
      role === Role.uplink ? parseFrame(burst, i, topology.lif[p]) : role === Role.host ? Fate.fromHost : Fate.collectorRx;
  }
}

function parseFrame(burst: Burst, i: number, lif: number): Fate {
  const bytes = burst.frames.bytes;
  const start = burst.offset[i];
  const end = start + burst.length[i];
  const wireEnd = start + burst.wire[i];
  let at = start + Ethernet.length;
  if (at > end) return Fate.malformed;
  let type = be16(bytes, start + Ethernet.type);
  let vlan = 0;
  if (type === EtherType.vlan || type === EtherType.qinq) {
    at += Vlan.length;
    if (at > end) return Fate.malformed;
    vlan = be16(bytes, at - Vlan.length) & Vlan.idMask;
    type = be16(bytes, at - 2);
    if (type === EtherType.vlan || type === EtherType.qinq) return Fate.doubleTagged;
  }
  if (type === EtherType.ipv4) return parseIpv4(burst, i, at, end, wireEnd, lif, vlan);
  if (type === EtherType.ipv6) return parseIpv6(burst, i, at, end, wireEnd, lif, vlan);
  return Fate.notIp;
}

function parseIpv4(burst: Burst, i: number, l3: number, end: number, wireEnd: number, lif: number, vlan: number): Fate {
  const bytes = burst.frames.bytes;
  if (l3 + Ipv4.length > end) return Fate.malformed;
  const l4 = l3 + Ipv4.length;
  const l4End = l3 + be16(bytes, l3 + Ipv4.totalLength);
  if (l4End > wireEnd || l4End < l4) return Fate.malformed;
  const versionIhl = bytes[l3];
  if (versionIhl !== Ipv4.plain) {
    const header = (versionIhl & Ipv4.ihlMask) << 2;
    return versionIhl >>> 4 === 4 && header > Ipv4.length && l3 + header <= l4End ? Fate.ipOptions : Fate.malformed;
  }
  if ((be16(bytes, l3 + Ipv4.flagsFragment) & Ipv4.fragmentMask) !== 0) return Fate.fragment;
  return parseTransport(burst, i, Kind.ipv4, bytes[l3 + Ipv4.protocol], l3, l4, l4End, end, lif, vlan);
}

function parseIpv6(burst: Burst, i: number, l3: number, end: number, wireEnd: number, lif: number, vlan: number): Fate {
  const bytes = burst.frames.bytes;
  const l4 = l3 + Ipv6.length;
  if (l4 > end || bytes[l3] >>> 4 !== 6) return Fate.malformed;
  const l4End = l4 + be16(bytes, l3 + Ipv6.payloadLength);
  if (l4End > wireEnd) return Fate.malformed;
  return parseTransport(burst, i, Kind.ipv6, bytes[l3 + Ipv6.nextHeader], l3, l4, l4End, end, lif, vlan);
}

function parseTransport(
  burst: Burst,
  i: number,
  version: Kind.ipv4 | Kind.ipv6,
  protocol: number,
  l3: number,
  l4: number,
  l4End: number,
  end: number,
  lif: number,
  vlan: number,
): Fate {
  const bytes = burst.frames.bytes;
  let kind = version | Kind.flow;
  if (protocol === Protocol.tcp) {
    if (l4 + Tcp.length > l4End || l4 + Tcp.length > end) return Fate.malformed;
    const header = (bytes[l4 + Tcp.dataOffset] >>> 4) << 2;
    if (header < Tcp.length || l4 + header > l4End) return Fate.malformed;
    kind |= (bytes[l4 + Tcp.flags] & TcpFlag.control) !== 0 ? Kind.tcp | Kind.control : Kind.tcp;
  } else if (protocol === Protocol.udp) {
    if (l4 + Udp.length > l4End || l4 + Udp.length > end) return Fate.malformed;
    const length = be16(bytes, l4 + Udp.totalLength);
    if (length < Udp.length || l4 + length > l4End) return Fate.malformed;
    kind |= Kind.udp;
  } else {
    return protocol === Protocol.esp ? Fate.noRuleEsp : version === Kind.ipv6 ? otherThanTransport(protocol) : Fate.notTcpUdp;
  }
  burst.kind[i] = kind;
  const aligned = (l3 & 2) === 0 ? l3 : alignedCopy(burst, i, l3, l4 - l3);
  burst.l3[i] = aligned;
  burst.l4[i] = aligned + l4 - l3;
  burst.flow[i] = flowWord(lif, vlan, version === Kind.ipv6, protocol === Protocol.udp);
  return protocol === Protocol.udp ? udpMiss(bytes, l4, l4End) : Fate.noSession;
}

/** What a UDP datagram is called that no session has: tunnels that no rule is for are counted by kind. */
function udpMiss(bytes: Uint8Array, l4: number, l4End: number): Fate {
  const port = be16(bytes, l4 + Udp.destinationPort);
  if (port === Geneve.port) return Fate.noRuleGeneve;
  if (port === Vxlan.port) return Fate.noRuleVxlan;
  const payload = l4 + Udp.length;
  return port === Esp.port && payload + Esp.length <= l4End && hasSpi(bytes, payload) ? Fate.noRuleEsp : Fate.noSession;
}

/**
 * The session table reads keys in whole words, which stand 2 beside one in a frame that came out of a tunnel. Copies the IP
 * header and the 20 bytes behind it to the start of the slot. @returns where the IP header is then
 */
function alignedCopy(burst: Burst, i: number, l3: number, header: number): number {
  const { halves } = burst.frames;
  const copy = i * SLOT;
  const from = l3 >> 1;
  const to = copy >> 1;
  const n = (header + Tcp.length) >> 1;
  for (let h = 0; h < n; h++) halves[to + h] = halves[from + h];
  return copy;
}

/** An IPv6 next header that is neither TCP nor UDP: a fragment, an extension header (IANA's list), or another protocol. */
function otherThanTransport(next: number): Fate {
  switch (next) {
    case Protocol.fragment:
      return Fate.fragment;
    case Protocol.hopByHop:
    case Protocol.routing:
    case Protocol.ah:
    case Protocol.destinationOptions:
    case Protocol.mobility:
    case Protocol.hip:
    case Protocol.shim6:
      return Fate.extensionHeader;
    default:
      return Fate.notTcpUdp;
  }
}
