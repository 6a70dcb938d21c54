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
import { GENEVE_PORT, portOf, type RuleKey, ruleKey, VXLAN_PORT } from "./rule-key.js";
import { Control, Header, Op, Procedure, Rule, type RuleMemory, SHAPES, Shape, TunnelLane } from "./rule-memory.js";
import { SKEW } from "./session-memory.js";

export const enum RuleStatus {
  done,
  exists,
  missing,
  full,
  /** More combinations of fields and prefix lengths than SHAPES. */
  shapes,
}

export interface RuleTableOptions {
  /** Writes what the fast path needs to carry the rule's tunnel out: fields of Rule from `egress` on but the key. */
  readonly compile: (rule: NewRule, record: Int32Array) => void;
  /** Milliseconds for which a deleted rule keeps packets of its chain from leaving. */
  readonly failClosed: number;
  /** Shared: `slots[i]` is kept at slot + 1 of the encapsulating rule with the id `ids[i]`, or 0. */
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
  readonly record: Published;
  /** Of earlier updates, still to be found until their grace period is over. */
  readonly former: Set<Published>;
}

/** A record that is in use: live, or a deleted rule's that keeps its chain closed. */
interface Published {
  readonly rule: NewRule;
  readonly slot: number;
  readonly key: RuleKey;
  readonly shape: KnownShape;
  readonly hash: number;
  readonly name: string;
  readonly age: number;
}

interface KnownShape {
  readonly id: number;
  readonly key: RuleKey;
  readonly name: string;
  users: number;
}

interface Identity {
  readonly number: number;
  exists: boolean;
  /** Rules that match on it. */
  dependents: number;
}

const PROCEDURES: Record<NewRule["tunnel"]["kind"], Procedure> = {
  "geneve-encap": Procedure.geneveEncap,
  "geneve-decap": Procedure.geneveDecap,
  "vxlan-encap": Procedure.vxlanEncap,
  "vxlan-decap": Procedure.vxlanDecap,
};
/** UDP-encapsulated ESP (RFC 3948): nothing else is looked for there. */
const NAT_T_PORT = 4500;
const FIRST_ASSIGNED = 2_147_483_647n;

export class RuleTable {
  readonly capacity: number;
  /** Id of the rule that the last add() put in: the assigned one when it asked for that. */
  lastId = 0n;
  readonly #memory: RuleMemory;
  readonly #options: RuleTableOptions;
  readonly #retirement: Retirement;
  readonly #control: Int32Array;
  readonly #records: Int32Array;
  readonly #live: Int32Array;
  readonly #dead: Int32Array;
  readonly #ports: Uint8Array;
  readonly #portUsers = new Map<number, { [Header.geneve]: number; [Header.vxlan]: number }>();
  readonly #decaps: DecapFilter;
  readonly #lanes: readonly Float64Array[];
  /** In the order of creation. */
  readonly #rules = new Map<bigint, State>();
  readonly #identities = new Map<bigint, Identity>();
  readonly #shapes = new Map<string, KnownShape>();
  readonly #freeShapes = Array.from({ length: SHAPES }, (_, i) => SHAPES - 1 - i);
  /** By key: live records from the oldest on; the first is published. */
  readonly #same = new Map<string, Published[]>();
  readonly #tombs: { readonly record: Published; readonly until: number }[] = [];
  readonly #freeSlots: number[] = [];
  readonly #freeNumbers: number[] = [];
  readonly #freeLanes: number[] = [];
  #freshSlot = 0;
  #freshNumber = 0;
  #freshLane = 0;
  #ages = 0;
  #nextAssigned = FIRST_ASSIGNED;

  constructor(memory: RuleMemory, grace: Grace, options: RuleTableOptions) {
    this.capacity = memory.capacity;
    this.#memory = memory;
    this.#options = options;
    this.#retirement = new Retirement(grace);
    this.#control = new Int32Array(memory.shapes);
    this.#records = new Int32Array(memory.records, SKEW);
    this.#live = new Int32Array(memory.live);
    this.#dead = new Int32Array(memory.dead);
    this.#ports = new Uint8Array(memory.ports);
    this.#decaps = new DecapFilter(memory.decaps);
    this.#ports[GENEVE_PORT] = Header.geneve;
    this.#ports[VXLAN_PORT] = Header.vxlan;
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
    return this.#tombs.length;
  }

