// A tunnel in words: what it matches, what it does, and where its packets go then.

import type { VxlanEncap } from "../../control/gen/sluice_tunnel.js";
import {
  Action,
  EncType,
  type GeneveEncap,
  type IPSecTunnel,
  IPSecTunnelType,
  type MacPair,
  type MatchCriteria,
} from "../../control/gen/tunneloffload.js";
import { addressText, type Ipv4Order, ipv4Bytes } from "../../control/translate.js";
import type { IpMatchField, OuterPair } from "../../control/tunnel-address.js";
import { toPair } from "../../control/tunnel-ipsec.js";
import type { TunnelRequest } from "../../control/tunnel-rule.js";

const IPV4_BITS = 32;
const IPV6_BITS = 128;

export function kindOf({ tunnel }: TunnelRequest): string {
  switch (tunnel?.$case) {
    case "geneve":
      return tunnel.value.encapDecap?.$case === "geneveDecap" ? "geneve decap" : "geneve encap";
    case "vxlanDecap":
      return "vxlan decap";
    case "ipsecTunnel":
      return tunnel.value.ipsec?.$case === "ipsecDec" ? "ipsec decrypt" : "ipsec encrypt";
    case "nat":
      return "nat";
    default:
      // The one kind that IpTunnelService lists without a tunnel.
      return "vxlan encap";
  }
}

/** As kindOf; a GeneveDecap that matches VXLAN decapsulates that. */
export function procedureOf(request: TunnelRequest): string {
  const kind = kindOf(request);
  return kind === "geneve decap" && request.matchCriteria?.match?.$case === "vxlanMatch" ? "vxlan decap" : kind;
}

export function encapOf({ tunnel }: TunnelRequest): GeneveEncap | VxlanEncap | undefined {
  if (tunnel?.$case === "vxlanEncap") return tunnel.value;
  if (tunnel?.$case !== "geneve" || tunnel.value.encapDecap?.$case !== "geneveEncap") return undefined;
  return tunnel.value.encapDecap.value;
}

/** "geneve encap vni 5, 192.0.2.1 to 192.0.2.2" */
export function tunnelPhrase(request: TunnelRequest, order: Ipv4Order): string {
  const encap = encapOf(request);
  const ipsec = ipsecOf(request);
  if (ipsec !== undefined) return `${kindOf(request)} ${ipsecPhrase(request, ipsec, order)}`;
  if (encap === undefined) return procedureOf(request);
  return `${procedureOf(request)} vni ${encap.vni}, ${outerPhrase(encap.ip, order)}`;
}

/** "tunnel AES256GCM128 spi 0x3e8, 192.0.2.1 to 192.0.2.2" */
function ipsecPhrase(request: TunnelRequest, { value }: Ipsec, order: Ipv4Order): string {
  const outer = outerOf(request);
  const ends = outer === undefined ? "" : `, ${outerPhrase(outer, order)}`;
  return `${modeText(value.tunnelType)} ${suiteText(value.encryptionType)} ${spiPhrase(spisOf(request))}${ends}`;
}

type Ipsec = NonNullable<IPSecTunnel["ipsec"]>;

export function ipsecOf({ tunnel }: TunnelRequest): Ipsec | undefined {
  return tunnel?.$case === "ipsecTunnel" ? tunnel.value.ipsec : undefined;
}

/** A mode of NAT traversal. */
export function inUdp(request: TunnelRequest): boolean {
  const type = ipsecOf(request)?.value.tunnelType;
  return type === IPSecTunnelType.TRANSPORT_NAT_TRAVERSAL || type === IPSecTunnelType.TUNNEL_NAT_TRAVERSAL;
}

/** Addresses of the header that it puts in front; undefined: it puts none, or none is known. */
export function outerOf(request: TunnelRequest): OuterPair | undefined {
  const ipsec = ipsecOf(request);
  if (ipsec === undefined) return encapOf(request)?.ip;
  return ipsec.$case === "ipsecEnc" && ipsec.value.tunnelIps !== undefined ? toPair(ipsec.value.tunnelIps) : undefined;
}

export function spisOf(request: TunnelRequest): number[] {
  const ipsec = ipsecOf(request);
  if (ipsec === undefined) return [];
  if (ipsec.$case === "ipsecDec") return ipsec.value.ipsecSas.map(({ spi }) => spi);
  return ipsec.value.ipsecSa === undefined ? [] : [ipsec.value.ipsecSa.spi];
}

/** As tcpdump and the log have it. */
export function spiText(spi: number): string {
  return `0x${spi.toString(16)}`;
}

function spiPhrase(spis: readonly number[]): string {
  if (spis.length === 0) return "without a SA";
  const texts = spis.slice(0, 4).map(spiText).join(", ");
  return `spi ${texts}${spis.length > 4 ? ` and ${spis.length - 4} more` : ""}`;
}

