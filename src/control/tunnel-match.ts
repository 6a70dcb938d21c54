// MatchCriteria, to a rule's match and back (api.md 11, datapath.md "Tunnel stage").

import type { HeaderMatch, RuleMatch } from "../table/rule.js";
import { EtherType } from "../wire/ethernet.js";
import { Geneve } from "../wire/geneve.js";
import type { MatchCriteria } from "./gen/tunneloffload.js";
import type { Ipv4Order } from "./translate.js";
import { fromIpMatch, fromMac, toIpMatch, toMac } from "./tunnel-address.js";
import { invalidField } from "./tunnel-fault.js";

/** What of the configuration a match depends on. */
export interface MatchNames {
  readonly ipv4Order: Ipv4Order;
  /** Lif numbers, host<lif>, and interface names, each with its port's index. */
  readonly ports: ReadonlyMap<string, number>;
  /** By index: the name by which a port is given back. */
  readonly portNames: readonly string[];
}

const VLAN_MAX = 4094;
/** 24 bits. */
export const VNI_MAX = 0xff_ffff;
const ETHERTYPE_MAX = 0xffff;

export function toMatch(criteria: MatchCriteria, names: MatchNames): RuleMatch {
  const at = "match_criteria";
  return {
    ingress: criteria.ingressInterface === "" ? undefined : toIngress(criteria.ingressInterface, names),
    mac: toMac(criteria.macMatch, `${at}.mac_match`, invalidField),
    ip: toIpMatch(criteria.ipMatch, at, names.ipv4Order),
    tunnelId: criteria.tunnelId === 0n ? undefined : criteria.tunnelId,
    header: toHeader(criteria.match, names.ipv4Order),
  };
}

export function fromMatch(match: RuleMatch, names: MatchNames): MatchCriteria {
  const { ingress } = match;
  const vlan = ingress?.vlan === "any" ? ".*" : ingress?.vlan ? `.${ingress.vlan}` : "";
  return {
    ingressInterface: ingress === undefined ? "" : `${names.portNames[ingress.port]}${vlan}`,
    macMatch: fromMac(match.mac),
    ipMatch: fromIpMatch(match.ip, names.ipv4Order),
    tunnelId: match.tunnelId ?? 0n,
    match: fromHeader(match.header, names.ipv4Order),
  };
}

function toIngress(text: string, { ports }: MatchNames): RuleMatch["ingress"] {
  // Interface names may have dots themselves.
  const whole = ports.get(text);
  if (whole !== undefined) return { port: whole, vlan: 0 };
  const dot = text.lastIndexOf(".");
  const port = dot < 0 ? undefined : ports.get(text.slice(0, dot));
  if (port === undefined) {
    const known = [...ports.keys()];
    const shown = known.length > 8 ? `${known.slice(0, 8).join(", ")} and ${known.length - 8} more` : known.join(", ");
    throw invalidField(
      `match_criteria.ingress_interface "${text}" is no port; there are ${shown}, each also as PORT.VLAN and PORT.*`,
    );
  }
  const tag = text.slice(dot + 1);
  if (tag === "*") return { port, vlan: "any" };
  if (!/^\d{1,4}$/.test(tag) || Number(tag) > VLAN_MAX) {
    throw invalidField(`match_criteria.ingress_interface "${text}": give a VLAN id from 0 (untagged) to ${VLAN_MAX}, or *`);
  }
  return { port, vlan: Number(tag) };
}

function toHeader(field: MatchCriteria["match"], order: Ipv4Order): HeaderMatch | undefined {
  if (field === undefined) return undefined;
  if (field.$case === "ipsecMatch") return { kind: "esp", spi: field.value.spi, sn: field.value.sn };
  const at = `match_criteria.${field.$case === "geneveMatch" ? "geneve_match" : "vxlan_match"}`;
  const { vni } = field.value;
  if (vni > VNI_MAX) throw invalidField(`${at}.vni ${vni} is past ${VNI_MAX}: it has 24 bits`);
  const mac = toMac(field.value.macMatch, `${at}.mac_match`, invalidField);
  const ip = toIpMatch(field.value.ipMatch, at, order);
  if (field.$case === "vxlanMatch") return { kind: "vxlan", vni, mac, ip };
  const { protocolType: protocol } = field.value;
  if (protocol > ETHERTYPE_MAX) throw invalidField(`${at}.protocol_type ${protocol} is past ${ETHERTYPE_MAX}: it has 16 bits`);
  if (protocol !== 0 && protocol !== Geneve.ethernet && mac !== undefined) {
    throw invalidField(`${at}.mac_match needs Ethernet inside: leave protocol_type away or give 0x6558`);
  }
  if (ip !== undefined && protocol === (ip.ipv6 ? EtherType.ipv4 : EtherType.ipv6)) {
    throw invalidField(`${at}.protocol_type says IPv${ip.ipv6 ? 4 : 6} and its ip_match IPv${ip.ipv6 ? 6 : 4}: give one of them`);
  }
  return { kind: "geneve", vni, protocol, mac, ip };
}

function fromHeader(header: HeaderMatch | undefined, order: Ipv4Order): MatchCriteria["match"] {
  if (header === undefined) return undefined;
  if (header.kind === "esp") return { $case: "ipsecMatch", value: { spi: header.spi, sn: header.sn } };
  const inside = { vni: header.vni, macMatch: fromMac(header.mac), ipMatch: fromIpMatch(header.ip, order) };
  if (header.kind === "vxlan") return { $case: "vxlanMatch", value: inside };
  return { $case: "geneveMatch", value: { ...inside, protocolType: header.protocol } };
}
