// The rule table and its lookup on one thread, without any tunnel: the records hold the ids of their rules.

import { Burst } from "../../src/memory/burst.js";
import { Frames } from "../../src/memory/frames.js";
import { Grace } from "../../src/memory/grace.js";
import { wordsSize } from "../../src/memory/worker-words.js";
import { hashKey } from "../../src/table/flow.js";
import { RuleLookup } from "../../src/table/rule-lookup.js";
import { allocateRules, Rule } from "../../src/table/rule-memory.js";
import { RuleTable } from "../../src/table/rule-table.js";
import { Headers } from "../../src/tunnel/headers.js";
import { load } from "../stage/device.js";
import type { Arrived } from "./rule-model.js";

export class RuleRig {
  readonly table: RuleTable;
  readonly lookup: RuleLookup;
  readonly #records = new Map<bigint, Int32Array>();
  readonly #burst = new Burst(new Frames(new ArrayBuffer(Frames.size(1))));
  readonly #headers = new Headers();

  constructor(capacity = 64) {
    const memory = allocateRules(capacity, 1, hashKey(new Uint8Array(12).fill(7)));
    const words = new Int32Array(new SharedArrayBuffer(wordsSize(1)));
    this.table = new RuleTable(memory, new Grace(words, 1), {
      compile: (rule, record) => {
        record[Rule.egress] = Number(rule.id);
        this.#records.set(rule.id, record);
      },
      failClosed: 0,
    });
    this.lookup = new RuleLookup(memory, 0);
  }

  /** What Meta.tunnel holds after the tunnel with this id. */
  #tunnelWord(id: bigint | undefined): number {
    return id === undefined || !this.table.has(id) ? 0 : ((this.#records.get(id) as Int32Array)[Rule.number] as number) + 1;
  }

  /** Id of the rule for this frame. */
  find(frame: Uint8Array, { port, vlan, tunnel }: Arrived): number | undefined {
    const burst = this.#burst;
    const { lookup } = this;
    load(burst, [{ frame, port }]);
    lookup.refresh();
    this.#headers.read(burst, 0, lookup.ports, (port << 16) | vlan, this.#tunnelWord(tunnel));
    const slot = lookup.find(burst.frames.halves, this.#headers.base, this.#headers.kind);
    return slot < 0 ? undefined : (lookup.records[slot * Rule.size + Rule.egress] as number);
  }
}