  /** Resolves when the records of what was updated and deleted so far are free again. */
  async settled(): Promise<void> {
    // Two grace periods: a deleted rule may push an older one out of the chains that are kept closed.
    for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => this.#retirement.after(resolve));
  }

  /** Whether its UDP port announces something else already: to another rule, or by its standard. */
  clashes(rule: NewRule): boolean {
    const port = portOf(rule);
    if (port === undefined) return false;
    if (port === NAT_T_PORT) return true;
    const own = rule.tunnel.kind === "vxlan-decap" ? Header.vxlan : Header.geneve;
    if (port === GENEVE_PORT || port === VXLAN_PORT) return this.#ports[port] !== own;
    const counts = this.#portUsers.get(port);
    if (counts === undefined) return false;
    const others = counts[own === Header.vxlan ? Header.geneve : Header.vxlan];
    const before = this.#rules.get(rule.id)?.rule;
    const itself = before !== undefined && portOf(before) === port && before.tunnel.kind !== rule.tunnel.kind ? 1 : 0;
    return others > itself;
  }

  has(id: bigint): boolean {
    return this.#rules.has(id);
  }

  /** An id of 0 asks for one to be assigned: see lastId. */
  add(rule: NewRule, now: number): RuleStatus {
    if (rule.id !== 0n && this.#rules.has(rule.id)) return RuleStatus.exists;
    if (this.#rules.size === this.capacity) return RuleStatus.full;
    const id = rule.id === 0n ? this.#assign() : rule.id;
    const lane = this.#freeLanes.pop() ?? this.#freshLane++;
    const state = this.#state({ ...rule, id }, this.#identity(id).number, lane, ++this.#ages, now);
    if (typeof state === "number") {
      this.#freeLanes.push(lane);
      this.#forget(id);
      return state;
    }
    this.#identity(id).exists = true;
    this.#rules.set(id, state);
    this.#publish(state.record);
    this.#tell(state);
    this.lastId = id;
    return RuleStatus.done;
  }

  /** Replaces what the rule with this id says; it keeps its age and its counters. */
  update(rule: NewRule): RuleStatus {
    const before = this.#rules.get(rule.id);
    if (before === undefined) return RuleStatus.missing;
    const state = this.#state(rule, before.number, before.lane, before.age, before.created, before.former);
    if (typeof state === "number") return state;
    const { record: old, former } = before;
    this.#rules.set(rule.id, state);
    this.#publish(state.record);
    this.#tell(state);
    former.add(old);
    if (old.name === state.record.name) this.#supersede(old, former);
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
    this.#identity(id).exists = false;
    this.#tell(state, true);
    this.#bury(state.record, now);
    for (const old of state.former) this.#supersede(old, state.former);
    this.#withdraw(state.record);
    this.#forget(id);
    return new Promise((resolve) => {
      this.#retirement.after(() => {
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
    while (this.#tombs.length > 0 && (this.#tombs[0] as { until: number }).until <= now) this.#exhume();
  }

  #state(
    rule: NewRule,
    number: number,
    lane: number,
    age: number,
    created: number,
    former: Set<Published> = new Set(),
  ): State | RuleStatus.full | RuleStatus.shapes {
    // Many updates while a worker is held up: their old records wait for it.
    if (this.#freeSlots.length === 0 && this.#freshSlot === this.#memory.slots) return RuleStatus.full;
    const key = ruleKey(rule, (id) => this.#identity(id).number + 1);
    const shape = this.#shape(key);
    if (shape === undefined) {
      if (rule.match.tunnelId !== undefined) this.#forget(rule.match.tunnelId);
      return RuleStatus.shapes;
    }
    if (rule.match.tunnelId !== undefined) this.#identity(rule.match.tunnelId).dependents++;
    this.#listen(rule, 1);
    const slot = this.#slot();
    const base = slot * Rule.size;
    const record = this.#records.subarray(base, base + Rule.size);
    record.fill(0);
    this.#options.compile(rule, record);
    record[Rule.shape] = shape.id;
    record[Rule.age] = age;
    record[Rule.number] = number;
    record[Rule.lane] = lane;
    record[Rule.op] = PROCEDURES[rule.tunnel.kind] | (rule.next << Op.nextShift);
    record.set(key.values, Rule.key);
    const hash = this.#hash(shape.id, key.values);
    record[Rule.hash] = hash;
    const name = `${shape.id}:${key.values.join()}`;
    return { rule, number, lane, age, created, former, record: { rule, slot, key, shape, hash, name, age } };
  }

  #hash(shape: number, values: readonly number[]): number {
    const { start, k1, k2 } = this.#memory.key;
    let h = mix(start, shape, k1, k2);
    for (const value of values) h = mix(h, value, k1, k2);
    return finish(h);
  }

  /** Makes it the one that is found, unless an older rule looks for the same. */
  #publish(record: Published): void {
    this.#decaps.count(record.rule, 1);
    const same = this.#same.get(record.name) ?? [];
    this.#same.set(record.name, same);
    // Before what it replaces, which is as old.
    let at = same.length;
    while (at > 0 && (same[at - 1] as Published).age >= record.age) at--;
    same.splice(at, 0, record);
    if (same[0] !== record) return;
    const instead = same[1];
    if (instead !== undefined) {
      this.#replace(instead, record);
    } else {
      this.#link(this.#live, Rule.next, record);
      Atomics.add(this.#control, Control.rules, 1);
    }
  }

  #withdraw(record: Published): void {
    this.#decaps.count(record.rule, -1);
    const same = this.#same.get(record.name) as Published[];
    const first = same[0] === record;
    same.splice(same.indexOf(record), 1);
    if (same.length === 0) this.#same.delete(record.name);
    if (!first) return;
    const heir = same[0];
    if (heir !== undefined) {
      this.#replace(record, heir);
    } else {
      this.#unlink(this.#live, Rule.next, record);
      Atomics.sub(this.#control, Control.rules, 1);
    }
  }

  /** Tells those who go to this tunnel without matching where it is. */
  #tell({ rule, record }: State, gone = false): void {
    const { watch } = this.#options;
    const reachable = !gone && (rule.tunnel.kind === "geneve-encap" || rule.tunnel.kind === "vxlan-encap");
    watch?.ids.forEach((id, i) => {
      if (id === rule.id) Atomics.store(watch.slots, i, reachable ? record.slot + 1 : 0);
    });
  }

  #link(heads: Int32Array, link: Rule.next | Rule.nextDead, { slot, hash }: Published): void {
    const head = hash & (heads.length - 1);
    Atomics.store(this.#records, slot * Rule.size + link, heads[head] as number);
    Atomics.store(heads, head, slot + 1);
  }

  /** The record keeps its link: a reader that stands in it goes on from there. */
  #unlink(heads: Int32Array, link: Rule.next | Rule.nextDead, { slot, hash }: Published): void {
    this.#refer(heads, link, hash, slot + 1, this.#records[slot * Rule.size + link] as number);
  }

  /** Both look for the same: a reader of their chain meets one or the other. */
  #replace(old: Published, record: Published): void {
    Atomics.store(this.#records, record.slot * Rule.size + Rule.next, this.#records[old.slot * Rule.size + Rule.next] as number);
    this.#refer(this.#live, Rule.next, record.hash, old.slot + 1, record.slot + 1);
  }

  /** Makes what refers to `old` refer to `to`. */
  #refer(heads: Int32Array, link: Rule.next | Rule.nextDead, hash: number, old: number, to: number): void {
    const head = hash & (heads.length - 1);
    if (heads[head] === old) {
      Atomics.store(heads, head, to);
      return;
    }
    for (let at = heads[head] as number; at !== 0; ) {
      const next = (at - 1) * Rule.size + link;
      at = this.#records[next] as number;
      if (at === old) {
        Atomics.store(this.#records, next, to);
        return;
      }
    }
  }

  /** Keeps its chain closed for a while. */
  #bury(record: Published, now: number): void {
    // Past that, the oldest gives way before its time.
    if (this.#tombs.length >= this.capacity) this.#exhume();
    this.#link(this.#dead, Rule.nextDead, record);
    this.#tombs.push({ record, until: now + this.#options.failClosed });
    Atomics.add(this.#control, Control.tombs, 1);
  }

  #exhume(): void {
    const { record } = this.#tombs.shift() as { record: Published };
    this.#unlink(this.#dead, Rule.nextDead, record);
    Atomics.sub(this.#control, Control.tombs, 1);
    this.#retire(record);
  }

  /** Takes the record of an earlier version out, once. */
  #supersede(old: Published, former: Set<Published>): void {
    if (!former.delete(old)) return;
    this.#withdraw(old);
    this.#retire(old);
  }

  #retire(record: Published): void {
    this.#release(record.rule);
    this.#retirement.after(() => this.#free(record));
  }

  #freeLane(lane: number): void {
    for (const counters of this.#lanes) counters.fill(0, lane << TunnelLane.shift, (lane + 1) << TunnelLane.shift);
    this.#freeLanes.push(lane);
  }

  /** What the rule holds beside its record. */
  #release(rule: NewRule): void {
    const { tunnelId } = rule.match;
    if (tunnelId !== undefined) {
      this.#identity(tunnelId).dependents--;
      this.#forget(tunnelId);
    }
    this.#listen(rule, -1);
  }

  #free({ slot, shape }: Published): void {
    // Templates may hold what is nobody's business any more.
    this.#records.fill(0, slot * Rule.size, (slot + 1) * Rule.size);
    this.#freeSlots.push(slot);
    if (--shape.users > 0) return;
    this.#shapes.delete(shape.name);
    this.#writeShapes();
    // Workers may search by an old copy of the shapes until they begin their next burst.
    this.#retirement.after(() => this.#freeShapes.push(shape.id));
  }