/** "transport in UDP" */
export function modeText(type: IPSecTunnelType): string {
  return (IPSecTunnelType[type] ?? `${type}`).toLowerCase().replace("_nat_traversal", " in udp");
}

export function suiteText(type: EncType): string {
  return (EncType[type] ?? `${type}`).replace("_", "");
}

export function outerPhrase(ip: OuterPair | undefined, order: Ipv4Order): string {
  return ip === undefined ? "-" : outerAddresses(ip, order).map(addressText).join(" to ");
}

/** Source and destination, in network order. */
export function outerAddresses(ip: OuterPair, order: Ipv4Order): [Uint8Array, Uint8Array] {
  if (ip.$case === "outerIpv6Pair") return [ip.value.sourceIp, ip.value.destinationIp];
  return [ipv4Bytes(ip.value.sourceIp, order), ipv4Bytes(ip.value.destinationIp, order)];
}

export function actionWord(action: Action): string {
  return (Action[action] ?? `${action}`).toLowerCase();
}

/** `after`: with the tunnel that comes before. */
export function matchPhrase(match: MatchCriteria | undefined, order: Ipv4Order, after = true): string {
  if (match === undefined) return "nothing";
  const parts = [
    match.ingressInterface === "" ? [] : [`in ${match.ingressInterface}`],
    macPhrase(match.macMatch).map((text) => `mac ${text}`),
    ipPhrase(match.ipMatch, order),
    after && match.tunnelId !== 0n ? [`after ${match.tunnelId}`] : [],
    headerPhrase(match.match, order),
  ].flat();
  if (parts.length > 0) return parts.join(", ");
  return match.tunnelId === 0n ? "all untagged packets" : "all";
}

function headerPhrase(header: MatchCriteria["match"], order: Ipv4Order): string[] {
  if (header === undefined) return [];
  if (header.$case === "ipsecMatch") {
    const { spi, sn } = header.value;
    return [`esp${spi === 0 ? "" : ` spi ${spiText(spi)}`}${sn === 0 ? "" : ` sn ${sn}`}`];
  }
  const { vni, macMatch, ipMatch } = header.value;
  const name = header.$case === "geneveMatch" ? "geneve" : "vxlan";
  const protocol = header.$case === "geneveMatch" ? header.value.protocolType : 0;
  const inner = [...macPhrase(macMatch).map((text) => `mac ${text}`), ...ipPhrase(ipMatch, order)].join(" ");
  return [
    `${name}${vni === 0 ? "" : ` vni ${vni}`}${protocol === 0 ? "" : ` protocol ${hex(protocol, 4)}`}${inner && ` with inner ${inner}`}`,
  ];
}

function ipPhrase(field: IpMatchField | undefined, order: Ipv4Order): string[] {
  if (field === undefined) return [];
  const [source, destination] = prefixes(field, order);
  const parts = [
    source.length === 0 ? "" : `from ${prefixText(source)}`,
    destination.length === 0 ? "" : `to ${prefixText(destination)}`,
  ].filter((text) => text !== "");
  return [parts.length > 0 ? parts.join(" ") : field.$case === "ipv4Match" ? "IPv4" : "IPv6"];
}

export interface Prefix {
  readonly address: Uint8Array;
  /** 0: any. */
  readonly length: number;
}

/** Source and destination. */
export function prefixes(field: IpMatchField, order: Ipv4Order): [Prefix, Prefix] {
  const { sourceIpPrefix, destinationIpPrefix } = field.value;
  const one = (ip: number | Buffer, length: number): Prefix => {
    const given = typeof ip === "number" ? ip !== 0 : ip.length > 0;
    const address = typeof ip === "number" ? ipv4Bytes(ip, order) : given ? ip : new Uint8Array(IPV6_BITS / 8);
    return { address, length: given && length === 0 ? address.length * 8 : length };
  };
  return [one(field.value.sourceIp, sourceIpPrefix), one(field.value.destinationIp, destinationIpPrefix)];
}

function prefixText({ address, length }: Prefix): string {
  const whole = address.length === 4 ? IPV4_BITS : IPV6_BITS;
  return length === whole ? addressText(address) : `${addressText(address)}/${length}`;
}

/** None, or one phrase. */
export function macPhrase(pair: MacPair | undefined): string[] {
  if (pair === undefined) return [];
  const { sourceMac, destinationMac } = pair;
  const parts = [
    sourceMac.length > 0 ? `from ${macText(sourceMac)}` : "",
    destinationMac.length > 0 ? `to ${macText(destinationMac)}` : "",
  ];
  const text = parts.filter((part) => part !== "").join(" ");
  return text === "" ? [] : [text];
}

export function macText(mac: Buffer): string {
  return mac.toString("hex").replace(/(..)(?=.)/g, "$1:");
}

export function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}
