// Geneve (RFC 8926 section 3.4). Offsets in bytes from the start of the header.

export const enum Geneve {
  versionOptions = 0,
  flags = 1,
  protocol = 2,
  vni = 4,
  /** Without options. */
  length = 8,
  /** Options, in words of four bytes. */
  optionsMask = 0x3f,
  versionShift = 6,
  /** An Ethernet frame follows (Transparent Ethernet Bridging). */
  ethernet = 0x6558,
  /** UDP destination port (IANA). */
  port = 6081,
}
