// UDP (RFC 768). Offsets in bytes from the start of the header.

export const enum Udp {
  sourcePort = 0,
  destinationPort = 2,
  totalLength = 4,
  checksum = 6,
  length = 8,
}
