import t from "tap";
import { Verdict } from "../../src/table/replay-window.js";
import { SaFailure } from "../../src/table/sa.js";
import { SaLookup } from "../../src/table/sa-lookup.js";
import { allocateSas, Released, Sa, SaFlags, SaLane, type SaMemory } from "../../src/table/sa-memory.js";
import { keyOf, moveTop, saOf, tableOf } from "./sa-rig.js";

function rig(capacity = 4, workers = 2) {
  const memory = allocateSas(capacity, workers);
  return { memory, table: tableOf(memory), lookup: new SaLookup(memory, 0) };
}

/** Whether the bytes stand anywhere in the shared memory. */
function holds(memory: SaMemory, bytes: Uint8Array): boolean {
  const areas = [memory.records, memory.counters, memory.windows, memory.holding, memory.released, ...memory.lanes];
  return areas.some((area) => Buffer.from(area).includes(Buffer.from(bytes)));
}

t.test("a worker reads what was added", async (t) => {
  const { table, lookup } = rig();
  const slot = table.add(saOf(keyOf(1, 32), { spi: 0xfedcba98, suite: 9, esn: true }), 5);
  const base = slot * Sa.size;
  t.not(lookup.records[base + Sa.stamp], 0);
  t.equal((lookup.records[base + Sa.spi] as number) >>> 0, 0xfedcba98);
  t.equal(lookup.records[base + Sa.flags], 9 | SaFlags.seals | SaFlags.esn);
  t.same(lookup.recordBytes.slice((base + Sa.key) * 4, (base + Sa.key) * 4 + 32), keyOf(1, 32));
  t.same(lookup.recordBytes.slice((base + Sa.salt) * 4, (base + Sa.salt) * 4 + 4), [0xa1, 0xb2, 0xc3, 0xd4]);
  t.ok(lookup.sequences.next(lookup.records[base + Sa.counter] as number, true));
  t.equal(lookup.sequences.low, 1);

  const opens = table.add(saOf(keyOf(2), { seals: false, replayWindow: 64 }), 5);
  t.equal(lookup.records[opens * Sa.size + Sa.counter], -1);
  t.equal(lookup.records[opens * Sa.size + Sa.window], 64);
  t.not(lookup.records[opens * Sa.size + Sa.stamp], lookup.records[base + Sa.stamp]);
});

t.test("what a user may know: settings, counters over all workers, sequence numbers", async (t) => {
  const { memory, table, lookup } = rig();
  const seals = table.add(saOf(keyOf(1), { spi: 7 }), 1_000);
  const opens = table.add(saOf(keyOf(1), { spi: 8, seals: false, esn: true }), 2_000);
  const other = new SaLookup(memory, 1);
  for (const [n, { lanes }] of [lookup, other].entries()) {
    const lane = opens << SaLane.shift;
    lanes[lane + SaLane.packets] = 3 + n;
    lanes[lane + SaLane.bytes] = 300;
    lanes[lane + SaLane.lastUsed] = 5_000 - n;
    lanes[lane + SaLane.failures + SaFailure.replayed] = 2;
    lanes[lane + SaLane.failures + SaFailure.dummy] = n;
  }
  for (let n = 0; n < 3; n++) lookup.sequences.next(lookup.records[seals * Sa.size + Sa.counter] as number, false);
  moveTop(memory, opens, 2 ** 32 + 9);
  t.match(table.info(seals), {
    spi: 7,
    suite: 8,
    seals: true,
    esn: false,
    replayWindow: 1024,
    created: 1_000,
    lastUsed: 0,
    packets: 0,
    sequence: 3n,
  });
  const info = table.info(opens);
  t.match(info, {
    spi: 8,
    seals: false,
    esn: true,
    created: 2_000,
    lastUsed: 5_000,
    packets: 7,
    bytes: 600,
    sequence: 2n ** 32n + 9n,
  });
  t.same(info.failures, [0, 4, 0, 0, 0, 0, 0, 0, 0, 1]);
  t.notOk(Object.values(info).some((value) => value instanceof Uint8Array));
});

t.test("settings change in place", async (t) => {
  const { table, lookup } = rig();
  const slot = table.add(saOf(keyOf(1), { seals: false, suite: 11 }), 0);
  table.configure(slot, { esn: true, replayWindow: 4096 });
  t.equal(lookup.records[slot * Sa.size + Sa.flags], 11 | SaFlags.esn);
  t.match(table.info(slot), { esn: true, replayWindow: 4096 });
  table.configure(slot, { esn: false, replayWindow: 0 });
  t.equal(lookup.records[slot * Sa.size + Sa.flags], 11);
  t.match(table.info(slot), { esn: false, replayWindow: 0 });
});

t.test("the same key material is known again, and only that", async (t) => {
  const { table } = rig();
  const salt = Uint8Array.of(0xa1, 0xb2, 0xc3, 0xd4);
  const slot = table.add(saOf(keyOf(1)), 0);
  t.ok(table.matches(slot, keyOf(1), salt));
  for (let i = 0; i < 16; i++) {
    const key = keyOf(1);
    key[i] = (keyOf(1)[i] as number) ^ 0x80;
    t.notOk(table.matches(slot, key, salt));
  }
  for (let i = 0; i < 4; i++)
    t.notOk(
      table.matches(
        slot,
        keyOf(1),
        salt.map((byte, k) => (k === i ? 0 : byte)),
      ),
    );
  t.notOk(table.matches(slot, new Uint8Array([...keyOf(1), ...new Uint8Array(16)]), salt), "longer by what is there");
  t.notOk(table.matches(slot, keyOf(1), salt.subarray(0, 3)));
  t.notOk(table.matches(slot, keyOf(1), Uint8Array.of(...salt, 0)));
  t.same(table.reveal(slot), [...keyOf(1), ...salt]);
});

