// IPsec and Geneve tunnels of devices in a row (line.ts), as gRPC has them, and what is seen of ESP between them.

import { randomBytes } from "node:crypto";
import type { Test } from "tap";
import type { IPSecSAParams, IpTunnelRequest, MatchCriteria } from "../../src/control/gen/tunneloffload.js";
import { ipsecDec, ipsecEnc, LENGTHS } from "../control/ipsec-tunnels.js";
import { change, criteria, geneveDecap, geneveEncap, s_addr, tunnel } from "../control/tunnel-device.js";
import type { Side } from "./line.js";

const CREATE = 1;
const UPDATE = 2;
const DELETE = 3;
export const NEXT = { none: 0, forward: 1, recirculate: 2 } as const;
/** Ports by the side that they look to. */
const TOWARDS = { a: "1", b: "2" } as const;

/** A direction's key under an SPI. */
export interface Key {
  readonly spi: number;
  readonly material: Buffer;
}

/** What both ends of a protected link have in common. */
export interface Esp {
  /** IPSecTunnelType. */
  readonly mode: number;
  /** EncType. */
  readonly encryption: number;
  readonly family: 4 | 6;
}

export function newKey(spi: number, { encryption }: Esp): Key {
  const [key, salt] = LENGTHS[encryption] as readonly [number, number];
  return { spi, material: randomBytes(key + salt) };
}

const OUTER = {
  4: { a: "192.0.2.1", b: "192.0.2.2" },
  6: { a: "20010db8000f0000000000000000000a", b: "20010db8000f0000000000000000000b" },
};

/** Outer addresses of a tunnel that leads to this side. */
function towards(side: Side, family: 4 | 6) {
  const { [side]: to, [side === "a" ? "b" : "a"]: from } = OUTER[family];
  return { from, to };
}

const sa = ({ spi, material }: Key, operation = CREATE): IPSecSAParams => ({
  spi,
  encryptionKey: Buffer.from(material),
  operation,
});

/** From the other side, towards this one. `more`: of the match. */
export function from(side: Side, more: Partial<MatchCriteria> = {}): MatchCriteria {
  return criteria({ ingressInterface: TOWARDS[side], ...more });
}

export function encrypt(
  id: number,
  match: MatchCriteria,
  esp: Esp,
  to: Side,
  key: Key,
  next: number = NEXT.forward,
): IpTunnelRequest {
  const outer = towards(to, esp.family);
  const changes = { tunnelType: esp.mode, encryptionType: esp.encryption, ipsecSa: sa(key) };
  const tunnelIps =
    esp.family === 4
      ? ({ $case: "ipv4Tunnel", value: { sourceIp: s_addr(outer.from), destinationIp: s_addr(outer.to) } } as const)
      : ({ $case: "ipv6Tunnel", value: { sourceIp: hex(outer.from), destinationIp: hex(outer.to) } } as const);
  return tunnel(id, { matchCriteria: match, nextAction: next, tunnel: ipsecEnc({ ...changes, tunnelIps }) });
}

export function decrypt(
  id: number,
  match: MatchCriteria,
  { mode, encryption }: Esp,
  keys: readonly Key[],
  next: number = NEXT.none,
) {
  const changes = { tunnelType: mode, encryptionType: encryption };
  return tunnel(id, {
    matchCriteria: match,
    nextAction: next,
    tunnel: ipsecDec(
      keys.map((key) => sa(key)),
      changes,
    ),
  });
}

export function encapsulate(id: number, match: MatchCriteria, to: Side, vni: number, next: number): IpTunnelRequest {
  const outer = towards(to, 4);
  const ip = { $case: "outerIpv4Pair", value: { sourceIp: s_addr(outer.from), destinationIp: s_addr(outer.to) } } as const;
  return tunnel(id, { matchCriteria: match, nextAction: next, tunnel: geneveEncap({ ip, vni }) });
}

export function decapsulate(id: number, match: MatchCriteria, next: number = NEXT.none): IpTunnelRequest {
  return tunnel(id, { matchCriteria: match, nextAction: next, tunnel: geneveDecap });
}

/** The other key is encrypted with, from the next packet on. */
export function switchTo(id: number, key: Key): IpTunnelRequest {
  const changes = { tunnelType: 0, encryptionType: 0, tunnelIps: undefined, ipsecSa: sa(key) };
  return change(id, UPDATE, { tunnel: ipsecEnc(changes) });
}

/** A SA beside the others comes, or goes. */
export function addKey(id: number, esp: Esp, key: Key): IpTunnelRequest {
  return withSa(id, esp, sa(key));
}

export function removeKey(id: number, esp: Esp, key: Key): IpTunnelRequest {
  return withSa(id, esp, sa(key, DELETE));
}

function withSa(id: number, { mode, encryption }: Esp, one: IPSecSAParams): IpTunnelRequest {
  return change(id, UPDATE, { tunnel: ipsecDec([one], { tunnelType: mode, encryptionType: encryption }) });
}

export function remove(id: number): IpTunnelRequest {
  return change(id, DELETE);
}

const hex = (text: string) => Buffer.from(text, "hex");

/** Ethernet and IPv4 in front of it (RFC 4303 section 2, RFC 4106 section 3). */
export const AT = { spi: 34, sequence: 38, iv: 42, end: 50 } as const;

/** No number and no IV is used twice under a key: each SPI has one of its own. */
export function ivs(t: Test, frames: readonly Buffer[], keys: number): void {
  const numbers = new Map<number, Set<number>>();
  const given = new Set<string>();
  for (const frame of frames) {
    const spi = frame.readUInt32BE(AT.spi);
    const of = numbers.get(spi) ?? new Set();
    numbers.set(spi, of.add(frame.readUInt32BE(AT.sequence)));
    given.add(frame.toString("latin1", AT.spi, AT.spi + 4) + frame.toString("latin1", AT.iv, AT.end));
  }
  t.equal(numbers.size, keys, "every key was used");
  t.equal(given.size, frames.length, `${frames.length} packets, each IV once under its key`);
  const used = [...numbers.values()].reduce((sum, { size }) => sum + size, 0);
  t.equal(used, frames.length, "each number once");
}
