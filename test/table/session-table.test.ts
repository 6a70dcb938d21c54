import fc from "fast-check";
import t from "tap";
import { Word, wordOf } from "../../src/memory/worker-words.js";
import { Fate } from "../../src/reason.js";
import { finish, flowWord, type HashKey, hashKey, mix } from "../../src/table/flow.js";
import { Action, CloseCode, type NewSession, type SessionInfo } from "../../src/table/session.js";
import { allocateSessions, Bucket, type SessionMemory, SKEW } from "../../src/table/session-memory.js";
import { AddStatus } from "../../src/table/session-table.js";
import { newBurst, newRing, run } from "../stage/device.js";
import { frameOf } from "../stage/packet.js";
import { keyOf, Model, report } from "./model.js";
import { nth, open, START, V4, V6 } from "./open-table.js";
import { list, listAt } from "./page.js";

const STATUS = { [AddStatus.added]: "added", [AddStatus.exists]: "exists", [AddStatus.full]: "full" };
const DEGENERATE: readonly HashKey[] = [
  { start: 0, k1: 1, k2: 1 },
  { start: 0, k1: 0, k2: 1 },
];

const burst = newBurst();
const ring = newRing();

/** The same memory with another number of buckets, and not one overflow bucket more than it reckoned with. */
function withBuckets(memory: SessionMemory, buckets: number): SessionMemory {
  return { ...memory, buckets, index: new SharedArrayBuffer(SKEW + (buckets + memory.overflow) * Bucket.words * 4) };
}

const session: fc.Arbitrary<NewSession> = fc
  .record({
    id: fc.oneof(fc.bigInt({ min: 0n, max: 12n }), fc.constantFrom(2_147_483_646n, 0xffff_ffff_ffff_ffffn)),
    lifs: fc.constantFrom([1, 2], [2, 1], [1, 1], [3, 4], [1, 4]),
    vlans: fc.constantFrom([0, 0], [5, 5], [5, 0], [0, 4095]),
    ipv6: fc.boolean(),
    a: fc.nat({ max: 2 }),
    b: fc.nat({ max: 2 }),
    sourcePort: fc.constantFrom(0x0102, 0x0201, 80, 65535),
    destinationPort: fc.constantFrom(0x0102, 0x0201, 80, 65535),
    protocol: fc.constantFrom(6, 17),
    action: fc.constantFrom(Action.forward, Action.forward, Action.drop),
    nextHop: fc.constant(0),
    timeout: fc.constantFrom(1, 3, 3600),
  })
  .map(({ lifs, vlans, a, b, ...rest }) => {
    const pool = rest.ipv6 ? V6 : V4;
    return {
      ...rest,
      inLif: lifs[0] as number,
      outLif: lifs[1] as number,
      inVlan: vlans[0] as number,
      outVlan: vlans[1] as number,
      source: pool[a] as Uint8Array,
      destination: pool[b] as Uint8Array,
    };
  });

function frame(s: NewSession, direction: 0 | 1, payload: number): Uint8Array {
  const vlan = direction === 0 ? s.inVlan : s.outVlan;
  return frameOf({
    tags: vlan === 0 ? [] : [{ tpid: 0x8100, tci: 0x6000 | vlan }],
    ipv6: s.ipv6,
    udp: s.protocol === 17,
    source: direction === 0 ? s.source : s.destination,
    destination: direction === 0 ? s.destination : s.source,
    sourcePort: direction === 0 ? s.sourcePort : s.destinationPort,
    destinationPort: direction === 0 ? s.destinationPort : s.sourcePort,
    payload,
  });
}

type Step =
  | { readonly do: "add"; readonly session: NewSession }
  | { readonly do: "delete"; readonly nth: number; readonly id: bigint }
  | {
      readonly do: "traffic";
      readonly packets: readonly { session: NewSession; nth: number; direction: 0 | 1; payload: number }[];
    }
  | { readonly do: "age"; readonly by: number }
  | { readonly do: "list" };

