// One packet at a time through an AEAD provider, and the providers that are there.

import { AEAD_NAMES, type Aead, type AeadName, icvLength, Job, keyLength, SuiteBits, saltLength } from "../../src/aead/aead.js";
import { openAead } from "../../src/aead/choose.js";

export const SUITES: readonly number[] = Array.from({ length: SuiteBits.count }, (_, suite) => suite);

export interface Provider {
  readonly name: AeadName;
  /** For tap: why it is not tested here. */
  readonly skip: string | false;
}

export const PROVIDERS: readonly Provider[] = AEAD_NAMES.map((name) => ({
  name,
  skip: name === "ipsec-mb" && notBuilt(),
}));

function notBuilt(): string | false {
  try {
    openAead("ipsec-mb", new Uint8Array(0)).close();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

export interface Packet {
  readonly suite: number;
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  readonly plain: Uint8Array;
}

/** Every byte another one. */
export function packetOf(suite: number, length: number, aadLength = 12): Packet {
  const bytes = (n: number, from: number) => Uint8Array.from({ length: n }, (_, i) => from + 7 * i);
  return {
    suite,
    key: bytes(keyLength(suite), 1),
    salt: bytes(saltLength(suite), 2),
    iv: bytes(8, 3),
    aad: bytes(aadLength, 4),
    plain: bytes(length, 5),
  };
}

export const enum At {
  iv = 16,
  aad = 24,
  data = 96,
}

/** A provider with frame memory of its own and room for one job. */
export class Rig {
  readonly frames = new Uint8Array(1024).fill(0xa5);
  readonly jobs = new Int32Array(Job.size);
  readonly aead: Aead;

  constructor(name: AeadName) {
    this.aead = openAead(name, this.frames);
  }

  place({ suite, key, salt, iv, aad }: Packet, data: Uint8Array, length: number): void {
    this.aead.set(suite, suite, key, salt);
    this.jobs.set([suite, At.iv, At.aad, aad.length, At.data, length, -1]);
    this.frames.set(iv, At.iv);
    this.frames.set(aad, At.aad);
    this.frames.set(data, At.data);
  }

  /** @returns what is encrypted, and the ICV behind it */
  seal(packet: Packet): Uint8Array {
    this.place(packet, packet.plain, packet.plain.length);
    this.aead.seal(this.jobs, 1);
    return this.frames.slice(At.data, At.data + packet.plain.length + icvLength(packet.suite));
  }

  /** @returns the data, or undefined when the ICV is wrong */
  open(packet: Packet, sealed: Uint8Array): Uint8Array | undefined {
    const length = sealed.length - icvLength(packet.suite);
    this.place(packet, sealed, length);
    this.aead.open(this.jobs, 1);
    return this.jobs[Job.status] === 0 ? this.left(length) : undefined;
  }

  /** What lies where the data was. */
  left(length: number): Uint8Array {
    return this.frames.slice(At.data, At.data + length);
  }
}
