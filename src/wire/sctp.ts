// SCTP (RFC 9260 section 3.1). Offsets in bytes from the start of the common header.

export const enum Sctp {
  sourcePort = 0,
  destinationPort = 2,
  tag = 4,
  checksum = 8,
  length = 12,
}
