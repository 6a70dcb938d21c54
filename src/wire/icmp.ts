// ICMP (RFC 792) and ICMPv6 (RFC 4443): errors. Offsets in bytes from the start of the message.

export const enum Icmp {
  type = 0,
  code = 1,
  checksum = 2,
  /** Next-hop MTU of "fragmentation needed" (RFC 1191 section 4). */
  mtu = 6,
  /** What is quoted begins here. */
  length = 8,
  // Types and a code
  unreachable = 3,
  fragmentationNeeded = 4,
  sourceQuench = 4,
  redirect = 5,
  timeExceeded = 11,
  parameterProblem = 12,
  /** Bytes of an error with its IP header (RFC 1812 section 4.3.2.3). */
  errorLimit = 576,
}

export const enum Icmpv6 {
  type = 0,
  code = 1,
  checksum = 2,
  /** A word, in "packet too big". */
  mtu = 4,
  /** What is quoted begins here. */
  length = 8,
  // Types
  packetTooBig = 2,
  /** Types below are errors. */
  informational = 128,
  redirect = 137,
}