const packet = fc.record({
  session,
  nth: fc.nat({ max: 80 }),
  direction: fc.constantFrom<0 | 1>(0, 1),
  payload: fc.nat({ max: 40 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("add" as const), session }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("delete" as const), nth: fc.nat({ max: 80 }), id: fc.bigInt({ min: 0n, max: 12n }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("traffic" as const), packets: fc.array(packet, { maxLength: 64, size: "max" }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("age" as const), by: fc.constantFrom(100, 900, 1000, 2500, 4_000_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("list" as const) }) },
);

/** One table and its model side by side; throws where they differ. */
function compare(memory: SessionMemory, shadow: boolean, steps: readonly Step[]): void {
  const { table, closed, lookup } = open(memory, shadow ? "shadow" : "reject");
  const model = new Model(memory.capacity, shadow);
  const expected: SessionInfo[] = [];
  let now = START;
  for (const s of steps) {
    if (s.do === "add") {
      const status = STATUS[table.add(s.session, now)];
      same(status, model.add(s.session, now), "add");
      if (status === "added") same(table.lastId, [...model.sessions.keys()].at(-1), "id");
    } else if (s.do === "delete") {
      const id = [...model.sessions.keys()][s.nth] ?? s.id;
      table.delete(id, now);
      const gone = model.remove(id);
      if (gone !== undefined) expected.push(report(gone, now));
    } else if (s.do === "traffic") {
      now += 10;
      const live = [...model.sessions.values()];
      const sent = s.packets.map((p) => ({ ...p, session: live[p.nth]?.wanted ?? p.session }));
      const frames = sent.map((p) => frame(p.session, p.direction, p.payload));
      const arrivals = sent.map((p, i) => ({
        frame: frames[i] as Uint8Array,
        port: (p.direction === 0 ? p.session.inLif : p.session.outLif) - 1,
        time: now,
      }));
      run(burst, arrivals, lookup, ring);
      sent.forEach((p, i) => {
        const hit = model.holder(keyOf(p.session, p.direction));
        const fate =
          hit === undefined ? Fate.noSession : hit.session.wanted.action === Action.drop ? Fate.sessionDrop : Fate.forwarded;
        same(burst.fate[i], fate, "fate");
        if (hit === undefined) return;
        hit.session.packets[hit.direction]++;
        hit.session.bytes[hit.direction] += (frames[i] as Uint8Array).length;
        hit.session.lastSeen = now;
        const out = hit.direction === 0 ? hit.session.wanted.outLif : hit.session.wanted.inLif;
        if (fate === Fate.forwarded) same(burst.egress[i], out - 1, "egress");
      });
      // Back on the grid of the timer wheel, so that the model need not know its tick.
      now = Math.ceil(now / 100) * 100;
    } else if (s.do === "age") {
      now += s.by;
      while (table.age(now, 1000));
      for (const { session, due } of model.age(Math.floor(now / 100) * 100)) {
        expected.push(report(session, due, CloseCode.timeout));
      }
    } else {
      same(
        list(table, undefined, 100),
        [...model.sessions.values()].map((m) => report(m, 0)),
        "list",
      );
      same(
        listAt(table, 2, 3),
        [...model.sessions.values()].slice(3, 6).map((m) => report(m, 0)),
        "listAt",
      );
    }
    same(table.stats.active, model.sessions.size, "active");
    same(table.free, memory.capacity - model.sessions.size, "free");
    for (const m of model.sessions.values()) same(table.get(m.id), report(m, 0), "counters");
  }
  const order = (a: SessionInfo, b: SessionInfo) => a.endTime - b.endTime || a.startTime - b.startTime || Number(a.id - b.id);
  same(closed.sort(order), expected.sort(order), "closed");
  for (const id of model.sessions.keys()) table.delete(id, now);
  same(table.free, memory.capacity, "free at the end");
  for (const id of model.sessions.keys()) same(table.get(id), undefined, "gone");
}

function same(found: unknown, wanted: unknown, what: string): void {
  const text = (value: unknown) => JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v));
  if (text(found) !== text(wanted)) throw new Error(`${what}: found ${text(found)}, wanted ${text(wanted)}`);
}

