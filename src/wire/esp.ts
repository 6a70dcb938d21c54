// ESP (RFC 4303 section 2), alone or in UDP (RFC 3948). Offsets in bytes from the start of the header.

export const enum Esp {
  spi = 0,
  sequence = 4,
  length = 8,
  /** UDP port of NAT traversal. */
  port = 4500,
}
