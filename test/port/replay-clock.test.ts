import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import t from "tap";
import { ReplayClock, ReplayGate, TICK, tickOf } from "../../src/port/replay-clock.js";

const WORKERS = 3;
const TICKS = 400;

/** A worker with a frame in every tick: in each turn it writes how far it has come, as a sink or a counter would. */
function work(): void {
  const { shared, worker, done } = workerData as { shared: SharedArrayBuffer; worker: number; done: SharedArrayBuffer };
  const gate = new ReplayGate(shared, WORKERS, worker);
  const progress = new Float64Array(done);
  let frame = worker === 0 ? 2 : 1;
  while (frame <= TICKS) {
    gate.look();
    const [sec, nsec] = [Math.floor(frame / 10), (frame % 10) * 1e8];
    if (sec > gate.limitSec || (sec === gate.limitSec && nsec > gate.limitNsec)) {
      gate.arrive(sec, nsec);
      gate.wait(1000);
      continue;
    }
    progress[worker] = frame++;
    if (worker === 1 && frame === 200) return;
  }
  gate.look();
  gate.arrive(Number.POSITIVE_INFINITY, 0);
}

if (!isMainThread && parentPort !== null) work();
else tests();

function tests(): void {
  t.test("a tick ends at a multiple of 100 ms and holds what is not later", async (t) => {
    t.equal(tickOf(5, 0), 5000);
    t.equal(tickOf(5, 1), 5100);
    t.equal(tickOf(5, 100_000_000), 5100);
    t.equal(tickOf(5, 100_000_001), 5200);
    t.equal(tickOf(5, 999_999_999), 6000);
    t.equal(tickOf(1_700_000_000, 1), 1_700_000_000_100);
    t.equal(tickOf(Number.POSITIVE_INFINITY, 0), Number.POSITIVE_INFINITY);
  });

  t.test("the clock stops where something will be due", async (t) => {
    const clock = new ReplayClock(1);
    const gate = new ReplayGate(clock.shared, 1, 0);
    gate.arrive(1, 0);
    const seen: number[] = [];
    const age = (now: number) => {
      seen.push(now);
      return now < 5000 ? now + 1950 : undefined;
    };
    t.equal(await clock.advance(age), true);
    gate.look();
    t.same([gate.limitSec, gate.limitNsec], [1, 0]);
    gate.arrive(60, 0);
    await clock.advance(age);
    t.same(seen, [900, 1000, 3000, 5000, 59_900]);
  });

  t.test("no input has a frame: over at once", async (t) => {
    const clock = new ReplayClock(1);
    new ReplayGate(clock.shared, 1, 0).arrive(Number.POSITIVE_INFINITY, 0);
    t.equal(await clock.start(), Number.POSITIVE_INFINITY);
    t.equal(await clock.advance(() => t.fail("nothing to age") as never), false);
  });

  t.test("no worker is past a tick when it ages, none is behind it, and one that died is not waited for", async (t) => {
    const clock = new ReplayClock(WORKERS);
    const done = new SharedArrayBuffer(WORKERS * 8);
    const progress = new Float64Array(done);
    const workers = Array.from({ length: WORKERS }, (_, worker) => {
      const thread = new Worker(fileURLToPath(import.meta.url), { workerData: { shared: clock.shared, worker, done } });
      thread.on("exit", () => clock.finish(worker));
      return thread;
    });
    const exits = workers.map((worker) => once(worker, "exit"));
    const wrong: string[] = [];
    let agings = 0;
    const started = performance.now();
    while (
      await clock.advance((now) => {
        agings++;
        const tick = now / TICK;
        const expected = [tick < 2 ? 0 : tick, Math.min(tick, 199), tick];
        if (expected.some((frame, w) => progress[w] !== frame)) wrong.push(`${now}: ${progress}`);
        return undefined;
      })
    );
    t.comment(`${((performance.now() - started) / TICKS).toFixed(3)} ms per tick, start of the threads included`);
    await Promise.all(exits);
    t.same(wrong, []);
    t.equal(agings, TICKS + 1);
  });
}
