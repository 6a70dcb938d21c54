// Compiles a rule's tunnel, cold: the header that goes in front of a packet, with zeros where the packet decides, and the
// numbers that the fast path patches it with.

import type { Routes } from "../table/route.js";
import type { NewRule, OuterAddresses, TunnelSettings } from "../table/rule.js";
import { Rule, Settings, TEMPLATE_INNER_MAC, TEMPLATE_IP } from "../table/rule-memory.js";
import { type EspMode, EspModeBit } from "../table/sa.js";
import { finish, sum } from "../wire/checksum.js";
import { Esp } from "../wire/esp.js";
import { Ethernet, EtherType } from "../wire/ethernet.js";
import { Geneve, GeneveOptionField } from "../wire/geneve.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { Udp } from "../wire/udp.js";
import { Vxlan } from "../wire/vxlan.js";

/** Writes Rule.egress, length, ipSum, settings and the template into an empty record. */
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
    case "ipsec-enc":
      compileEsp(record, tunnel, settings, routes);
      return;
    case "ipsec-dec":
      record[Rule.settings] = settingsBits(settings) | modeBits(tunnel.mode);
      return;
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

type IpsecEnc = Extract<NewRule["tunnel"], { kind: "ipsec-enc" }>;

/** The outer IP header of tunnel mode, UDP's, ESP's, and room for the IV. */
function compileEsp(record: Int32Array, { mode, outer, sa }: IpsecEnc, settings: TunnelSettings, routes: Routes): void {
  const natt = (mode & EspModeBit.natt) !== 0;
  const esp = new Uint8Array(Esp.payload);
  put16(esp, Esp.spi, sa.spi >>> 16);
  put16(esp, Esp.spi + 2, sa.spi);
  const port = settings.udpPort || Esp.port;
  const parts = natt ? [udpHeader(settings.nattSourcePort, port), esp] : [esp];
  record[Rule.settings] = settingsBits(settings) | modeBits(mode);
  if ((mode & EspModeBit.tunnel) !== 0) {
    if (outer === undefined) throw new Error("tunnel mode without addresses");
    parts.unshift(outerHeader(record, outer, natt ? Protocol.udp : Protocol.esp, settings, routes));
  }
  putTemplate(record, parts);
}

function modeBits(mode: EspMode): number {
  return ((mode & EspModeBit.tunnel) !== 0 ? Settings.tunnelMode : 0) | ((mode & EspModeBit.natt) !== 0 ? Settings.natt : 0);
}

function compileEncap(
  record: Int32Array,
  outer: OuterAddresses,
  header: Uint8Array,
  port: number,
  settings: TunnelSettings,
  routes: Routes,
): void {
  record[Rule.settings] = settingsBits(settings);
  const ip = outerHeader(record, outer, Protocol.udp, settings, routes);
  putTemplate(record, [ip, udpHeader(0, port), header]);
  const { udpChecksum } = settings;
  if (udpChecksum === "full" || (outer.source.length === 16 && udpChecksum === "default"))
    record[Rule.settings] |= Settings.checksum;
}

/** The IP header, and all that the record says of it. */
function outerHeader(
  record: Int32Array,
  outer: OuterAddresses,
  protocol: Protocol,
  settings: TunnelSettings,
  routes: Routes,
): Uint8Array {
  const ipv6 = outer.source.length === 16;
  const ip = ipv6 ? ipv6Header(outer, protocol, settings) : ipv4Header(outer, protocol, settings);
  const bytes = templateBytes(record);
  put16(bytes, Ethernet.type, ipv6 ? EtherType.ipv6 : EtherType.ipv4);
  record[Rule.ipSum] = ipv6 ? 0 : headerSum(ip);
  if (ipv6) record[Rule.settings] |= Settings.ipv6;
  const route = routes.find(outer.destination);
  if (route >= 0) {
    record[Rule.settings] |= Settings.routed;
    bytes.set(routes.macs.subarray(route * 12, route * 12 + 12), Ethernet.destination);
    record[Rule.egress] = routes.port[route] as number;
  }
  return ip;
}

function udpHeader(source: number, destination: number): Uint8Array {
  const udp = new Uint8Array(Udp.length);
  put16(udp, Udp.sourcePort, source);
  put16(udp, Udp.destinationPort, destination);
  return udp;
}

/** What stands behind the template's Ethernet header. */
function putTemplate(record: Int32Array, parts: readonly Uint8Array[]): void {
  const bytes = templateBytes(record);
  let at: number = TEMPLATE_IP;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  record[Rule.length] = at - TEMPLATE_IP;
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

function ipv4Header({ source, destination }: OuterAddresses, protocol: Protocol, { ttl, dscp }: TunnelSettings): Uint8Array {
  const ip = new Uint8Array(Ipv4.length);
  ip[Ipv4.versionIhl] = Ipv4.plain;
  ip[Ipv4.tos] = dscp === "copy" ? 0 : dscp << 2;
  ip[Ipv4.ttl] = ttl;
  ip[Ipv4.protocol] = protocol;
  ip.set(source, Ipv4.source);
  ip.set(destination, Ipv4.destination);
  return ip;
}

function ipv6Header({ source, destination }: OuterAddresses, protocol: Protocol, { ttl, dscp }: TunnelSettings): Uint8Array {
  const ip = new Uint8Array(Ipv6.length);
  put16(ip, Ipv6.versionClass, 0x6000 | (dscp === "copy" ? 0 : dscp << 6));
  ip[Ipv6.nextHeader] = protocol;
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
