// The session table as control sees it: the one writer of the shared memory that workers look flows up in.
//
// A session's slot goes through: free → written (nothing refers to it) → published under its two flow keys → unlinked →
// (grace period: every worker has left the burst in which it may have found it) → counters read, reported, free again.
// So final counters include packets in flight, and nobody counts on a slot that belongs to another by now.

import type { Grace } from "../memory/grace.js";
import { CreationOrder, type Cursor } from "./creation-order.js";
import { IdIndex } from "./id-index.js";
import { Cause, Leaving } from "./leaving.js";
import { type CloseCode, CloseCode as Code, type NewSession, type SessionInfo } from "./session.js";
import { SessionClaims } from "./session-claims.js";
import { SessionIndex } from "./session-index.js";
import { clearLanes, lastSeen, sumOf } from "./session-lanes.js";
import { Lane, Record, type SessionMemory, SKEW } from "./session-memory.js";
import { writeRecord } from "./session-record.js";
import { ShadowQueue } from "./shadow-queue.js";
import { tcpCloseCode, tcpState } from "./tcp-state.js";
import { TimerWheel } from "./timer-wheel.js";

export const enum AddStatus {
  added,
  exists,
  full,
}

export interface SessionTableOptions {
  readonly duplicateFlow: "reject" | "shadow";
  /** Index of the port of each lif. */
  readonly portOf: ReadonlyMap<number, number>;
  /** Milliseconds since the epoch: where the timers start. */
  readonly now: number;
  /** Seed of the id index: any 32 bits. */
  readonly seed: number;
}

/** The first id that is assigned; they run down from here (api.md point 8). */
const FIRST_ASSIGNED = 2_147_483_647n;
/** Sessions that are added, due or finished in one step, between two looks at the clock. */
const SLICE = 128;
/** The thread is not held longer by sessions that are finished outside age(). */
const SETTLE_MS = 2;

export class SessionTable {
  readonly capacity: number;
  readonly stats = { active: 0, added: 0, aged: 0, deleted: 0, closedByTcp: 0 };
  /** Called once for every session that is gone, with its final counters. */
  onClosed: (info: SessionInfo) => void = () => {};
  /** Id of the session that the last add() put in: the assigned one when it asked for that. */
  lastId = 0n;

  readonly #options: SessionTableOptions;
  readonly #grace: Grace;
  readonly #records: Int32Array;
  readonly #lanes: readonly Float64Array[];
  readonly #index: SessionIndex;
  readonly #claims: SessionClaims;
  readonly #ids: IdIndex;
  readonly #order: CreationOrder;
  readonly #wheel: TimerWheel;
  readonly #start: Float64Array;
  /** Seconds; 0 marks a slot that is free or leaving. */
  readonly #timeout: Uint32Array;
  readonly #freed: number[] = [];
  #fresh = 0;
  #used = 0;
  #nextAssigned = FIRST_ASSIGNED;
  readonly #leaving = new Leaving();
  /** By slot: who waits for a deletion. */
  readonly #done = new Map<number, (info: SessionInfo) => void>();
  /** Overflow buckets of the index that were unlinked before the grace period that runs. */
  #waitingBuckets: number[] = [];
  #scheduled = false;
  /** Slots of this step of add() or age(); to add: the hashes of both keys; to age: since when they are due. */
  readonly #slots = new Int32Array(SLICE);
  readonly #there = new Int32Array(SLICE);
  readonly #back = new Int32Array(SLICE);
  readonly #dueTimes = new Float64Array(SLICE);
  #dueCount = 0;
  /** Keeps the engine from dropping reads whose only purpose is to bring a line into the cache. */
  touched = 0;

  constructor(memory: SessionMemory, grace: Grace, options: SessionTableOptions) {
    this.capacity = memory.capacity;
    this.#options = options;
    this.#grace = grace;
    this.#records = new Int32Array(memory.records, SKEW);
    this.#lanes = memory.lanes.map((lane) => new Float64Array(lane, SKEW));
    this.#index = new SessionIndex(memory);
    this.#ids = new IdIndex(memory.capacity, options.seed);
    this.#order = new CreationOrder(memory.capacity);
    this.#wheel = new TimerWheel(memory.capacity, options.now);
    const shadows = options.duplicateFlow === "shadow" ? new ShadowQueue(memory.capacity) : undefined;
    this.#claims = new SessionClaims(this.#records, this.#index, shadows);
    this.#start = new Float64Array(memory.capacity);
    this.#timeout = new Uint32Array(memory.capacity);
  }

  /** Slots that can be filled right now. */
  get free(): number {
    return this.capacity - this.#used;
  }

  /** @param now milliseconds since the epoch: its start time */
  add(session: NewSession, now: number): AddStatus {
    return this.#prepare(0, session) ? this.#enter(0, session, now) : AddStatus.full;
  }

