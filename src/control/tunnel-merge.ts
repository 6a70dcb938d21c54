// _UPDATE: what is present replaces what the tunnel has, field by field, and the rest stays (api.md 12). A field at its zero
// value is not present, so an update cannot set one; an address brings its prefix along; options are replaced as a whole.
// The SAs of a merged IPSecDec are the changes to those that the tunnel has (tunnel-ipsec.ts).

import type { VxlanEncap } from "./gen/sluice_tunnel.js";
import type {
  GeneveEncap,
  IPSecSAParams,
  IPSecTunnel,
  IPV4Match,
  IPV6Match,
  MacPair,
  MatchCriteria,
  MatchCriteria_GeneveMatch,
  MatchCriteria_VXLanMatch,
} from "./gen/tunneloffload.js";
import type { IpMatchField, OuterPair } from "./tunnel-address.js";
import { fromPair, type TunnelIps, toPair } from "./tunnel-ipsec.js";
import type { TunnelRequest } from "./tunnel-rule.js";

export function merge(old: TunnelRequest, update: TunnelRequest): TunnelRequest {
  return {
    tunnelId: old.tunnelId,
    operation: update.operation,
    matchCriteria: both(old.matchCriteria, update.matchCriteria, criteria),
    nextAction: update.nextAction || old.nextAction,
    tunnel: both(old.tunnel, update.tunnel, tunnel),
  };
}

/** The one that is there, or the two merged. */
function both<T>(old: T | undefined, update: T | undefined, merged: (old: T, update: T) => T): T | undefined {
  return old === undefined ? update : update === undefined ? old : merged(old, update);
}

function criteria(old: MatchCriteria, update: MatchCriteria): MatchCriteria {
  return {
    ingressInterface: update.ingressInterface || old.ingressInterface,
    macMatch: both(old.macMatch, update.macMatch, macs),
    ipMatch: both(old.ipMatch, update.ipMatch, ipMatch),
    tunnelId: update.tunnelId || old.tunnelId,
    match: both(old.match, update.match, header),
  };
}

type HeaderField = NonNullable<MatchCriteria["match"]>;

function header(old: HeaderField, update: HeaderField): HeaderField {
  if (old.$case === "ipsecMatch" && update.$case === "ipsecMatch") {
    const { spi, sn } = update.value;
    return { $case: "ipsecMatch", value: { spi: spi || old.value.spi, sn: sn || old.value.sn } };
  }
  if (old.$case === "vxlanMatch" && update.$case === "vxlanMatch") {
    return { $case: "vxlanMatch", value: inside(old.value, update.value) };
  }
  if (old.$case === "geneveMatch" && update.$case === "geneveMatch") {
    const protocolType = update.value.protocolType || old.value.protocolType;
    return { $case: "geneveMatch", value: { ...inside(old.value, update.value), protocolType } };
  }
  return update;
}

type Inside = MatchCriteria_VXLanMatch | MatchCriteria_GeneveMatch;

function inside(old: Inside, update: Inside): MatchCriteria_VXLanMatch {
  return {
    vni: update.vni || old.vni,
    macMatch: both(old.macMatch, update.macMatch, macs),
    ipMatch: both(old.ipMatch, update.ipMatch, ipMatch),
  };
}

function macs(old: MacPair, update: MacPair): MacPair {
  return {
    destinationMac: given(old.destinationMac, update.destinationMac),
    sourceMac: given(old.sourceMac, update.sourceMac),
  };
}

function given(old: Buffer, update: Buffer): Buffer {
  return update.length > 0 ? update : old;
}

function ipMatch(old: IpMatchField, update: IpMatchField): IpMatchField {
  if (old.$case === "ipv4Match" && update.$case === "ipv4Match") {
    return { $case: "ipv4Match", value: prefixes(old.value, update.value, (ip) => ip !== 0) };
  }
  if (old.$case === "ipv6Match" && update.$case === "ipv6Match") {
    return { $case: "ipv6Match", value: prefixes(old.value, update.value, (ip) => ip.length > 0) };
  }
  return update;
}

