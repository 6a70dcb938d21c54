// IPv4 (RFC 791 section 3.1). Offsets in bytes from the start of the header.

export const enum Ipv4 {
  versionIhl = 0,
  tos = 1,
  totalLength = 2,
  identification = 4,
  flagsFragment = 6,
  ttl = 8,
  protocol = 9,
  checksum = 10,
  source = 12,
  destination = 16,
  /** Without options. */
  length = 20,
  /** Header length in words, within versionIhl. */
  ihlMask = 0x0f,
  /** Version 4 and five words of header: no options. */
  plain = 0x45,
  /** More-fragments flag and fragment offset. */
  fragmentMask = 0x3fff,
  dontFragment = 0x4000,
  moreFragments = 0x2000,
  offsetMask = 0x1fff,
  /** Every link carries this much (section 3.2). */
  minimumMtu = 68,
}

/** Types of options (section 3.1). */
export const enum Ipv4Option {
  end = 0,
  /** "No operation": one byte. */
  none = 1,
  /** Set: every fragment has the option, else only the first. */
  copied = 0x80,
}

/** IP protocol numbers (IANA). */
export const enum Protocol {
  hopByHop = 0,
  icmp = 1,
  ipv4 = 4,
  tcp = 6,
  udp = 17,
  ipv6 = 41,
  routing = 43,
  fragment = 44,
  esp = 50,
  ah = 51,
  icmpv6 = 58,
  none = 59,
  destinationOptions = 60,
  mobility = 135,
  hip = 139,
  shim6 = 140,
}
