// A tunnel of a program file: an IpTunnelRequest under its proto field names, or a VXLAN tunnel of sluice.v1 with vxlan_encap
// or vxlan_decap in place of geneve; `options` holds what TunnelOptions has. What values mean together the device says.

import { z } from "zod";
import { IPV6_BYTES } from "./bytes-field.js";
import { DontFragment, EcnMode, InnerVlan, type TunnelOptions, UdpChecksum } from "./gen/sluice_tunnel.js";
import {
  Action,
  EncType,
  type GeneveOption,
  type IPSecSAParams,
  type IPSecTunnel,
  IPSecTunnelType,
  type MacPair,
  type MatchCriteria,
  Operation,
} from "./gen/tunneloffload.js";
import {
  address,
  enumeration,
  flag,
  hex,
  INT32_MAX,
  IPV4_BYTES,
  integer,
  key,
  mac,
  number,
  optional,
  show,
  UINT32_MAX,
  UINT64_MAX,
} from "./program-field.js";
import { type Ipv4Order, ipv4Value } from "./translate.js";
import type { IpMatchField, OuterPair } from "./tunnel-address.js";
import type { WantedTunnel } from "./tunnel-client.js";
import { fromPair } from "./tunnel-ipsec.js";
import type { TunnelRequest } from "./tunnel-rule.js";

const EMPTY = Buffer.alloc(0);

const uint32 = () => optional("a number from 0 to 4294967295", number(UINT32_MAX));
const uint64 = () => optional("a number from 0 to 18446744073709551615", integer(UINT64_MAX));
const macAddress = () => optional("a MAC address such as 02:00:00:00:00:09", mac());
const ipv4 = () => optional("an IPv4 address", address(IPV4_BYTES));
const ipv6 = () => optional("an IPv6 address", address(IPV6_BYTES));

/** At most one of these keys: the arms of a oneof. */
const oneOf =
  (...keys: readonly string[]) =>
  (entry: object, context: z.RefinementCtx): void => {
    const found = keys.filter((key) => (entry as Record<string, unknown>)[key] !== undefined);
    if (found.length > 1) context.addIssue({ code: "custom", message: `found ${found.join(" and ")}, expected one of them` });
  };

const macPair = z.strictObject({ destination_mac: macAddress(), source_mac: macAddress() }).optional();
const prefixes = { source_ip_prefix: uint32(), destination_ip_prefix: uint32() };
const ipMatch = {
  ipv4_match: z.strictObject({ source_ip: ipv4(), destination_ip: ipv4(), ...prefixes }).optional(),
  ipv6_match: z.strictObject({ source_ip: ipv6(), destination_ip: ipv6(), ...prefixes }).optional(),
};
const oneIpMatch = oneOf("ipv4_match", "ipv6_match");
const inside = { vni: uint32(), mac_match: macPair, ...ipMatch };

const matchCriteria = z
  .strictObject({
    ingress_interface: optional('a port as text, such as 1, host1, "1.100" or "1.*" (in quotes)', (value) =>
      typeof value === "bigint" ? String(value) : typeof value === "string" ? value : undefined,
    ),
    mac_match: macPair,
    ...ipMatch,
    tunnel_id: uint64(),
    ipsec_match: z.strictObject({ spi: uint32(), sn: uint32() }).optional(),
    geneve_match: z
      .strictObject({ ...inside, protocol_type: uint32() })
      .superRefine(oneIpMatch)
      .optional(),
    vxlan_match: z.strictObject(inside).superRefine(oneIpMatch).optional(),
  })
  .superRefine(oneIpMatch)
  .superRefine(oneOf("ipsec_match", "geneve_match", "vxlan_match"))
  .optional();

const outerPairs = {
  outer_ipv4_pair: z.strictObject({ source_ip: ipv4(), destination_ip: ipv4() }).optional(),
  outer_ipv6_pair: z.strictObject({ source_ip: ipv6(), destination_ip: ipv6() }).optional(),
};
const oneOuterPair = oneOf("outer_ipv4_pair", "outer_ipv6_pair");

