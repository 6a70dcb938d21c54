// The tunnel rules as control sees them: the one writer of the shared memory that workers match packets against.
//
// A rule keeps its number for as long as it exists, whatever updates do to it: counters and the match on "last tunnel" go
// by it. An update writes a new record beside the old one, publishes it, and unlinks the old one, so that a packet meets one or
// the other. Of rules that look for exactly the same, the oldest is published; the others take over when it goes.
//
// Fail closed (datapath.md): a deleted rule stays in a second index for a while. A packet that has been through a tunnel and
// is matched by nothing but such a rule is dropped by the fast path.

import type { Grace } from "../memory/grace.js";
import { finish, mix } from "./flow.js";
import { Retirement } from "./retire.js";
import type { NewRule, TunnelCounters } from "./rule.js";
import { GENEVE_PORT, portOf, type RuleKey, ruleKey, VXLAN_PORT } from "./rule-key.js";
import { Control, Header, Op, Procedure, Rule, type RuleMemory, SHAPES, Shape, TunnelLane } from "./rule-memory.js";

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
  readonly age: number;
  readonly created: number;
  /** What its number had counted before: for an earlier tunnel of that id, on which others still match. */
  readonly before: TunnelCounters;
  record: Published;
}

/** A record that is in use: live, or a deleted rule's that keeps its chain closed. */
interface Published {
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
  readonly #portUsers = new Map<number, number>();
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
  #freshSlot = 0;
  #freshNumber = 0;
  #ages = 0;
  #nextAssigned = FIRST_ASSIGNED;

  constructor(memory: RuleMemory, grace: Grace, options: RuleTableOptions) {
    this.capacity = memory.capacity;
    this.#memory = memory;
    this.#options = options;
    this.#retirement = new Retirement(grace);
    this.#control = new Int32Array(memory.shapes);
    this.#records = new Int32Array(memory.records);
    this.#live = new Int32Array(memory.live);
    this.#dead = new Int32Array(memory.dead);
    this.#ports = new Uint8Array(memory.ports);
    this.#ports[GENEVE_PORT] = Header.geneve;
    this.#ports[VXLAN_PORT] = Header.vxlan;
    this.#lanes = memory.lanes.map((lane) => new Float64Array(lane));
  }

  get size(): number {
    return this.#rules.size;
  }

