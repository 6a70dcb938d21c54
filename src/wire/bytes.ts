// Big-endian numbers in a frame.

export function be16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

/** As a signed 32-bit number: sequence numbers are compared by their distance. */
export function be32(bytes: Uint8Array, at: number): number {
  return (be16(bytes, at) << 16) | be16(bytes, at + 2);
}
