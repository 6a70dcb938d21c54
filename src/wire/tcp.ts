// TCP (RFC 9293 section 3.1). Offsets in bytes from the start of the header.

export const enum Tcp {
  sourcePort = 0,
  destinationPort = 2,
  sequence = 4,
  acknowledgment = 8,
  dataOffset = 12,
  flags = 13,
  window = 14,
  checksum = 16,
  urgent = 18,
  /** Without options. */
  length = 20,
}

export const enum TcpFlag {
  fin = 0x01,
  syn = 0x02,
  rst = 0x04,
  psh = 0x08,
  ack = 0x10,
  /** Congestion window reduced (RFC 3168). */
  cwr = 0x80,
  /** Those that open or close a connection. */
  control = 0x07,
}
