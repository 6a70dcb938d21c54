// A tunnel as an entry of a program file (program-tunnel.ts reads these): what has its zero value is left out, as it would be
// taken for absent.

import { DontFragment, EcnMode, InnerVlan, type TunnelOptions, UdpChecksum } from "../../control/gen/sluice_tunnel.js";
import {
  Action,
  type GeneveEncap,
  type IPSecTunnel,
  IPSecTunnelType,
  type MacPair,
  type MatchCriteria,
} from "../../control/gen/tunneloffload.js";
import { addressText, type Ipv4Order } from "../../control/translate.js";
import type { IpMatchField, OuterPair } from "../../control/tunnel-address.js";
import { toPair } from "../../control/tunnel-ipsec.js";
import type { TunnelRequest } from "../../control/tunnel-rule.js";
import { macText, outerAddresses, type Prefix, prefixes, suiteText } from "./phrase.js";

type Entry = Record<string, unknown>;

export function toEntry(request: TunnelRequest, order: Ipv4Order, options?: TunnelOptions): Entry {
  return {
    tunnel_id: request.tunnelId,
    match_criteria: request.matchCriteria && matchEntry(request.matchCriteria, order),
    next_action: Action[request.nextAction],
    ...tunnelEntry(request.tunnel, order),
    options: options && optionsEntry(options),
  };
}

function tunnelEntry(tunnel: TunnelRequest["tunnel"], order: Ipv4Order): Entry {
  if (tunnel?.$case === "vxlanDecap") return { vxlan_decap: {} };
  if (tunnel?.$case === "vxlanEncap") {
    const { ip, innerMacPair, vni } = tunnel.value;
    return { vxlan_encap: { ...outerEntry(ip, order), inner_mac_pair: macEntry(innerMacPair), vni } };
  }
  if (tunnel?.$case === "ipsecTunnel") return { ipsec_tunnel: ipsecEntry(tunnel.value, order) };
  if (tunnel?.$case !== "geneve" || tunnel.value.encapDecap === undefined) return {};
  const { encapDecap } = tunnel.value;
  if (encapDecap.$case === "geneveDecap") return { geneve: { geneve_decap: {} } };
  return { geneve: { geneve_encap: geneveEntry(encapDecap.value, order) } };
}

/** Without keys, whatever the device gives. */
function ipsecEntry({ ipsec }: IPSecTunnel, order: Ipv4Order): Entry {
  if (ipsec === undefined) return {};
  const esp = { tunnel_type: IPSecTunnelType[ipsec.value.tunnelType], encryption_type: suiteText(ipsec.value.encryptionType) };
  if (ipsec.$case === "ipsecDec") return { ipsec_dec: { ...esp, ipsec_sas: ipsec.value.ipsecSas.map(({ spi }) => ({ spi })) } };
  const { ipsecSa, tunnelIps } = ipsec.value;
  const { outer_ipv4_pair, outer_ipv6_pair } = outerEntry(tunnelIps && toPair(tunnelIps), order);
  const ips = { ipv4_tunnel: outer_ipv4_pair, ipv6_tunnel: outer_ipv6_pair };
  return { ipsec_enc: { ...esp, ipsec_sa: ipsecSa && { spi: ipsecSa.spi }, ...ips } };
}

function geneveEntry(encap: GeneveEncap, order: Ipv4Order): Entry {
  return {
    ...outerEntry(encap.ip, order),
    inner_mac_pair: macEntry(encap.innerMacPair),
    option_length: encap.optionLength,
    control_packet: encap.controlPacket,
    critical_option_present: encap.criticalOptionPresent,
    vni: encap.vni,
    protocol_type: encap.protocolType,
    geneve_option: encap.geneveOption.map(({ optionClass, type, length, data }) => ({
      option_class: optionClass,
      type,
      length,
      data: data.toString("hex"),
    })),
  };
}

function matchEntry(match: MatchCriteria, order: Ipv4Order): Entry {
  const header = match.match;
  return {
    ingress_interface: match.ingressInterface || undefined,
    mac_match: macEntry(match.macMatch),
    ...ipEntry(match.ipMatch, order),
    tunnel_id: match.tunnelId || undefined,
    ipsec_match: header?.$case === "ipsecMatch" ? given(header.value) : undefined,
    geneve_match:
      header?.$case === "geneveMatch"
        ? { ...insideEntry(header.value, order), ...given({ protocol_type: header.value.protocolType }) }
        : undefined,
    vxlan_match: header?.$case === "vxlanMatch" ? insideEntry(header.value, order) : undefined,
  };
}

interface Inside {
  readonly vni: number;
  readonly macMatch: MacPair | undefined;
  readonly ipMatch: IpMatchField | undefined;
}

function insideEntry({ vni, macMatch, ipMatch }: Inside, order: Ipv4Order): Entry {
  return { ...given({ vni }), mac_match: macEntry(macMatch), ...ipEntry(ipMatch, order) };
}

function ipEntry(field: IpMatchField | undefined, order: Ipv4Order): Entry {
  if (field === undefined) return {};
  const one = ({ address, length }: Prefix, name: string): Entry =>
    length === 0 ? {} : { [`${name}_ip`]: addressText(address), [`${name}_ip_prefix`]: length };
  const [source, destination] = prefixes(field, order);
  const entry = { ...one(source, "source"), ...one(destination, "destination") };
  return field.$case === "ipv4Match" ? { ipv4_match: entry } : { ipv6_match: entry };
}

function outerEntry(ip: OuterPair | undefined, order: Ipv4Order): Entry {
  if (ip === undefined) return {};
  const [source, destination] = outerAddresses(ip, order).map(addressText);
  const pair = { source_ip: source, destination_ip: destination };
  return ip.$case === "outerIpv4Pair" ? { outer_ipv4_pair: pair } : { outer_ipv6_pair: pair };
}

function macEntry(pair: MacPair | undefined): Entry | undefined {
  if (pair === undefined) return undefined;
  const one = (mac: Buffer): string | undefined => (mac.length === 0 ? undefined : macText(mac));
  return { destination_mac: one(pair.destinationMac), source_mac: one(pair.sourceMac) };
}

export function optionsEntry(options: TunnelOptions): Entry {
  const { udpPort, udpChecksum, dontFragment, ttl, dscp, ecn, innerVlan, esn, replayWindow, nattSourcePort } = options;
  const name = (names: Readonly<Record<number, string>>, value: number | undefined) =>
    value === undefined ? undefined : (names[value] ?? value);
  return {
    udp_port: udpPort,
    udp_checksum: name(UdpChecksum, udpChecksum),
    dont_fragment: name(DontFragment, dontFragment),
    ttl,
    dscp,
    ecn: name(EcnMode, ecn),
    inner_vlan: name(InnerVlan, innerVlan),
    esn,
    replay_window: replayWindow,
    natt_source_port: nattSourcePort,
  };
}

function given(fields: object): Entry {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== 0));
}
