// Workers race on one SA, through the tunnel stage and a real AEAD provider: no sequence number and no IV is given out twice, and when
// all of them receive copies of everything, each packet is accepted once.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import t, { type Test } from "tap";
import { Grace } from "../../src/memory/grace.js";
import { wordsSize } from "../../src/memory/worker-words.js";
import { hashKey } from "../../src/table/flow.js";
import { Routes } from "../../src/table/route.js";
import { Next, type Tunnel } from "../../src/table/rule.js";
import { allocateRules } from "../../src/table/rule-memory.js";
import { refsOf } from "../../src/table/rule-sas.js";
import { RuleStatus, RuleTable } from "../../src/table/rule-table.js";
import { EspMode, SaFailure } from "../../src/table/sa.js";
import { allocateSas, Sa, Window } from "../../src/table/sa-memory.js";
import { SaTable } from "../../src/table/sa-table.js";
import { goOn } from "../../src/table/sequence.js";
import { SKEW } from "../../src/table/session-memory.js";
import { compile } from "../../src/tunnel/compile.js";
import { ALL, CLEAR_PORT, PLACE, type RaceOptions, RaceWord, SEALED_PORT, WORKERS } from "./esp-race.js";
import { ip4, ruleOf } from "./tunnel-rig.js";

const SPI = 0x51;
/** AES-256-GCM-16 and AES-128-GCM-8: SuiteBits. */
const LONG = 1 | (2 << 2);
const SHORT = 0;
/** Ethernet and IPv4 in front of it (RFC 4303 section 2). */
const AT = { sequence: 38, iv: 42, end: 50 } as const;

const RACES = [
  { name: "32-bit numbers", suite: LONG, key: 32, esn: false, window: 1024, from: 0 },
  { name: "extended numbers, past 2³²", suite: SHORT, key: 16, esn: true, window: 64, from: 2 ** 32 - ALL / 2 },
] as const;

/** Ten bursts, and part of the next. */
const STUCK_AFTER = 10 * 64 + 5;

for (const one of RACES) t.test(one.name, (t) => race(t, one));
t.test("a worker dies holding the window's lock", (t) => death(t, RACES[0]));

async function prepare(t: Test, { suite, key, esn, window, from }: (typeof RACES)[number], stuckAfter = 0) {
  const rules = allocateRules(8, WORKERS, hashKey(randomBytes(12)), 8);
  const sas = allocateSas(8, WORKERS);
  const grace = new Grace(new Int32Array(new SharedArrayBuffer(wordsSize(WORKERS))), WORKERS);
  const table = new SaTable(sas, { random: randomBytes, fingerprint: (bytes) => Buffer.from(bytes).toString("hex") });
  const routes = new Routes([]);
  const ruleTable = new RuleTable(rules, grace, {
    compile: (rule, record) => compile(rule, record, routes),
    failClosed: 1000,
    sas: table,
  });
  const sa = { spi: SPI, key: new Uint8Array(randomBytes(key)), salt: new Uint8Array(randomBytes(4)) };
  const outer = { source: ip4("192.0.2.1"), destination: ip4("192.0.2.2") };
  const add = (id: number, port: number, tunnel: Tunnel): number => {
    const rule = ruleOf(id, { ingress: { port, vlan: 0 } }, tunnel, Next.forward, { esn, replayWindow: window });
    t.equal(ruleTable.add(rule, 0), RuleStatus.done);
    return refsOf(ruleTable.get(BigInt(id))?.rule ?? rule)[0]?.slot ?? -1;
  };
  const seals = add(1, CLEAR_PORT, { kind: "ipsec-enc", mode: EspMode.tunnel, suite, outer, sa });
  const opens = add(2, SEALED_PORT, { kind: "ipsec-dec", mode: EspMode.tunnel, suite, sas: [sa] });
  const counter = new Int32Array(sas.records, SKEW)[seals * Sa.size + Sa.counter] as number;
  goOn(new Int32Array(sas.counters, SKEW), counter, from);

  const control = new SharedArrayBuffer(RaceWord.count * 4);
  const sealed = new SharedArrayBuffer(ALL * PLACE);
  // Behind the order: whether it is there.
  const order = new SharedArrayBuffer((ALL + 1) * 4);
  const accepted = new SharedArrayBuffer(ALL * 4);
  const lock = opens * Window.size + Window.lock;
  const threads = Array.from({ length: WORKERS }, (_, worker) => {
    const workerData: RaceOptions = { rules, sas, worker, control, sealed, order, accepted, stuckAfter, lock };
    return new Worker(new URL("./esp-race.worker.js", import.meta.url), { workerData });
  });
  await Promise.all(threads.map((thread) => once(thread, "message")));
  const told = threads.map((thread) => once(thread, "message"));

  const view = Buffer.from(sealed);
  const numbers = Array.from({ length: ALL }, (_, id) => view.readUInt32BE(id * PLACE + 2 + AT.sequence));
  const extended = numbers.map((low) => (esn && low < ALL ? low + 2 ** 32 : low));
  t.equal(new Set(numbers).size, ALL, `${ALL} packets, a sequence number for each`);
  t.equal(Math.min(...spread(extended)), from + 1, "from the first");
  t.equal(Math.max(...spread(extended)), from + ALL, "to the last, none left out");
  const ivs = new Set(numbers.map((_, id) => view.toString("latin1", id * PLACE + 2 + AT.iv, id * PLACE + 2 + AT.end)));
  t.equal(ivs.size, ALL, "and an IV for each");
  const sorted = Array.from({ length: ALL }, (_, id) => id).sort((x, y) => (extended[x] as number) - (extended[y] as number));
  const words = new Int32Array(order);
  words.set(sorted);
  Atomics.store(words, ALL, 1);
  Atomics.notify(words, ALL);

  const windows = new Int32Array(sas.windows, SKEW);
  return { table, seals, opens, threads, told, times: new Int32Array(accepted), control: new Int32Array(control), windows, lock };
}

