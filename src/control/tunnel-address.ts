// Addresses of tunnel messages, both ways: prefixes to match, pairs of MACs and of outer addresses (api.md 1, 4, 11).
//
// Presence: an address is there when it is not zero, a bytes field when it is not empty; an address without prefix is a
// host's; a prefix without address is that of the zero address.

import type { IpMatch, MacMatch, OuterAddresses, Prefix } from "../table/rule.js";
import { prefixMask } from "../wire/bytes.js";
import { bytesField, IPV6_BYTES, MAC_BYTES } from "./bytes-field.js";
import type { IPV4Match, IPV4Pair, IPV6Match, IPV6Pair, MacPair } from "./gen/tunneloffload.js";
import { addressText, type Ipv4Order, ipv4Bytes, ipv4Value } from "./translate.js";
import { type FaultOf, invalidField } from "./tunnel-fault.js";

export type IpMatchField = { $case: "ipv4Match"; value: IPV4Match } | { $case: "ipv6Match"; value: IPV6Match };
export type OuterPair = { $case: "outerIpv4Pair"; value: IPV4Pair } | { $case: "outerIpv6Pair"; value: IPV6Pair };

const EMPTY = Buffer.alloc(0);
const IPV4_BITS = 32;
const IPV6_BITS = 128;

/** `at`: the field's name, for the sentence. */
export function toMac(pair: MacPair | undefined, at: string, fault: FaultOf): MacMatch | undefined {
  if (pair === undefined) return undefined;
  const one = (field: Buffer, name: string): Uint8Array | undefined => {
    if (field.length === 0) return undefined;
    const mac = bytesField(field, MAC_BYTES);
    if (mac === undefined) {
      throw fault(`${at}.${name} has ${field.length} bytes; give 6, or 12 hexadecimal characters with or without colons`);
    }
    return Uint8Array.from(mac);
  };
  const destination = one(pair.destinationMac, "destination_mac");
  const source = one(pair.sourceMac, "source_mac");
  return destination === undefined && source === undefined ? undefined : { destination, source };
}

export function fromMac(mac: MacMatch | undefined): MacPair | undefined {
  if (mac?.destination === undefined && mac?.source === undefined) return undefined;
  return { destinationMac: Buffer.from(mac.destination ?? EMPTY), sourceMac: Buffer.from(mac.source ?? EMPTY) };
}

export function toIpMatch(field: IpMatchField | undefined, at: string, order: Ipv4Order): IpMatch | undefined {
  if (field === undefined) return undefined;
  if (field.$case === "ipv4Match") {
    const { sourceIp, sourceIpPrefix, destinationIp, destinationIpPrefix } = field.value;
    const one = (value: number, length: number, name: string): Prefix | undefined =>
      toPrefix(ipv4Bytes(value, order), value !== 0, length, IPV4_BITS, `${at}.ipv4_match.${name}`);
    return {
      ipv6: false,
      source: one(sourceIp, sourceIpPrefix, "source_ip"),
      destination: one(destinationIp, destinationIpPrefix, "destination_ip"),
    };
  }
  const { sourceIp, sourceIpPrefix, destinationIp, destinationIpPrefix } = field.value;
  const one = (value: Buffer, length: number, name: string): Prefix | undefined => {
    const place = `${at}.ipv6_match.${name}`;
    return toPrefix(ipv6Address(value, place, invalidField), value.length > 0, length, IPV6_BITS, place);
  };
  return {
    ipv6: true,
    source: one(sourceIp, sourceIpPrefix, "source_ip"),
    destination: one(destinationIp, destinationIpPrefix, "destination_ip"),
  };
}

export function fromIpMatch(ip: IpMatch | undefined, order: Ipv4Order): IpMatchField | undefined {
  if (ip === undefined) return undefined;
  const { source, destination } = ip;
  const prefixes = { sourceIpPrefix: source?.length ?? 0, destinationIpPrefix: destination?.length ?? 0 };
  if (ip.ipv6) {
    const value = (prefix: Prefix | undefined): Buffer => (prefix === undefined ? EMPTY : Buffer.from(prefix.address));
    return { $case: "ipv6Match", value: { sourceIp: value(source), destinationIp: value(destination), ...prefixes } };
  }
  const value = (prefix: Prefix | undefined): number => (prefix === undefined ? 0 : ipv4Value(prefix.address, order));
  return { $case: "ipv4Match", value: { sourceIp: value(source), destinationIp: value(destination), ...prefixes } };
}

const OUTER = { ipv4: "outer_ipv4_pair", ipv6: "outer_ipv6_pair" };

/** Both ends of a tunnel; neither may be left out. `names`: of the two fields. */
export function toOuter(
  field: OuterPair | undefined,
  order: Ipv4Order,
  at: string,
  fault: FaultOf,
  names = OUTER,
): OuterAddresses {
  if (field === undefined) {
    throw fault(`${at} has neither ${names.ipv4} nor ${names.ipv6}: give the addresses of the outer header`);
  }
  const one = (name: "sourceIp" | "destinationIp", place: string): Uint8Array => {
    const bytes =
      field.$case === "outerIpv4Pair" ? ipv4Bytes(field.value[name], order) : ipv6Address(field.value[name], place, fault);
    if (bytes.every((byte) => byte === 0)) throw fault(`${place} is missing: give the address of that end of the tunnel`);
    return bytes;
  };
  const pair = `${at}.${field.$case === "outerIpv4Pair" ? names.ipv4 : names.ipv6}`;
  return { source: one("sourceIp", `${pair}.source_ip`), destination: one("destinationIp", `${pair}.destination_ip`) };
}

export function fromOuter({ source, destination }: OuterAddresses, order: Ipv4Order): OuterPair {
  if (source.length === IPV6_BYTES) {
    return { $case: "outerIpv6Pair", value: { sourceIp: Buffer.from(source), destinationIp: Buffer.from(destination) } };
  }
  return {
    $case: "outerIpv4Pair",
    value: { sourceIp: ipv4Value(source, order), destinationIp: ipv4Value(destination, order) },
  };
}

function ipv6Address(field: Buffer, at: string, fault: FaultOf): Uint8Array {
  if (field.length === 0) return new Uint8Array(IPV6_BYTES);
  const bytes = bytesField(field, IPV6_BYTES);
  if (bytes === undefined) throw fault(`${at} has ${field.length} bytes; give 16, or 32 hexadecimal characters`);
  return Uint8Array.from(bytes);
}

function toPrefix(address: Uint8Array, given: boolean, length: number, bits: number, at: string): Prefix | undefined {
  if (length > bits) throw invalidField(`${at}_prefix ${length} is past ${bits}: give 0 to ${bits}`);
  if (!given && length === 0) return undefined;
  const prefix = length === 0 ? bits : length;
  if (address.some((byte, i) => (byte & ~prefixMask(prefix, i)) !== 0)) {
    throw invalidField(
      `${at} ${addressText(address)} has bits set beyond its prefix of ${prefix}: clear them, or give a longer one`,
    );
  }
  return { address, length: prefix };
}