function prefixes<T extends IPV4Match | IPV6Match>(old: T, update: T, present: (ip: T["sourceIp"]) => boolean): T {
  const source = present(update.sourceIp) ? update : { ...old, sourceIpPrefix: update.sourceIpPrefix || old.sourceIpPrefix };
  const destination = present(update.destinationIp)
    ? update
    : { ...old, destinationIpPrefix: update.destinationIpPrefix || old.destinationIpPrefix };
  return {
    ...old,
    sourceIp: source.sourceIp,
    sourceIpPrefix: source.sourceIpPrefix,
    destinationIp: destination.destinationIp,
    destinationIpPrefix: destination.destinationIpPrefix,
  };
}

type TunnelField = NonNullable<TunnelRequest["tunnel"]>;

function tunnel(old: TunnelField, update: TunnelField): TunnelField {
  if (old.$case === "vxlanEncap" && update.$case === "vxlanEncap") {
    return { $case: "vxlanEncap", value: vxlanEncap(old.value, update.value) };
  }
  if (old.$case === "ipsecTunnel" && update.$case === "ipsecTunnel") {
    return { $case: "ipsecTunnel", value: { ipsec: both(old.value.ipsec, update.value.ipsec, ipsec) } };
  }
  if (old.$case !== "geneve" || update.$case !== "geneve") return update;
  const [before, now] = [old.value.encapDecap, update.value.encapDecap];
  if (now === undefined) return old;
  if (before?.$case !== "geneveEncap" || now.$case !== "geneveEncap") return update;
  return { $case: "geneve", value: { encapDecap: { $case: "geneveEncap", value: geneveEncap(before.value, now.value) } } };
}

type Ipsec = NonNullable<IPSecTunnel["ipsec"]>;

function ipsec(old: Ipsec, update: Ipsec): Ipsec {
  const common = {
    tunnelType: update.value.tunnelType || old.value.tunnelType,
    encryptionType: update.value.encryptionType || old.value.encryptionType,
  };
  if (old.$case === "ipsecEnc" && update.$case === "ipsecEnc") {
    const ipsecSa = both(old.value.ipsecSa, update.value.ipsecSa, sa);
    const tunnelIps = both(old.value.tunnelIps, update.value.tunnelIps, ends);
    return { $case: "ipsecEnc", value: { ...common, ipsecSa, tunnelIps } };
  }
  if (old.$case === "ipsecDec" && update.$case === "ipsecDec") {
    return { $case: "ipsecDec", value: { ...common, ipsecSas: update.value.ipsecSas } };
  }
  return update;
}

function sa(old: IPSecSAParams, update: IPSecSAParams): IPSecSAParams {
  return { ...update, spi: update.spi || old.spi };
}

function ends(old: TunnelIps, update: TunnelIps): TunnelIps {
  return fromPair(outer(toPair(old), toPair(update)));
}

function vxlanEncap(old: VxlanEncap, update: VxlanEncap): VxlanEncap {
  return {
    ip: both(old.ip, update.ip, outer),
    innerMacPair: both(old.innerMacPair, update.innerMacPair, macs),
    vni: update.vni || old.vni,
  };
}

function geneveEncap(old: GeneveEncap, update: GeneveEncap): GeneveEncap {
  return {
    ip: both(old.ip, update.ip, outer),
    innerMacPair: both(old.innerMacPair, update.innerMacPair, macs),
    controlPacket: update.controlPacket || old.controlPacket,
    vni: update.vni || old.vni,
    protocolType: update.protocolType || old.protocolType,
    geneveOption: update.geneveOption.length > 0 ? update.geneveOption : old.geneveOption,
    // These two follow from the options: only what the client says now can be wrong.
    optionLength: update.optionLength,
    criticalOptionPresent: update.criticalOptionPresent,
  };
}

function outer(old: OuterPair, update: OuterPair): OuterPair {
  if (old.$case === "outerIpv4Pair" && update.$case === "outerIpv4Pair") {
    const { sourceIp, destinationIp } = update.value;
    return {
      $case: "outerIpv4Pair",
      value: { sourceIp: sourceIp || old.value.sourceIp, destinationIp: destinationIp || old.value.destinationIp },
    };
  }
  if (old.$case === "outerIpv6Pair" && update.$case === "outerIpv6Pair") {
    const value = {
      sourceIp: given(old.value.sourceIp, update.value.sourceIp),
      destinationIp: given(old.value.destinationIp, update.value.destinationIp),
    };
    return { $case: "outerIpv6Pair", value };
  }
  return update;
}
