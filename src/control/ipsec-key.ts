// Keys of security associations as they travel (api.md 4): key then salt (the keying material of RFC 4106 and RFC 4309), or the
// key alone, raw or as hexadecimal characters. Which of the four is meant its length says: no two of a suite have the same.
//
// The bytes of a key exist once in this room, in the field of the request that brought them: hexadecimal characters are decoded
// in place, what is handed on are views, and wipeKeys() ends them all.

import type { IPSecSAParams } from "./gen/tunneloffload.js";
import { keyLength, saltLength } from "./ipsec-suite.js";
import { invalidKey } from "./tunnel-fault.js";
import type { TunnelRequest } from "./tunnel-rule.js";

export interface KeyMaterial {
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
}

/** Views into the field, which is changed. `at`: its name, for the sentence. */
export function toKey(field: Buffer, suite: number, at: string): KeyMaterial {
  const key = keyLength(suite);
  const salt = saltLength(suite);
  const whole = key + salt;
  const hex = field.length === 2 * whole || field.length === 2 * key;
  if (!hex && field.length !== whole && field.length !== key) {
    throw invalidKey(
      `${at} has ${field.length} bytes: its suite takes ${whole} (key and salt) or ${key} (key alone), or twice as many hexadecimal characters`,
    );
  }
  const bytes = hex ? decode(field, at) : field;
  return { key: bytes.subarray(0, key), salt: bytes.length === key ? new Uint8Array(salt) : bytes.subarray(key) };
}

/** Overwrites the keys of a request that is done with. */
export function wipeKeys({ tunnel }: TunnelRequest): void {
  if (tunnel?.$case !== "ipsecTunnel") return;
  for (const { encryptionKey } of sasIn(tunnel.value.ipsec)) encryptionKey.fill(0);
}

type Ipsec = Extract<TunnelRequest["tunnel"], { $case: "ipsecTunnel" }>["value"]["ipsec"];

function sasIn(ipsec: Ipsec): readonly IPSecSAParams[] {
  if (ipsec?.$case === "ipsecDec") return ipsec.value.ipsecSas;
  return ipsec?.value.ipsecSa === undefined ? [] : [ipsec.value.ipsecSa];
}

/** Its first half becomes what the characters stand for. No string is made of them: those cannot be wiped. */
function decode(field: Buffer, at: string): Buffer {
  if (field.some((character) => digit(character) < 0)) {
    throw invalidKey(`${at} has ${field.length} bytes, as many as hexadecimal characters would be, and is not hexadecimal`);
  }
  const length = field.length / 2;
  for (let i = 0; i < length; i++) {
    field[i] = (digit(field[2 * i] as number) << 4) | digit(field[2 * i + 1] as number);
  }
  return field.subarray(0, length);
}

const enum Ascii {
  zero = 0x30,
  nine = 0x39,
  a = 0x61,
  f = 0x66,
  /** Set in small letters. */
  small = 0x20,
}

/** Of a hexadecimal character, or -1. */
function digit(character: number): number {
  if (character >= Ascii.zero && character <= Ascii.nine) return character - Ascii.zero;
  const letter = character | Ascii.small;
  return letter >= Ascii.a && letter <= Ascii.f ? letter - Ascii.a + 10 : -1;
}
