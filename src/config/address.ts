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
