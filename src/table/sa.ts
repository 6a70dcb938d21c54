// Security associations as control knows them (RFC 4301 section 4.1): one direction, one SPI, one key.

/** As tunneloffload.v2.IPSecTunnelType: bit 0: tunnel mode, bit 1: in UDP (RFC 3948). */
export const enum EspMode {
  transport,
  tunnel,
  transportNatt,
  tunnelNatt,
}

export const enum EspModeBit {
  tunnel = 1,
  natt = 2,
}

/** A SA that stands in the table. */
export interface SaRef {
  /** 1 … 2³²-1. */
  readonly spi: number;
  /** Slot in the SaTable. */
  readonly slot: number;
}

export interface SaSettings {
  /** Extended sequence numbers (RFC 4303 section 2.2.1). */
  readonly esn: boolean;
  /** Packets behind the highest that may still arrive: 64 … 8192, or 0: replays are not looked for. Of SAs that decrypt. */
  readonly replayWindow: number;
}

/** A SA that is to be put into the table, in place of a SaRef. */
export interface SaKeys {
  readonly spi: number;
  /** 16 or 32 bytes. Not kept: whoever made it wipes it. */
  readonly key: Uint8Array;
  /** 4 bytes (GCM) or 3 (CCM). */
  readonly salt: Uint8Array;
}

export interface NewSa extends SaKeys, SaSettings {
  /** aead/aead.ts SuiteBits. */
  readonly suite: number;
  /** Encrypts; else it decrypts. */
  readonly seals: boolean;
}

/** What a user may know of a SA: never its key. Counters over all workers. */
export interface SaInfo extends SaSettings {
  readonly spi: number;
  readonly suite: number;
  readonly seals: boolean;
  /** Milliseconds since the epoch. */
  readonly created: number;
  /** Milliseconds since the epoch at which a packet was sealed or opened last, or 0. */
  readonly lastUsed: number;
  /** Sealed; or opened and accepted. Bytes: what was encrypted, without trailer and padding. */
  readonly packets: number;
  readonly bytes: number;
  /** Sealing: the last number given out. Opening: the highest one accepted. */
  readonly sequence: bigint;
  /** Packets dropped, by SaFailure. */
  readonly failures: readonly number[];
}

/** Why packets of a SA are dropped, or end (dummy). */
export const enum SaFailure {
  /** Behind the window. */
  tooOld,
  replayed,
  /** The ICV is wrong. */
  authentication,
  /** Shorter than ESP's fields, or not a multiple of 4. */
  malformed,
  padding,
  /** A next header that the mode does not accept, or what is inside is not what it says. */
  payload,
  /** No sequence number is left, or none that may be used yet. */
  exhausted,
  fragment,
  /** Congestion marked outside that the packet inside cannot say (RFC 6040). */
  ecn,
  /** Next header 59 (RFC 4303 section 2.6). */
  dummy,
  count,
}

export const SA_FAILURES: readonly string[] = [
  "too-old",
  "replayed",
  "authentication",
  "malformed",
  "padding",
  "payload",
  "exhausted",
  "fragment",
  "ecn",
  "dummy",
];
