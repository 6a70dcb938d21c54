// Between the messages of openoffload.v2 and the table's sessions (api.md 1, 8, 9, 10). What is wrong with a request comes
// back as a sentence for the log: the API itself has only a code for it.
//
// Leniency that clients need: the address fields of the other IP version are ignored, as is the next hop of DROP and
// FORWARD; no action at all is proto3's zero value, _DROP.

import ipaddr from "ipaddr.js";
import { Action, type NewSession, type SessionInfo } from "../table/session.js";
import { bytesField, IPV6_BYTES } from "./bytes-field.js";
import {
  type ActionParameters,
  ActionType,
  IpVersion,
  ProtocolId,
  RequestStatus,
  type SessionRequest,
  type SessionResponse,
} from "./gen/openoffload.js";

/** How IPv4 addresses travel: see api.md 1. */
export type Ipv4Order = "s_addr" | "host";

export interface SessionRules {
  readonly ipv4Order: Ipv4Order;
  /** Seconds for cache_timeout 0. */
  readonly defaultTimeout: number;
  /** The configured logical interfaces, each with its pair, or 0 when that is not configured. */
  readonly lifs: ReadonlyMap<number, number>;
  /** Where MIRROR and SNOOP may send copies: addressText of each next hop, and its index in Config.nextHops. */
  readonly nextHops: ReadonlyMap<string, number>;
}

/** "From the beginning" to a known client of GetAllSessions, so no session may have it. */
export const RESERVED_ID = 0xffff_ffffn;

const LIF_MASK = 0xffff;
const VLAN_SHIFT = 16;
const VLAN_MAX = 4094;
const PORT_MAX = 0xffff;

/** The session that is asked for, or what is wrong with the request. */
export function toSession(request: SessionRequest, rules: SessionRules): NewSession | string {
  if (request.sessionId === RESERVED_ID) {
    return "session_id 4294967295 is reserved: clients list from it";
  }
  const inLif = request.inLif & LIF_MASK;
  const vlan = request.inLif >>> VLAN_SHIFT;
  const pair = rules.lifs.get(inLif);
  if (pair === undefined) {
    return `in_lif ${inLif} is not configured; there are ${[...rules.lifs.keys()].join(", ")}`;
  }
  if (vlan > VLAN_MAX) {
    return `in_lif has VLAN id ${vlan}; 0 (untagged) to ${VLAN_MAX} is possible`;
  }
  const outVlan = request.outLif >>> VLAN_SHIFT;
  if (outVlan !== 0 && outVlan !== vlan) {
    return `out_lif has VLAN id ${outVlan}, in_lif ${vlan}: the device does not change tags`;
  }
  const outLif = request.outLif & LIF_MASK || pair;
  if (outLif === 0) {
    return `out_lif 0 means the pair of in_lif ${inLif}, which is not configured`;
  }
  if (!rules.lifs.has(outLif)) {
    return `out_lif ${outLif} is not configured; there are ${[...rules.lifs.keys()].join(", ")}`;
  }
  if (request.protocolId !== ProtocolId._TCP && request.protocolId !== ProtocolId._UDP) {
    return `protocol_id ${request.protocolId} is neither _TCP (6) nor _UDP (17)`;
  }
  if (request.sourcePort > PORT_MAX) {
    return `source_port ${request.sourcePort} is past 65535`;
  }
  if (request.destinationPort > PORT_MAX) {
    return `destination_port ${request.destinationPort} is past 65535`;
  }
  if (request.ipVersion !== IpVersion._IPV4 && request.ipVersion !== IpVersion._IPV6) {
    return `ip_version ${request.ipVersion} is neither _IPV4 (0) nor _IPV6 (1)`;
  }
  const ipv6 = request.ipVersion === IpVersion._IPV6;
  const source = ipv6 ? bytesField(request.sourceIpv6, IPV6_BYTES) : ipv4Bytes(request.sourceIp, rules.ipv4Order);
  if (source === undefined) {
    return `source_ipv6 has ${request.sourceIpv6.length} bytes; 16 bytes or 32 hexadecimal characters are expected`;
  }
  const destination = ipv6 ? bytesField(request.destinationIpv6, IPV6_BYTES) : ipv4Bytes(request.destinationIp, rules.ipv4Order);
  if (destination === undefined) {
    return `destination_ipv6 has ${request.destinationIpv6.length} bytes; 16 bytes or 32 hexadecimal characters are expected`;
  }
  const action = toAction(request.action, rules);
  if (typeof action === "string") {
    return action;
  }
  return {
    id: request.sessionId,
    inLif,
    inVlan: vlan,
    outLif,
    outVlan: vlan,
    ipv6,
    source,
    destination,
    sourcePort: request.sourcePort,
    destinationPort: request.destinationPort,
    protocol: request.protocolId,
    ...action,
    timeout: request.cacheTimeout || rules.defaultTimeout,
  };
}

