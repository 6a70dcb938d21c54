// IPSecTunnel, to a rule's tunnel and back (api.md 4, 11, 12; datapath.md "IPSecEnc / IPSecDec").
//
// What an _UPDATE says of SAs is carried out on those that the tunnel has. One that stays is the SA in the table: an entry without
// a key, or with the key that the SPI has anyway, leaves it alone, so what GetIpTunnel answers can be sent back. Keys that come
// are views into the request (ipsec-key.ts).
//
// Leniency that clients need: tunnel IPs beside the transport modes are ignored, and so is the operation of an encrypting SA.

import type { Tunnel } from "../table/rule.js";
import { EspMode, EspModeBit, type SaKeys, type SaRef } from "../table/sa.js";
import type { SaTable } from "../table/sa-table.js";
import { type IPSecDec, type IPSecEnc, type IPSecSAParams, type IPSecTunnel, Operation } from "./gen/tunneloffload.js";
import { toKey } from "./ipsec-key.js";
import { fromSuite, SUITES, toSuite } from "./ipsec-suite.js";
import type { Ipv4Order } from "./translate.js";
import { fromOuter, type OuterPair, toOuter } from "./tunnel-address.js";
import { invalidField, invalidKey, missingIpsecFields, unsupportedEncryption, unsupportedTunnelType } from "./tunnel-fault.js";

type Enc = Extract<Tunnel, { kind: "ipsec-enc" }>;
type Dec = Extract<Tunnel, { kind: "ipsec-dec" }>;
type Sa = SaRef | SaKeys;

const TUNNEL_IPS = { ipv4: "ipv4_tunnel", ipv6: "ipv6_tunnel" };
const NO_KEY = Buffer.alloc(0);

/** @param before what it replaces */
export function toIpsec({ ipsec }: IPSecTunnel, order: Ipv4Order, sas: SaTable, before: Tunnel | undefined): Tunnel {
  if (ipsec === undefined) throw missingIpsecFields("ipsec_tunnel is empty: give ipsec_enc or ipsec_dec");
  if (ipsec.$case === "ipsecEnc") return toEnc(ipsec.value, order, sas, before?.kind === "ipsec-enc" ? before : undefined);
  return toDec(ipsec.value, sas, before?.kind === "ipsec-dec" ? before : undefined);
}

/** @param reveal gives the key of a slot; undefined: keys stay with the device */
export function fromIpsec(tunnel: Enc | Dec, order: Ipv4Order, reveal: ((slot: number) => Uint8Array) | undefined): IPSecTunnel {
  const one = (sa: Sa): IPSecSAParams => ({
    spi: sa.spi,
    encryptionKey: reveal !== undefined && "slot" in sa ? Buffer.from(reveal(sa.slot)) : NO_KEY,
    operation: Operation._CREATE,
  });
  const common = { tunnelType: tunnel.mode as number, encryptionType: fromSuite(tunnel.suite) };
  if (tunnel.kind === "ipsec-dec") {
    return { ipsec: { $case: "ipsecDec", value: { ...common, ipsecSas: tunnel.sas.map(one) } } };
  }
  const tunnelIps = tunnel.outer && fromPair(fromOuter(tunnel.outer, order));
  return { ipsec: { $case: "ipsecEnc", value: { ...common, ipsecSa: one(tunnel.sa), tunnelIps } } };
}

function toEnc(enc: IPSecEnc, order: Ipv4Order, sas: SaTable, before: Enc | undefined): Enc {
  const at = "ipsec_enc";
  const { mode, suite } = modeAndSuite(enc, at);
  const outer =
    (mode & EspModeBit.tunnel) === 0
      ? undefined
      : toOuter(enc.tunnelIps && toPair(enc.tunnelIps), order, at, missingIpsecFields, TUNNEL_IPS);
  if (enc.ipsecSa === undefined) throw missingIpsecFields(`${at}.ipsec_sa is missing: give the SPI and the key to encrypt with`);
  const { spi, encryptionKey } = enc.ipsecSa;
  if (spi === 0) throw missingIpsecFields(`${at}.ipsec_sa.spi is missing: give the SPI, from 1`);
  const old = before?.sa.spi === spi ? before.sa : undefined;
  if (old !== undefined && encryptionKey.length === 0) {
    if (suite !== before?.suite) throw staysWith(at, "ipsec_sa with its key", [spi]);
    return { kind: "ipsec-enc", mode, suite, outer, sa: old };
  }
  const sa = newSa(enc.ipsecSa, suite, `${at}.ipsec_sa`);
  const kept = old !== undefined && suite === before?.suite && holds(old, sa, sas);
  return { kind: "ipsec-enc", mode, suite, outer, sa: kept ? old : sa };
}