const geneveOption = z.strictObject({
  option_class: uint32(),
  type: uint32(),
  length: uint32(),
  data: optional('hexadecimal digits in quotes, such as "0a0b0c0d"', hex()),
});

const geneve = z
  .strictObject({
    geneve_encap: z
      .strictObject({
        ...outerPairs,
        inner_mac_pair: macPair,
        option_length: uint32(),
        control_packet: optional("true or false", flag()),
        critical_option_present: optional("true or false", flag()),
        vni: uint32(),
        protocol_type: uint32(),
        geneve_option: z.array(geneveOption).optional(),
      })
      .superRefine(oneOuterPair)
      .optional(),
    geneve_decap: z.strictObject({}).optional(),
  })
  .superRefine(oneOf("geneve_encap", "geneve_decap"))
  .optional();

const vxlanEncap = z
  .strictObject({ ...outerPairs, inner_mac_pair: macPair, vni: uint32() })
  .superRefine(oneOuterPair)
  .optional();

const sa = z.strictObject({
  spi: uint32(),
  encryption_key: key(),
  operation: optional("CREATE, UPDATE or DELETE", enumeration(Operation, INT32_MAX)),
});
const esp = {
  tunnel_type: optional(
    "TRANSPORT, TUNNEL, TRANSPORT_NAT_TRAVERSAL or TUNNEL_NAT_TRAVERSAL",
    enumeration(IPSecTunnelType, INT32_MAX),
  ),
  encryption_type: optional("a suite such as AES256GCM128", enumeration(EncType, INT32_MAX)),
};
const tunnelIps = {
  ipv4_tunnel: z.strictObject({ source_ip: ipv4(), destination_ip: ipv4() }).optional(),
  ipv6_tunnel: z.strictObject({ source_ip: ipv6(), destination_ip: ipv6() }).optional(),
};

const ipsec = z
  .strictObject({
    ipsec_enc: z
      .strictObject({ ...esp, ipsec_sa: sa.optional(), ...tunnelIps })
      .superRefine(oneOf("ipv4_tunnel", "ipv6_tunnel"))
      .optional(),
    ipsec_dec: z.strictObject({ ...esp, ipsec_sas: z.array(sa).optional() }).optional(),
  })
  .superRefine(oneOf("ipsec_enc", "ipsec_dec"))
  .optional();

const options = z
  .strictObject({
    udp_port: uint32(),
    udp_checksum: optional("DEFAULT, FULL or ZERO", enumeration(UdpChecksum, INT32_MAX, "UDP_CHECKSUM_")),
    dont_fragment: optional("COPY, SET or CLEAR", enumeration(DontFragment, INT32_MAX, "DONT_FRAGMENT_")),
    ttl: uint32(),
    dscp: uint32(),
    ecn: optional("NORMAL or COMPATIBILITY", enumeration(EcnMode, INT32_MAX, "ECN_")),
    inner_vlan: optional("MOVE or KEEP", enumeration(InnerVlan, INT32_MAX, "INNER_VLAN_")),
    esn: optional("true or false", flag()),
    replay_window: uint32(),
    natt_source_port: uint32(),
  })
  .optional();

const later = z
  .unknown()
  .superRefine((value, context) => {
    if (value !== undefined) context.addIssue({ code: "custom", message: `found ${show(value)}: not supported yet` });
  })
  .optional();

export const tunnelSchema = z
  .strictObject({
    tunnel_id: uint64(),
    operation: optional("CREATE, UPDATE or DELETE", enumeration(Operation, INT32_MAX)),
    match_criteria: matchCriteria,
    next_action: optional("NONE, FORWARD or RECIRCULATE", enumeration(Action, INT32_MAX)),
    ipsec_tunnel: ipsec,
    geneve,
    nat: later,
    vxlan_encap: vxlanEncap,
    vxlan_decap: z.strictObject({}).optional(),
    options,
  })
  .superRefine(oneOf("geneve", "ipsec_tunnel", "vxlan_encap", "vxlan_decap"));

