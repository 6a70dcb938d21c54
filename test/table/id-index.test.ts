import fc from "fast-check";
import t from "tap";
import { IdIndex } from "../../src/table/id-index.js";

const MAX = 0xffff_ffff_ffff_ffffn;

t.test("finds ids by all 64 bits", async (t) => {
  const index = new IdIndex(8, 0x1234_5678);
  const ids = [0n, 1n, 1n << 32n, (1n << 32n) | 1n, 1n << 63n, MAX];
  ids.forEach((id, slot) => {
    index.set(id, slot);
  });
  t.same(
    ids.map((id) => index.get(id)),
    [0, 1, 2, 3, 4, 5],
  );
  t.same(
    ids.map((_, slot) => index.idOf(slot)),
    ids,
  );
  t.equal(index.get(2n), -1);
  t.equal(index.get(MAX - 1n), -1);
  t.equal(index.size, 6);
});

t.test("an id set again moves to the new slot", async (t) => {
  const index = new IdIndex(4, 1);
  index.set(7n, 0);
  index.set(7n, 3);
  t.equal(index.get(7n), 3);
  t.equal(index.size, 1);
});

t.test("deleting an unknown id changes nothing", async (t) => {
  const index = new IdIndex(4, 1);
  index.set(7n, 0);
  t.equal(index.delete(8n), -1);
  t.equal(index.get(7n), 0);
  t.equal(index.delete(7n), 0);
  t.equal(index.delete(7n), -1);
  t.equal(index.size, 0);
});

t.test("agrees with a Map whatever is set and deleted, up to the last slot", async () => {
  // Few ids in few buckets: runs wrap around the end and deletion shifts them.
  const step = fc.tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 39n }));
  fc.assert(
    fc.property(fc.integer(), fc.array(step, { maxLength: 300, size: "max" }), (seed, steps) => {
      const capacity = 16;
      const index = new IdIndex(capacity, seed);
      const model = new Map<bigint, number>();
      const free = Array.from({ length: capacity }, (_, i) => i);
      for (const [add, n] of steps) {
        const id = n * 0x1_0000_0001n;
        if (add && !model.has(id) && free.length > 0) {
          const slot = free.pop() as number;
          index.set(id, slot);
          model.set(id, slot);
        } else if (!add) {
          const slot = model.get(id) ?? -1;
          if (index.delete(id) !== slot) {
            return false;
          }
          if (slot >= 0) {
            model.delete(id);
            free.push(slot);
          }
        }
        for (let k = 0n; k < 40n; k++) {
          if (index.get(k * 0x1_0000_0001n) !== (model.get(k * 0x1_0000_0001n) ?? -1)) {
            return false;
          }
        }
      }
      return index.size === model.size;
    }),
    { numRuns: 200 },
  );
});

t.test("does not slow down after a million replacements in a full index", async (t) => {
  const capacity = 1 << 16;
  const index = new IdIndex(capacity, 99);
  for (let slot = 0; slot < capacity; slot++) {
    index.set(BigInt(slot), slot);
  }
  const fresh = sweep(index, 0, capacity);
  let oldest = 0;
  for (let id = capacity; id < capacity + 1_000_000; id++, oldest++) {
    index.set(BigInt(id), index.delete(BigInt(oldest)));
  }
  t.equal(index.size, capacity);
  const used = sweep(index, oldest, capacity);
  t.equal(used.found, capacity);
  t.equal(fresh.found, capacity);
  // A tombstone per replacement would have filled all buckets, and a search for a missing id would never end.
  t.ok(used.ms < fresh.ms * 5 + 20, `missing and present ids: ${fresh.ms.toFixed(1)} ms fresh, ${used.ms.toFixed(1)} ms used`);
});

function sweep(index: IdIndex, from: number, count: number): { found: number; ms: number } {
  let found = 0;
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    if (index.get(BigInt(from + i)) >= 0) {
      found++;
    }
    if (index.get(BigInt(from + i) + (1n << 40n)) >= 0) {
      found--;
    }
  }
  return { found, ms: performance.now() - start };
}
