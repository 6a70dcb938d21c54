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

/** In the order of creation, as they come; a VXLAN encapsulation without its header. */
export async function* tunnelPages(client: SluiceClient): AsyncGenerator<ShownTunnel[]> {
  for await (const page of client.tunnels.pages()) yield page.map(shown);
}

export async function* completePages(client: SluiceClient): AsyncGenerator<ShownTunnel[]> {
  const vxlan = new VxlanTunnels(client);
  try {
    for await (const page of tunnelPages(client)) {
      const whole: ShownTunnel[] = [];
      for (const tunnel of page) {
        // Deleted meanwhile: with what is known of it.
        whole.push(named(tunnel) ? tunnel : { ...tunnel, request: (await vxlan.take(tunnel.id)) ?? tunnel.request });
      }
      yield whole;
    }
  } finally {
    await vxlan.close();
  }
}

/** IpTunnelService says what it does: of a VXLAN encapsulation it cannot. */
function named({ request }: ShownTunnel): boolean {
  return request.tunnel !== undefined;
}

/** Read only as far as is asked for: they come in the same order. */
class VxlanTunnels {
  readonly #pages: AsyncGenerator<TunnelRequest[]>;
  /** Encapsulations that have come, and were not asked for. */
  readonly #ahead = new Map<bigint, TunnelRequest>();

  constructor(client: SluiceClient) {
    this.#pages = client.tunnels.vxlanPages();
  }

  async take(id: bigint): Promise<TunnelRequest | undefined> {
    while (!this.#ahead.has(id)) {
      const { done, value } = await this.#pages.next();
      if (done) return undefined;
      for (const request of value) if (request.tunnel?.$case === "vxlanEncap") this.#ahead.set(request.tunnelId, request);
    }
    const request = this.#ahead.get(id);
    this.#ahead.delete(id);
    return request;
  }

  async close(): Promise<void> {
    await this.#pages.return(undefined);
  }
}

export async function oneTunnel(client: SluiceClient, id: bigint): Promise<ShownTunnel> {
  const response = await client.tunnels.get(id);
  if (response === undefined) throw noTunnel(id);
  const tunnel = shown(response);
  return named(tunnel) ? tunnel : { ...tunnel, request: (await client.tunnels.vxlan(id)) ?? tunnel.request };
}

export function noTunnel(id: bigint): SluiceError {
  return new SluiceError("grpc", `the device has no tunnel ${id}; \`sluice tunnel list\` shows them`);
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
