// Addresses as a user writes them.

import ipaddr from "ipaddr.js";

/** 4 or 16 bytes in network order; undefined when it is no address. IPv4 in four decimal parts, IPv6 without a zone. */
export function parseAddress(text: string): number[] | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text).toByteArray();
  if (ipaddr.IPv6.isValid(text) && !text.includes("%")) return ipaddr.IPv6.parse(text).toByteArray();
  return undefined;
}

/** 6 bytes; undefined when it is no MAC address. */
export function parseMac(text: string): number[] | undefined {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return undefined;
  return text.split(/[:-]/).map((byte) => Number.parseInt(byte, 16));
}

/** An address and its prefix length; undefined when it is none, or has bits behind the prefix. */
export function parsePrefix(text: string): { address: number[]; length: number } | undefined {
  const [, host = "", digits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const address = parseAddress(host);
  const length = Number(digits);
  if (address === undefined || digits === "" || length > address.length * 8) return undefined;
  const beyond = address.some((byte, i) => (byte & (0xff >>> Math.min(8, Math.max(0, length - i * 8)))) !== 0);
  return beyond ? undefined : { address, length };
}
