// SAs whose keys the oracle knows (test/stage/esp-oracle.ts), rules with them, and what stands in their shared memory.

import { keyLength, SuiteBits, saltLength } from "../../src/aead/aead.js";
import type { Fate } from "../../src/reason.js";
import type { OuterAddresses, Tunnel } from "../../src/table/rule.js";
import { sasOf } from "../../src/table/rule.js";
import { EspMode, SA_FAILURES, SaFailure, type SaInfo, type SaKeys, type SaRef } from "../../src/table/sa.js";
import { Sa, Window } from "../../src/table/sa-memory.js";
import { goOn } from "../../src/table/sequence.js";
import { SKEW } from "../../src/table/session-memory.js";
import { ORACLE } from "./esp-oracle.js";
import { type ScapyFrames, scapy } from "./scapy.js";
import { OUTER4 } from "./tunnel-frames.js";
import type { Outcome, TunnelRig } from "./tunnel-rig.js";

export const SUITES: readonly number[] = Array.from({ length: SuiteBits.count }, (_, suite) => suite);
/** AES-128-GCM with 16 bytes of ICV. */
export const GCM16 = 8;
export const SPI = 0x100;
export const IV = 8;
export const HEADER = 8;

export const icvOf = (suite: number): number => 8 + 4 * (suite >> 2);

export function suiteName(suite: number): string {
  return `AES-${(suite & 1) === 0 ? 128 : 256}-${(suite & 2) === 0 ? "GCM" : "CCM"}-${icvOf(suite)}`;
}

/** As key_of and salt_of of the oracle. */
export function keysOf(suite: number, spi = SPI): SaKeys {
  return {
    spi,
    key: Uint8Array.from({ length: keyLength(suite) }, (_, i) => i * 7 + suite + spi),
    salt: Uint8Array.from({ length: saltLength(suite) }, (_, i) => 0xf0 - i - suite - spi),
  };
}

export function enc(mode = EspMode.tunnel, suite = GCM16, spi = SPI, outer: OuterAddresses = OUTER4): Tunnel {
  const tunnelMode = mode === EspMode.tunnel || mode === EspMode.tunnelNatt;
  return { kind: "ipsec-enc", mode, suite, outer: tunnelMode ? outer : undefined, sa: keysOf(suite, spi) };
}

export function dec(mode = EspMode.tunnel, suite = GCM16, ...spis: readonly number[]): Tunnel {
  return { kind: "ipsec-dec", mode, suite, sas: (spis.length === 0 ? [SPI] : spis).map((spi) => keysOf(suite, spi)) };
}

/** scapy with the oracle's functions. */
export const frames = (expressions: Readonly<Record<string, string>>): ScapyFrames => scapy(expressions, ORACLE);

type SaRig = Pick<TunnelRig, "sas" | "saMemory"> & { readonly table: Pick<TunnelRig["table"], "get"> };

function slotOf(rig: SaRig, rule: number, n = 0): number {
  const info = rig.table.get(BigInt(rule));
  if (info === undefined) throw new Error(`no rule ${rule}`);
  return (sasOf(info.rule.tunnel)[n] as SaRef).slot;
}

/** The n-th SA of a rule. */
export const saOf = (rig: SaRig, rule: number, n = 0): SaInfo => rig.sas.info(slotOf(rig, rule, n));

/** Its failures by name, those that are there. */
export function failuresOf(rig: SaRig, rule: number, n = 0): Record<string, number> {
  const { failures } = saOf(rig, rule, n);
  return Object.fromEntries(SA_FAILURES.flatMap((name, i) => (failures[i] === 0 ? [] : [[name, failures[i] as number]])));
}

/** What failed, in all SAs of a rule that opens but for dummies, and what was accepted: equal to what its tunnel counts. */
export function total(rig: SaRig, rule: number): { readonly accepted: number; readonly failed: number } {
  const sas = sasOf(rig.table.get(BigInt(rule))?.rule.tunnel as Tunnel).map((_, n) => saOf(rig, rule, n));
  const failed = sas.flatMap(({ failures }) => failures.filter((_, i) => i !== SaFailure.dummy));
  return { accepted: sas.reduce((sum, { packets }) => sum + packets, 0), failed: failed.reduce((a, b) => a + b, 0) };
}

/** The SA that seals goes on behind this number. */
export function setSequence(rig: SaRig, rule: number, number: number): void {
  const record = slotOf(rig, rule) * Sa.size;
  const counter = new Int32Array(rig.saMemory.records, SKEW)[record + Sa.counter] as number;
  goOn(new Int32Array(rig.saMemory.counters, SKEW), counter, number);
}

/** The highest number that a SA that opens has accepted. */
export function setTop(rig: SaRig, rule: number, high: number, low: number): void {
  const words = new Int32Array(rig.saMemory.windows, SKEW);
  const base = slotOf(rig, rule) * Window.size;
  words[base + Window.topLow] = low;
  words[base + Window.topHigh] = high;
  words[base + Window.nextHigh] = high;
}

export const fates = (outcomes: readonly Outcome[]): readonly Fate[] => outcomes.map(({ fate }) => fate);
