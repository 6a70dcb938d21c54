// A session of a program file. Missing fields are proto3's zero where that means something by itself (id, out_lif, ports,
// timeout); interface, addresses, protocol and action must be given. The device says which next hops it knows.

import { z } from "zod";
import { IPV6_BYTES } from "./bytes-field.js";
import { ActionType, IpVersion, ProtocolId, type SessionRequest } from "./gen/openoffload.js";
import {
  address,
  enumeration,
  INT32_MAX,
  IPV4_BYTES,
  integer,
  number,
  optional,
  PORT_MAX,
  required,
  UINT32_MAX,
  UINT64_MAX,
} from "./program-field.js";
import { type Ipv4Order, ipv4Value } from "./translate.js";

const PROTOCOL_MAX = 0xff;

const actionType = enumeration(ActionType, ActionType._SNOOP);

const action = z.strictObject({
  action_type: required("DROP, FORWARD, MIRROR or SNOOP", actionType),
  action_next_hop: optional("an IPv4 address", address(IPV4_BYTES)),
  action_next_hop_v6: optional("an IPv6 address", address(IPV6_BYTES)),
});

const lif = "a logical interface by number, with a VLAN id in its upper 16 bits";
const port = "a port from 0 to 65535";

export const sessionSchema = z
  .strictObject({
    session_id: optional("a number from 0 to 18446744073709551615", integer(UINT64_MAX)),
    in_lif: required(lif, number(INT32_MAX)),
    out_lif: optional(lif, number(INT32_MAX)),
    ip_version: optional("IPV4 or IPV6", enumeration(IpVersion, IpVersion._IPV6)),
    source_ip: optional("an IPv4 or IPv6 address", address(IPV4_BYTES, IPV6_BYTES)),
    source_ipv6: optional("an IPv6 address", address(IPV6_BYTES)),
    source_port: optional(port, number(PORT_MAX)),
    destination_ip: optional("an IPv4 or IPv6 address", address(IPV4_BYTES, IPV6_BYTES)),
    destination_ipv6: optional("an IPv6 address", address(IPV6_BYTES)),
    destination_port: optional(port, number(PORT_MAX)),
    protocol_id: required("TCP, UDP, or a protocol number", enumeration(ProtocolId, PROTOCOL_MAX)),
    action,
    cache_timeout: optional("seconds from 0 to 4294967295", number(UINT32_MAX)),
  })
  .transform((entry, context) => {
    const mistake = (key: string, message: string): void => {
      context.issues.push({ code: "custom", message, path: [key], input: entry });
    };
    const one = (key: string, v4: Uint8Array | undefined, v6: Uint8Array | undefined): Uint8Array => {
      if (v4 !== undefined && v6 !== undefined) {
        mistake(key, `found ${key}v6 too, expected one of the two`);
      } else if (v4 === undefined && v6 === undefined) {
        mistake(key, "found nothing, expected an IPv4 or IPv6 address");
      }
      return v6 ?? v4 ?? new Uint8Array(IPV4_BYTES);
    };
    const source = one("source_ip", entry.source_ip, entry.source_ipv6);
    const destination = one("destination_ip", entry.destination_ip, entry.destination_ipv6);
    const ipv6 = source.length === IPV6_BYTES;
    if (ipv6 !== (destination.length === IPV6_BYTES)) {
      mistake("destination_ip", `found IPv${ipv6 ? 4 : 6}, expected IPv${ipv6 ? 6 : 4} as source_ip`);
    }
    if (entry.ip_version !== undefined && ipv6 !== (entry.ip_version === IpVersion._IPV6)) {
      mistake("ip_version", `found IPv${ipv6 ? 4 : 6}, expected that of the addresses, or nothing`);
    }
    return { ...entry, source, destination, ipv6 };
  });

type ProgramSession = z.infer<typeof sessionSchema>;

export function toSessionRequest(session: ProgramSession, order: Ipv4Order): SessionRequest {
  const { source, destination, action, ipv6 } = session;
  const empty = Buffer.alloc(0);
  return {
    sessionId: session.session_id ?? 0n,
    inLif: session.in_lif,
    outLif: session.out_lif ?? 0,
    ipVersion: ipv6 ? IpVersion._IPV6 : IpVersion._IPV4,
    sourceIp: ipv6 ? 0 : ipv4Value(source, order),
    sourceIpv6: source.length === IPV6_BYTES ? Buffer.from(source) : empty,
    sourcePort: session.source_port ?? 0,
    destinationIp: ipv6 ? 0 : ipv4Value(destination, order),
    destinationIpv6: destination.length === IPV6_BYTES ? Buffer.from(destination) : empty,
    destinationPort: session.destination_port ?? 0,
    protocolId: session.protocol_id,
    action: {
      actionType: action.action_type,
      actionNextHop: action.action_next_hop === undefined ? 0 : ipv4Value(action.action_next_hop, order),
      actionNextHopV6: Buffer.from(action.action_next_hop_v6 ?? empty),
    },
    cacheTimeout: session.cache_timeout ?? 0,
  };
}
