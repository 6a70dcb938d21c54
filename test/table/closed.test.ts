import fc from "fast-check";
import t from "tap";
import { ClosedSessions, type Lease } from "../../src/table/closed.js";
import { CloseCode, type SessionInfo, State } from "../../src/table/session.js";

function info(id: number): SessionInfo {
  return {
    id: BigInt(id),
    inPackets: id,
    outPackets: 0,
    inBytes: 0,
    outBytes: 0,
    state: State.established,
    closeCode: CloseCode.timeout,
    startTime: 1,
    endTime: 2,
  };
}

function fill(closed: ClosedSessions, from: number, to: number): void {
  for (let id = from; id < to; id++) {
    closed.push(info(id));
  }
}

function takeAll(lease: Lease): number[] {
  const ids: number[] = [];
  for (let next = lease.take(Infinity); next !== undefined; next = lease.take(Infinity)) {
    ids.push(Number(next.id));
  }
  return ids;
}

t.test("keeps every field of a record", async (t) => {
  const closed = new ClosedSessions(10);
  const full: SessionInfo = {
    id: 0xffff_ffff_ffff_fffen,
    inPackets: 2 ** 53 - 1,
    outPackets: 2,
    inBytes: 3,
    outBytes: 4,
    state: State.closed,
    closeCode: CloseCode.rst,
    startTime: 1_700_000_000_000.25,
    endTime: 1_700_000_000_001.5,
  };
  closed.push(full);
  t.same(closed.lease().take(1), full);
});

t.test("hands out in order, each record once, up to the end asked for", async (t) => {
  const closed = new ClosedSessions(10_000);
  fill(closed, 0, 3000);
  const lease = closed.lease();
  const other = closed.lease();
  t.equal(lease.take(1)?.id, 0n);
  t.equal(lease.take(1), undefined);
  t.equal(other.take(Infinity)?.id, 1n);
  t.same(
    takeAll(lease),
    Array.from({ length: 2998 }, (_, i) => i + 2),
  );
  t.equal(other.take(Infinity), undefined);
  t.equal(closed.waiting, 0);
});

t.test("a broken lease puts back what was not acknowledged, in its old place", async (t) => {
  const closed = new ClosedSessions(100);
  fill(closed, 0, 6);
  const a = closed.lease();
  const b = closed.lease();
  a.take(Infinity); // 0
  b.take(Infinity); // 1
  a.take(Infinity); // 2
  a.take(Infinity); // 3
  a.acknowledge(1);
  a.release();
  t.equal(closed.waiting, 4);
  t.same(takeAll(closed.lease()), [2, 3, 4, 5]);
  b.release();
  t.same(takeAll(closed.lease()), [1]);
});

t.test("at the bound the oldest waiting record is dropped and counted; those in delivery stay", async (t) => {
  const closed = new ClosedSessions(4);
  fill(closed, 0, 4);
  const lease = closed.lease();
  lease.take(Infinity);
  fill(closed, 4, 6);
  t.equal(closed.dropped, 2);
  t.equal(closed.waiting, 3);
  lease.release();
  t.same(takeAll(closed.lease()), [0, 3, 4, 5]);
  fill(closed, 6, 7);
  t.equal(closed.dropped, 3, "nothing waits: the new one goes");
  t.equal(closed.waiting, 0);
});

t.test("wakes listeners when a record closes and when one is given back", async (t) => {
  const closed = new ClosedSessions(4);
  let woken = 0;
  const end = closed.onWaiting(() => woken++);
  fill(closed, 0, 1);
  t.equal(woken, 1);
  const lease = closed.lease();
  lease.take(Infinity);
  lease.release();
  t.equal(woken, 2);
  end();
  fill(closed, 1, 2);
  t.equal(woken, 2);
});

t.test("behaves as a sorted list, whatever leases do", async () => {
  const step = fc.record({ what: fc.nat(4), who: fc.nat(2), count: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const capacity = 20;
      const closed = new ClosedSessions(capacity);
      const leases = [closed.lease(), closed.lease(), closed.lease()];
      const held: number[][] = [[], [], []];
      let waiting: number[] = [];
      let next = 0;
      let dropped = 0;
      for (const { what, who, count } of steps) {
        const lease = leases[who] as Lease;
        const mine = held[who] as number[];
        if (what <= 1) {
          for (let i = 0; i < count; i++) {
            closed.push(info(next));
            waiting.push(next++);
            if (waiting.length + held.flat().length > capacity) {
              waiting.shift();
              dropped++;
            }
          }
        } else if (what === 2) {
          for (let i = 0; i < count; i++) {
            const id = waiting.shift();
            const taken = lease.take(Infinity);
            if ((taken === undefined ? undefined : Number(taken.id)) !== id) {
              return false;
            }
            if (id !== undefined) {
              mine.push(id);
            }
          }
        } else if (what === 3) {
          lease.acknowledge(count);
          mine.splice(0, count);
        } else {
          lease.release();
          waiting = [...waiting, ...mine.splice(0)].sort((a, b) => a - b);
        }
        if (closed.waiting !== waiting.length || closed.dropped !== dropped || lease.count !== mine.length) {
          return false;
        }
      }
      return true;
    }),
    { numRuns: 300 },
  );
});

t.test("a million records: bounded memory, no long step", async (t) => {
  const size = 1 << 20;
  const closed = new ClosedSessions(size);
  const before = process.memoryUsage().arrayBuffers;
  const start = performance.now();
  fill(closed, 0, size + 1000);
  const pushed = performance.now() - start;
  t.equal(closed.dropped, 1000);
  const perRecord = (process.memoryUsage().arrayBuffers - before) / size;
  t.ok(perRecord < 80, `${perRecord.toFixed(1)} bytes per record`);
  const lease = closed.lease();
  for (let i = 0; i < size / 2; i++) {
    lease.take(Infinity);
  }
  const giving = performance.now();
  lease.release();
  const gaveBack = performance.now() - giving;
  t.ok(gaveBack < 50, `half a million given back in ${gaveBack.toFixed(2)} ms`);
  t.comment(`push ${((pushed * 1e6) / size).toFixed(0)} ns`);
  const all = closed.lease();
  while (all.take(Infinity) !== undefined) {}
  all.acknowledge(size);
  t.equal(closed.waiting, 0);
  fill(closed, 0, 1);
  t.equal(closed.lease().take(Infinity)?.id, 0n);
});
