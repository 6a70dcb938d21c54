// Tunnel rules as control knows them: what to match, and the one tunnel that matching packets go through (datapath.md
// "Tunnel stage"). Bytes and numbers only: no proto types. Absent fields are wildcards.

import type { EspMode, SaKeys, SaRef, SaSettings } from "./sa.js";

/** As tunneloffload.v2.Action. */
export const enum Next {
  /** To the forwarding logic, without matching again. */
  none,
  /** Straight out. */
  forward,
  /** Matched again. */
  recirculate,
}

export interface Prefix {
  /** 4 or 16 bytes in network order, zero behind the prefix. */
  readonly address: Uint8Array;
  /** 1 … 32 or 128. */
  readonly length: number;
}

export interface MacMatch {
  /** 6 bytes. */
  readonly destination?: Uint8Array | undefined;
  readonly source?: Uint8Array | undefined;
}

export interface IpMatch {
  readonly ipv6: boolean;
  readonly source?: Prefix | undefined;
  readonly destination?: Prefix | undefined;
}

/** The header right after the outer IP header. 0 = any. */
export type HeaderMatch =
  | { readonly kind: "esp"; readonly spi: number; readonly sn: number }
  | {
      readonly kind: "geneve";
      readonly vni: number;
      readonly protocol: number;
      readonly mac?: MacMatch | undefined;
      readonly ip?: IpMatch | undefined;
    }
  | { readonly kind: "vxlan"; readonly vni: number; readonly mac?: MacMatch | undefined; readonly ip?: IpMatch | undefined };

export interface RuleMatch {
  /** Undefined: untagged frames of any port. `vlan` 0: untagged; "any": tagged or not. */
  readonly ingress?: { readonly port: number; readonly vlan: number | "any" } | undefined;
  readonly mac?: MacMatch | undefined;
  readonly ip?: IpMatch | undefined;
  /** The last tunnel that was applied. */
  readonly tunnelId?: bigint | undefined;
  readonly header?: HeaderMatch | undefined;
}

/** Both ends of a tunnel, 4 or 16 bytes each, in network order. */
export interface OuterAddresses {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

export interface GeneveOption {
  readonly class: number;
  /** With the critical bit (0x80). */
  readonly type: number;
  /** 0 … 124 bytes, a multiple of 4. */
  readonly data: Uint8Array;
}

export type Tunnel =
  | {
      readonly kind: "geneve-encap";
      readonly outer: OuterAddresses;
      readonly vni: number;
      /** EtherType of what is carried: 0x6558, 0x0800 or 0x86dd. */
      readonly protocol: number;
      readonly innerMac: MacMatch;
      readonly control: boolean;
      readonly options: readonly GeneveOption[];
    }
  | { readonly kind: "geneve-decap" }
  | { readonly kind: "vxlan-encap"; readonly outer: OuterAddresses; readonly vni: number; readonly innerMac: MacMatch }
  | { readonly kind: "vxlan-decap" }
  | {
      readonly kind: "ipsec-enc";
      readonly mode: EspMode;
      /** aead/aead.ts SuiteBits. */
      readonly suite: number;
      /** With the tunnel modes. */
      readonly outer?: OuterAddresses | undefined;
      readonly sa: SaRef | SaKeys;
    }
  | { readonly kind: "ipsec-dec"; readonly mode: EspMode; readonly suite: number; readonly sas: readonly (SaRef | SaKeys)[] };

export function isDecap({ kind }: Tunnel): boolean {
  return kind === "geneve-decap" || kind === "vxlan-decap" || kind === "ipsec-dec";
}

/** The SAs of a tunnel: of one that is in the table all are SaRef. */
export function sasOf(tunnel: Tunnel): readonly (SaRef | SaKeys)[] {
  return tunnel.kind === "ipsec-enc" ? [tunnel.sa] : tunnel.kind === "ipsec-dec" ? tunnel.sas : [];
}

/** What a user may set beyond the standard API (sluice.v1 TunnelOptions); the configuration has the defaults. */
export interface TunnelSettings extends SaSettings {
  /** UDP destination port of an encapsulation, and the port that a decapsulation listens to; 0: the protocol's own. */
  readonly udpPort: number;
  /** Fills in the UDP checksum over IPv4 too, or leaves it out over IPv6 (RFC 6935, 6936). A receiver over IPv6 accepts zero with "zero", from a rule that matches on both outer addresses. */
  readonly udpChecksum: "default" | "full" | "zero";
  /** Outer IPv4 DF. */
  readonly df: "copy" | "set" | "clear";
  /** Outer TTL or hop limit, 1 … 255. */
  readonly ttl: number;
  /** Outer DSCP: copied (RFC 2983 uniform), or this value (pipe). */
  readonly dscp: "copy" | number;
  /** RFC 6040 section 4.1. */
  readonly ecn: "normal" | "compatibility";
  /** VLAN tags of the original frame: moved to the outer header, or left inside. VXLAN decapsulation: discard tagged inner frames, or keep them. */
  readonly innerVlan: "move" | "keep";
  /** UDP source port of the NAT traversal modes; their destination port is udpPort. */
  readonly nattSourcePort: number;
}

export interface NewRule {
  readonly id: bigint;
  readonly match: RuleMatch;
  readonly next: Next;
  readonly tunnel: Tunnel;
  readonly settings: TunnelSettings;
}

/** As tunneloffload.v2.Counters. */
export interface TunnelCounters {
  readonly inPackets: number;
  readonly outPackets: number;
  readonly inBytes: number;
  readonly outBytes: number;
  readonly inDrops: number;
  readonly outDrops: number;
  readonly inDropBytes: number;
  readonly outDropBytes: number;
}
