// The tunnel rules as control sees them: the one writer of the shared memory that workers match packets against.
//
// A rule keeps its lane of counters and the number of its id for as long as it exists, whatever updates do to it. An update
// writes a new record beside the old one and publishes it: in the old one's place if it looks for the same; else the old one
// goes a grace period later, when every worker finds the new one. So a packet meets one or the other. Of rules that look for exactly the
// same, the oldest is published; the others take over, in its place, when it goes.
//
// Fail closed (datapath.md): a deleted rule stays in a second index for a while, from before it leaves the first one. A packet that
// has been through a tunnel and is matched by nothing but such a rule is dropped by the fast path. Until then, the rule keeps hold of
// the number that it matches on and of the port that it listens to.

import type { Grace } from "../memory/grace.js";
import { DecapFilter } from "./decap-filter.js";
import { finish, mix } from "./flow.js";
import { Retirement } from "./retire.js";
import type { NewRule, TunnelCounters } from "./rule.js";
import { RuleChains, type RuleRecord } from "./rule-chains.js";
import { ruleEntries } from "./rule-key.js";
import { Op, Rule, type RuleMemory, TunnelLane } from "./rule-memory.js";
import { RuleNumbers } from "./rule-numbers.js";
import { RulePorts } from "./rule-ports.js";
import { RuleSas, refsOf, without } from "./rule-sas.js";
import { type KnownShape, RuleShapes } from "./rule-shapes.js";
import type { SaRef } from "./sa.js";
import type { SaTable } from "./sa-table.js";
import { SKEW } from "./session-memory.js";

export const enum RuleStatus {
  done,
  exists,
  missing,
  full,
  /** More combinations of fields and prefix lengths than SHAPES. */
  shapes,
  /** No place for its SAs. */
  sas,
}

export interface RuleTableOptions {
  /** Writes what the fast path needs to carry the rule's tunnel out: fields of Rule from `egress` on but the key. */
  readonly compile: (rule: NewRule, record: Int32Array) => void;
  /** Milliseconds for which a deleted rule keeps packets of its chain from leaving. */
  readonly failClosed: number;
  /** Shared: `slots[i]` is kept at slot + 1 of the encapsulating rule with the id `ids[i]`, or 0. */
  /** Where the SAs of IPsec rules are kept; without it there is no place for any. */
  readonly sas?: SaTable;
  readonly watch?: { readonly ids: readonly (bigint | undefined)[]; readonly slots: Int32Array };
}

export interface RuleInfo {
  readonly rule: NewRule;
  readonly counters: TunnelCounters;
  /** Milliseconds since the epoch. */
  readonly created: number;
  /** Its match names a tunnel that does not exist (any more): it matches nothing. */
  readonly orphan: boolean;
}

interface State {
  rule: NewRule;
  readonly number: number;
  readonly lane: number;
  readonly age: number;
  readonly created: number;
  readonly version: Version;
  /** Of earlier updates, still to be found until their grace period is over. */
  readonly former: Set<Version>;
}

/** What a rule said from one update to the next. */
interface Version {
  readonly rule: NewRule;
  readonly records: readonly RuleRecord[];
  /** Records that are not free yet, and those that keep their chain closed. */
  left: number;
  /** SAs that later versions do not have. */
  dropped: readonly SaRef[];
}

/** A deleted rule's record that keeps its chain closed. */
interface Tomb {
  readonly record: RuleRecord;
  readonly version: Version;
  readonly until: number;
}

const FIRST_ASSIGNED = 2_147_483_647n;