for (const shadow of [false, true]) {
  t.test(`agrees with a model, duplicateFlow ${shadow ? "shadow" : "reject"}`, async () => {
    const capacity = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 5, max: 64 }));
    const key = fc.oneof(fc.uint8Array({ minLength: 12, maxLength: 12 }).map(hashKey), fc.constantFrom(...DEGENERATE));
    const buckets = fc.constantFrom(0, 1, 2);
    const steps = fc.array(step, { minLength: 1, maxLength: 150, size: "max" });
    fc.assert(
      fc.property(capacity, key, buckets, steps, (capacity, key, buckets, steps) => {
        const memory = allocateSessions(capacity, 1, key);
        compare(buckets === 0 ? memory : withBuckets(memory, buckets), shadow, steps);
      }),
      { numRuns: 80 },
    );
  });
}

t.test("fills to exactly its capacity, thousands of times over", async (t) => {
  for (const [buckets, key] of [
    [0, hashKey(Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]))],
    [3 + 1, hashKey(Uint8Array.from([9, 9, 9, 4, 5, 6, 7, 8, 9, 10, 11, 12]))],
    [0, DEGENERATE[0] as HashKey],
  ] as const) {
    const capacity = 100;
    const memory = allocateSessions(capacity, 1, key);
    const { table, lookup } = open(buckets === 0 ? memory : withBuckets(memory, buckets));
    const random = fc.sample(fc.nat({ max: 1_000_000 }), { numRuns: 1000, seed: 7 });
    const live: number[] = [];
    let fresh = 0;
    for (let round = 0; round < 2000; round++) {
      while (live.length < capacity) {
        if (table.add(nth(fresh), START) !== AddStatus.added) throw new Error(`round ${round}: ${live.length} of ${capacity}`);
        live.push(fresh++);
      }
      if (table.add(nth(fresh), START) !== AddStatus.full) throw new Error("more than its capacity");
      if (round % 100 === 0) {
        for (let from = 0; from < capacity; from += 50) {
          const flows = live.slice(from, from + 50).map((n) => nth(n));
          run(
            burst,
            flows.map((s) => ({ frame: frame(s, 0, 0), port: 0 })),
            lookup,
            ring,
          );
          for (let i = 0; i < burst.n; i++) if (burst.fate[i] !== Fate.forwarded) throw new Error("a session is not found");
        }
      }
      const remove = (random[round % 1000] as number) % capacity;
      for (let k = 0; k < remove; k++) {
        const at = ((random[(round + k) % 1000] as number) + k) % live.length;
        table.delete(BigInt((live[at] as number) + 1), START);
        live[at] = live.at(-1) as number;
        live.pop();
      }
    }
    t.pass(`${fresh} sessions through ${capacity} slots, ${buckets || memory.buckets} buckets`);
  }
});

