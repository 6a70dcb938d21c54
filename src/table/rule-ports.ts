// Which UDP ports announce a tunnel header, beside the standard ones: those that decapsulating rules listen to.

import { Esp } from "../wire/esp.js";
import { Geneve } from "../wire/geneve.js";
import { Vxlan } from "../wire/vxlan.js";
import type { NewRule } from "./rule.js";
import { portOf } from "./rule-key.js";
import { Header } from "./rule-memory.js";

export class RulePorts {
  readonly #users = new Map<number, { [Header.geneve]: number; [Header.vxlan]: number }>();

  /** @param ports shared: by port, Header */
  constructor(readonly ports: Uint8Array) {
    ports[Geneve.port] = Header.geneve;
    ports[Vxlan.port] = Header.vxlan;
  }

  /** Of two kinds that listen to one port, the one that came last is announced. */
  listen(rule: NewRule, users: 1 | -1): void {
    const port = portOf(rule);
    if (port === undefined || port === Geneve.port || port === Vxlan.port) return;
    const counts = this.#users.get(port) ?? { [Header.geneve]: 0, [Header.vxlan]: 0 };
    this.#users.set(port, counts);
    const own = headerOf(rule);
    const other = own === Header.vxlan ? Header.geneve : Header.vxlan;
    counts[own] += users;
    if (users > 0) this.ports[port] = own;
    else if (counts[own] === 0) this.ports[port] = counts[other] > 0 ? other : Header.none;
    if (counts[own] + counts[other] === 0) this.#users.delete(port);
  }

  /** Whether the rule's port announces something else already. @param before what the rule replaces */
  clashes(rule: NewRule, before: NewRule | undefined): boolean {
    const port = portOf(rule);
    if (port === undefined) return false;
    // UDP-encapsulated ESP (RFC 3948): nothing else is looked for there.
    if (port === Esp.port) return true;
    const own = headerOf(rule);
    if (port === Geneve.port || port === Vxlan.port) return this.ports[port] !== own;
    const others = this.#users.get(port)?.[own === Header.vxlan ? Header.geneve : Header.vxlan] ?? 0;
    const itself = before !== undefined && portOf(before) === port && headerOf(before) !== own ? 1 : 0;
    return others > itself;
  }
}

function headerOf({ tunnel }: NewRule): Header.geneve | Header.vxlan {
  return tunnel.kind === "vxlan-decap" ? Header.vxlan : Header.geneve;
}
