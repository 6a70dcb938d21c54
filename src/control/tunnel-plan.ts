// Plans tunnel requests (api.md 12): what each is to do, going by the table as the requests before it will have left it.

import type { NewRule } from "../table/rule.js";
import type { RuleTable } from "../table/rule-table.js";
import { Operation } from "./gen/tunneloffload.js";
import { alreadyExists, invalidField, invalidTunnelId, missingFields, TunnelFault } from "./tunnel-fault.js";
import { merge } from "./tunnel-merge.js";
import { fromRule, type TunnelNames, type TunnelRequest, toRule } from "./tunnel-rule.js";

export type Step =
  | { readonly kind: "create" | "update"; readonly rule: NewRule }
  | { readonly kind: "delete"; readonly id: bigint }
  | TunnelFault;

/** The table as it will be when the steps so far are done. */
export class Plan {
  /** Undefined: deleted. */
  readonly #changed = new Map<bigint, NewRule | undefined>();
  #size: number;
  /** The most tunnels that there would be at any moment. */
  peak: number;

  constructor(private readonly options: { readonly rules: RuleTable; readonly names: TunnelNames }) {
    this.#size = options.rules.size;
    this.peak = this.#size;
  }

  add(request: TunnelRequest): Step {
    try {
      return this.#step(request);
    } catch (error) {
      if (error instanceof TunnelFault) return error;
      throw error;
    }
  }

  #step(request: TunnelRequest): Step {
    const { tunnelId: id, operation } = request;
    const { names } = this.options;
    const before = id === 0n ? undefined : this.#get(id);
    if (operation === Operation._CREATE) {
      if (before !== undefined) throw exists(id);
      this.#known(request);
      const rule = toRule(request, names);
      if (id !== 0n) this.#changed.set(id, rule);
      this.peak = Math.max(this.peak, ++this.#size);
      return { kind: "create", rule };
    }
    if (operation === Operation._NONE) {
      throw missingFields("operation is _NONE: give _CREATE, _UPDATE or _DELETE");
    }
    if (operation !== Operation._UPDATE && operation !== Operation._DELETE) {
      throw invalidField(`operation ${operation} is none of _CREATE (1), _UPDATE (2), _DELETE (3)`);
    }
    if (before === undefined) throw unknownId(id);
    if (operation === Operation._DELETE) {
      this.#changed.set(id, undefined);
      this.#size--;
      return { kind: "delete", id };
    }
    this.#known(request);
    const vxlan = request.tunnel === undefined ? before.tunnel.kind === "vxlan-encap" : !isGeneveDecap(request.tunnel);
    const rule = toRule(merge(fromRule(before, names, vxlan), request), names, before);
    this.#changed.set(id, rule);
    return { kind: "update", rule };
  }

  #get(id: bigint): NewRule | undefined {
    return this.#changed.has(id) ? this.#changed.get(id) : this.options.rules.get(id)?.rule;
  }

  /** A tunnel_id that the request itself names; one that the tunnel had may be gone by now. */
  #known({ matchCriteria }: TunnelRequest): void {
    const id = matchCriteria?.tunnelId ?? 0n;
    if (id !== 0n && this.#get(id) === undefined) {
      throw unknownMatch(id);
    }
  }
}

/** It may mean VXLAN: then a tunnel is merged with it in the API's words. */
function isGeneveDecap(tunnel: NonNullable<TunnelRequest["tunnel"]>): boolean {
  return tunnel.$case === "geneve" && tunnel.value.encapDecap?.$case === "geneveDecap";
}

export function exists(id: bigint): TunnelFault {
  return alreadyExists(`tunnel ${id} exists already: _UPDATE or _DELETE it, or choose another tunnel_id (0: the device does)`);
}

export function unknownId(id: bigint): TunnelFault {
  return invalidTunnelId(
    id === 0n ? "tunnel_id is missing: give that of the tunnel" : `there is no tunnel ${id}: _CREATE it first`,
  );
}

export function unknownMatch(id: bigint): TunnelFault {
  return invalidTunnelId(`match_criteria.tunnel_id ${id}: there is no such tunnel; create it first, in this stream or before`);
}