t.test("no order of additions and deletions uses up the overflow buckets", async (t) => {
  // The worst case: chains are filled one after the other, and each is thinned to one reference a bucket.
  const key = hashKey(Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
  const capacity = 700;
  const buckets = 16;
  const { table } = open(withBuckets(allocateSessions(capacity, 1, key), buckets));
  // One key each: UDP from a socket to itself, back out of the same lif.
  const byBucket = Array.from({ length: buckets }, (): NewSession[] => []);
  for (let n = 0; n < 60_000; n++) {
    const address = Uint8Array.from([10, 0, n >>> 8, n]);
    const s = { ...nth(0, BigInt(n + 1)), outLif: 1, source: address, destination: address, protocol: 17, sourcePort: 80 };
    const word = new Int32Array(address.buffer)[0] as number;
    let h = mix(key.start, flowWord(1, 0, false, true), key.k1, key.k2);
    for (const w of [word, word, 0x50005000]) h = mix(h, w, key.k1, key.k2);
    (byBucket[finish(h) & (buckets - 1)] as NewSession[]).push(s);
  }
  let kept = 0;
  for (const chain of byBucket) {
    const free = table.free;
    if (free === 0) break;
    const added = chain.slice(0, free);
    for (const s of added)
      if (table.add(s, START) !== AddStatus.added) throw new Error(`insertion failed at ${table.stats.active}`);
    added.forEach((s, i) => {
      if (i % Bucket.references !== 0) table.delete(s.id, START);
      else kept++;
    });
  }
  t.equal(table.stats.active, kept);
  t.ok(kept > capacity * 0.8, `${kept} references, each in a bucket of its own`);
});

t.test("holds a hundred thousand sessions and finds them both ways", async (t) => {
  const capacity = 100_000;
  const { table, lookup } = open(allocateSessions(capacity, 1, hashKey(new Uint8Array(12).fill(77))));
  for (let n = 0; n < capacity; n++) if (table.add(nth(n), START) !== AddStatus.added) throw new Error(`full at ${n}`);
  t.equal(table.add(nth(capacity), START), AddStatus.full);
  let missed = 0;
  // Every fourth stretch of 32.
  for (let from = 0; from < capacity; from += 128) {
    const arrivals = [];
    for (let n = from; n < Math.min(capacity, from + 32); n++) {
      arrivals.push({ frame: frame(nth(n), 0, 0), port: 0 }, { frame: frame(nth(n), 1, 0), port: 1 });
    }
    run(burst, arrivals, lookup, ring);
    for (let i = 0; i < burst.n; i++) if (burst.fate[i] !== Fate.forwarded || burst.egress[i] !== 1 - (i & 1)) missed++;
  }
  t.equal(missed, 0);
  for (let n = 0; n < capacity; n += 1280) t.match(table.get(BigInt(n + 1)), { inPackets: 1, outPackets: 1 });
});

t.test("a removed session is reported once every worker has left the burst that may have found it", async (t) => {
  const { table, closed, words, lookup } = open(allocateSessions(1, 1, hashKey(new Uint8Array(12).fill(3))), "reject", 2);
  const epoch = wordOf(1, Word.burst);
  table.add(nth(0), START);
  words[epoch] = 7;
  const final = table.delete(1n, START + 5);
  t.equal(table.get(1n), undefined, "gone for control");
  run(burst, [{ frame: frame(nth(0), 0, 0), port: 0 }], lookup, ring);
  t.equal(burst.fate[0], Fate.noSession, "gone for a new burst");
  t.equal(table.add(nth(1), START), AddStatus.full, "its slot is not free yet");
  await new Promise((done) => setTimeout(done, 20));
  t.equal(closed.length, 0, "not reported while the worker is in its burst");
  lookup.lanes[0] = 3;
  lookup.lanes[1] = 300;
  Atomics.store(words, epoch, 8);
  t.match(await final, { id: 1n, inPackets: 3, inBytes: 300, endTime: START + 5, closeCode: CloseCode.notClosed });
  t.equal(closed.length, 1);
  t.equal(table.add(nth(1), START), AddStatus.added);
  t.match(table.get(2n), { inPackets: 0, inBytes: 0 }, "the slot's next session starts at zero");
  t.equal(await table.delete(77n, START), undefined, "an unknown id");
});

t.test("a session deleted while another waits for its worker is reported too", async (t) => {
  const { table, closed, words } = open(allocateSessions(8, 1, hashKey(new Uint8Array(12).fill(3))));
  for (let n = 0; n < 4; n++) table.add(nth(n), START);
  words[wordOf(0, Word.burst)] = 1;
  const first = table.delete(1n, START);
  const second = table.delete(2n, START);
  t.equal(await table.delete(2n, START), undefined, "deleted already");
  words[wordOf(0, Word.burst)] = 3;
  t.match(await first, { id: 1n });
  t.equal(closed.length, 1, "the second was unlinked after the first's grace period had begun");
  words[wordOf(0, Word.burst)] = 4;
  t.match(await second, { id: 2n });
  t.same(
    closed.map((info) => info.id),
    [1n, 2n],
  );
});

t.test("ages through a jump of the clock, in slices of its budget", async (t) => {
  const { table, closed } = open(allocateSessions(5000, 1, hashKey(new Uint8Array(12).fill(3))));
  for (let n = 0; n < 5000; n++) table.add(nth(n), START);
  t.equal(table.age(START + 9_999, 1000), false);
  t.equal(closed.length, 0);
  let turns = 1;
  while (table.age(START + 100_000_000, 0.05)) turns++;
  t.equal(closed.length, 5000);
  t.ok(turns > 1, `${turns} turns`);
  t.ok(closed.every((info) => info.closeCode === CloseCode.timeout && info.endTime === START + 10_000));
});