  /**
   * add() for each in turn, while there is room for all: what they need of a large table is fetched for all before, with
   * many misses under way at once.
   */
  addAll(sessions: readonly NewSession[], now: number, each: (i: number, status: AddStatus) => void): void {
    for (let from = 0; from < sessions.length; from += SLICE) {
      const n = Math.min(SLICE, sessions.length - from);
      let prepared = 0;
      while (prepared < n && this.#prepare(prepared, sessions[from + prepared] as NewSession)) prepared++;
      for (let i = 0; i < n; i++) {
        const session = sessions[from + i] as NewSession;
        // One that exists already gives back the slot that was prepared for it.
        each(from + i, i < prepared ? this.#enter(i, session, now) : this.add(session, now));
      }
    }
  }

  /** Writes the record of a session to a free slot and touches where its keys belong. @returns false when no slot is free */
  #prepare(place: number, session: NewSession): boolean {
    if (this.#freed.length === 0 && this.#fresh === this.capacity) return false;
    const slot = this.#freed.pop() ?? this.#fresh++;
    this.#write(slot, session);
    const index = this.#index;
    const there = index.hash(slot, 0);
    const back = index.hash(slot, 1);
    this.touched = index.touch(there) ^ index.touch(back) ^ this.#ids.touchId(session.id);
    this.#slots[place] = slot;
    this.#there[place] = there;
    this.#back[place] = back;
    return true;
  }

  #enter(place: number, session: NewSession, now: number): AddStatus {
    const slot = this.#slots[place];
    const ids = this.#ids;
    if ((session.id !== 0n && ids.get(session.id) >= 0) || !this.#claims.publish(slot, this.#there[place], this.#back[place])) {
      this.#freed.push(slot);
      return AddStatus.exists;
    }
    const id = session.id === 0n ? this.#assign() : session.id;
    this.#used++;
    this.#start[slot] = now;
    this.#timeout[slot] = session.timeout;
    ids.set(id, slot);
    this.#order.append(slot);
    this.#wheel.set(slot, now + session.timeout * 1000);
    this.stats.active++;
    this.stats.added++;
    this.lastId = id;
    return AddStatus.added;
  }

  /** Live counters, or undefined when there is no such session. */
  get(id: bigint): SessionInfo | undefined {
    const slot = this.#ids.get(id);
    return slot < 0 ? undefined : this.#info(slot, 0, Code.notClosed);
  }

  /** Removes it. Resolves with the final counters once every worker has passed on; undefined when there is no such session. */
  delete(id: bigint, now: number): Promise<SessionInfo | undefined> {
    const slot = this.#ids.get(id);
    if (slot < 0) return Promise.resolve(undefined);
    return new Promise((done) => {
      this.#done.set(slot, done);
      this.#leave(slot, Cause.deleted, now);
      this.#settle(performance.now() + SETTLE_MS);
    });
  }

  /** Whether add() would answer that it exists. */
  exists(session: NewSession): boolean {
    if (session.id !== 0n && this.#ids.get(session.id) >= 0) return true;
    this.#write(this.capacity, session);
    return this.#claims.taken(this.capacity);
  }

  /**
   * A place in the order of creation: behind the session with id `after`, or (undefined) before the first. It stays right
   * while sessions come and go, and must be closed. undefined when no such session or page end is known.
   */
  open(after: bigint | undefined): Cursor | undefined {
    if (after === undefined) return this.#order.open(-1);
    // The page end first: its session may have been deleted and added again, which would be somewhere else.
    const resumed = this.#order.reopen(after);
    if (resumed !== undefined) return resumed;
    const slot = this.#ids.get(after);
    return slot < 0 ? undefined : this.#order.open(slot);
  }

  /** Moves the cursor behind `count` more sessions. @returns how many there were */
  skip(cursor: Cursor, count: number): number {
    let slot = this.#order.slot(cursor);
    let skipped = 0;
    for (let next = this.#order.after(slot); next >= 0 && skipped < count; next = this.#order.after(slot)) {
      slot = next;
      skipped++;
    }
    this.#order.move(cursor, slot);
    return skipped;
  }

  /** Another cursor at the same place. */
  copy(cursor: Cursor): Cursor {
    return this.#order.open(this.#order.slot(cursor));
  }

  /** Counts the sessions that left: as long as it stays, the nth session stays the nth. */
  get removals(): number {
    return this.stats.aged + this.stats.deleted + this.stats.closedByTcp;
  }

  /** Up to `max` sessions behind the cursor, which moves behind them. */
  read(cursor: Cursor, max: number): SessionInfo[] {
    const page: SessionInfo[] = [];
    let last = this.#order.slot(cursor);
    for (let slot = this.#order.after(last); slot >= 0 && page.length < max; slot = this.#order.after(slot)) {
      page.push(this.#info(slot, 0, Code.notClosed));
      last = slot;
    }
    this.#order.move(cursor, last);
    return page;
  }

  /** @param end the id that a page ended with: open() finds this place by it for a while, even when that session is gone */
  close(cursor: Cursor, end?: bigint): void {
    if (end === undefined) this.#order.close(cursor);
    else this.#order.keep(cursor, end);
  }

  /** Ages what is due, for at most `budgetMs`. @returns whether more is due now */
  age(now: number, budgetMs: number): boolean {
    const until = performance.now() + budgetMs;
    const due = (slot: number): void => this.#due(slot, now);
    let more = true;
    while (more && performance.now() < until) {
      this.#dueCount = 0;
      more = this.#wheel.advance(now, SLICE, due);
      this.#touchDue();
      for (let i = 0; i < this.#dueCount; i++) this.#leave(this.#slots[i], Cause.aged, this.#dueTimes[i]);
      this.#settle(until);
    }
    return more;
  }

  /** A worker saw the connection in this slot close (`sessions.tcpClose: device`). Says nothing when it is gone or reopened. */
  closedByTcp(slot: number, now: number): void {
    const bits = this.#tcpBits(slot);
    if (this.#timeout[slot] === 0 || tcpCloseCode(bits) === Code.notClosed) return;
    this.#records[(slot << Record.shift) + Record.closed] = bits;
    this.#leave(slot, Cause.closedByTcp, now);
    this.#settle(performance.now() + SETTLE_MS);
  }

  #due(slot: number, now: number): void {
    const due = Math.max(this.#start[slot], lastSeen(this.#lanes, slot)) + this.#timeout[slot] * 1000;
    if (due > now) {
      this.#wheel.set(slot, due);
      return;
    }
    this.#slots[this.#dueCount] = slot;
    this.#dueTimes[this.#dueCount++] = due;
  }

  /** Brings into the cache, with many misses under way at once, what unlinking those that are due will look at. */
  #touchDue(): void {
    const index = this.#index;
    let touched = 0;
    for (let i = 0; i < this.#dueCount; i++) {
      const slot = this.#slots[i];
      touched ^= index.touch(index.hash(slot, 0)) ^ index.touch(index.hash(slot, 1)) ^ this.#ids.touch(slot);
    }
    this.touched = touched;
  }

  #write(slot: number, session: NewSession): void {
    const { portOf } = this.#options;
    writeRecord(this.#records, slot, session, portOf.get(session.inLif) as number, portOf.get(session.outLif) as number);
  }

  #assign(): bigint {
    for (;;) {
      const id = this.#nextAssigned;
      this.#nextAssigned = id === 1n ? FIRST_ASSIGNED : id - 1n;
      if (this.#ids.get(id) < 0) return id;
    }
  }

  #leave(slot: number, cause: Cause, endTime: number): void {
    this.#claims.unpublish(slot);
    this.#wheel.clear(slot);
    this.#order.remove(slot);
    // The id stays readable by slot until the slot is reused.
    this.#ids.remove(slot);
    this.#timeout[slot] = 0;
    this.stats.active--;
    if (cause === Cause.aged) this.stats.aged++;
    else if (cause === Cause.deleted) this.stats.deleted++;
    else this.stats.closedByTcp++;
    this.#leaving.push(slot, cause, endTime);
  }

  /**
   * Finishes what has had its grace period and begins the next one; comes back by itself while something waits.
   * @param until time (performance.now) at which it lets go of the thread
   */
  #settle(until: number): void {
    const leaving = this.#leaving;
    for (;;) {
      for (let left = SLICE; leaving.next(); left--) {
        this.#finish(leaving.slot, leaving.cause, leaving.endTime);
        if (left > 1) continue;
        if (performance.now() > until) {
          this.#settleLater();
          return;
        }
        left = SLICE;
      }
      if (leaving.running) {
        if (!this.#grace.over()) {
          this.#settleLater();
          return;
        }
        this.#index.reclaim(this.#waitingBuckets);
        leaving.end();
      } else {
        if (leaving.empty) return;
        leaving.begin();
        this.#waitingBuckets = this.#index.takeUnlinked();
        this.#grace.begin();
      }
    }
  }

  #settleLater(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#settle(performance.now() + SETTLE_MS);
    });
  }

  #finish(slot: number, cause: Cause, endTime: number): void {
    const info = this.#info(slot, endTime, cause === Cause.aged ? Code.timeout : Code.notClosed);
    clearLanes(this.#lanes, slot);
    this.#freed.push(slot);
    this.#used--;
    this.onClosed(info);
    const done = cause === Cause.deleted ? this.#done.get(slot) : undefined;
    if (done !== undefined) {
      this.#done.delete(slot);
      done(info);
    }
  }

  #tcpBits(slot: number): number {
    const base = slot << Record.shift;
    return this.#records[base + Record.closed] || Atomics.load(this.#records, base + Record.tcp);
  }

  #info(slot: number, endTime: number, otherwise: CloseCode): SessionInfo {
    const bits = this.#tcpBits(slot);
    return {
      id: this.#ids.idOf(slot),
      inPackets: sumOf(this.#lanes, slot, Lane.inPackets),
      outPackets: sumOf(this.#lanes, slot, Lane.outPackets),
      inBytes: sumOf(this.#lanes, slot, Lane.inBytes),
      outBytes: sumOf(this.#lanes, slot, Lane.outBytes),
      state: tcpState(bits),
      closeCode: tcpCloseCode(bits) || otherwise,
      startTime: this.#start[slot],
      endTime,
    };
  }
}
