// ESP (RFC 4303 section 2), alone or in UDP (RFC 3948). Offsets in bytes from the start of the header.

import { be16 } from "./bytes.js";

export const enum Esp {
  spi = 0,
  sequence = 4,
  length = 8,
  /** Of AES-GCM (RFC 4106 section 3.1) and AES-CCM (RFC 4309 section 3). */
  iv = 8,
  /** Where what is encrypted begins. */
  payload = 16,
  /** UDP port of NAT traversal. */
  port = 4500,
}

export const enum EspTrailer {
  /** Pad length and next header. */
  length = 2,
  /** What is encrypted has a multiple of this many bytes (RFC 4303 section 2.4). */
  alignment = 4,
}

/** The one byte of a keepalive (RFC 3948 section 2.3). */
export const KEEPALIVE = 0xff;

/** Whether an ESP header begins there, not IKE's marker: four zero bytes (RFC 3948 section 2.2). */
export function hasSpi(bytes: Uint8Array, at: number): boolean {
  return (be16(bytes, at) | be16(bytes, at + 2)) !== 0;
}
