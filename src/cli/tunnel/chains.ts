// Which tunnel may follow which, as the device matches (datapath.md "Tunnel stage"): a tunnel with a tunnel_id only after
// that one, and only when that recirculates. In the order of ids, so that the same tunnels always give the same picture.

import { Action } from "../../control/gen/tunneloffload.js";
import type { Ipv4Order } from "../../control/translate.js";
import { Geneve } from "../../wire/geneve.js";
import { ByAddress } from "./by-address.js";
import { covers } from "./ingress.js";
import { encapOf, procedureOf } from "./phrase.js";
import type { ShownTunnel } from "./shown.js";

/** How packets come to the first tunnel of a chain; all but entries are never reached. */
export type Start = "entry" | "orphan" | "stopped" | "circle";

export const STARTS: readonly Start[] = ["entry", "orphan", "stopped", "circle"];

export class Chains {
  readonly #tunnels = new Map<bigint, ShownTunnel>();
  readonly #followers = new Map<bigint, ShownTunnel[]>();
  readonly #byAddress: ByAddress;
  readonly #starts: Record<Start, ShownTunnel[]> = { entry: [], orphan: [], stopped: [], circle: [] };

  constructor(tunnels: readonly ShownTunnel[], order: Ipv4Order) {
    this.#byAddress = new ByAddress(order);
    const sorted = [...tunnels].sort(byId);
    for (const tunnel of sorted) this.#tunnels.set(tunnel.id, tunnel);
    for (const tunnel of sorted) {
      const before = beforeOf(tunnel);
      if (before === 0n) this.#byAddress.add(tunnel);
      else if (this.#tunnels.has(before)) this.#follows(before, tunnel);
    }
    this.#sort(sorted);
  }

  get size(): number {
    return this.#tunnels.size;
  }

  get(id: bigint): ShownTunnel | undefined {
    return this.#tunnels.get(id);
  }

  starts(how: Start): readonly ShownTunnel[] {
    return this.#starts[how];
  }

  /** That name it. */
  named(tunnel: ShownTunnel): readonly ShownTunnel[] {
    return recirculates(tunnel) ? (this.#followers.get(tunnel.id) ?? []) : [];
  }

  /** That name no tunnel, and match the outer header of this one. */
  byAddress(tunnel: ShownTunnel): readonly ShownTunnel[] {
    return recirculates(tunnel) && !this.exhaustive(tunnel) ? this.#byAddress.after(tunnel).sort(byId) : [];
  }

  /** One that names it takes all of its packets: the others rank lower. */
  exhaustive(tunnel: ShownTunnel): boolean {
    return this.named(tunnel).some((follower) => takesAll(follower, tunnel));
  }

  #follows(before: bigint, tunnel: ShownTunnel): void {
    const followers = this.#followers.get(before) ?? [];
    this.#followers.set(before, followers);
    followers.push(tunnel);
  }

  #sort(sorted: readonly ShownTunnel[]): void {
    /** By the number of the walk that came by. */
    const walks = new Map<bigint, number>();
    let walk = 0;
    for (const first of sorted) {
      walk++;
      for (let at = first; !walks.has(at.id); ) {
        walks.set(at.id, walk);
        const before = this.#tunnels.get(beforeOf(at));
        if (before === undefined) this.#starts[beforeOf(at) === 0n ? "entry" : "orphan"].push(at);
        else if (!recirculates(before)) this.#starts.stopped.push(at);
        else if (walks.get(before.id) === walk) this.#starts.circle.push(this.#lowest(before));
        else at = before;
      }
    }
    for (const how of STARTS) this.#starts[how].sort(byId);
  }

  /** Of a circle. */
  #lowest(start: ShownTunnel): ShownTunnel {
    let lowest = start;
    for (let at = start; ; ) {
      at = this.#tunnels.get(beforeOf(at)) as ShownTunnel;
      if (at === start) return lowest;
      if (at.id < lowest.id) lowest = at;
    }
  }
}

export function recirculates({ request }: ShownTunnel): boolean {
  return request.nextAction === Action.RECIRCULATE;
}

function takesAll(follower: ShownTunnel, before: ShownTunnel): boolean {
  const match = follower.request.matchCriteria;
  if (match === undefined || match.macMatch !== undefined || match.ipMatch !== undefined || match.match !== undefined)
    return false;
  const carried = encapOf(follower.request);
  const decap = /de(cap|crypt)$/.test(procedureOf(follower.request));
  const anything = !decap && !(carried !== undefined && "protocolType" in carried && carried.protocolType !== Geneve.ethernet);
  return anything && covers(match.ingressInterface, before.request.matchCriteria?.ingressInterface ?? "");
}

function beforeOf({ request }: ShownTunnel): bigint {
  return request.matchCriteria?.tunnelId ?? 0n;
}

function byId(a: ShownTunnel, b: ShownTunnel): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
