// The security associations of tunnel rules, control's half: which a rule brings along, keeps, and lets go of.

import { type NewRule, sasOf } from "./rule.js";
import type { SaRef } from "./sa.js";
import type { SaTable } from "./sa-table.js";

/** SAs of a rule that is in its table. */
export function refsOf({ tunnel }: NewRule): readonly SaRef[] {
  return sasOf(tunnel) as readonly SaRef[];
}

export class RuleSas {
  /** @param table absent: there is no place for any */
  constructor(readonly table: SaTable | undefined) {}

  /** Puts the rule's new SAs into their table. Throws what that does. @returns the rule with references to all of them; undefined: there is no place */
  settle(rule: NewRule, kept: readonly SaRef[], now: number): NewRule | undefined {
    const { tunnel, settings } = rule;
    if (tunnel.kind !== "ipsec-enc" && tunnel.kind !== "ipsec-dec") return rule;
    const refs: SaRef[] = [];
    const seals = tunnel.kind === "ipsec-enc";
    let whole = false;
    try {
      for (const sa of sasOf(tunnel)) {
        const slot = "slot" in sa ? sa.slot : (this.table?.add({ ...settings, ...sa, suite: tunnel.suite, seals }, now) ?? -1);
        if (slot < 0) return undefined;
        refs.push({ spi: sa.spi, slot });
      }
      whole = true;
    } finally {
      if (!whole) this.release(refs, kept);
    }
    return { ...rule, tunnel: seals ? { ...tunnel, sa: refs[0] as SaRef } : { ...tunnel, sas: refs } };
  }

  /** The settings of a rule are those of its SAs. */
  configure(rule: NewRule): void {
    for (const { slot } of refsOf(rule)) this.table?.configure(slot, rule.settings);
  }

  /** No rule refers to them any more: release() follows. */
  retire(refs: readonly SaRef[]): void {
    for (const { slot } of refs) this.table?.retire(slot);
  }

  /** Lets go of SAs that no worker can reach any more, but for those that are kept. */
  release(refs: readonly SaRef[], kept: readonly SaRef[] = []): void {
    for (const { slot } of without(refs, kept)) this.table?.release(slot);
  }
}

export function without(refs: readonly SaRef[], kept: readonly SaRef[]): readonly SaRef[] {
  const slots = new Set(kept.map(({ slot }) => slot));
  return refs.filter(({ slot }) => !slots.has(slot));
}