t.test("release leaves nothing of the SA in shared memory, and the next one in the slot starts clean", async (t) => {
  const { memory, table, lookup } = rig();
  const key = keyOf(1, 32);
  const slot = table.add(saOf(key, { seals: false, suite: 9, salt: Uint8Array.of(0xde, 0xad, 0xbe, 0xef) }), 0);
  for (let n = 1; n < 5_000; n += 3) lookup.windows.accept(slot, n, 0, 1024);
  for (let field = 0; field < SaLane.words; field++) lookup.lanes[(slot << SaLane.shift) + field] = field;
  const stamp = lookup.records[slot * Sa.size];
  t.ok(holds(memory, key.subarray(0, 8)));
  t.ok(holds(memory, Uint8Array.of(0xde, 0xad, 0xbe, 0xef)));
  table.release(slot);
  for (let i = 0; i + 4 <= key.length; i += 4) t.notOk(holds(memory, key.subarray(i, i + 4)), `bytes from ${i} on`);
  t.notOk(holds(memory, Uint8Array.of(0xde, 0xad, 0xbe, 0xef)));
  for (const area of [memory.records, memory.windows, ...memory.lanes]) t.notOk(new Uint8Array(area).some((byte) => byte !== 0));

  t.equal(table.add(saOf(keyOf(2), { seals: false }), 9), slot);
  t.not(lookup.records[slot * Sa.size], stamp);
  t.match(table.info(slot), { packets: 0, sequence: 0n, lastUsed: 0 });
  t.equal(lookup.windows.accept(slot, 1, 0, 1024), Verdict.ok);
});

t.test("close zeroes all keys", async (t) => {
  const { memory, table } = rig();
  for (let n = 0; n < 4; n++) table.add(saOf(keyOf(n)), 0);
  table.close();
  for (let n = 0; n < 4; n++) t.notOk(holds(memory, keyOf(n).subarray(0, 4)));
});

t.test("the table holds what it has room for, and as many that wait to be released", async (t) => {
  const { table } = rig(2);
  const [a, b] = [table.add(saOf(keyOf(1)), 0), table.add(saOf(keyOf(2)), 0)];
  t.same([table.size, table.add(saOf(keyOf(3)), 0)], [2, -1]);
  table.retire(a);
  table.retire(a);
  t.equal(table.size, 1);
  const c = table.add(saOf(keyOf(3)), 0);
  t.notOk([a, b].includes(c));
  table.retire(b);
  t.ok(table.add(saOf(keyOf(4)), 0) >= 0);
  table.retire(c);
  t.equal(table.add(saOf(keyOf(5)), 0), -1, "workers may still be at all slots");
  table.release(a);
  t.same([table.add(saOf(keyOf(5)), 0), table.size], [a, 2]);
});

t.test("a SA that was released without being retired does not count any more either", async (t) => {
  const { table } = rig(2);
  table.release(table.add(saOf(keyOf(1)), 0));
  t.equal(table.size, 0);
  t.throws(() => table.info(0), RangeError);
});

t.test("rekeyed with another salt or suite, a key goes on; deleted and created again, too", async (t) => {
  const { table, lookup } = rig(1);
  const next = (slot: number) => {
    const given = lookup.sequences.next(lookup.records[slot * Sa.size + Sa.counter] as number, false);
    return given ? lookup.sequences.low : undefined;
  };
  const first = table.add(saOf(keyOf(1)), 0);
  t.same([next(first), next(first)], [1, 2]);
  table.retire(first);
  const second = table.add(saOf(keyOf(1), { salt: new Uint8Array(3), suite: 10, spi: 99 }), 0);
  t.same([next(second), next(first)], [3, 4]);
  table.release(first);
  table.release(second);
  t.equal(next(table.add(saOf(keyOf(1)), 0)), 5);
});

t.test("workers hear which slots were released, once each", async (t) => {
  const { memory, table, lookup } = rig(8);
  const slots = [1, 2, 3].map((n) => table.add(saOf(keyOf(n)), 0));
  t.equal(lookup.refresh(), 0);
  for (const slot of [slots[2], slots[0]]) table.release(slot as number);
  t.equal(lookup.refresh(), 2);
  t.same([...lookup.released.subarray(0, 2)], [slots[2], slots[0]]);
  t.equal(lookup.refresh(), 0);
  t.equal(new SaLookup(memory, 1).refresh(), 0, "a worker that starts has no contexts");
});

t.test("a worker that slept through more than the ring holds is told to look at all", async (t) => {
  const { table, lookup } = rig(1);
  const churn = (n: number) => {
    for (let k = 0; k < n; k++) table.release(table.add(saOf(keyOf(1)), 0));
  };
  churn(Released.kept - 1);
  t.equal(lookup.refresh(), Released.kept - 1);
  t.ok(lookup.released.subarray(0, Released.kept - 1).every((slot) => slot === 0));
  churn(Released.kept);
  t.equal(lookup.refresh(), -1);
  churn(3 * Released.kept);
  t.equal(lookup.refresh(), -1);
  churn(1);
  t.equal(lookup.refresh(), 1);
});
