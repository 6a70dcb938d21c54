// Geneve (RFC 8926 sections 3.4 and 3.5). Offsets in bytes from the start of the header.

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
  /** The O bit: a control packet. */
  control = 0x80,
  /** The C bit: an option is critical. */
  critical = 0x40,
  /** An Ethernet frame follows (Transparent Ethernet Bridging). */
  ethernet = 0x6558,
  /** UDP destination port (IANA). */
  port = 6081,
}

/** From the start of an option. */
export const enum GeneveOptionField {
  class = 0,
  type = 2,
  /** In words, in its lower five bits. */
  words = 3,
  /** Without data. */
  length = 4,
  /** Bit of the type: whoever does not know the option must drop the packet. */
  critical = 0x80,
  wordsMask = 0x1f,
}
