// The whole fast path of one worker with ports that keep what they are sent: a device of four uplinks, two of them with host
// ports (test/stage/device.ts).

import { openAead } from "../../src/aead/choose.js";
import { BURST, Burst, POSITIONS } from "../../src/memory/burst.js";
import { Counters, PortCounter } from "../../src/memory/counters.js";
import { Frames } from "../../src/memory/frames.js";
import { Grace } from "../../src/memory/grace.js";
import { Word, wordOf } from "../../src/memory/worker-words.js";
import type { Port } from "../../src/port/port.js";
import { type Fate, REASONS } from "../../src/reason.js";
import { Copies } from "../../src/stage/copy.js";
import { Topology } from "../../src/stage/topology.js";
import { type ReassemblyOptions, TunnelStage } from "../../src/stage/tunnel.js";
import { hashKey } from "../../src/table/flow.js";
import { Routes } from "../../src/table/route.js";
import { Next, type RuleMatch, type Tunnel, type TunnelSettings } from "../../src/table/rule.js";
import { RuleLookup } from "../../src/table/rule-lookup.js";
import { allocateRules } from "../../src/table/rule-memory.js";
import { RuleStatus, RuleTable } from "../../src/table/rule-table.js";
import { SaLookup } from "../../src/table/sa-lookup.js";
import { allocateSas } from "../../src/table/sa-memory.js";
import type { SaTable } from "../../src/table/sa-table.js";
import { allocateSessions } from "../../src/table/session-memory.js";
import { compile } from "../../src/tunnel/compile.js";
import { Pipeline } from "../../src/worker/pipeline.js";
import { open } from "../table/open-table.js";
import { type Arrival, FACTS, load, NEXT_HOPS, newRing } from "./device.js";
import { newSas, ruleOf } from "./tunnel-rig.js";

export interface Sent {
  readonly port: number;
  readonly frame: Uint8Array;
}

export interface PipelineOptions {
  /** By port index. */
  readonly mtu?: Readonly<Record<number, number>>;
  readonly icmpRate?: number;
  readonly reassembly?: ReassemblyOptions;
}

export const REASSEMBLY: ReassemblyOptions = { memory: 1 << 20, timeout: 30_000, perSource: 64 };

export class PipelineRig {
  readonly rules: RuleTable;
  readonly sessions;
  readonly saMemory = allocateSas(64, 1);
  readonly sas: SaTable;
  readonly counters = new Counters(new SharedArrayBuffer(Counters.size(FACTS.length)), FACTS.length);
  readonly #words: Int32Array;
  readonly #burst = new Burst(new Frames(new ArrayBuffer(Frames.size(POSITIONS) + REASSEMBLY.memory)));
  readonly #pipeline: Pipeline;
  #sent: Sent[] = [];
  now = 1_000_000;

  constructor({ mtu = {}, icmpRate = 1e6, reassembly = REASSEMBLY }: PipelineOptions = {}) {
    const memory = allocateRules(64, 1, hashKey(new Uint8Array(12).fill(7)), 64);
    const routes = new Routes([]);
    const { table, words, lookup } = open(allocateSessions(64, 1, hashKey(new Uint8Array(12).fill(9))));
    this.sessions = table;
    this.#words = words;
    this.sas = newSas(this.saMemory);
    this.rules = new RuleTable(memory, new Grace(words, 1), {
      compile: (rule, record) => compile(rule, record, routes),
      failClosed: 60_000,
      sas: this.sas,
    });
    const topology = new Topology(FACTS.map((facts, port) => ({ ...facts, mtu: mtu[port] })));
    this.#pipeline = new Pipeline(
      topology,
      new TunnelStage(
        new RuleLookup(memory, 0),
        routes,
        topology,
        0,
        1,
        { icmpRate },
        { ...reassembly, fates: this.counters.fates },
        { sas: new SaLookup(this.saMemory, 0), aead: openAead("openssl", this.#burst.frames.bytes) },
      ),
      lookup,
      newRing(),
      new Copies(NEXT_HOPS, new Int32Array(NEXT_HOPS.length)),
      FACTS.map((_, port) => this.#port(port)),
      this.counters,
      words,
      0,
    );
  }

  add(id: number, match: RuleMatch, tunnel: Tunnel, next = Next.forward, settings: Partial<TunnelSettings> = {}): void {
    const status = this.rules.add(ruleOf(id, match, tunnel, next, settings), 0);
    if (status !== RuleStatus.done) throw new Error(`rule ${id}: status ${status}`);
  }

  /** One burst. @returns what it sent, in order */
  receive(...arrivals: Arrival[]): Sent[] {
    this.#sent = [];
    load(
      this.#burst,
      arrivals.map((arrival) => ({ ...arrival, time: this.now })),
    );
    this.#burst.now = this.now;
    for (const { port } of arrivals) this.#count(port, PortCounter.rxFrames, 1);
    this.#pipeline.process(this.#burst);
    return this.#sent;
  }

  /** As the loop does when nothing comes. */
  idle(now = this.now): Sent[] {
    this.#sent = [];
    this.now = now;
    this.#pipeline.expire(this.#burst, now);
    return this.#sent;
  }

  fate(fate: Fate): number {
    return this.counters.fates[fate] as number;
  }

  /** in + created - (out + to host + dropped + consumed): 0. */
  get imbalance(): number {
    const total = (field: PortCounter) => FACTS.reduce((sum, _, port) => sum + (this.counters.port(port)[field] as number), 0);
    const ended = REASONS.reduce(
      (sum, { kind }, fate) => (kind === "drop" || kind === "consumed" ? sum + this.fate(fate as Fate) : sum),
      0,
    );
    return total(PortCounter.rxFrames) + total(PortCounter.created) - total(PortCounter.txFrames) - ended;
  }

  get inflight(): number {
    return this.#words[wordOf(0, Word.inflight)] as number;
  }

  #count(port: number, field: PortCounter, by: number): void {
    const own = this.counters.port(port);
    own[field] = (own[field] as number) + by;
  }

  #port(index: number): Port {
    const tx = (burst: Burst, list: Int32Array, n: number) => {
      if (n > BURST) throw new Error(`${n} frames in one tx`);
      for (const i of list.subarray(0, n)) {
        const start = burst.offset[i] as number;
        this.#sent.push({ port: index, frame: burst.frames.bytes.slice(start, start + (burst.length[i] as number)) });
      }
      this.#count(index, PortCounter.txFrames, n);
      return n;
    };
    return { index, fd: -1, down: false, rx: () => 0, tx, idle: () => Number.POSITIVE_INFINITY, close: () => {} };
  }
}