export class RuleTable {
  readonly capacity: number;
  /** Id of the rule that the last add() put in: the assigned one when it asked for that. */
  lastId = 0n;
  readonly #memory: RuleMemory;
  readonly #options: RuleTableOptions;
  readonly #retirement: Retirement;
  readonly #records: Int32Array;
  readonly #chains: RuleChains;
  readonly #shapes: RuleShapes;
  readonly #ports: RulePorts;
  readonly #numbers: RuleNumbers;
  readonly #decaps: DecapFilter;
  readonly #sas: RuleSas;
  readonly #lanes: readonly Float64Array[];
  /** In the order of creation. */
  readonly #rules = new Map<bigint, State>();
  /** From #firstTomb on, in the order of deletion. */
  #tombs: Tomb[] = [];
  #firstTomb = 0;
  readonly #freeSlots: number[] = [];
  readonly #freeLanes: number[] = [];
  #freshSlot = 0;
  #freshLane = 0;
  #ages = 0;
  #nextAssigned = FIRST_ASSIGNED;

  constructor(memory: RuleMemory, grace: Grace, options: RuleTableOptions) {
    this.capacity = memory.capacity;
    this.#memory = memory;
    this.#options = options;
    this.#retirement = new Retirement(grace);
    this.#records = new Int32Array(memory.records, SKEW);
    const control = new Int32Array(memory.shapes);
    this.#chains = new RuleChains(this.#records, new Int32Array(memory.live), new Int32Array(memory.dead), control);
    this.#shapes = new RuleShapes(control, this.#retirement);
    this.#ports = new RulePorts(new Uint8Array(memory.ports));
    this.#numbers = new RuleNumbers(this.#retirement);
    this.#decaps = new DecapFilter(memory.decaps);
    this.#sas = new RuleSas(options.sas);
    this.#lanes = memory.lanes.map((lane) => new Float64Array(lane, SKEW));
  }

  get size(): number {
    return this.#rules.size;
  }

  /** Combinations of fields and prefix lengths in use, of SHAPES. */
  get shapes(): number {
    return this.#shapes.size;
  }

  /** Deleted rules that keep their chain closed. */
  get closing(): number {
    return this.#tombs.length - this.#firstTomb;
  }

  /** Resolves when the records of what was updated and deleted so far are free again. */
  async settled(): Promise<void> {
    // Two grace periods: a deleted rule may push an older one out of the chains that are kept closed.
    for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => this.#retirement.after(resolve));
  }

  /** Whether its UDP port announces something else already: to another rule, or by its standard. */
  clashes(rule: NewRule): boolean {
    return this.#ports.clashes(rule, this.#rules.get(rule.id)?.rule);
  }

  has(id: bigint): boolean {
    return this.#rules.has(id);
  }

