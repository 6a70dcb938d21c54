// Tunnel requests to rules and back (api.md 11, datapath.md "The tunnels"). Back: the request as the device understands it,
// in the form in which it could be sent again.

import type { HeaderMatch, NewRule, Next, Tunnel, TunnelSettings } from "../table/rule.js";
import type { SaTable } from "../table/sa-table.js";
import { EtherType } from "../wire/ethernet.js";
import { Geneve as GeneveHeader } from "../wire/geneve.js";
import type { VxlanEncap, VxlanTunnelRequest } from "./gen/sluice_tunnel.js";
import { Action, type IpTunnelRequest, Operation } from "./gen/tunneloffload.js";
import { fromMac, fromOuter, toMac, toOuter } from "./tunnel-address.js";
import { invalidCapabilities, invalidField, missingFields, notSupported } from "./tunnel-fault.js";
import { fromGeneveEncap, toGeneve } from "./tunnel-geneve.js";
import { fromIpsec, toIpsec } from "./tunnel-ipsec.js";
import { fromMatch, type MatchNames, toMatch, VNI_MAX } from "./tunnel-match.js";

/** A request of either service. */
export interface TunnelRequest extends Omit<IpTunnelRequest, "tunnel"> {
  tunnel: IpTunnelRequest["tunnel"] | VxlanTunnelRequest["tunnel"];
}

/** What of the device a rule depends on. */
export interface TunnelNames extends MatchNames {
  /** Settings that tunnels begin with. */
  readonly geneve: TunnelSettings;
  readonly vxlan: TunnelSettings;
  readonly ipsec: TunnelSettings;
  readonly sas: SaTable;
  /** Answers have the keys of SAs. */
  readonly revealKeys: boolean;
}

/** @param before the rule that it replaces: settings and SAs stay */
export function toRule(request: TunnelRequest, names: TunnelNames, before?: NewRule): NewRule {
  if (request.matchCriteria === undefined) {
    throw missingFields("match_criteria is missing: give it, if only an empty one, which matches all untagged packets");
  }
  const { nextAction } = request;
  if (nextAction !== Action.NONE && nextAction !== Action.FORWARD && nextAction !== Action.RECIRCULATE) {
    throw invalidField(`next_action ${nextAction} is none of NONE (0), FORWARD (1), RECIRCULATE (2)`);
  }
  const match = toMatch(request.matchCriteria, names);
  const tunnel = toTunnel(request, names, before?.tunnel);
  if (
    tunnel.kind === "geneve-encap" &&
    tunnel.protocol !== GeneveHeader.ethernet &&
    match.ip?.ipv6 === (tunnel.protocol === EtherType.ipv4)
  ) {
    const [carried, matched] = match.ip.ipv6 ? ["IPv4", "IPv6"] : ["IPv6", "IPv4"];
    throw invalidCapabilities(
      `geneve_encap.protocol_type carries ${carried} and match_criteria matches ${matched}: give one of them`,
    );
  }
  const { kind } = tunnel;
  const decap = DECAPS[kind];
  if (decap !== undefined && match.header !== undefined && !decap.headers.includes(match.header.kind)) {
    throw invalidCapabilities(`${decap.field} cannot take what its match is for: match with ${decap.wanted}, or with neither`);
  }
  return {
    id: request.tunnelId,
    match,
    next: nextAction as number as Next,
    tunnel,
    settings: before?.settings ?? names[KINDS[kind]],
  };
}

const KINDS = {
  "geneve-encap": "geneve",
  "geneve-decap": "geneve",
  "vxlan-encap": "vxlan",
  "vxlan-decap": "vxlan",
  "ipsec-enc": "ipsec",
  "ipsec-dec": "ipsec",
} as const;

interface Decap {
  readonly field: string;
  /** What it may match. */
  readonly headers: readonly HeaderMatch["kind"][];
  readonly wanted: string;
}

