// Compiles a rule's tunnel, cold: the header that goes in front of a packet, with zeros where the packet decides, and the
// numbers that the fast path patches it with.

import type { Routes } from "../table/route.js";
import type { NewRule, OuterAddresses, TunnelSettings } from "../table/rule.js";
import { Rule, Settings, TEMPLATE_INNER_MAC, TEMPLATE_IP } from "../table/rule-memory.js";
import { finish, sum } from "../wire/checksum.js";
import { Ethernet, EtherType } from "../wire/ethernet.js";
import { Geneve, GeneveOptionField } from "../wire/geneve.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { Udp } from "../wire/udp.js";
import { Vxlan } from "../wire/vxlan.js";

/** Writes Rule.egress, length, ipSum, settings, port and the template into an empty record. */
export function compile(rule: NewRule, record: Int32Array, routes: Routes): void {
  const { match, tunnel, settings } = rule;
  record[Rule.egress] = -1;
  switch (tunnel.kind) {
    case "geneve-encap":
      compileEncap(record, tunnel.outer, geneveHeader(tunnel), settings.udpPort || Geneve.port, settings, routes);
      if (tunnel.protocol !== Geneve.ethernet) record[Rule.settings] |= Settings.ipPayload;
      break;
    case "vxlan-encap":
      compileEncap(record, tunnel.outer, vxlanHeader(tunnel.vni), settings.udpPort || Vxlan.port, settings, routes);
      break;
    default:
      record[Rule.settings] |= settingsBits(settings);
      // Zero is accepted only between ends that the rule knows (RFC 6936 section 5, RFC 8926 section 4.3.1).
      if (match.ip?.source === undefined || match.ip.destination === undefined) record[Rule.settings] &= ~Settings.zeroChecksum;
      return;
  }
  const bytes = templateBytes(record);
  const { destination, source } = tunnel.innerMac;
  if (destination !== undefined) {
    record[Rule.settings] |= Settings.innerDestination;
    bytes.set(destination, TEMPLATE_INNER_MAC);
  }
  if (source !== undefined) {
    record[Rule.settings] |= Settings.innerSource;
    bytes.set(source, TEMPLATE_INNER_MAC + Ethernet.address);
  }
}

function compileEncap(
  record: Int32Array,
  outer: OuterAddresses,
  header: Uint8Array,
  port: number,
  settings: TunnelSettings,
  routes: Routes,
): void {
  const ipv6 = outer.source.length === 16;
  const ip = ipv6 ? ipv6Header(outer, settings) : ipv4Header(outer, settings);
  const udp = new Uint8Array(Udp.length);
  put16(udp, Udp.destinationPort, port);
  const bytes = templateBytes(record);
  put16(bytes, Ethernet.type, ipv6 ? EtherType.ipv6 : EtherType.ipv4);
  let at: number = TEMPLATE_IP;
  for (const part of [ip, udp, header]) {
    bytes.set(part, at);
    at += part.length;
  }
  record[Rule.length] = at - TEMPLATE_IP;
  record[Rule.port] = port;
  record[Rule.ipSum] = ipv6 ? 0 : headerSum(ip);
  let bits = settingsBits(settings) | (ipv6 ? Settings.ipv6 : 0);
  const { udpChecksum } = settings;
  if (udpChecksum === "full" || (ipv6 && udpChecksum === "default")) bits |= Settings.checksum;
  const route = routes.find(outer.destination);
  if (route >= 0) {
    bits |= Settings.routed;
    bytes.set(routes.macs.subarray(route * 12, route * 12 + 12), Ethernet.destination);
    record[Rule.egress] = routes.port[route] as number;
  }
  record[Rule.settings] = bits;
}

function settingsBits({ df, dscp, ecn, innerVlan, udpChecksum }: TunnelSettings): number {
  return (
    (df === "set" ? Settings.dfSet : df === "clear" ? Settings.dfClear : 0) |
    (dscp === "copy" ? 0 : Settings.dscpSet) |
    (ecn === "compatibility" ? Settings.ecnCompatibility : 0) |
    (innerVlan === "keep" ? Settings.keepVlan : 0) |
    (udpChecksum === "zero" ? Settings.zeroChecksum : 0)
  );
}

function ipv4Header({ source, destination }: OuterAddresses, { ttl, dscp }: TunnelSettings): Uint8Array {
  const ip = new Uint8Array(Ipv4.length);
  ip[Ipv4.versionIhl] = Ipv4.plain;
  ip[Ipv4.tos] = dscp === "copy" ? 0 : dscp << 2;
  ip[Ipv4.ttl] = ttl;
  ip[Ipv4.protocol] = Protocol.udp;
  ip.set(source, Ipv4.source);
  ip.set(destination, Ipv4.destination);
  return ip;
}

function ipv6Header({ source, destination }: OuterAddresses, { ttl, dscp }: TunnelSettings): Uint8Array {
  const ip = new Uint8Array(Ipv6.length);
  put16(ip, Ipv6.versionClass, 0x6000 | (dscp === "copy" ? 0 : dscp << 6));
  ip[Ipv6.nextHeader] = Protocol.udp;
  ip[Ipv6.hopLimit] = ttl;
  ip.set(source, Ipv6.source);
  ip.set(destination, Ipv6.destination);
  return ip;
}

type GeneveEncap = Extract<NewRule["tunnel"], { kind: "geneve-encap" }>;

/** RFC 8926 sections 3.4, 3.5: C is set iff an option is critical. */
function geneveHeader({ vni, protocol, control, options }: GeneveEncap): Uint8Array {
  const length = options.reduce((total, { data }) => total + GeneveOptionField.length + data.length, 0);
  const critical = options.some(({ type }) => (type & GeneveOptionField.critical) !== 0);
  const header = new Uint8Array(Geneve.length + length);
  header[Geneve.versionOptions] = length >> 2;
  header[Geneve.flags] = (control ? Geneve.control : 0) | (critical ? Geneve.critical : 0);
  put16(header, Geneve.protocol, protocol);
  putVni(header, Geneve.vni, vni);
  let at: number = Geneve.length;
  for (const { class: optionClass, type, data } of options) {
    put16(header, at + GeneveOptionField.class, optionClass);
    header[at + GeneveOptionField.type] = type;
    header[at + GeneveOptionField.words] = data.length >> 2;
    header.set(data, at + GeneveOptionField.length);
    at += GeneveOptionField.length + data.length;
  }
  return header;
}

function vxlanHeader(vni: number): Uint8Array {
  const header = new Uint8Array(Vxlan.length);
  header[Vxlan.flags] = Vxlan.valid;
  putVni(header, Vxlan.vni, vni);
  return header;
}

function templateBytes(record: Int32Array): Uint8Array {
  return new Uint8Array(record.buffer, record.byteOffset + Rule.template * 4, (Rule.size - Rule.template) * 4);
}

/** The unfolded sum of an aligned copy of the header. */
function headerSum(header: Uint8Array): number {
  const bytes = new Uint8Array(Math.ceil(header.length / 4) * 4);
  bytes.set(header);
  const view = { bytes, halves: new Uint16Array(bytes.buffer), words: new Int32Array(bytes.buffer) };
  return ~finish(sum(view, 0, header.length)) & 0xffff;
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function putVni(bytes: Uint8Array, at: number, vni: number): void {
  bytes[at] = vni >>> 16;
  bytes[at + 1] = vni >>> 8;
  bytes[at + 2] = vni;
}
