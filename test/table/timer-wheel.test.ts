import fc from "fast-check";
import t from "tap";
import { TimerWheel } from "../../src/table/timer-wheel.js";

const START = 1_700_000_000_037;
/** One turn of the wheel in milliseconds (16,384 ticks of 100 ms). */
const TURN = 1_638_400;

t.test("agrees with a list of times, whatever is set, cleared and passes", async () => {
  const slots = 16;
  const delay = fc.oneof(fc.integer({ min: -500, max: 3000 }), fc.integer({ min: 0, max: 3 * TURN }));
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant("set" as const), slot: fc.nat({ max: slots - 1 }), by: delay }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const), slot: fc.nat({ max: slots - 1 }), by: delay }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("advance" as const),
        slot: fc.nat({ max: 5 }),
        by: fc.oneof(fc.nat({ max: 500 }), fc.nat({ max: 5000 }), fc.nat({ max: 4 * TURN })),
      }),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const wheel = new TimerWheel(slots, START);
      const model = new Map<number, number>();
      let now = START;
      for (const s of steps) {
        if (s.do === "set" && !model.has(s.slot)) {
          wheel.set(s.slot, now + s.by);
          // A time that is past comes up with the next tick.
          model.set(s.slot, Math.max(now + s.by, (Math.floor(now / 100) + 1) * 100));
        } else if (s.do === "clear") {
          wheel.clear(s.slot);
          model.delete(s.slot);
        } else if (s.do === "advance") {
          now += s.by;
          const max = s.slot + 1;
          for (let more = true; more; ) {
            let taken = 0;
            more = wheel.advance(now, max, (slot) => {
              taken++;
              const due = model.get(slot);
              if (due === undefined) throw new Error(`slot ${slot} has no timer`);
              // The owner's part (SessionTable.#due): the timer of one that is not due yet is set again.
              if (due > now) wheel.set(slot, due);
              else model.delete(slot);
            });
            if (taken > max || (more && taken !== max)) return false;
          }
          // Never later than the first tick at or after its time.
          for (const due of model.values()) if (due <= Math.floor(now / 100) * 100) return false;
        }
      }
      return true;
    }),
    { numRuns: 500 },
  );
});

t.test("within the horizon a timer comes up once, at the tick after its time", async (t) => {
  const wheel = new TimerWheel(4, START);
  wheel.set(0, START + 1000);
  const seen: number[] = [];
  for (let now = START; now < START + 2 * TURN; now += 50) wheel.advance(now, 100, () => seen.push(now));
  t.equal(seen.length, 1);
  const late = (seen[0] as number) - (START + 1000);
  t.ok(late >= 0 && late <= 150, `${late} ms late`);
});

t.test("a timer beyond the horizon comes up at the horizon, early, to be set again", async (t) => {
  const wheel = new TimerWheel(4, START);
  wheel.set(0, START + 10 * TURN);
  let rounds = 0;
  let up = 0;
  for (let now = START; up === 0; now += 1000) {
    wheel.advance(now, 100, (slot) => {
      rounds++;
      if (START + 10 * TURN > now) wheel.set(slot, START + 10 * TURN);
      else up = now;
    });
  }
  t.ok(up - (START + 10 * TURN) < 1100);
  t.equal(rounds, 11, "once a turn, not once a tick");
});

t.test("a timer set while others are handed out is not handed out before its time", async (t) => {
  const wheel = new TimerWheel(4, START);
  wheel.set(0, START);
  wheel.set(1, START);
  const seen: number[] = [];
  const due = (slot: number) => {
    seen.push(slot);
    if (slot < 2) wheel.set(slot + 2, START + 500);
  };
  wheel.advance(START + 100, 100, due);
  t.same(seen.sort(), [0, 1]);
  wheel.advance(START + 600, 100, due);
  t.same(seen.sort(), [0, 1, 2, 3]);
});

t.test("clearing a timer that is not set changes nothing", async (t) => {
  const wheel = new TimerWheel(4, START);
  wheel.clear(0);
  wheel.set(1, START);
  wheel.clear(0);
  wheel.clear(1);
  wheel.clear(1);
  let seen = 0;
  t.equal(
    wheel.advance(START + 5000, 100, () => seen++),
    false,
  );
  t.equal(seen, 0);
});

t.test("a million timers due at once are handed out in slices", async (t) => {
  const count = 1_000_000;
  const wheel = new TimerWheel(count, START);
  for (let slot = 0; slot < count; slot++) wheel.set(slot, START + 5000);
  const seen = new Uint8Array(count);
  let slices = 0;
  let more = true;
  while (more) {
    more = wheel.advance(START + 6000, 1000, (slot) => {
      seen[slot] = (seen[slot] as number) + 1;
    });
    slices++;
  }
  t.equal(slices, 1000, "999 times more");
  t.ok(seen.every((times) => times === 1));
});
