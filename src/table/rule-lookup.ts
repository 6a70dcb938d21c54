// The fast path's half of the tunnel rules: which rule is for this packet?
//
// The shapes that a packet's class can match at all are looked up one after the other, in order of rank: gather the
// words, hash them, walk the chain, compare. The first rank that has a match ends the search; within a rank the oldest rule wins.
// Of more rules than the cache holds (`many`), begin() and touch() bring what the first shape leads to into the cache, for a whole
// burst: the processor has the misses of many packets under way at once, as in session-lookup.ts.
// No lock: see rule-memory.ts for how a reader is kept from half-written and reused records.

import { BURST } from "../memory/burst.js";
import { DecapFilter } from "./decap-filter.js";
import { finish, type HashKey, mix } from "./flow.js";
import { Class, Control, KEY_WORDS, Rule, type RuleMemory, SHAPES, Shape, TEMPLATE_IP, TunnelLane } from "./rule-memory.js";
import { SKEW } from "./session-memory.js";

/** Rules from which on searches begin by touching. */
const MANY = 512;

export class RuleLookup {
  readonly records: Int32Array;
  /** The same memory in halves and bytes, for templates. */
  readonly recordHalves: Uint16Array;
  readonly recordBytes: Uint8Array;
  /** This worker's counters. */
  readonly lanes: Float64Array;
  /** By UDP port: Header. */
  readonly ports: Uint8Array;
  readonly decaps: DecapFilter;
  readonly #control: Int32Array;
  readonly #live: Int32Array;
  readonly #dead: Int32Array;
  readonly key: HashKey;
  /** Of the shapes below. */
  #generation = 0;
  /** This worker's copy of the shapes, in order of rank. */
  readonly #shapes = new Int32Array(SHAPES * Shape.size);
  /** By class: positions in #shapes (times Shape.size) of what it can match, and how many these are. */
  readonly #byClass = Array.from({ length: Class.count }, () => new Int32Array(SHAPES));
  readonly #counts = new Int32Array(Class.count);
  /** KEY_WORDS for each position in the burst; a search that was not begun takes the first ones, which are used up by then. */
  readonly #words = new Int32Array(BURST * KEY_WORDS);
  /** By position in the burst: the hash that begin() has made. */
  readonly #begun = new Int32Array(BURST);
  /** See touch(). */
  readonly sas = new Int32Array(BURST);
  /** Of the last search. */
  #rank = -1;
  /** Keeps the engine from dropping reads whose only purpose is to bring a line into the cache. */
  touched = 0;

  constructor(memory: RuleMemory, worker: number) {
    this.#control = new Int32Array(memory.shapes);
    this.records = new Int32Array(memory.records, SKEW);
    this.recordHalves = new Uint16Array(memory.records, SKEW);
    this.recordBytes = new Uint8Array(memory.records, SKEW);
    this.#live = new Int32Array(memory.live);
    this.#dead = new Int32Array(memory.dead);
    this.ports = new Uint8Array(memory.ports);
    this.lanes = new Float64Array(memory.lanes[worker], SKEW);
    this.decaps = new DecapFilter(memory.decaps);
    this.key = memory.key;
  }

  /** Whether there are so many rules that a search is worth beginning for the burst. */
  get many(): boolean {
    return this.#control[Control.rules] > MANY;
  }