function toDec(dec: IPSecDec, sas: SaTable, before: Dec | undefined): Dec {
  const at = "ipsec_dec";
  const { mode, suite } = modeAndSuite(dec, at);
  const bySpi = new Map(before?.sas.map((sa): [number, Sa] => [sa.spi, sa]));
  for (const [i, entry] of dec.ipsecSas.entries()) {
    change(bySpi, entry, `${at}.ipsec_sas[${i}]`, suite, {
      sas,
      update: before !== undefined,
      sameSuite: suite === before?.suite,
    });
  }
  if (before === undefined && bySpi.size === 0) {
    throw missingIpsecFields(`${at}.ipsec_sas is empty: give at least one SA, its SPI and its key`);
  }
  const staying = before === undefined || suite === before.suite ? [] : before.sas.filter((sa) => bySpi.get(sa.spi) === sa);
  if (staying.length > 0) {
    throw staysWith(
      at,
      "ipsec_sas that replace each SA (operation _UPDATE) or remove it (_DELETE)",
      staying.map(({ spi }) => spi),
    );
  }
  return { kind: "ipsec-dec", mode, suite, sas: [...bySpi.values()] };
}

interface Change {
  readonly sas: SaTable;
  /** The tunnel exists. */
  readonly update: boolean;
  readonly sameSuite: boolean;
}

/** Carries one entry of ipsec_sas out. */
function change(
  bySpi: Map<number, Sa>,
  entry: IPSecSAParams,
  at: string,
  suite: number,
  { sas, update, sameSuite }: Change,
): void {
  const { spi, operation } = entry;
  if (spi === 0) throw missingIpsecFields(`${at}.spi is missing: give the SPI, from 1`);
  const old = bySpi.get(spi);
  switch (operation) {
    case Operation._DELETE:
      if (old === undefined) throw invalidField(`${at}: the tunnel has no SA with SPI ${spi} to _DELETE`);
      bySpi.delete(spi);
      return;
    case Operation._UPDATE: {
      if (old === undefined && update) {
        throw invalidField(`${at}: the tunnel has no SA with SPI ${spi} to _UPDATE: give _CREATE to add one`);
      }
      if (!update) break;
      const sa = newSa(entry, suite, at);
      // The same key keeps its window: what was received under it stays received.
      bySpi.set(spi, old !== undefined && sameSuite && holds(old, sa, sas) ? old : sa);
      return;
    }
    case Operation._NONE:
    case Operation._CREATE:
      break;
    default:
      throw invalidField(`${at}.operation ${operation} is none of _NONE (0), _CREATE (1), _UPDATE (2), _DELETE (3)`);
  }
  if (old !== undefined && update && entry.encryptionKey.length === 0) return;
  const sa = newSa(entry, suite, at);
  if (old === undefined) bySpi.set(spi, sa);
  else if (!holds(old, sa, sas)) {
    throw invalidKey(
      `${at}: SPI ${spi} has another key already: take another SPI, or rekey it with an _UPDATE of the tunnel and of the SA`,
    );
  }
}

function newSa({ spi, encryptionKey }: IPSecSAParams, suite: number, at: string): SaKeys {
  if (encryptionKey.length === 0) throw missingIpsecFields(`${at}.encryption_key is missing: give the key of SPI ${spi}`);
  return { spi, ...toKey(encryptionKey, suite, `${at}.encryption_key`) };
}

function holds(sa: Sa, { key, salt }: SaKeys, sas: SaTable): boolean {
  if ("slot" in sa) return sas.matches(sa.slot, key, salt);
  return Buffer.compare(sa.key, key) === 0 && Buffer.compare(sa.salt, salt) === 0;
}

function modeAndSuite({ tunnelType, encryptionType }: IPSecEnc | IPSecDec, at: string): { mode: EspMode; suite: number } {
  const mode = tunnelType as number as EspMode;
  if (mode < EspMode.transport || mode > EspMode.tunnelNatt) {
    throw unsupportedTunnelType(
      `${at}.tunnel_type ${tunnelType} is none of TRANSPORT (0), TUNNEL (1), TRANSPORT_NAT_TRAVERSAL (2), TUNNEL_NAT_TRAVERSAL (3)`,
    );
  }
  if (encryptionType < 0 || encryptionType >= SUITES) {
    throw unsupportedEncryption(
      `${at}.encryption_type ${encryptionType} is none of the ${SUITES} of EncType, _AES256GCM64 (0) to _AES128CCM128 (11)`,
    );
  }
  return { mode, suite: toSuite(encryptionType) };
}

function staysWith(at: string, remedy: string, spis: readonly number[]) {
  const shown = spis.length > 4 ? `${spis.slice(0, 4).join(", ")} and ${spis.length - 4} more` : spis.join(", ");
  return unsupportedEncryption(`${at}.encryption_type is not that of SPI ${shown}, which would stay: give ${remedy} with it`);
}

export type TunnelIps = NonNullable<IPSecEnc["tunnelIps"]>;

export function toPair(ips: TunnelIps): OuterPair {
  return ips.$case === "ipv4Tunnel" ? { $case: "outerIpv4Pair", value: ips.value } : { $case: "outerIpv6Pair", value: ips.value };
}

export function fromPair(pair: OuterPair): TunnelIps {
  return pair.$case === "outerIpv4Pair" ? { $case: "ipv4Tunnel", value: pair.value } : { $case: "ipv6Tunnel", value: pair.value };
}