  /** An id of 0 asks for one to be assigned: see lastId. Keys of the rule's SAs are not kept here. */
  add(rule: NewRule, now: number): RuleStatus {
    if (rule.id !== 0n && this.#rules.has(rule.id)) return RuleStatus.exists;
    if (this.#rules.size === this.capacity) return RuleStatus.full;
    const settled = this.#sas.settle(rule, [], now);
    if (settled === undefined) return RuleStatus.sas;
    const id = rule.id === 0n ? this.#assign() : rule.id;
    const lane = this.#freeLanes.pop() ?? this.#freshLane++;
    const age = ++this.#ages;
    const number = this.#numbers.of(id);
    const version = this.#version({ ...settled, id }, number, lane, age);
    if (typeof version === "number") {
      this.#freeLanes.push(lane);
      this.#numbers.settle(id);
      this.#sas.release(refsOf(settled));
      return version;
    }
    const state: State = { rule: version.rule, number, lane, age, created: now, version, former: new Set() };
    this.#numbers.exists(id, true);
    this.#rules.set(id, state);
    this.#publish(version);
    this.#tell(state);
    this.lastId = id;
    return RuleStatus.done;
  }

  /** Replaces what the rule with this id says; it keeps its age, its counters, and the SAs that it still refers to. */
  update(rule: NewRule, now = 0): RuleStatus {
    const before = this.#rules.get(rule.id);
    if (before === undefined) return RuleStatus.missing;
    const kept = refsOf(before.rule);
    const settled = this.#sas.settle(rule, kept, now);
    if (settled === undefined) return RuleStatus.sas;
    const { number, lane, age, version: old, former } = before;
    const version = this.#version(settled, number, lane, age);
    if (typeof version === "number") {
      this.#sas.release(refsOf(settled), kept);
      return version;
    }
    const state: State = { ...before, rule: settled, version };
    this.#rules.set(rule.id, state);
    this.#publish(version);
    this.#tell(state);
    this.#sas.configure(settled);
    old.dropped = without(kept, refsOf(settled));
    this.#sas.retire(old.dropped);
    former.add(old);
    const names = new Set(version.records.map(({ name }) => name));
    if (old.records.every(({ name }) => names.has(name))) this.#supersede(old, former);
    else this.#retirement.after(() => this.#supersede(old, former));
    return RuleStatus.done;
  }

  get(id: bigint): RuleInfo | undefined {
    const state = this.#rules.get(id);
    return state === undefined ? undefined : this.#info(state);
  }

  /** Takes it out. Resolves with its final counters once every worker has passed on. */
  delete(id: bigint, now: number): Promise<RuleInfo | undefined> {
    const state = this.#rules.get(id);
    if (state === undefined) return Promise.resolve(undefined);
    this.#rules.delete(id);
    this.#tell(state, true);
    const { version } = state;
    this.#sas.retire(refsOf(state.rule));
    for (const record of version.records) this.#bury(record, version, now);
    for (const old of state.former) this.#supersede(old, state.former);
    this.#withdraw(version);
    if (version.records.length === 0) this.#release(version.rule);
    this.#numbers.exists(id, false);
    return new Promise((resolve) => {
      this.#retirement.after(() => {
        this.#sas.release(refsOf(state.rule));
        resolve(this.#info(state));
        this.#freeLane(state.lane);
      });
    });
  }

  /** In the order of creation. */
  *list(): Generator<RuleInfo> {
    for (const state of this.#rules.values()) yield this.#info(state);
  }

  /** Lets go of deleted rules whose time is over. Call now and then. */
  age(now: number): void {
    while (this.closing > 0 && (this.#tombs[this.#firstTomb] as Tomb).until <= now) this.#exhume();
  }

  #version(rule: NewRule, number: number, lane: number, age: number): Version | RuleStatus.full | RuleStatus.shapes {
    const entries = ruleEntries(rule, (id) => this.#numbers.of(id) + 1);
    const { tunnelId } = rule.match;
    const shapes = entries.map(({ key }) => this.#shapes.take(key));
    // Many updates while a worker is held up: their old records wait for it.
    const full = this.#freeSlots.length + this.#memory.slots - this.#freshSlot < entries.length;
    if (full || shapes.includes(undefined)) {
      for (const shape of shapes) if (shape !== undefined) this.#shapes.release(shape);
      if (tunnelId !== undefined) this.#numbers.settle(tunnelId);
      return full ? RuleStatus.full : RuleStatus.shapes;
    }
    if (tunnelId !== undefined) this.#numbers.depend(tunnelId, 1);
    this.#ports.listen(rule, 1);
    const records = entries.map(({ key, procedure, sa }, i) => {
      const shape = shapes[i] as KnownShape;
      const slot = this.#slot();
      const base = slot * Rule.size;
      const record = this.#records.subarray(base, base + Rule.size);
      record.fill(0);
      this.#options.compile(rule, record);
      record[Rule.shape] = shape.id;
      record[Rule.age] = age;
      record[Rule.number] = number;
      record[Rule.lane] = lane;
      record[Rule.op] = procedure | (rule.next << Op.nextShift);
      record[Rule.sa] = sa;
      record.set(key.values, Rule.key);
      const hash = this.#hash(shape.id, key.values);
      record[Rule.hash] = hash;
      return { rule, slot, shape, hash, name: `${shape.id}:${key.values.join()}`, age };
    });
    return { rule, records, left: records.length, dropped: [] };
  }

  #hash(shape: number, values: readonly number[]): number {
    const { start, k1, k2 } = this.#memory.key;
    let h = mix(start, shape, k1, k2);
    for (const value of values) h = mix(h, value, k1, k2);
    return finish(h);
  }

  #publish({ rule, records }: Version): void {
    this.#decaps.count(rule, 1);
    for (const record of records) this.#chains.publish(record);
  }

  #withdraw({ rule, records }: Version): void {
    this.#decaps.count(rule, -1);
    for (const record of records) this.#chains.withdraw(record);
  }

  /** Tells those who go to this tunnel without matching where it is. */
  #tell({ rule, version }: State, gone = false): void {
    const { watch } = this.#options;
    const { kind } = rule.tunnel;
    const reachable = !gone && (kind === "geneve-encap" || kind === "vxlan-encap");
    watch?.ids.forEach((id, i) => {
      if (id === rule.id) Atomics.store(watch.slots, i, reachable ? (version.records[0] as RuleRecord).slot + 1 : 0);
    });
  }

  /** Keeps its chain closed for a while. */
  #bury(record: RuleRecord, version: Version, now: number): void {
    // Past that, the oldest gives way before its time.
    if (this.closing >= this.capacity) this.#exhume();
    this.#chains.close(record);
    this.#tombs.push({ record, version, until: now + this.#options.failClosed });
  }

