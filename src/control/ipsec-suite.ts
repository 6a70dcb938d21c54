// The 12 encryption suites as the API numbers them (EncType), and by bits as the data path does (aead/aead.ts SuiteBits, which
// this room does not import); the lengths of their keys and salts (RFC 4106 section 8.1, RFC 4309 section 7.1).

import type { EncType } from "./gen/tunneloffload.js";

const enum Suite {
  /** Set: a key of 256 bits, else 128. */
  aes256 = 1,
  /** Set: CCM, else GCM. */
  ccm = 2,
  /** × 0, 1, 2: ICV of 8, 12, 16 bytes. */
  icv = 4,
}

/** In the API's order: GCM before CCM, of these 256 bits before 128, of these the short ICV first. */
const enum Encryption {
  aes128 = 3,
  ccm = 6,
}

const ICVS = 3;

export const SUITES = 12;

export function toSuite(encryption: EncType): number {
  const ccm = encryption >= Encryption.ccm ? Suite.ccm : 0;
  const aes256 = encryption % Encryption.ccm < Encryption.aes128 ? Suite.aes256 : 0;
  return ccm | aes256 | ((encryption % ICVS) * Suite.icv);
}

export function fromSuite(suite: number): EncType {
  const ccm = suite & Suite.ccm ? Encryption.ccm : 0;
  const aes128 = suite & Suite.aes256 ? 0 : Encryption.aes128;
  return ccm + aes128 + Math.floor(suite / Suite.icv);
}

export function keyLength(suite: number): number {
  return suite & Suite.aes256 ? 32 : 16;
}

export function saltLength(suite: number): number {
  return suite & Suite.ccm ? 3 : 4;
}
