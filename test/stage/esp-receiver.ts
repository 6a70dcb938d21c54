// Takes ESP apart byte by byte (RFC 4303 section 2) and opens it with node:crypto: what a frame of ours is to its receiver.
// Independent of src: literal offsets on purpose.

import { type CipherGCMTypes, createDecipheriv } from "node:crypto";

export interface Suite {
  /** Bytes of the ICV. */
  readonly icv: number;
  readonly cipher: "aes-128-gcm" | "aes-256-gcm" | "aes-128-ccm" | "aes-256-ccm";
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
}

/** @param number as the data path has it: 1: AES-256, 2: CCM, 4 × ICV of 8, 12, 16 bytes */
export function suiteOf(number: number): Suite {
  const aes256 = (number & 1) === 1;
  const ccm = (number & 2) === 2;
  return {
    icv: 8 + (number >> 2) * 4,
    cipher: `aes-${aes256 ? 256 : 128}-${ccm ? "ccm" : "gcm"}`,
    key: Uint8Array.from({ length: aes256 ? 32 : 16 }, (_, i) => i + number),
    salt: Uint8Array.from([0xca, 0xfe, 0xba, 0xbe].slice(0, ccm ? 3 : 4)),
  };
}

export interface Opened {
  /** What stands before the ESP header. */
  readonly before: Buffer;
  readonly spi: number;
  readonly sequence: number;
  /** Without padding and trailer. */
  readonly inside: Buffer;
  readonly pad: Buffer;
  readonly next: number;
}

/** Throws when the ICV is wrong. @param packet from its IP header on, with nothing behind it. @param at of the ESP header in it */
export function opened(packet: Buffer, at: number, { icv, cipher, key, salt }: Suite): Opened {
  const nonce = Buffer.concat([salt, packet.subarray(at + 8, at + 16)]);
  const sealed = packet.subarray(at + 16, packet.length - icv);
  const open = createDecipheriv(cipher as CipherGCMTypes, key, nonce, { authTagLength: icv });
  open.setAuthTag(packet.subarray(packet.length - icv));
  const lengths = { plaintextLength: sealed.length };
  open.setAAD(packet.subarray(at, at + 8), lengths);
  const clear = open.update(sealed);
  open.final();
  const pad = clear[clear.length - 2] as number;
  return {
    before: packet.subarray(0, at),
    spi: packet.readUInt32BE(at),
    sequence: packet.readUInt32BE(at + 4),
    inside: clear.subarray(0, clear.length - 2 - pad),
    pad: clear.subarray(clear.length - 2 - pad, clear.length - 2),
    next: clear[clear.length - 1] as number,
  };
}

export interface Part {
  readonly version: number;
  /** By the IP header. */
  readonly length: number;
  readonly header: Buffer;
  readonly payload: Buffer;
  readonly dontFragment: boolean;
  readonly id: number;
  readonly offset: number;
  readonly more: boolean;
  readonly fragment: boolean;
}

/** An IPv4 packet, or an IPv6 packet; with a Fragment header (not in `header`) at byte `fragmentAt`, if it has one. */
export function part(packet: Buffer, fragmentAt = 40): Part {
  if ((packet[0] as number) >> 4 === 4) {
    const header = ((packet[0] as number) & 15) * 4;
    const length = packet.readUInt16BE(2);
    const flags = packet.readUInt16BE(6);
    const [offset, more] = [(flags & 0x1fff) * 8, (flags & 0x2000) !== 0];
    return {
      version: 4,
      length,
      header: packet.subarray(0, header),
      payload: packet.subarray(header, length),
      dontFragment: (flags & 0x4000) !== 0,
      id: packet.readUInt16BE(4),
      offset,
      more,
      fragment: more || offset > 0,
    };
  }
  const length = 40 + packet.readUInt16BE(4);
  const before = fragmentAt === 40 ? 6 : fragmentHolder(packet, fragmentAt);
  const fragment = packet[before] === 44;
  const bits = fragment ? packet.readUInt16BE(fragmentAt + 2) : 0;
  return {
    version: 6,
    length,
    header: packet.subarray(0, fragmentAt),
    payload: packet.subarray(fragmentAt + (fragment ? 8 : 0), length),
    dontFragment: false,
    id: fragment ? packet.readUInt32BE(fragmentAt + 4) : 0,
    offset: bits & 0xfff8,
    more: (bits & 1) === 1,
    fragment,
  };
}

/** Offset of the field that says what stands at `at`. */
function fragmentHolder(packet: Buffer, at: number): number {
  let field = 6;
  for (let header = 40; header < at; header += 8 + (packet[header + 1] as number) * 8) field = header;
  return field;
}

/** The payload of all fragments of a packet, which come in order. Throws when there are gaps. */
export function whole(parts: readonly Part[]): Buffer {
  let at = 0;
  parts.forEach(({ offset, more, payload, id }, i) => {
    const last = i === parts.length - 1;
    if (offset !== at || more === last || id !== parts[0]?.id || (!last && payload.length % 8 !== 0)) {
      throw new Error(`fragment ${i} of ${parts.length}: offset ${offset} at ${at}, more ${more}, id ${id}`);
    }
    at += payload.length;
  });
  return Buffer.concat(parts.map(({ payload }) => payload));
}
