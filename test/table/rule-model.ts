// Which rule is for a packet, as datapath.md "Tunnel stage" and api.md 11 tell it: every rule is asked, field by field. Written
// from the text, over frames read with offsets of its own; shares nothing with src but the types.

import type { IpMatch, MacMatch, NewRule, Prefix } from "../../src/table/rule.js";

interface Ip {
  readonly ipv6: boolean;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

interface Inner {
  readonly protocol: number;
  readonly mac?: { readonly destination: Uint8Array; readonly source: Uint8Array } | undefined;
  readonly ip?: Ip | undefined;
}

export interface PacketView {
  readonly destination: Uint8Array;
  readonly source: Uint8Array;
  readonly ip?: Ip | undefined;
  /** UDP destination port. */
  readonly port?: number | undefined;
  /** UDP payload shorter than a tunnel header, to this port. */
  readonly cut?: boolean;
  readonly esp?: { readonly spi: number; readonly sn: number } | undefined;
  /** Eight bytes and what they carry, read as Geneve and as VXLAN. */
  readonly geneve?: ({ readonly vni: number } & Inner) | undefined;
  readonly vxlan?: ({ readonly vni: number } & Inner) | undefined;
}

const number = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum * 256 + byte, 0);

/** 802.1Q and 802.1ad; at most two tags are looked behind. */
function behindTags(frame: Uint8Array, at: number): { readonly type: number; readonly payload: Uint8Array } {
  let type = number(frame.subarray(at, at + 2));
  let rest = frame.subarray(at + 2);
  for (let tags = 0; tags < 2 && (type === 0x8100 || type === 0x88a8) && rest.length >= 4; tags++) {
    type = number(rest.subarray(2, 4));
    rest = rest.subarray(4);
  }
  return { type, payload: rest };
}

function addresses(packet: Uint8Array, type: number): Ip | undefined {
  if (type === 0x0800 && packet.length >= 20 && (packet[0] as number) >> 4 === 4) {
    return { ipv6: false, source: packet.subarray(12, 16), destination: packet.subarray(16, 20) };
  }
  if (type === 0x86dd && packet.length >= 40 && (packet[0] as number) >> 4 === 6) {
    return { ipv6: true, source: packet.subarray(8, 24), destination: packet.subarray(24, 40) };
  }
  return undefined;
}

function inside(protocol: number, payload: Uint8Array): Inner {
  if (protocol !== 0x6558) return { protocol, ip: addresses(payload, protocol) };
  if (payload.length < 14) return { protocol };
  const { type, payload: packet } = behindTags(payload, 12);
  return {
    protocol,
    mac: { destination: payload.subarray(0, 6), source: payload.subarray(6, 12) },
    ip: addresses(packet, type),
  };
}

/** Undefined: shorter than an Ethernet header. */
export function view(frame: Uint8Array): PacketView | undefined {
  if (frame.length < 14) return undefined;
  const macs = { destination: frame.subarray(0, 6), source: frame.subarray(6, 12) };
  const { type, payload } = behindTags(frame, 12);
  const ip = addresses(payload, type);
  if (ip === undefined) return macs;
  const header = ip.ipv6 ? 40 : ((payload[0] as number) & 15) * 4;
  const length = ip.ipv6 ? 40 + number(payload.subarray(4, 6)) : number(payload.subarray(2, 4));
  // Lengths that do not agree: not an IP packet.
  if (header < 20 || length < header || length > payload.length) return macs;
  const found = { ...macs, ip };
  // A later fragment has no header behind IP.
  if (!ip.ipv6 && (number(payload.subarray(6, 8)) & 0x1fff) !== 0) return found;
  const protocol = payload[ip.ipv6 ? 6 : 9];
  const l4 = payload.subarray(header, length);
  const asEsp = (bytes: Uint8Array) => ({ spi: number(bytes.subarray(0, 4)), sn: number(bytes.subarray(4, 8)) });
  if (protocol === 50) return l4.length < 8 ? found : { ...found, esp: asEsp(l4) };
  if (protocol !== 17 || l4.length < 8) return found;
  const port = number(l4.subarray(2, 4));
  const data = l4.subarray(8, Math.max(8, number(l4.subarray(4, 6))));
  if (port === 4500)
    return data.length < 8 || number(data.subarray(0, 4)) === 0 ? { ...found, port } : { ...found, port, esp: asEsp(data) };
  if (data.length < 8) return { ...found, port, cut: true };
  const vni = number(data.subarray(4, 7));
  return {
    ...found,
    port,
    geneve: { vni, ...inside(number(data.subarray(2, 4)), data.subarray(8 + ((data[0] as number) & 63) * 4)) },
    vxlan: { vni, ...inside(0x6558, data.subarray(8)) },
  };
}

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