  #slot(): number {
    return this.#freeSlots.pop() ?? this.#freshSlot++;
  }

  #shape(key: RuleKey): KnownShape | undefined {
    const name = [key.words, key.masks.map((mask) => mask >>> 0), key.classes, key.rank].join(";");
    let shape = this.#shapes.get(name);
    if (shape === undefined) {
      const id = this.#freeShapes.pop();
      if (id === undefined) return undefined;
      shape = { id, key, name, users: 0 };
      this.#shapes.set(name, shape);
      this.#writeShapes();
    }
    shape.users++;
    return shape;
  }

  #writeShapes(): void {
    const control = this.#control;
    const area = (Atomics.load(control, Control.generation) + 1) & 1;
    const sorted = [...this.#shapes.values()].sort((a, b) => b.key.rank - a.key.rank || a.id - b.id);
    sorted.forEach(({ id, key }, i) => {
      const base = Control.size + (area * SHAPES + i) * Shape.size;
      control.fill(0, base, base + Shape.size);
      control[base + Shape.n] = key.words.length;
      control[base + Shape.rank] = key.rank;
      control[base + Shape.id] = id;
      control.set(key.classes, base + Shape.classes);
      key.words.forEach((word, w) => {
        control[base + Shape.words + 2 * w] = word;
        control[base + Shape.words + 2 * w + 1] = key.masks[w] as number;
      });
    });
    control[Control.shapes + area] = sorted.length;
    Atomics.add(control, Control.generation, 1);
  }

  /** Of two kinds that listen to one port, the one that came last is announced. */
  #listen(rule: NewRule, users: 1 | -1): void {
    const port = portOf(rule);
    if (port === undefined || port === GENEVE_PORT || port === VXLAN_PORT) return;
    const vxlan = rule.tunnel.kind === "vxlan-decap";
    const counts = this.#portUsers.get(port) ?? { [Header.geneve]: 0, [Header.vxlan]: 0 };
    this.#portUsers.set(port, counts);
    const [own, other] = vxlan ? ([Header.vxlan, Header.geneve] as const) : ([Header.geneve, Header.vxlan] as const);
    counts[own] += users;
    if (users > 0) this.#ports[port] = own;
    else if (counts[own] === 0) this.#ports[port] = counts[other] > 0 ? other : Header.none;
    if (counts[own] + counts[other] === 0) this.#portUsers.delete(port);
  }

  /** A number for this id, as long as it is a tunnel or one is matched on. */
  #identity(id: bigint): Identity {
    let identity = this.#identities.get(id);
    if (identity === undefined) {
      identity = { number: this.#freeNumbers.pop() ?? this.#freshNumber++, exists: false, dependents: 0 };
      this.#identities.set(id, identity);
    }
    return identity;
  }

  #forget(id: bigint): void {
    const identity = this.#identities.get(id);
    if (identity === undefined || identity.exists || identity.dependents > 0) return;
    this.#identities.delete(id);
    const { number } = identity;
    // A packet on its way may carry it as its last tunnel.
    this.#retirement.after(() => this.#freeNumbers.push(number));
  }

  #assign(): bigint {
    for (;;) {
      const id = this.#nextAssigned;
      this.#nextAssigned = id === 1n ? FIRST_ASSIGNED : id - 1n;
      if (!this.#identities.has(id)) return id;
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