  /** Call once per burst, inside it. @returns whether there is any rule */
  refresh(): boolean {
    const generation = Atomics.load(this.#control, Control.generation);
    if (generation !== this.#generation) this.#copy(generation);
    return this.#control[Control.rules] !== 0 || this.#control[Control.tombs] !== 0;
  }

  #copy(seen: number): void {
    const control = this.#control;
    const copy = this.#shapes;
    let generation = seen;
    let n = 0;
    for (;;) {
      n = control[Control.shapes + (generation & 1)];
      const area = Control.size + (generation & 1) * SHAPES * Shape.size;
      copy.set(control.subarray(area, area + n * Shape.size));
      // Whole, if control has not moved on: it writes the other area first.
      const now = Atomics.load(control, Control.generation);
      if (now === generation) break;
      generation = now;
    }
    this.#generation = generation;
    this.#counts.fill(0);
    for (let s = 0; s < n; s++) {
      const at = s * Shape.size;
      for (let c = 0; c < Class.count; c++) {
        if ((copy[at + Shape.classes + (c >> 5)] & (1 << (c & 31))) === 0) continue;
        this.#byClass[c][this.#counts[c]++] = at;
      }
    }
  }

  /**
   * Begins the search for the packet at position i: hashes what the first shape looks at.
   * @param halves of the frame memory
   * @param base by Base
   * @param kind the packet's Class
   */
  begin(i: number, halves: Uint16Array, base: Int32Array, kind: number): void {
    if (this.#counts[kind] > 0) this.#begun[i] = this.#hash(this.#byClass[kind][0], i * KEY_WORDS, halves, base);
  }

  /**
   * Touches what the first shape leads to. The hash of a packet that was not begun is that of an earlier one: in vain.
   * @returns how many slots of SAs at the start of `sas` it leads to
   */
  touch(n: number): number {
    const { records, lanes, sas } = this;
    const live = this.#live;
    const begun = this.#begun;
    const mask = live.length - 1;
    let touched = 0;
    for (let i = 0; i < n; i++) touched ^= live[begun[i] & mask];
    for (let i = 0; i < n; i++) {
      // Of an empty chain: the record before the first one is none, so that of the first.
      const record = Math.max(live[begun[i] & mask] - 1, 0) * Rule.size;
      touched ^= records[record] ^ records[record + Rule.template + (TEMPLATE_IP >> 2)];
    }
    let seen = 0;
    let found = 0;
    for (let i = 0; i < n; i++) {
      const record = Math.max(live[begun[i] & mask] - 1, 0) * Rule.size;
      seen += lanes[records[record + Rule.lane] << TunnelLane.shift];
      const sa = records[record + Rule.sa];
      if (sa >= 0) sas[found++] = sa;
    }
    this.touched ^= touched ^ (seen | 0);
    return found;
  }

  /**
   * @param begun position of the packet if begin() has seen it as it is, or -1
   * @returns slot of the rule, or -1
   */
  find(halves: Uint16Array, base: Int32Array, kind: number, begun = -1): number {
    return this.#search(this.#live, Rule.next, halves, base, kind, begun);
  }

  /** Whether a rule that was deleted a moment ago would have come before `slot`, what find() has just found (-1: nothing). */
  deadBefore(slot: number, halves: Uint16Array, base: Int32Array, kind: number): boolean {
    if (this.#control[Control.tombs] === 0) return false;
    const rank = slot < 0 ? -1 : this.#rank;
    return this.#search(this.#dead, Rule.nextDead, halves, base, kind, -1) >= 0 && this.#rank > rank;
  }

  #search(
    heads: Int32Array,
    link: Rule.next | Rule.nextDead,
    halves: Uint16Array,
    base: Int32Array,
    kind: number,
    begun: number,
  ): number {
    const shapes = this.#shapes;
    const list = this.#byClass[kind];
    const count = this.#counts[kind];
    const words = begun >= 0 ? begun * KEY_WORDS : 0;
    let best = -1;
    let rank = -1;
    for (let s = 0; s < count; s++) {
      const at = list[s];
      if (best >= 0 && shapes[at + Shape.rank] !== rank) break;
      const hash = s === 0 && begun >= 0 ? this.#begun[begun] : this.#hash(at, words, halves, base);
      const found = this.#chain(heads, link, hash, shapes[at + Shape.id], shapes[at + Shape.n], words);
      if (found < 0) continue;
      if (best < 0 || this.records[found * Rule.size + Rule.age] < this.records[best * Rule.size + Rule.age]) best = found;
      rank = shapes[at + Shape.rank];
    }
    this.#rank = rank;
    return best;
  }

  /** Gathers the words that a shape looks at to `to` of #words. @param at of the shape */
  #hash(at: number, to: number, halves: Uint16Array, base: Int32Array): number {
    const shapes = this.#shapes;
    const words = this.#words;
    const { start, k1, k2 } = this.key;
    const n = shapes[at + Shape.n];
    let h = mix(start, shapes[at + Shape.id], k1, k2);
    for (let w = 0, p = at + Shape.words; w < n; w++, p += 2) {
      const place = shapes[p];
      const half = (base[place >>> 16] + (place & 0xffff)) >> 1;
      const word = (halves[half] | (halves[half + 1] << 16)) & shapes[p + 1];
      words[to + w] = word;
      h = mix(h, word, k1, k2);
    }
    return finish(h);
  }

  /** @param from of the words to compare, in #words */
  #chain(heads: Int32Array, link: Rule.next | Rule.nextDead, hash: number, shape: number, n: number, from: number): number {
    const { records } = this;
    const words = this.#words;
    for (let next = Atomics.load(heads, hash & (heads.length - 1)); next !== 0; ) {
      const record = (next - 1) * Rule.size;
      if (records[record + Rule.hash] === hash && records[record + Rule.shape] === shape) {
        let w = 0;
        while (w < n && records[record + Rule.key + w] === words[from + w]) w++;
        if (w === n) return next - 1;
      }
      next = Atomics.load(records, record + link);
    }
    return -1;
  }
}
