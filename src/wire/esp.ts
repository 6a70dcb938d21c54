// ESP (RFC 4303 section 2), alone or in UDP (RFC 3948). Offsets in bytes from the start of the header.

import { be16 } from "./bytes.js";

export const enum Esp {
  spi = 0,
  sequence = 4,
  length = 8,
  /** UDP port of NAT traversal. */
  port = 4500,
}

/** Whether an ESP header begins there, not IKE's marker: four zero bytes (RFC 3948 section 2.2). */
export function hasSpi(bytes: Uint8Array, at: number): boolean {
  return (be16(bytes, at) | be16(bytes, at + 2)) !== 0;
}