type ProgramTunnel = z.infer<typeof tunnelSchema>;

export function toWantedTunnel(tunnel: ProgramTunnel, order: Ipv4Order): WantedTunnel {
  const request: TunnelRequest = {
    tunnelId: tunnel.tunnel_id ?? 0n,
    operation: tunnel.operation ?? Operation._CREATE,
    matchCriteria: tunnel.match_criteria && toCriteria(tunnel.match_criteria, order),
    nextAction: tunnel.next_action ?? Action.NONE,
    tunnel: toTunnel(tunnel, order),
  };
  return tunnel.options === undefined ? { request } : { request, options: toOptions(tunnel.options) };
}

function toTunnel({ geneve, ipsec_tunnel, vxlan_encap, vxlan_decap }: ProgramTunnel, order: Ipv4Order): TunnelRequest["tunnel"] {
  if (ipsec_tunnel !== undefined) return { $case: "ipsecTunnel", value: { ipsec: toIpsec(ipsec_tunnel, order) } };
  if (vxlan_encap !== undefined) {
    const { inner_mac_pair, vni } = vxlan_encap;
    return {
      $case: "vxlanEncap",
      value: { ip: toOuter(vxlan_encap, order), innerMacPair: toMacs(inner_mac_pair), vni: vni ?? 0 },
    };
  }
  if (vxlan_decap !== undefined) return { $case: "vxlanDecap", value: {} };
  if (geneve === undefined) return undefined;
  const { geneve_encap: encap, geneve_decap } = geneve;
  if (geneve_decap !== undefined) return { $case: "geneve", value: { encapDecap: { $case: "geneveDecap", value: {} } } };
  if (encap === undefined) return { $case: "geneve", value: { encapDecap: undefined } };
  const value = {
    ip: toOuter(encap, order),
    innerMacPair: toMacs(encap.inner_mac_pair),
    optionLength: encap.option_length ?? 0,
    controlPacket: encap.control_packet ?? false,
    criticalOptionPresent: encap.critical_option_present ?? false,
    vni: encap.vni ?? 0,
    protocolType: encap.protocol_type ?? 0,
    geneveOption: (encap.geneve_option ?? []).map(toGeneveOption),
  };
  return { $case: "geneve", value: { encapDecap: { $case: "geneveEncap", value } } };
}

/** `length` may be left to the data. */
function toGeneveOption({ option_class, type, length, data }: z.infer<typeof geneveOption>): GeneveOption {
  const bytes = Buffer.from(data ?? EMPTY);
  return { optionClass: option_class ?? 0, type: type ?? 0, length: length ?? Math.floor(bytes.length / 4), data: bytes };
}

function toIpsec({ ipsec_enc, ipsec_dec }: NonNullable<ProgramTunnel["ipsec_tunnel"]>, order: Ipv4Order): IPSecTunnel["ipsec"] {
  if (ipsec_enc !== undefined) {
    const { ipv4_tunnel, ipv6_tunnel, ipsec_sa } = ipsec_enc;
    const ips = toOuter({ outer_ipv4_pair: ipv4_tunnel, outer_ipv6_pair: ipv6_tunnel }, order);
    const value = { ...toEsp(ipsec_enc), ipsecSa: ipsec_sa && toSa(ipsec_sa), tunnelIps: ips && fromPair(ips) };
    return { $case: "ipsecEnc", value };
  }
  if (ipsec_dec === undefined) return undefined;
  return { $case: "ipsecDec", value: { ...toEsp(ipsec_dec), ipsecSas: (ipsec_dec.ipsec_sas ?? []).map(toSa) } };
}

function toEsp({ tunnel_type, encryption_type }: { tunnel_type?: number | undefined; encryption_type?: number | undefined }) {
  return { tunnelType: tunnel_type ?? 0, encryptionType: encryption_type ?? 0 };
}

