// A device of four uplinks with tunnel rules, on one thread: what becomes of given frames.

import type { AeadName } from "../../src/aead/aead.js";
import { openAead } from "../../src/aead/choose.js";
import { DEFAULTS } from "../../src/config/defaults.js";
import { BURST, Burst } from "../../src/memory/burst.js";
import { Frames } from "../../src/memory/frames.js";
import { Grace } from "../../src/memory/grace.js";
import { wordsSize } from "../../src/memory/worker-words.js";
import { Fate } from "../../src/reason.js";
import { TunnelStage } from "../../src/stage/tunnel.js";
import { hashKey } from "../../src/table/flow.js";
import { type Route, Routes } from "../../src/table/route.js";
import { type NewRule, Next, type RuleMatch, type Tunnel, type TunnelSettings } from "../../src/table/rule.js";
import { RuleLookup } from "../../src/table/rule-lookup.js";
import { allocateRules } from "../../src/table/rule-memory.js";
import { RuleStatus, RuleTable } from "../../src/table/rule-table.js";
import { SaLookup } from "../../src/table/sa-lookup.js";
import { allocateSas, type SaMemory } from "../../src/table/sa-memory.js";
import { SaTable } from "../../src/table/sa-table.js";
import { compile } from "../../src/tunnel/compile.js";
import { type Arrival, load, topology } from "./device.js";

export interface Outcome {
  readonly fate: Fate;
  /** Index of the port; of what goes to the forwarding logic nothing. */
  readonly egress: number;
  readonly frame: Uint8Array;
}

export class TunnelRig {
  readonly table: RuleTable;
  /** What stands in memory around a frame. */
  fill = 0xa5;
  readonly stage: TunnelStage;
  readonly sas: SaTable;
  readonly saMemory: SaMemory;
  readonly #burst = new Burst(new Frames(new ArrayBuffer(Frames.size(BURST))));

  constructor(routes: readonly Route[] = [], failClosed = 60_000, capacity = 64, aead: AeadName = "openssl") {
    const memory = allocateRules(capacity, 1, hashKey(new Uint8Array(12).fill(7)), capacity);
    const saMemory = allocateSas(capacity, 1);
    this.saMemory = saMemory;
    const words = new Int32Array(new SharedArrayBuffer(wordsSize(1)));
    const table = new Routes(routes);
    this.sas = newSas(saMemory);
    this.table = new RuleTable(memory, new Grace(words, 1), {
      compile: (rule, record) => compile(rule, record, table),
      failClosed,
      sas: this.sas,
    });
    const provider = openAead(aead, this.#burst.frames.bytes);
    this.stage = new TunnelStage(new RuleLookup(memory, 0), table, topology, 0, 1, undefined, undefined, {
      sas: new SaLookup(saMemory, 0),
      aead: provider,
    });
  }

  add(id: number, match: RuleMatch, tunnel: Tunnel, next = Next.forward, settings: Partial<TunnelSettings> = {}): void {
    const status = this.table.add(ruleOf(id, match, tunnel, next, settings), 0);
    if (status !== RuleStatus.done) throw new Error(`rule ${id}: status ${status}`);
  }

  receive(...arrivals: Arrival[]): Outcome[] {
    const burst = this.#burst;
    load(burst, arrivals, this.fill);
    burst.now = 1;
    if (!this.stage.run(burst)) burst.fate.fill(Fate.count);
    return arrivals.map((_, i) => ({
      fate: burst.fate[i] as Fate,
      egress: burst.egress[i] as number,
      frame: burst.frames.bytes.slice(burst.offset[i], (burst.offset[i] as number) + (burst.length[i] as number)),
    }));
  }
}

/** IVs are numbers XOR 0x5a5a…. */
export function newSas(memory: SaMemory): SaTable {
  return new SaTable(memory, {
    random: (n) => new Uint8Array(n).fill(0x5a),
    fingerprint: (key) => Buffer.from(key).toString("hex"),
  });
}

export function ruleOf(
  id: number,
  match: RuleMatch,
  tunnel: Tunnel,
  next: Next,
  settings: Partial<TunnelSettings> = {},
): NewRule {
  return { id: BigInt(id), match, tunnel, next, settings: { ...DEFAULTS.tunnel, ...settings } };
}

export const ip4 = (text: string): Uint8Array => Uint8Array.from(text.split("."), Number);

/** Eight groups of hexadecimal digits. */
export const ip6 = (text: string): Uint8Array => {
  const [head = "", tail = ""] = text.split("::");
  const words = (part: string) => (part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16)));
  const [front, back] = [words(head), words(tail)];
  const all = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Uint8Array.from(all.flatMap((word) => [word >>> 8, word & 0xff]));
};

export const mac = (text: string): Uint8Array => Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
