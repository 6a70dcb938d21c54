// Geneve and VXLAN decapsulation (RFC 8926 section 3, RFC 7348 section 5). A rule has matched the outer fields and the
// port: from here on, what is wrong drops under that rule.
//
// Not here: reassembly (tunnel/reassembly.ts: what is a fragment here could not be made whole), and option contents: we know no option, so a critical one drops.

import type { Burst } from "../memory/burst.js";
import type { Frames } from "../memory/frames.js";
import { Fate } from "../reason.js";
import type { RuleLookup } from "../table/rule-lookup.js";
import { Base, Header, Rule, Settings } from "../table/rule-memory.js";
import { be16 } from "../wire/bytes.js";
import { finish, pseudo4, pseudo6, sum, swap16 } from "../wire/checksum.js";
import { Ethernet, EtherType, isTag } from "../wire/ethernet.js";
import { Geneve, GeneveOptionField } from "../wire/geneve.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Udp } from "../wire/udp.js";
import { Vxlan } from "../wire/vxlan.js";
import { decapsulatedEcn, ECN_DROP } from "./ecn.js";
import type { Headers } from "./headers.js";

export class Decapsulation {
  constructor(readonly rules: RuleLookup) {}

  /** @returns Fate.count when it is done, Fate.geneveControl for the application, or why the packet is dropped */
  apply(burst: Burst, i: number, headers: Headers, slot: number, vxlan: boolean): Fate {
    const { bytes, halves } = burst.frames;
    const { base, version, transport: udp, ipEnd } = headers;
    const settings = this.rules.records[slot * Rule.size + Rule.settings];
    if (headers.fragment) return Fate.tunnelFragment;
    if (headers.header === Header.cut) return Fate.tunnelMalformed;
    const udpLength = be16(bytes, udp + Udp.totalLength);
    const end = udp + udpLength;
    const header = base[Base.header];
    if (end > ipEnd || header + Geneve.length > end) return Fate.tunnelMalformed;
    const bad = badChecksum(burst, headers, udpLength, settings);
    if (bad !== Fate.count) return bad;

    let inner = header + Geneve.length;
    let type: number = Geneve.ethernet;
    if (vxlan) {
      if ((bytes[header + Vxlan.flags] & Vxlan.valid) === 0) return Fate.vxlanFlags;
      // Whole or cut short.
      const tagged = headers.innerTags > 0 || isTag(headers.innerType);
      if (tagged && (settings & Settings.keepVlan) === 0) return Fate.vxlanInnerVlan;
    } else {
      if (bytes[header + Geneve.versionOptions] >>> Geneve.versionShift !== 0) return Fate.geneveVersion;
      inner += (bytes[header + Geneve.versionOptions] & Geneve.optionsMask) << 2;
      if (inner > end) return Fate.tunnelMalformed;
      const options = badOptions(bytes, header + Geneve.length, inner);
      if (options !== Fate.count) return options;
      if ((bytes[header + Geneve.flags] & Geneve.control) !== 0) return Fate.geneveControl;
      type = be16(bytes, header + Geneve.protocol);
    }

    const before = burst.length[i];
    let start = inner;
    let ip = base[Base.innerIp];
    if (type === Geneve.ethernet) {
      if (inner + Ethernet.length > end) return Fate.tunnelMalformed;
    } else if (type === EtherType.ipv4 || type === EtherType.ipv6) {
      ip = inner;
      start = inner - Ethernet.length;
    } else {
      return Fate.geneveProtocol;
    }
    if (headers.innerVersion === 4 || headers.innerVersion === 6) {
      const ecn = combineEcn(burst, headers.innerVersion, ip, headers.tos & 3);
      if (ecn !== Fate.count) return ecn;
    }
    if (start !== inner) {
      const from = base[Base.ethernet] >> 1;
      for (let h = 0; h < 6; h++) halves[(start >> 1) + h] = halves[from + h];
      halves[(start + Ethernet.type) >> 1] = swap16(type);
    }
    burst.offset[i] = start;
    burst.length[i] = end - start;
    burst.wire[i] += end - start - before;
    return version === 0 ? Fate.tunnelMalformed : Fate.count;
  }
}

/** The outer IPv4 header (RFC 1122 section 3.2.1.2) and the UDP checksum (RFC 8926 section 4.3, RFC 7348 section 5). */
function badChecksum(burst: Burst, { base, version, transport: udp }: Headers, udpLength: number, settings: number): Fate {
  const { frames } = burst;
  const ip = base[Base.ip];
  if (version === 4 && finish(headerSum(frames, ip, udp - ip)) !== 0) {
    return Fate.outerChecksum;
  }
  if (frames.halves[(udp + Udp.checksum) >> 1] === 0) {
    return version === 4 || (settings & Settings.zeroChecksum) !== 0 ? Fate.count : Fate.outerChecksum;
  }
  const pseudo = version === 4 ? pseudo4 : pseudo6;
  return finish(pseudo(frames, ip, Protocol.udp, udpLength) + sum(frames, udp, udpLength)) === 0
    ? Fate.count
    : Fate.outerChecksum;
}

/** RFC 8926 section 3.5: whatever the C bit says, the lengths must add up, and no unknown option may be critical. */
function badOptions(bytes: Uint8Array, from: number, to: number): Fate {
  let at = from;
  while (at < to) {
    if (at + GeneveOptionField.length > to) return Fate.geneveOptions;
    if ((bytes[at + GeneveOptionField.type] & GeneveOptionField.critical) !== 0) return Fate.geneveCritical;
    at += GeneveOptionField.length + ((bytes[at + GeneveOptionField.words] & GeneveOptionField.wordsMask) << 2);
  }
  return at === to ? Fate.count : Fate.geneveOptions;
}

/** RFC 6040 section 4.2, with the inner IPv4 checksum kept right (RFC 1624). */
export function combineEcn(burst: Burst, version: number, ip: number, outer: number): Fate {
  const { bytes, halves } = burst.frames;
  const at = version === 4 ? ip + Ipv4.tos : ip + 1;
  const shift = version === 4 ? 0 : 4;
  const inner = (bytes[at] >>> shift) & 3;
  const ecn = decapsulatedEcn(inner, outer);
  if (ecn === inner) return Fate.count;
  if (ecn === ECN_DROP) return Fate.ecnDrop;
  if (version === 4) {
    const half = ip >> 1;
    const old = halves[half];
    bytes[at] = (bytes[at] & ~3) | ecn;
    const checksum = (ip + Ipv4.checksum) >> 1;
    halves[checksum] = finish((~halves[checksum] & 0xffff) + (~old & 0xffff) + halves[half]);
  } else {
    bytes[at] = (bytes[at] & ~(3 << shift)) | (ecn << shift);
  }
  return Fate.count;
}

/** Sum of an IPv4 header. */
export function headerSum(frames: Frames, ip: number, length: number): number {
  return length === Ipv4.length ? plainSum(frames.halves, ip >> 1) : sum(frames, ip, length);
}

/** Sum of an IPv4 header without options. @param at in halves */
function plainSum(halves: Uint16Array, at: number): number {
  return (
    halves[at] +
    halves[at + 1] +
    halves[at + 2] +
    halves[at + 3] +
    halves[at + 4] +
    halves[at + 5] +
    halves[at + 6] +
    halves[at + 7] +
    halves[at + 8] +
    halves[at + 9]
  );
}