function toSa({ spi, encryption_key, operation }: z.infer<typeof sa>): IPSecSAParams {
  return { spi: spi ?? 0, encryptionKey: bytes(encryption_key), operation: operation ?? Operation._NONE };
}

function toCriteria(match: NonNullable<ProgramTunnel["match_criteria"]>, order: Ipv4Order): MatchCriteria {
  return {
    ingressInterface: match.ingress_interface ?? "",
    macMatch: toMacs(match.mac_match),
    ipMatch: toIpMatch(match, order),
    tunnelId: match.tunnel_id ?? 0n,
    match: toHeader(match, order),
  };
}

function toHeader(match: NonNullable<ProgramTunnel["match_criteria"]>, order: Ipv4Order): MatchCriteria["match"] {
  const { ipsec_match, geneve_match, vxlan_match } = match;
  if (ipsec_match !== undefined) {
    return { $case: "ipsecMatch", value: { spi: ipsec_match.spi ?? 0, sn: ipsec_match.sn ?? 0 } };
  }
  const header = geneve_match ?? vxlan_match;
  if (header === undefined) return undefined;
  const value = { vni: header.vni ?? 0, macMatch: toMacs(header.mac_match), ipMatch: toIpMatch(header, order) };
  if (geneve_match === undefined) return { $case: "vxlanMatch", value };
  return { $case: "geneveMatch", value: { ...value, protocolType: geneve_match.protocol_type ?? 0 } };
}

type IpMatches = Pick<NonNullable<ProgramTunnel["match_criteria"]>, "ipv4_match" | "ipv6_match">;

function toIpMatch({ ipv4_match, ipv6_match }: IpMatches, order: Ipv4Order): IpMatchField | undefined {
  const match = ipv4_match ?? ipv6_match;
  if (match === undefined) return undefined;
  const lengths = { sourceIpPrefix: match.source_ip_prefix ?? 0, destinationIpPrefix: match.destination_ip_prefix ?? 0 };
  if (ipv4_match === undefined) {
    const { source_ip, destination_ip } = match;
    return { $case: "ipv6Match", value: { sourceIp: bytes(source_ip), destinationIp: bytes(destination_ip), ...lengths } };
  }
  const { source_ip, destination_ip } = ipv4_match;
  return {
    $case: "ipv4Match",
    value: { sourceIp: value4(source_ip, order), destinationIp: value4(destination_ip, order), ...lengths },
  };
}

type Outer = Pick<NonNullable<ProgramTunnel["vxlan_encap"]>, "outer_ipv4_pair" | "outer_ipv6_pair">;

function toOuter({ outer_ipv4_pair: v4, outer_ipv6_pair: v6 }: Outer, order: Ipv4Order): OuterPair | undefined {
  if (v4 !== undefined) {
    const value = { sourceIp: value4(v4.source_ip, order), destinationIp: value4(v4.destination_ip, order) };
    return { $case: "outerIpv4Pair", value };
  }
  if (v6 === undefined) return undefined;
  return { $case: "outerIpv6Pair", value: { sourceIp: bytes(v6.source_ip), destinationIp: bytes(v6.destination_ip) } };
}

function toMacs(pair: z.infer<typeof macPair>): MacPair | undefined {
  return pair && { destinationMac: bytes(pair.destination_mac), sourceMac: bytes(pair.source_mac) };
}

function toOptions(given: NonNullable<ProgramTunnel["options"]>): TunnelOptions {
  return {
    tunnelId: 0n,
    udpPort: given.udp_port,
    udpChecksum: given.udp_checksum,
    dontFragment: given.dont_fragment,
    ttl: given.ttl,
    dscp: given.dscp,
    ecn: given.ecn,
    innerVlan: given.inner_vlan,
    esn: given.esn,
    replayWindow: given.replay_window,
    nattSourcePort: given.natt_source_port,
  };
}

function bytes(field: Uint8Array | undefined): Buffer {
  return Buffer.from(field ?? EMPTY);
}

function value4(field: Uint8Array | undefined, order: Ipv4Order): number {
  return field === undefined ? 0 : ipv4Value(field, order);
}
