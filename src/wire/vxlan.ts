// VXLAN (RFC 7348 section 5). Offsets in bytes from the start of the header.

export const enum Vxlan {
  flags = 0,
  vni = 4,
  length = 8,
  /** The I flag: the VNI is valid. All other bits are reserved. */
  valid = 0x08,
  /** UDP destination port (IANA). */
  port = 4789,
}
