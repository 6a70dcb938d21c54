// IPv6 (RFC 8200 section 3). Offsets in bytes from the start of the header.

export const enum Ipv6 {
  versionClass = 0,
  payloadLength = 4,
  nextHeader = 6,
  hopLimit = 7,
  source = 8,
  destination = 24,
  length = 40,
}