type Tally = { readonly own: number; readonly wrong: readonly string[] };

async function race(t: Test, one: (typeof RACES)[number]): Promise<void> {
  const { table, seals, opens, threads, told, times } = await prepare(t, one);
  const { from } = one;
  const tallies = (await Promise.all(told)).map(([tally]) => tally as Tally);
  await Promise.all(threads.map((thread) => thread.terminate()));
  t.strictSame(
    tallies.flatMap(({ wrong }) => wrong),
    [],
    "what is accepted is what was sealed",
  );
  t.equal(times.filter((n) => n === 1).length, ALL, "each is accepted once");
  t.ok(
    tallies.every(({ own }) => own > ALL / 100),
    `by one worker or the other: ${tallies.map(({ own }) => own).join(" and ")}`,
  );
  t.match(table.info(seals), { packets: ALL, sequence: BigInt(from + ALL) });
  const { packets, failures, sequence } = table.info(opens);
  t.equal(packets, ALL);
  t.equal(sequence, BigInt(from + ALL));
  t.equal((failures[SaFailure.replayed] as number) + (failures[SaFailure.tooOld] as number), (WORKERS - 1) * ALL);
}

async function death(t: Test, one: (typeof RACES)[number]): Promise<void> {
  const { table, opens, threads, told, times, control, windows, lock } = await prepare(t, one, STUCK_AFTER);
  const [dies, lives] = threads as [Worker, Worker];
  while (Atomics.load(control, RaceWord.held) === 0) await new Promise((done) => setTimeout(done, 5));
  await dies.terminate();
  t.equal(Atomics.load(windows, lock), 1, "worker 0 has the lock still");
  table.unlock(1);
  t.equal(Atomics.load(windows, lock), 1, "which is not the other one's to lose");
  table.unlock(0);
  const [{ own, wrong }] = (await told[1]) as [Tally];
  await lives.terminate();
  t.strictSame(wrong, []);
  t.equal(own, ALL - STUCK_AFTER, "the other one accepts all that was not accepted yet");
  t.notOk(
    times.some((n) => n > 1),
    "nothing twice",
  );
  t.equal(Atomics.load(windows, lock), 0, "and the lock is free");
  t.equal(table.info(opens).failures[SaFailure.replayed], STUCK_AFTER);
}

/** Math.min and Math.max take so many arguments only. */
function spread(list: readonly number[]): number[] {
  const of = (pick: (x: number, y: number) => number) => list.reduce(pick);
  return [of((x, y) => Math.min(x, y)), of((x, y) => Math.max(x, y))];
}
