// The tunnels of a device as the commands show them: what IpTunnelService gives, and for a VXLAN encapsulation, which its
// messages cannot name, what sluice.v1 gives in its place.

import type { SluiceClient } from "../../control/client.js";
import type { Counters, IpTunnelResponse } from "../../control/gen/tunneloffload.js";
import type { TunnelRequest } from "../../control/tunnel-rule.js";
import { SluiceError } from "../../errors.js";

export interface ShownTunnel {
  readonly id: bigint;
  readonly request: TunnelRequest;
  readonly counters: Counters;
  /** What is wrong with it. */
  readonly error?: string | undefined;
}

/** VXLAN tunnels that are asked for at the same time. */
const AT_ONCE = 64;

/** In the order of creation, as they come; a VXLAN encapsulation without its header. */
export async function* tunnelPages(client: SluiceClient): AsyncGenerator<ShownTunnel[]> {
  for await (const page of client.tunnels.pages()) yield page.map(shown);
}

export async function* completePages(client: SluiceClient): AsyncGenerator<ShownTunnel[]> {
  for await (const page of tunnelPages(client)) {
    const whole: ShownTunnel[] = [];
    for (let from = 0; from < page.length; from += AT_ONCE) {
      whole.push(...(await Promise.all(page.slice(from, from + AT_ONCE).map((tunnel) => complete(client, tunnel)))));
    }
    yield whole;
  }
}

export async function oneTunnel(client: SluiceClient, id: bigint): Promise<ShownTunnel> {
  const response = await client.tunnels.get(id);
  if (response === undefined) throw noTunnel(id);
  return complete(client, shown(response));
}

export function noTunnel(id: bigint): SluiceError {
  return new SluiceError("grpc", `the device has no tunnel ${id}; \`sluice tunnel list\` shows them`);
}

/** With the header of a VXLAN encapsulation. Deleted meanwhile: with what is known of it. */
export async function complete(client: SluiceClient, tunnel: ShownTunnel): Promise<ShownTunnel> {
  if (tunnel.request.tunnel !== undefined) return tunnel;
  return { ...tunnel, request: (await client.tunnels.vxlan(tunnel.id)) ?? tunnel.request };
}

function shown({ tunnelId: id, ipTunnel, tunnelCounters, error }: IpTunnelResponse): ShownTunnel {
  return { id, request: ipTunnel ?? NOTHING, counters: tunnelCounters ?? ZERO, error: error?.errorString };
}

const ZERO: Counters = {
  inPackets: 0n,
  outPackets: 0n,
  inBytes: 0n,
  outBytes: 0n,
  inPacketsDrops: 0n,
  outPacketsDrops: 0n,
  inBytesDrops: 0n,
  outBytesDrops: 0n,
};
const NOTHING: TunnelRequest = { tunnelId: 0n, operation: 0, matchCriteria: undefined, nextAction: 0, tunnel: undefined };
