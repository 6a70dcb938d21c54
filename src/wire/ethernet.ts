// Ethernet II and VLAN tags (IEEE 802.3, 802.1Q). Offsets in bytes from the start of the frame; a tag's from its TPID.

import { be16 } from "./bytes.js";

export const enum Ethernet {
  destination = 0,
  source = 6,
  type = 12,
  length = 14,
  /** Bytes of a MAC address. */
  address = 6,
}

export const enum Vlan {
  tci = 2,
  type = 4,
  length = 4,
  /** The VLAN id within the TCI; 0 is a priority tag and counts as untagged. */
  idMask = 0xfff,
}

/** EtherTypes as they stand in the frame (big endian value). */
export const enum EtherType {
  ipv4 = 0x0800,
  arp = 0x0806,
  /** C-tag. */
  vlan = 0x8100,
  ipv6 = 0x86dd,
  /** S-tag of 802.1ad. */
  qinq = 0x88a8,
}

/**
 * What an Ethernet frame carries, behind its VLAN tags; the two bytes before it are its EtherType.
 * @param start of the frame, whose 14 bytes of header are there
 * @param end no tag is looked for beyond it
 */
export function behindTags(bytes: Uint8Array, start: number, end: number): number {
  let at = start + Ethernet.length;
  for (let type = be16(bytes, at - 2); isTag(type) && at + Vlan.length <= end; type = be16(bytes, at - 2)) at += Vlan.length;
  return at;
}

export function isTag(type: number): boolean {
  return type === EtherType.vlan || type === EtherType.qinq;
}
