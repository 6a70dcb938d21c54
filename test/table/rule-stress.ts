// What control and worker of the stress test agree on: rules whose whole record follows from their id and version, and
// packets that one kind of rule or another must be found for.

import { DEFAULTS } from "../../src/config/defaults.js";
import { type NewRule, Next, type RuleMatch } from "../../src/table/rule.js";
import { Rule } from "../../src/table/rule-memory.js";
import { frameOf } from "../stage/packet.js";

export const enum StressWord {
  ready,
  stop,
  count,
}

/** Flows of each kind. */
export const FLOWS = 6;

/** What must be found for a flow. */
export const enum Kind {
  /** A rule that is updated in place, to other shapes and to other values of one shape: that rule. */
  updated,
  /** Two rules that look for the same, of which the older one comes and goes: one of the two. */
  shared,
  /** A rule that is deleted and added anew, after a tunnel: one, or the chain is closed. */
  closed,
  /** Rules that come and go: one, or none. */
  passing,
  count,
}

export interface Tally {
  /** By id: packets that were given to it. */
  readonly packets: ReadonlyMap<number, number>;
  readonly found: number;
  readonly missed: number;
  readonly wrong: readonly string[];
}

const address = (flow: number) => Uint8Array.of(10, 0, flow, 1);
const FAR = Uint8Array.of(192, 0, 2, 1);

export function flowFrame(flow: number): Uint8Array {
  return frameOf({ ipv6: false, udp: true, source: FAR, destination: address(flow), sourcePort: 1, destinationPort: 2 });
}

/** Five ways to look for a flow, and for nothing else. */
export function matchOf(flow: number, way: number): RuleMatch {
  const destination = { address: address(flow), length: 32 };
  const source = { address: FAR, length: 32 };
  switch (way) {
    case 0:
      return { ip: { ipv6: false, destination } };
    case 1:
      return { ip: { ipv6: false, destination, source } };
    case 2:
      return { ip: { ipv6: false, destination: { address: Uint8Array.of(10, 0, flow, 0), length: 24 } } };
    case 3:
      return { ip: { ipv6: false, destination }, mac: { source: Uint8Array.of(2, 0, 0, 0, 0, 1) } };
    default:
      return { ip: { ipv6: false, destination }, ingress: { port: 0, vlan: "any" } };
  }
}

export function ruleOf(id: number, match: RuleMatch, version: number): NewRule {
  const outer = { source: FAR, destination: FAR };
  return {
    id: BigInt(id),
    match,
    next: Next.forward,
    tunnel: { kind: "vxlan-encap", outer, vni: version, innerMac: {} },
    settings: DEFAULTS.tunnel,
  };
}

const mark = (id: number, version: number) => Math.imul(id ^ 0x5bd1e995, 0x9e3779b1) ^ Math.imul(version, 0x85ebca6b);

export function writeRecord(rule: NewRule, record: Int32Array): void {
  const id = Number(rule.id);
  const version = rule.tunnel.kind === "vxlan-encap" ? rule.tunnel.vni : 0;
  record[Rule.egress] = id;
  record[Rule.ipSum] = version;
  record.fill(mark(id, version), Rule.template, Rule.size);
}

/** @returns the id, or -1 when the record is no whole rule */
export function readRecord(records: Int32Array, slot: number): number {
  const base = slot * Rule.size;
  const id = records[base + Rule.egress] as number;
  const wanted = mark(id, records[base + Rule.ipSum] as number);
  for (let w: number = Rule.template; w < Rule.size; w++) if (records[base + w] !== wanted) return -1;
  return id;
}
