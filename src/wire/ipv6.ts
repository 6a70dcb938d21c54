// IPv6 (RFC 8200 section 3). Offsets in bytes from the start of the header.

export const enum Ipv6 {
  versionClass = 0,
  payloadLength = 4,
  nextHeader = 6,
  hopLimit = 7,
  source = 8,
  destination = 24,
  length = 40,
  /** Every link carries this much (section 5); also the most that an ICMPv6 error has (RFC 4443 section 2.4 (c)). */
  minimumMtu = 1280,
}

/** A Hop-by-Hop header that holds the Jumbo Payload option alone (RFC 2675 section 2). */
export const enum Ipv6Jumbo {
  nextHeader = 0,
  headerLength = 1,
  type = 2,
  /** The option's type. */
  jumbo = 0xc2,
  length = 8,
}

/** Fragment header (RFC 8200 section 4.5). */
export const enum Ipv6Fragment {
  nextHeader = 0,
  /** Offset in units of 8 bytes, 2 reserved bits, more fragments. */
  offset = 2,
  offsetMask = 0xfff8,
  more = 1,
  identification = 4,
  length = 8,
}

/** Hop-by-Hop, Routing and Destination Options headers (RFC 8200 section 4). */
export const enum Ipv6Extension {
  nextHeader = 0,
  /** In units of 8 bytes, the first not counted. */
  words = 1,
  /** At the least. */
  length = 8,
}