export function toResponse(info: SessionInfo): SessionResponse {
  return {
    sessionId: info.id,
    inPackets: BigInt(info.inPackets),
    outPackets: BigInt(info.outPackets),
    inBytes: BigInt(info.inBytes),
    outBytes: BigInt(info.outBytes),
    sessionState: info.state as number,
    sessionCloseCode: info.closeCode as number,
    requestStatus: RequestStatus._ACCEPTED,
    startTime: toTimestamp(info.startTime),
    endTime: info.endTime === 0 ? undefined : toTimestamp(info.endTime),
  };
}

/** What an unknown id is answered with. */
export function missingSession(id: bigint): SessionResponse {
  return {
    sessionId: id,
    inPackets: 0n,
    outPackets: 0n,
    inBytes: 0n,
    outBytes: 0n,
    sessionState: 0,
    sessionCloseCode: 0,
    requestStatus: RequestStatus._REJECTED_SESSION_NONEXISTENT,
    startTime: undefined,
    endTime: undefined,
  };
}

/** google.protobuf.Timestamp of milliseconds since the epoch. */
export function toTimestamp(ms: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.floor((ms - seconds * 1000) * 1e6) };
}

/** The four bytes of an address in network order. */
export function ipv4Bytes(value: number, order: Ipv4Order): Uint8Array {
  const bytes = new Uint8Array(4);
  const first = order === "s_addr" ? 0 : 24;
  for (let i = 0; i < 4; i++) bytes[i] = value >>> Math.abs(first - 8 * i);
  return bytes;
}

/** The number by which four bytes in network order travel. */
export function ipv4Value(bytes: Uint8Array, order: Ipv4Order): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, order === "s_addr");
}

/** As people write it; also the key of SessionRules.nextHops. */
export function addressText(bytes: ArrayLike<number>): string {
  return ipaddr.fromByteArray(Array.from(bytes)).toString();
}

/** The action, and the index of its next hop where it has one (api.md 8, 10). */
function toAction(
  parameters: ActionParameters | undefined,
  rules: SessionRules,
): Pick<NewSession, "action" | "nextHop"> | string {
  const type = parameters?.actionType ?? ActionType._DROP;
  if (parameters === undefined || type === ActionType._DROP) {
    return { action: Action.drop, nextHop: 0 };
  }
  if (type === ActionType._FORWARD) {
    return { action: Action.forward, nextHop: 0 };
  }
  if (type !== ActionType._MIRROR && type !== ActionType._SNOOP) {
    return `action_type ${type} is none of _DROP, _FORWARD, _MIRROR, _SNOOP`;
  }
  const v6 = parameters.actionNextHopV6;
  const address = v6.length > 0 ? bytesField(v6, IPV6_BYTES) : ipv4Bytes(parameters.actionNextHop, rules.ipv4Order);
  if (address === undefined) {
    return `action_next_hop_v6 has ${v6.length} bytes; 16 bytes or 32 hexadecimal characters are expected`;
  }
  const nextHop = rules.nextHops.get(addressText(address));
  if (nextHop === undefined) {
    const known = rules.nextHops.size === 0 ? "which is empty" : `which has ${some([...rules.nextHops.keys()])}`;
    return `action ${ActionType[type]}: its next hop ${addressText(address)} is not in the device's nextHops, ${known}`;
  }
  return { action: type === ActionType._MIRROR ? Action.mirror : Action.snoop, nextHop };
}

/** The first few, so that a sentence stays one. */
function some(names: readonly string[]): string {
  return names.length > 4 ? `${names.slice(0, 4).join(", ")} and ${names.length - 4} more` : names.join(", ");
}