  has(id: bigint): boolean {
    return this.#rules.has(id);
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
    const announced = this.#ports[port];
    if (announced === Header.none || announced === headerOf(rule)) return false;
    const before = this.#rules.get(rule.id)?.rule;
    const own = before !== undefined && portOf(before) === port ? 1 : 0;
    return port === GENEVE_PORT || port === VXLAN_PORT || (this.#portUsers.get(port) ?? 0) > own;
  }

  /** An id of 0 asks for one to be assigned: see lastId. */
  add(rule: NewRule, now: number): RuleStatus {
    if (rule.id !== 0n && this.#rules.has(rule.id)) return RuleStatus.exists;
    if (this.#rules.size === this.capacity) return RuleStatus.full;
    const id = rule.id === 0n ? this.#assign() : rule.id;
    const { number } = this.#identity(id);
    const state = this.#state({ ...rule, id }, number, ++this.#ages, now, this.#counters(number));
    if (state === undefined) {
      this.#forget(id);
      return RuleStatus.shapes;
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
    const state = this.#state(rule, before.number, before.age, before.created, before.before);
    if (state === undefined) return RuleStatus.shapes;
    const { record: old, rule: oldRule } = before;
    this.#rules.set(rule.id, state);
    this.#publish(state.record);
    this.#tell(state);
    this.#withdraw(old);
    this.#retire(old, oldRule);
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
    this.#withdraw(state.record);
    this.#bury(state, now);
    return new Promise((resolve) => {
      this.#retirement.after(() => {
        resolve(this.#info(state));
        this.#forget(id);
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

  #state(rule: NewRule, number: number, age: number, created: number, before: TunnelCounters): State | undefined {
    const key = ruleKey(rule, (id) => this.#identity(id).number + 1);
    const shape = this.#shape(key);
    if (shape === undefined) {
      if (rule.match.tunnelId !== undefined) this.#forget(rule.match.tunnelId);
      return undefined;
    }
    if (rule.match.tunnelId !== undefined) this.#identity(rule.match.tunnelId).dependents++;
    this.#listen(portOf(rule), 1, headerOf(rule));
    const slot = this.#slot();
    const base = slot * Rule.size;
    const record = this.#records.subarray(base, base + Rule.size);
    record.fill(0);
    this.#options.compile(rule, record);
    record[Rule.shape] = shape.id;
    record[Rule.age] = age;
    record[Rule.number] = number;
    record[Rule.op] = PROCEDURES[rule.tunnel.kind] | (rule.next << Op.nextShift);
    record.set(key.values, Rule.key);
    const hash = this.#hash(shape.id, key.values);
    record[Rule.hash] = hash;
    const name = `${shape.id}:${key.values.join()}`;
    return { rule, number, age, created, before, record: { slot, key, shape, hash, name, age } };
  }

  #hash(shape: number, values: readonly number[]): number {
    const { start, k1, k2 } = this.#memory.key;
    let h = mix(start, shape, k1, k2);
    for (const value of values) h = mix(h, value, k1, k2);
    return finish(h);
  }

  /** Makes it the one that is found, unless an older rule looks for the same. */
  #publish(record: Published): void {
    const same = this.#same.get(record.name) ?? [];
    this.#same.set(record.name, same);
    const at = same.findIndex(({ age }) => age > record.age);
    same.splice(at < 0 ? same.length : at, 0, record);
    if (same[0] !== record) return;
    this.#link(this.#live, record);
    if (same.length > 1) this.#unlink(this.#live, same[1] as Published);
    Atomics.add(this.#control, Control.rules, same.length > 1 ? 0 : 1);
  }

  #withdraw(record: Published): void {
    const same = this.#same.get(record.name) as Published[];
    const first = same[0] === record;
    same.splice(same.indexOf(record), 1);
    if (same.length === 0) this.#same.delete(record.name);
    if (!first) return;
    const heir = same[0];
    if (heir !== undefined) this.#link(this.#live, heir);
    else Atomics.sub(this.#control, Control.rules, 1);
    this.#unlink(this.#live, record);
  }

  /** Tells those who go to this tunnel without matching where it is. */
  #tell({ rule, record }: State, gone = false): void {
    const { watch } = this.#options;
    const reachable = !gone && (rule.tunnel.kind === "geneve-encap" || rule.tunnel.kind === "vxlan-encap");
    watch?.ids.forEach((id, i) => {
      if (id === rule.id) Atomics.store(watch.slots, i, reachable ? record.slot + 1 : 0);
    });
  }

  #link(heads: Int32Array, { slot, hash }: Published): void {
    const head = hash & (heads.length - 1);
    Atomics.store(this.#records, slot * Rule.size + Rule.next, heads[head] as number);
    Atomics.store(heads, head, slot + 1);
  }

  /** The record keeps its link: a reader that stands in it goes on from there. */
  #unlink(heads: Int32Array, { slot, hash }: Published): void {
    const head = hash & (heads.length - 1);
    const next = this.#records[slot * Rule.size + Rule.next] as number;
    if (heads[head] === slot + 1) {
      Atomics.store(heads, head, next);
      return;
    }
    for (let at = heads[head] as number; at !== 0; ) {
      const link = (at - 1) * Rule.size + Rule.next;
      at = this.#records[link] as number;
      if (at === slot + 1) {
        Atomics.store(this.#records, link, next);
        return;
      }
    }
  }

  /** Keeps its chain closed for a while. The record can be linked again only when nobody stands in it. */
  #bury({ record, rule }: State, now: number): void {
    this.#release(rule);
    this.#retirement.after(() => {
      // Past that, the oldest gives way before its time.
      if (this.#tombs.length >= this.capacity) this.#exhume();
      this.#link(this.#dead, record);
      this.#tombs.push({ record, until: now + this.#options.failClosed });
      Atomics.add(this.#control, Control.tombs, 1);
    });
  }

  #exhume(): void {
    const { record } = this.#tombs.shift() as { record: Published };
    this.#unlink(this.#dead, record);
    Atomics.sub(this.#control, Control.tombs, 1);
    this.#retirement.after(() => this.#free(record));
  }

  #retire(record: Published, rule: NewRule): void {
    this.#release(rule);
    this.#retirement.after(() => this.#free(record));
  }

  /** What the rule holds beside its record. */
  #release(rule: NewRule): void {
    const { tunnelId } = rule.match;
    if (tunnelId !== undefined) {
      this.#identity(tunnelId).dependents--;
      this.#forget(tunnelId);
    }
    this.#listen(portOf(rule), -1, Header.none);
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

  /** Live rules, deleted ones and those in their grace period: there are slots for all. */
  #slot(): number {
    const free = this.#freeSlots.pop();
    if (free !== undefined) return free;
    if (this.#freshSlot === this.#memory.slots) throw new Error("tunnel rules: more records than slots");
    return this.#freshSlot++;
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
    Atomics.add(control, Control.generation, 1);
    const sorted = [...this.#shapes.values()].sort((a, b) => b.key.rank - a.key.rank || a.id - b.id);
    sorted.forEach(({ id, key }, i) => {
      const base = Control.size + i * Shape.size;
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
    control[Control.shapes] = sorted.length;
    Atomics.add(control, Control.generation, 1);
  }

  #listen(port: number | undefined, users: 1 | -1, header: Header): void {
    if (port === undefined || port === GENEVE_PORT || port === VXLAN_PORT) return;
    const now = (this.#portUsers.get(port) ?? 0) + users;
    this.#portUsers.set(port, now);
    if (users > 0) this.#ports[port] = header;
    else if (now === 0) this.#ports[port] = Header.none;
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
    this.#retirement.after(() => {
      for (const lane of this.#lanes) lane.fill(0, number << TunnelLane.shift, (number + 1) << TunnelLane.shift);
      this.#freeNumbers.push(number);
    });
  }

  #assign(): bigint {
    for (;;) {
      const id = this.#nextAssigned;
      this.#nextAssigned = id === 1n ? FIRST_ASSIGNED : id - 1n;
      if (!this.#identities.has(id)) return id;
    }
  }

  #info({ rule, number, created, before }: State): RuleInfo {
    const { tunnelId } = rule.match;
    const now = this.#counters(number);
    const since = Object.entries(now).map(([name, value]) => [name, value - before[name as keyof TunnelCounters]]);
    return {
      rule,
      created,
      orphan: tunnelId !== undefined && !this.#rules.has(tunnelId),
      counters: Object.fromEntries(since) as TunnelCounters,
    };
  }

  #counters(number: number): TunnelCounters {
    const base = number << TunnelLane.shift;
    const sum = (field: TunnelLane) => this.#lanes.reduce((total, lane) => total + (lane[base + field] as number), 0);
    return {
      inPackets: sum(TunnelLane.inPackets),
      outPackets: sum(TunnelLane.outPackets),
      inBytes: sum(TunnelLane.inBytes),
      outBytes: sum(TunnelLane.outBytes),
      inDrops: sum(TunnelLane.inDrops),
      outDrops: sum(TunnelLane.outDrops),
      inDropBytes: sum(TunnelLane.inDropBytes),
      outDropBytes: sum(TunnelLane.outDropBytes),
    };
  }
}

/** That a decapsulating rule's port announces. */
function headerOf({ tunnel }: NewRule): Header {
  return tunnel.kind === "vxlan-decap" ? Header.vxlan : Header.geneve;
}
