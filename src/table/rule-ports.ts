// Which UDP ports announce a tunnel header, beside the standard ones: those that decapsulating rules listen to.

import { Esp } from "../wire/esp.js";
import { Geneve } from "../wire/geneve.js";
import { Vxlan } from "../wire/vxlan.js";
import type { NewRule } from "./rule.js";
import { portOf } from "./rule-key.js";
import { Header } from "./rule-memory.js";

const STANDARD: ReadonlyMap<number, Header> = new Map<number, Header>([
  [Geneve.port, Header.geneve],
  [Vxlan.port, Header.vxlan],
  [Esp.port, Header.esp],
]);

export class RulePorts {
  /** By port, of no standard one: rules that listen there, by Header. */
  readonly #users = new Map<number, number[]>();

  /** @param ports shared: by port, Header */
  constructor(readonly ports: Uint8Array) {
    for (const [port, header] of STANDARD) ports[port] = header;
  }

  /** Of two kinds that listen to one port, the one that came last is announced. */
  listen(rule: NewRule, users: 1 | -1): void {
    const port = portOf(rule);
    if (port === undefined || STANDARD.has(port)) return;
    const counts = this.#users.get(port) ?? new Array<number>(Header.count).fill(0);
    this.#users.set(port, counts);
    const own = headerOf(rule);
    counts[own] = (counts[own] as number) + users;
    if (users > 0) this.ports[port] = own;
    else if (counts[own] === 0)
      this.ports[port] = Math.max(
        Header.none,
        counts.findIndex((count) => count > 0),
      );
    if (this.ports[port] === Header.none) this.#users.delete(port);
  }

  /** Whether the rule's port announces something else already. @param before what the rule replaces */
  clashes(rule: NewRule, before: NewRule | undefined): boolean {
    const port = portOf(rule);
    if (port === undefined) return false;
    const own = headerOf(rule);
    const standard = STANDARD.get(port);
    if (standard !== undefined) return standard !== own;
    const others = (this.#users.get(port) ?? []).reduce((sum, count, header) => (header === own ? sum : sum + count), 0);
    const itself = before !== undefined && portOf(before) === port && headerOf(before) !== own ? 1 : 0;
    return others > itself;
  }
}

function headerOf({ tunnel }: NewRule): Header {
  return tunnel.kind === "vxlan-decap" ? Header.vxlan : tunnel.kind === "ipsec-dec" ? Header.esp : Header.geneve;
}
