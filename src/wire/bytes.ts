// Big-endian numbers in a frame.

export function be16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

/** Of byte `i` of an address, the bits that a prefix of this length has. */
export function prefixMask(length: number, i: number): number {
  return 0xff & ~(0xff >>> Math.min(8, Math.max(0, length - i * 8)));
}

/** As a signed 32-bit number: sequence numbers are compared by their distance. */
export function be32(bytes: Uint8Array, at: number): number {
  return (be16(bytes, at) << 16) | be16(bytes, at + 2);
}
