// Chains unrolled from where packets enter: what a picture draws. Each tunnel is followed once; where it comes again it is
// only named. Bounded in depth by what the device takes a packet through, and in size by the limit.

import { Action } from "../../control/gen/tunneloffload.js";
import { type Chains, recirculates } from "./chains.js";
import { meets } from "./ingress.js";
import type { ShownTunnel } from "./shown.js";

/** Tunnels that a packet may go through (datapath.md "Tunnel stage"). */
export const MAX_TUNNELS = 8;

export interface Step {
  readonly tunnel: ShownTunnel;
  /** How packets come to it. */
  readonly by: "start" | "tunnel_id" | "address";
  /** It names the tunnel before it, but is for frames that come in elsewhere. */
  readonly never: boolean;
  /** Not followed from here: it is one of those that lead here, or was followed before. */
  readonly again?: "cycle" | "above";
  readonly next: readonly Step[];
  /** Followers for which the limit left no place. */
  readonly more: number;
  /** Where packets end that none of these takes; undefined: there are none. */
  readonly end?: "straight out" | "forwarding logic" | "dropped" | undefined;
}

export class Trees {
  readonly #followed = new Set<bigint>();
  readonly #path = new Set<bigint>();
  #left: number;
  #cut = false;

  constructor(
    private readonly chains: Chains,
    limit: number,
  ) {
    this.#left = limit;
  }

  /** Something was left out. */
  get cut(): boolean {
    return this.#cut;
  }

  /** Undefined: the limit leaves no place. */
  from(start: ShownTunnel): Step | undefined {
    if (this.#full()) return undefined;
    return this.#step(start, "start");
  }

  #full(): boolean {
    const full = this.#left === 0;
    if (full) this.#cut = true;
    return full;
  }

  #step(tunnel: ShownTunnel, by: Step["by"], before?: ShownTunnel): Step {
    this.#left--;
    const { id } = tunnel;
    const never = before !== undefined && !meets(ingressOf(tunnel), ingressOf(before));
    const again = this.#path.has(id) ? "cycle" : this.#followed.has(id) ? "above" : undefined;
    if (again !== undefined) return { tunnel, by, never, again, next: [], more: 0 };
    this.#followed.add(id);
    this.#path.add(id);
    const followers = this.#followers(tunnel);
    const last = this.#path.size === MAX_TUNNELS && followers.length > 0;
    const next: Step[] = [];
    if (!last) {
      for (const [follower, how] of followers) {
        if (this.#full()) break;
        next.push(this.#step(follower, how, tunnel));
      }
    }
    this.#path.delete(id);
    return {
      tunnel,
      by,
      never,
      next,
      more: last ? 0 : followers.length - next.length,
      end: last ? "dropped" : this.#end(tunnel),
    };
  }

  #followers(tunnel: ShownTunnel): (readonly [ShownTunnel, "tunnel_id" | "address"])[] {
    return [
      ...this.chains.named(tunnel).map((follower) => [follower, "tunnel_id"] as const),
      ...this.chains.byAddress(tunnel).map((follower) => [follower, "address"] as const),
    ];
  }

  #end(tunnel: ShownTunnel): Step["end"] {
    if (tunnel.request.nextAction === Action.FORWARD) return "straight out";
    return recirculates(tunnel) && this.chains.exhaustive(tunnel) ? undefined : "forwarding logic";
  }
}

function ingressOf({ request }: ShownTunnel): string {
  return request.matchCriteria?.ingressInterface ?? "";
}