  #exhume(): void {
    const { record, version } = this.#tombs[this.#firstTomb++] as Tomb;
    // Now and then, not for each: the list may be long.
    if (this.#firstTomb * 2 > this.#tombs.length) {
      this.#tombs = this.#tombs.slice(this.#firstTomb);
      this.#firstTomb = 0;
    }
    this.#chains.open(record);
    this.#retire(record, version);
  }

  /** Takes the records of an earlier version out, once. */
  #supersede(old: Version, former: Set<Version>): void {
    if (!former.delete(old)) return;
    this.#withdraw(old);
    for (const record of old.records) this.#retire(record, old);
    if (old.records.length === 0) this.#release(old.rule);
    this.#retirement.after(() => this.#sas.release(old.dropped));
  }

  #retire(record: RuleRecord, version: Version): void {
    if (--version.left === 0) this.#release(version.rule);
    this.#retirement.after(() => this.#free(record));
  }

  #freeLane(lane: number): void {
    for (const counters of this.#lanes) counters.fill(0, lane << TunnelLane.shift, (lane + 1) << TunnelLane.shift);
    this.#freeLanes.push(lane);
  }

  /** What the rule holds beside its records. */
  #release(rule: NewRule): void {
    const { tunnelId } = rule.match;
    if (tunnelId !== undefined) this.#numbers.depend(tunnelId, -1);
    this.#ports.listen(rule, -1);
  }

  #free({ slot, shape }: RuleRecord): void {
    // Templates may hold what is nobody's business any more.
    this.#records.fill(0, slot * Rule.size, (slot + 1) * Rule.size);
    this.#freeSlots.push(slot);
    this.#shapes.release(shape);
  }

  #slot(): number {
    return this.#freeSlots.pop() ?? this.#freshSlot++;
  }

  #assign(): bigint {
    for (;;) {
      const id = this.#nextAssigned;
      this.#nextAssigned = id === 1n ? FIRST_ASSIGNED : id - 1n;
      if (!this.#numbers.has(id)) return id;
    }
  }

  #info({ rule, lane, created }: State): RuleInfo {
    const base = lane << TunnelLane.shift;
    const sum = (field: TunnelLane) => this.#lanes.reduce((total, counters) => total + (counters[base + field] as number), 0);
    const { tunnelId } = rule.match;
    return {
      rule,
      created,
      orphan: tunnelId !== undefined && !this.#rules.has(tunnelId),
      counters: {
        inPackets: sum(TunnelLane.inPackets),
        outPackets: sum(TunnelLane.outPackets),
        inBytes: sum(TunnelLane.inBytes),
        outBytes: sum(TunnelLane.outBytes),
        inDrops: sum(TunnelLane.inDrops),
        outDrops: sum(TunnelLane.outDrops),
        inDropBytes: sum(TunnelLane.inDropBytes),
        outDropBytes: sum(TunnelLane.outDropBytes),
      },
    };
  }
}
