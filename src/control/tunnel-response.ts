// What the device says of a tunnel: its request as understood, its counters, and what is wrong with it.

import type { TunnelCounters } from "../table/rule.js";
import type { RuleInfo } from "../table/rule-table.js";
import {
  type CapabilityResponse,
  type Counters,
  EncType,
  type Error as ErrorMessage,
  IPSecTunnelType,
  type IpTunnelRequest,
  type IpTunnelResponse,
  type IpTunnelStatsResponse,
} from "./gen/tunneloffload.js";
import { invalidTunnelId } from "./tunnel-fault.js";
import { MAX_OPTIONS } from "./tunnel-geneve.js";
import { fromRule, type TunnelNames } from "./tunnel-rule.js";

export const CAPABILITIES: CapabilityResponse = {
  matchCapabilities: {
    ingressInterfaceMatching: true,
    vxlanMatching: true,
    geneveMatching: true,
    tunnelMatching: true,
    spiMatching: true,
  },
  ipsecCapabilities: {
    tunnelTypeSupported: numbersOf(IPSecTunnelType),
    encryptionSupported: numbersOf(EncType),
  },
  geneveCapabilities: { numberGeneveOptionsSupported: MAX_OPTIONS },
};

export function toResponse(info: RuleInfo, names: TunnelNames): IpTunnelResponse {
  const { rule, counters } = info;
  const reveal = names.revealKeys ? (slot: number) => names.sas.reveal(slot) : undefined;
  return {
    tunnelId: rule.id,
    ipTunnel: fromRule(rule, names, false, reveal) as IpTunnelRequest,
    tunnelCounters: toCounters(counters),
    error: orphanError(info),
  };
}

export function toStatsResponse({ rule, counters }: RuleInfo): IpTunnelStatsResponse {
  return { tunnelId: rule.id, tunnelCounters: toCounters(counters), error: undefined };
}

/** An unknown id. */
export function missingTunnel(id: bigint): IpTunnelResponse {
  return { tunnelId: id, ipTunnel: undefined, tunnelCounters: undefined, error: missing(id) };
}

export function missingStats(id: bigint): IpTunnelStatsResponse {
  return { tunnelId: id, tunnelCounters: undefined, error: missing(id) };
}

function missing(id: bigint): ErrorMessage {
  return invalidTunnelId(`there is no tunnel ${id}`).toMessage();
}

function orphanError({ orphan, rule }: RuleInfo): ErrorMessage | undefined {
  if (!orphan) return undefined;
  const sentence = `match_criteria.tunnel_id ${rule.match.tunnelId} was deleted: the tunnel matches nothing until that is created again`;
  return invalidTunnelId(sentence).toMessage();
}

function toCounters(counters: TunnelCounters): Counters {
  return {
    inPackets: BigInt(counters.inPackets),
    outPackets: BigInt(counters.outPackets),
    inBytes: BigInt(counters.inBytes),
    outBytes: BigInt(counters.outBytes),
    inPacketsDrops: BigInt(counters.inDrops),
    outPacketsDrops: BigInt(counters.outDrops),
    inBytesDrops: BigInt(counters.inDropBytes),
    outBytesDrops: BigInt(counters.outDropBytes),
  };
}

/** Those that are known: generated enums have one for unknown ones, too. */
function numbersOf(names: Readonly<Record<string, string | number>>): number[] {
  return Object.values(names).filter((value): value is number => typeof value === "number" && value >= 0);
}
