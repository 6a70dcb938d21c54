// `sluice session add`: one session from options, under the rules of a program file.

import type { SluiceClient } from "../../control/client.js";
import { AddSessionStatus } from "../../control/gen/openoffload.js";
import { parseSession } from "../../control/program.js";
import { SluiceError } from "../../errors.js";
import type { Ipv4OrderFlag } from "../command/ipv4-order.js";
import { json } from "../json.js";
import type { Endpoint } from "../values.js";

export interface AddFlags {
  /** Undefined or 0n: the device assigns one. */
  readonly id?: bigint;
  readonly in: bigint;
  readonly out?: bigint;
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly protocol: "tcp" | "udp";
  readonly action: "forward" | "drop" | "mirror" | "snoop";
  readonly nextHop?: string;
  readonly timeout?: number;
}

/** What the fields of a program file are called here. */
const NAMES: Readonly<Record<string, string>> = {
  session_id: "--id",
  in_lif: "--in",
  out_lif: "--out",
  source_ip: "--source",
  source_port: "--source",
  destination_ip: "--destination",
  destination_port: "--destination",
  protocol_id: "--protocol",
  action_type: "--action",
  action_next_hop: "--next-hop",
  action_next_hop_v6: "--next-hop",
  cache_timeout: "--timeout",
};

export async function addSession(client: SluiceClient, flags: AddFlags & Ipv4OrderFlag, asJson: boolean): Promise<void> {
  const request = parseSession(fields(flags), flags.ipv4Order, NAMES);
  const before = request.sessionId === 0n ? await client.newest() : undefined;
  const [error] = await client.addSessions([request]);
  if (error !== undefined) {
    const name = AddSessionStatus[error.status] ?? error.status;
    throw new SluiceError("grpc", `the session was not added: ${name}: ${error.sentence}`);
  }
  const id = before === undefined ? request.sessionId : await assignedId(client, before);
  if (asJson) process.stdout.write(json({ session_id: id ?? null, request_status: "_SESSION_ACCEPTED" }));
  else process.stdout.write(`${id === undefined ? UNKNOWN : `session ${id} added`}: ${summary(flags)}\n`);
}

const UNKNOWN =
  "session added, under an id that the device assigned (which one is not known, as others changed sessions at the same moment; `sluice session list --younger-than 60` shows them)";

function fields(flags: AddFlags): Record<string, unknown> {
  const { id, source, destination, protocol, action, nextHop, timeout } = flags;
  const copies = action === "mirror" || action === "snoop";
  if (copies !== (nextHop !== undefined)) {
    const text = copies ? `--action ${action} needs --next-hop` : `--next-hop goes with --action mirror or snoop, not ${action}`;
    throw new SluiceError("usage", text);
  }
  const hop = nextHop?.includes(":") ? "action_next_hop_v6" : "action_next_hop";
  return {
    session_id: id,
    in_lif: flags.in,
    out_lif: flags.out,
    source_ip: source.address,
    source_port: source.port,
    destination_ip: destination.address,
    destination_port: destination.port,
    protocol_id: protocol.toUpperCase(),
    action: { action_type: action.toUpperCase(), [hop]: nextHop },
    cache_timeout: timeout === undefined ? undefined : BigInt(timeout),
  };
}

/**
 * The answer does not carry an assigned id. Sessions are listed in creation order: if a single one has come since the one
 * that was the newest, it is ours.
 */
async function assignedId(client: SluiceClient, before: bigint): Promise<bigint | undefined> {
  const since: bigint[] = [];
  for await (const { sessionId } of client.sessions(before)) {
    if (since.push(sessionId) > 1) return undefined;
  }
  return since[0];
}

function summary({ protocol, source, destination, action, nextHop, ...flags }: AddFlags): string {
  const parts = [`${protocol} ${source.text} to ${destination.text}`, `in ${lifText(flags.in)}`];
  if (flags.out !== undefined) parts.push(`out ${lifText(flags.out)}`);
  parts.push(nextHop === undefined ? action : `${action} to ${nextHop}`);
  if (flags.timeout !== undefined) parts.push(`timeout ${flags.timeout} s`);
  return parts.join(", ");
}

function lifText(value: bigint): string {
  const vlan = value >> 16n;
  return vlan === 0n ? `${value}` : `${value & 0xffffn}.${vlan}`;
}
