// The hash chains by which workers find rules (layout: rule-memory.ts), control's half: of live rules, and of deleted ones
// that keep their chain closed. A record is in at most one of each at a time.

import type { NewRule } from "./rule.js";
import { Control, Rule } from "./rule-memory.js";
import type { KnownShape } from "./rule-shapes.js";

/** A record that is written. */
export interface RuleRecord {
  readonly rule: NewRule;
  readonly slot: number;
  readonly shape: KnownShape;
  readonly hash: number;
  /** What it looks for: equal names match the same packets. */
  readonly name: string;
  readonly age: number;
}

type Link = Rule.next | Rule.nextDead;

export class RuleChains {
  /** By name: live records from the oldest on; the first is published. */
  readonly #same = new Map<string, RuleRecord[]>();

  constructor(
    readonly records: Int32Array,
    readonly live: Int32Array,
    readonly dead: Int32Array,
    readonly control: Int32Array,
  ) {}

  /** Makes it the one that is found, unless an older rule looks for the same. */
  publish(record: RuleRecord): void {
    const same = this.#same.get(record.name) ?? [];
    this.#same.set(record.name, same);
    // Before what it replaces, which is as old.
    let at = same.length;
    while (at > 0 && (same[at - 1] as RuleRecord).age >= record.age) at--;
    same.splice(at, 0, record);
    if (same[0] !== record) return;
    const instead = same[1];
    if (instead !== undefined) {
      this.#replace(instead, record);
    } else {
      this.#link(this.live, Rule.next, record);
      Atomics.add(this.control, Control.rules, 1);
    }
  }

  /** The next oldest that looks for the same takes its place. */
  withdraw(record: RuleRecord): void {
    const same = this.#same.get(record.name) as RuleRecord[];
    const first = same[0] === record;
    same.splice(same.indexOf(record), 1);
    if (same.length === 0) this.#same.delete(record.name);
    if (!first) return;
    const heir = same[0];
    if (heir !== undefined) {
      this.#replace(record, heir);
    } else {
      this.#unlink(this.live, Rule.next, record);
      Atomics.sub(this.control, Control.rules, 1);
    }
  }

  /** Keeps its chain closed. */
  close(record: RuleRecord): void {
    this.#link(this.dead, Rule.nextDead, record);
    Atomics.add(this.control, Control.tombs, 1);
  }

  open(record: RuleRecord): void {
    this.#unlink(this.dead, Rule.nextDead, record);
    Atomics.sub(this.control, Control.tombs, 1);
  }

  #link(heads: Int32Array, link: Link, { slot, hash }: RuleRecord): void {
    const head = hash & (heads.length - 1);
    Atomics.store(this.records, slot * Rule.size + link, heads[head] as number);
    Atomics.store(heads, head, slot + 1);
  }

  /** The record keeps its link: a reader that stands in it goes on from there. */
  #unlink(heads: Int32Array, link: Link, { slot, hash }: RuleRecord): void {
    this.#refer(heads, link, hash, slot + 1, this.records[slot * Rule.size + link] as number);
  }

  /** Both look for the same: a reader of their chain meets one or the other. */
  #replace(old: RuleRecord, record: RuleRecord): void {
    Atomics.store(this.records, record.slot * Rule.size + Rule.next, this.records[old.slot * Rule.size + Rule.next] as number);
    this.#refer(this.live, Rule.next, record.hash, old.slot + 1, record.slot + 1);
  }

  /** Makes what refers to `old` refer to `to`. */
  #refer(heads: Int32Array, link: Link, hash: number, old: number, to: number): void {
    const head = hash & (heads.length - 1);
    if (heads[head] === old) {
      Atomics.store(heads, head, to);
      return;
    }
    for (let at = heads[head] as number; at !== 0; ) {
      const next = (at - 1) * Rule.size + link;
      at = this.records[next] as number;
      if (at === old) {
        Atomics.store(this.records, next, to);
        return;
      }
    }
  }
}
