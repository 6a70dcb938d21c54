import t from "tap";
import { type IvRecord, type IvStore, KeyCounters } from "../../src/table/key-counters.js";
import { allocateSas, KeyCounter } from "../../src/table/sa-memory.js";
import { LAST_EXTENDED, Sequences } from "../../src/table/sequence.js";
import { SKEW } from "../../src/table/session-memory.js";
import { counting, keyOf, moveCounter } from "./sa-rig.js";

/** Keeps it in memory, as a file would across processes. */
class Store implements IvStore {
  readonly block = 100;
  readonly kept = new Map<string, IvRecord>();
  readonly idled: string[] = [];
  writes = 0;
  broken = false;
  get(fingerprint: string): IvRecord | undefined {
    return this.kept.get(fingerprint);
  }
  put(records: readonly IvRecord[]): void {
    if (this.broken) throw new Error("no space");
    this.writes++;
    for (const record of records) this.kept.set(record.fingerprint, record);
  }
  idle(fingerprint: string): void {
    this.idled.push(fingerprint);
  }
}

function rig(capacity = 2, ivs?: IvStore) {
  const memory = allocateSas(capacity, 1);
  const fingerprint = (key: Uint8Array) => Buffer.from(key).toString("hex");
  const counters = new KeyCounters(memory, { random: counting(), fingerprint, ...(ivs && { ivs }) });
  const sequences = new Sequences(memory);
  const words = new Int32Array(memory.counters, SKEW);
  const next = (counter: number) =>
    sequences.next(counter, true) ? sequences.high * 2 ** 32 + (sequences.low >>> 0) : undefined;
  const iv = (counter: number) =>
    words.slice(counter * KeyCounter.size + KeyCounter.ivLow, counter * KeyCounter.size + KeyCounter.limit);
  return { memory, counters, next, iv, fingerprint };
}

t.test("SAs with one key share a counter; other keys have their own, and another IV", async (t) => {
  const { counters, next, iv } = rig();
  const first = counters.take(keyOf(1));
  t.equal(counters.take(keyOf(1)), first);
  const other = counters.take(keyOf(2));
  t.not(other, first);
  t.notSame(iv(other), iv(first));
  t.same([next(first), next(first), next(other)], [1, 2, 1]);
  t.same([counters.last(first), counters.last(other)], [2, 1]);
});

t.test("a key that comes back goes on where it was", async (t) => {
  const { counters, next, iv } = rig();
  const before = counters.take(keyOf(1));
  const drawn = iv(before);
  for (let n = 0; n < 5; n++) next(before);
  counters.release(before);
  counters.take(keyOf(2));
  const after = counters.take(keyOf(1));
  t.equal(next(after), 6);
  t.same(iv(after), drawn);
});

t.test("when all are taken, the key unused for the longest gives way, and starts anew when it comes back", async (t) => {
  const { counters, next, iv } = rig();
  const [a, b, c, d] = [1, 2, 3, 4].map((n) => counters.take(keyOf(n))) as [number, number, number, number];
  t.equal(counters.take(keyOf(5)), -1, "all in use");
  const drawn = iv(a);
  for (const counter of [a, b, c, d]) next(counter);
  for (const counter of [c, a, b]) counters.release(counter);
  counters.take(keyOf(3));
  counters.release(c);
  t.equal(counters.take(keyOf(5)), a, "the third was used since");
  t.equal(next(a), 1);
  t.equal(next(counters.take(keyOf(3))), 2);
  t.equal(counters.take(keyOf(1)), b);
  t.equal(next(b), 1);
  t.notSame(iv(b), drawn);
  t.equal(next(counters.take(keyOf(4))), 2);
});

t.test("with a store, no number is given out that it has not written down", async (t) => {
  const store = new Store();
  const { counters, next, fingerprint } = rig(2, store);
  const counter = counters.take(keyOf(1));
  const limit = () => store.kept.get(fingerprint(keyOf(1)))?.limit;
  t.equal(limit(), 100);
  for (let n = 1; n <= 49; n++) next(counter);
  counters.extend();
  t.equal(limit(), 100, "less than half a block is used");
  next(counter);
  counters.extend();
  t.equal(limit(), 200);
  while (next(counter) !== undefined);
  t.equal(counters.last(counter), 200);
  store.broken = true;
  t.throws(() => counters.extend());
  t.equal(next(counter), undefined);
  store.broken = false;
  counters.extend();
  t.equal(next(counter), 201);
});

t.test("many keys are extended in one write, and none that need not be", async (t) => {
  const store = new Store();
  const { counters, next } = rig(8, store);
  const taken = Array.from({ length: 9 }, (_, n) => counters.take(keyOf(n)));
  for (const counter of taken.slice(0, 5)) for (let n = 0; n < 60; n++) next(counter);
  store.writes = 0;
  counters.extend();
  counters.extend();
  t.equal(store.writes, 1);
  t.same(
    [...store.kept.values()].map(({ limit }) => limit),
    [200, 200, 200, 200, 200, 100, 100, 100, 100],
  );
});

t.test("after a restart a key has the same IV and goes on behind what may have been used", async (t) => {
  const store = new Store();
  const first = rig(2, store);
  const before = first.counters.take(keyOf(1));
  first.next(before);
  // Killed. Another key comes first, so that the counter is another one.
  const second = rig(2, store);
  second.counters.take(keyOf(2));
  const after = second.counters.take(keyOf(1));
  t.not(after, before);
  t.same(second.iv(after), first.iv(before));
  t.same([second.next(after), second.next(after)], [101, 102]);
  t.equal(second.counters.last(after), 102);
  // Stopped.
  second.counters.settle();
  const third = rig(2, store);
  t.equal(third.next(third.counters.take(keyOf(1))), 103);
});

t.test("a key that the store cannot write down is not used, and takes no counter", async (t) => {
  const store = new Store();
  const { counters } = rig(1, store);
  store.broken = true;
  for (let n = 0; n < 5; n++) t.throws(() => counters.take(keyOf(n)), /no space/);
  store.broken = false;
  t.same([counters.take(keyOf(1)), counters.take(keyOf(2)), counters.take(keyOf(3))].sort(), [-1, 0, 1]);
});

t.test("the store hears which keys have no counter any more", async (t) => {
  const store = new Store();
  const { counters, fingerprint } = rig(1, store);
  counters.release(counters.take(keyOf(1)));
  counters.take(keyOf(2));
  t.same(store.idled, []);
  counters.take(keyOf(3));
  t.same(store.idled, [fingerprint(keyOf(1))]);
});

t.test("a number that was taken past the limit was not given out", async (t) => {
  const { memory, counters } = rig();
  const counter = counters.take(keyOf(1));
  moveCounter(memory, counter, 103, 100);
  t.equal(counters.last(counter), 100);
});

t.test("a block never reaches past the last number", async (t) => {
  const store = new Store();
  const { memory, counters, fingerprint } = rig(1, store);
  const counter = counters.take(keyOf(1));
  moveCounter(memory, counter, LAST_EXTENDED - 10, LAST_EXTENDED - 9);
  counters.extend();
  t.equal(store.kept.get(fingerprint(keyOf(1)))?.limit, LAST_EXTENDED);
  store.writes = 0;
  counters.extend();
  t.equal(store.writes, 0);
});
