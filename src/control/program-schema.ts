// The fields of a program file: what each may be, and what it is read as. Every mistake says what was found and what is
// expected.
//
// Missing fields are proto3's zero where that means something by itself (id, out_lif, ports, timeout); interface, addresses,
// protocol and action must be given. The device says which next hops it knows. Tunnels come with a later issue.

import { z } from "zod";
import { parseAddress } from "../config/address.js";
import { ActionType, IpVersion, ProtocolId } from "./gen/openoffload.js";

const INT32_MAX = 0x7fff_ffff;
const UINT32_MAX = 0xffff_ffff;
const UINT64_MAX = 0xffff_ffff_ffff_ffffn;
const PORT_MAX = 0xffff;
const PROTOCOL_MAX = 0xff;
export const IPV6_BYTES = 16;
const IPV4_BYTES = 4;

type Parse<T> = (value: unknown) => T | undefined;

/** How a value of the file is shown in an error. */
export function show(value: unknown): string {
  if (value === undefined || value === null) {
    return "nothing";
  }
  if (typeof value === "object") {
    return Array.isArray(value) ? "a list" : "a map";
  }
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** Must be there. */
function required<T>(expected: string, parse: Parse<T>) {
  return z.unknown().transform((value, context): T => {
    const parsed = parse(value);
    if (parsed === undefined) {
      context.issues.push({ code: "custom", message: `found ${show(value)}, expected ${expected}`, input: value });
      return z.NEVER;
    }
    return parsed;
  });
}

/** Undefined when it is not there. */
function optional<T>(expected: string, parse: Parse<T>) {
  return required(expected, parse).optional();
}

function integer(max: bigint): Parse<bigint> {
  return (value) => (typeof value === "bigint" && value >= 0n && value <= max ? value : undefined);
}

function number(max: number): Parse<number> {
  const parse = integer(BigInt(max));
  return (value) => {
    const parsed = parse(value);
    return parsed === undefined ? undefined : Number(parsed);
  };
}

/** By name, with or without the underscore, or by number. */
function enumeration(values: Readonly<Record<string, string | number>>, max: number): Parse<number> {
  const byNumber = number(max);
  return (value) => {
    if (typeof value !== "string") {
      return byNumber(value);
    }
    const found = values[value.startsWith("_") ? value : `_${value}`];
    return typeof found === "number" ? found : undefined;
  };
}

/** Bytes in network order. */
function address(...lengths: number[]): Parse<Uint8Array> {
  return (value) => {
    const bytes = typeof value === "string" ? parseAddress(value) : undefined;
    return bytes !== undefined && lengths.includes(bytes.length) ? Uint8Array.from(bytes) : undefined;
  };
}

const actionType = enumeration(ActionType, ActionType._SNOOP);

const action = z.strictObject({
  action_type: required("DROP, FORWARD, MIRROR or SNOOP", actionType),
  action_next_hop: optional("an IPv4 address", address(IPV4_BYTES)),
  action_next_hop_v6: optional("an IPv6 address", address(IPV6_BYTES)),
});

const lif = "a logical interface by number, with a VLAN id in its upper 16 bits";
const port = "a port from 0 to 65535";

const session = z
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

export type ProgramSession = z.infer<typeof session>;
export { session as sessionSchema };

const tunnel = z.unknown().superRefine((_, context) => {
  context.addIssue({ code: "custom", message: "tunnels are not supported yet" });
});

export const programSchema = z.strictObject({
  sessions: z.array(session).nullish(),
  tunnels: z.array(tunnel).nullish(),
});

/** Keys of the map at `path`, for "expected one of". */
export function keysAt(path: readonly PropertyKey[]): string[] {
  const map = path.length === 0 ? programSchema : path.at(-1) === "action" ? action : session.in;
  return Object.keys(map.shape);
}