function inPrefix(address: Uint8Array, prefix: Prefix | undefined): boolean {
  if (prefix === undefined) return true;
  const bits = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits(address).slice(0, prefix.length) === bits(prefix.address).slice(0, prefix.length);
}

function macFits(match: MacMatch | undefined, mac: Inner["mac"]): boolean {
  if (match === undefined) return true;
  if (mac === undefined) return false;
  return (
    (match.destination === undefined || same(match.destination, mac.destination)) &&
    (match.source === undefined || same(match.source, mac.source))
  );
}

function ipFits(match: IpMatch | undefined, ip: Ip | undefined): boolean {
  if (match === undefined) return true;
  return (
    ip !== undefined && ip.ipv6 === match.ipv6 && inPrefix(ip.source, match.source) && inPrefix(ip.destination, match.destination)
  );
}

export interface Arrived {
  /** As received. */
  readonly port: number;
  readonly vlan: number;
  /** The last tunnel applied. */
  readonly tunnel: bigint | undefined;
}

export function fits(rule: NewRule, packet: PacketView, { port, vlan, tunnel }: Arrived): boolean {
  const { ingress, mac, ip, tunnelId, header } = rule.match;
  if (ingress === undefined ? vlan !== 0 : ingress.port !== port) return false;
  if (ingress !== undefined && ingress.vlan !== "any" && ingress.vlan !== vlan) return false;
  if (tunnelId !== undefined && tunnel !== tunnelId) return false;
  if (!macFits(mac, packet) || !ipFits(ip, packet.ip)) return false;
  if (rule.tunnel.kind === "geneve-encap" && rule.tunnel.protocol !== 0x6558) {
    if (packet.ip === undefined || packet.ip.ipv6 !== (rule.tunnel.protocol === 0x86dd)) return false;
  }
  let announced = { geneve: packet.port === 6081, vxlan: packet.port === 4789 };
  const own = rule.settings.udpPort;
  if (rule.tunnel.kind === "geneve-decap") announced = { geneve: packet.port === (own || 6081), vxlan: false };
  if (rule.tunnel.kind === "vxlan-decap") announced = { geneve: false, vxlan: packet.port === (own || 4789) };
  const looked =
    header !== undefined && "vni" in header && (header.vni !== 0 || header.mac !== undefined || header.ip !== undefined);
  const protocol = header?.kind === "geneve" ? header.protocol : 0;
  if (rule.tunnel.kind.endsWith("-decap")) {
    if (!announced.geneve && !announced.vxlan) return false;
    if (header !== undefined && rule.tunnel.kind !== `${header.kind}-decap`) return false;
    // Its own bad length drops under it.
    if (packet.cut === true) return !looked && protocol === 0;
  }
  if (header === undefined) return true;
  if (header.kind === "esp") {
    const { esp } = packet;
    return esp !== undefined && (header.spi === 0 || header.spi === esp.spi) && (header.sn === 0 || header.sn === esp.sn);
  }
  const found = announced[header.kind] ? packet[header.kind] : undefined;
  if (found === undefined) return false;
  if (header.vni !== 0 && header.vni !== found.vni) return false;
  if (protocol !== 0 && protocol !== found.protocol) return false;
  return macFits(header.mac, found.mac) && ipFits(header.ip, found.ip);
}

/** Fields present, each prefix with its address once, and the sum of prefix lengths. */
function fields(rule: NewRule): [number, number] {
  const { ingress, mac, ip, tunnelId, header } = rule.match;
  const prefixes = [ip?.source, ip?.destination];
  const others: unknown[] = [ingress, tunnelId, mac?.destination, mac?.source];
  if (header?.kind === "esp") others.push(header.spi || undefined, header.sn || undefined);
  else if (header !== undefined) {
    others.push(header.vni || undefined, header.mac?.destination, header.mac?.source);
    if (header.kind === "geneve") others.push(header.protocol || undefined);
    prefixes.push(header.ip?.source, header.ip?.destination);
  }
  const present = prefixes.filter((prefix) => prefix !== undefined);
  return [
    others.filter((one) => one !== undefined).length + present.length,
    present.reduce((sum, { length }) => sum + length, 0),
  ];
}

/** By tunnel id, number of fields, prefix lengths; of equals the first one. */
export function best(oldestFirst: Iterable<NewRule>, packet: PacketView, arrived: Arrived): NewRule | undefined {
  let found: { readonly rule: NewRule; readonly rank: readonly number[] } | undefined;
  for (const rule of oldestFirst) {
    if (!fits(rule, packet, arrived)) continue;
    const rank = [rule.match.tunnelId === undefined ? 0 : 1, ...fields(rule)];
    const better = (than: readonly number[]) => {
      const i = rank.findIndex((value, k) => value !== than[k]);
      return i >= 0 && (rank[i] as number) > (than[i] as number);
    };
    if (found === undefined || better(found.rank)) found = { rule, rank };
  }
  return found?.rule;
}