const DECAPS: Partial<Record<Tunnel["kind"], Decap>> = {
  "geneve-decap": { field: "geneve_decap", headers: ["geneve", "vxlan"], wanted: "geneve_match (or vxlan_match)" },
  "vxlan-decap": { field: "vxlan_decap", headers: ["vxlan"], wanted: "vxlan_match" },
  "ipsec-dec": { field: "ipsec_dec", headers: ["esp"], wanted: "ipsec_match" },
};

/**
 * @param vxlan in the words of sluice.v1; in those of the API a VXLAN encapsulation has no tunnel
 * @param reveal gives the key of a SA; undefined: they are left empty
 */
export function fromRule(rule: NewRule, names: MatchNames, vxlan: boolean, reveal?: (slot: number) => Uint8Array): TunnelRequest {
  const { id, match, next, tunnel } = rule;
  const named = fromMatch(match, names);
  // What makes a GeneveDecap one of VXLAN.
  const implied = tunnel.kind === "vxlan-decap" && !vxlan && named.match === undefined;
  return {
    tunnelId: id,
    operation: Operation._CREATE,
    matchCriteria: implied
      ? { ...named, match: { $case: "vxlanMatch", value: { vni: 0, macMatch: undefined, ipMatch: undefined } } }
      : named,
    nextAction: next as number as Action,
    tunnel: fromTunnel(tunnel, names, vxlan, reveal),
  };
}

function toTunnel({ tunnel, matchCriteria }: TunnelRequest, names: TunnelNames, before: Tunnel | undefined): Tunnel {
  switch (tunnel?.$case) {
    case undefined:
      throw notSupported(
        "there is no tunnel in the request: give geneve or ipsec_tunnel (or, to sluice.v1.Tunnels, vxlan_encap or vxlan_decap)",
      );
    case "geneve":
      return toGeneve(tunnel.value, matchCriteria?.match?.$case === "vxlanMatch", names);
    case "vxlanEncap":
      return toVxlanEncap(tunnel.value, names);
    case "vxlanDecap":
      return { kind: "vxlan-decap" };
    case "ipsecTunnel":
      return toIpsec(tunnel.value, names.ipv4Order, names.sas, before);
    case "nat":
      throw notSupported("nat is not supported yet: give geneve or ipsec_tunnel");
  }
}

function fromTunnel(
  tunnel: Tunnel,
  names: MatchNames,
  vxlan: boolean,
  reveal: ((slot: number) => Uint8Array) | undefined,
): TunnelRequest["tunnel"] {
  switch (tunnel.kind) {
    case "geneve-encap":
      return { $case: "geneve", value: { encapDecap: { $case: "geneveEncap", value: fromGeneveEncap(tunnel, names) } } };
    case "geneve-decap":
      return { $case: "geneve", value: { encapDecap: { $case: "geneveDecap", value: {} } } };
    case "vxlan-decap":
      if (vxlan) return { $case: "vxlanDecap", value: {} };
      return { $case: "geneve", value: { encapDecap: { $case: "geneveDecap", value: {} } } };
    case "vxlan-encap": {
      if (!vxlan) return undefined;
      const { outer, innerMac, vni } = tunnel;
      return { $case: "vxlanEncap", value: { ip: fromOuter(outer, names.ipv4Order), innerMacPair: fromMac(innerMac), vni } };
    }
    case "ipsec-enc":
    case "ipsec-dec":
      return { $case: "ipsecTunnel", value: fromIpsec(tunnel, names.ipv4Order, reveal) };
  }
}

function toVxlanEncap(encap: VxlanEncap, names: MatchNames): Tunnel {
  if (encap.vni > VNI_MAX) throw invalidField(`vxlan_encap.vni ${encap.vni} is past ${VNI_MAX}: it has 24 bits`);
  const outer = toOuter(encap.ip, names.ipv4Order, "vxlan_encap", invalidField);
  const innerMac = toMac(encap.innerMacPair, "vxlan_encap.inner_mac_pair", invalidField) ?? {};
  return { kind: "vxlan-encap", outer, vni: encap.vni, innerMac };
}
