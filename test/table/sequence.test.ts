import t from "tap";
import { allocateSas, KeyCounter } from "../../src/table/sa-memory.js";
import { LAST, LAST_EXTENDED, Sequences, taken } from "../../src/table/sequence.js";
import { SKEW } from "../../src/table/session-memory.js";
import { dieAt, interleave } from "./interleave.js";
import { moveCounter, setLimit } from "./sa-rig.js";

function rig(number: number, limit?: number) {
  const memory = allocateSas(4, 1);
  moveCounter(memory, 1, number, limit);
  const words = new Int32Array(memory.counters, SKEW);
  const sequences = new Sequences(memory);
  const next = (esn = true) => (sequences.next(1, esn) ? sequences.high * 2 ** 32 + (sequences.low >>> 0) : undefined);
  return { memory, words, sequences, next, taken: () => taken(words, 1) };
}

t.test("numbers begin at 1 and go up by one", async (t) => {
  const { next, taken } = rig(0);
  t.equal(taken(), 0);
  t.same([next(), next(), next(false), next()], [1, 2, 3, 4]);
  t.equal(taken(), 4);
});

for (const border of [2 ** 31, 2 ** 32, 3 * 2 ** 31, 2 ** 33, 2 ** 52]) {
  t.test(`they go on across ${border}`, async (t) => {
    const { next, taken } = rig(border - 3);
    t.same(
      Array.from({ length: 6 }, () => next()),
      [-2, -1, 0, 1, 2, 3].map((n) => border + n),
    );
    t.equal(taken(), border + 3);
  });
}

t.test("the number is right while the upper word is one behind, and the next packet mends it", async (t) => {
  const { next, words, taken } = rig(2 ** 32 + 5);
  const half = KeyCounter.size + KeyCounter.half;
  words[half] = 1;
  t.equal(taken(), 2 ** 32 + 5);
  t.equal(next(), 2 ** 32 + 6);
  t.equal(words[half], 2);
});

t.test("without extended numbers the last one is 2³²-1, and no attempt more moves the counter", async (t) => {
  const { next, taken } = rig(LAST - 2);
  t.same([next(false), next(false), next(false), next(false)], [LAST - 1, LAST, undefined, undefined]);
  t.equal(taken(), LAST);
  t.equal(next(true), 2 ** 32, "a SA of the same key that has extended numbers goes on");
  t.equal(next(false), undefined);
});

t.test("with them it is 2⁵³-1", async (t) => {
  const { next } = rig(LAST_EXTENDED - 1);
  t.same([next(), next(), next()], [LAST_EXTENDED, undefined, undefined]);
});

t.test("a limit that was set before is kept to, and may be moved on", async (t) => {
  const { memory, next, taken } = rig(0, 2);
  t.same([next(), next(), next(), next()], [1, 2, undefined, undefined]);
  t.equal(taken(), 2);
  setLimit(memory, 1, 3);
  t.same([next(), next()], [3, undefined]);
});

t.test("a number that was taken past the limit is not used when the limit has moved", async (t) => {
  const { memory, words, next } = rig(7, 7);
  // Another worker passed the look at the limit and took one.
  words[KeyCounter.size + KeyCounter.low] = 8;
  t.equal(next(), undefined);
  setLimit(memory, 1, 20);
  t.equal(next(), 9);
});

t.test("the IV is the number XOR the random bits of the key", async (t) => {
  const { words, sequences, next } = rig(2 ** 32 + 0xfe);
  words[KeyCounter.size + KeyCounter.ivLow] = 0x0f0f0f0f;
  words[KeyCounter.size + KeyCounter.ivHigh] = 0x11223344;
  next();
  t.same([sequences.high, sequences.low], [1, 0xff]);
  t.same([sequences.ivHigh, sequences.ivLow], [0x11223345, 0x0f0f0ff0]);
});

t.test("who is overtaken at the last number does not use the one behind it", async (t) => {
  const { memory, next, taken } = rig(0, 3);
  const other = new Sequences(memory);
  next();
  next();
  const mine = interleave((name, done) => name === "add" && !done && other.next(1, true), next);
  t.same([other.low, mine], [3, undefined]);
  t.equal(taken(), 4);
  setLimit(memory, 1, 10);
  t.equal(next(), 5);
});

// `number` and `half` are where the others have come to when the stalled worker goes on.
for (const [name, from, number, half, wanted] of [
  ["2³² numbers later, and half is right", 5, 2 ** 32 + 5, 2, 2 ** 32 + 7],
  ["2³² numbers later, and half is one behind", 5, 2 ** 32 + 5, 1, 2 ** 32 + 7],
  ["2³¹ numbers later, and half is right", 5, 2 ** 31 + 5, 1, 2 ** 31 + 6],
  ["2³¹ numbers later, and half is one behind", 5, 2 ** 31 + 5, 0, 2 ** 31 + 6],
  ["2³³ numbers later", 5, 2 ** 33 + 5, 4, 2 ** 33 + 7],
  ["just behind a border", 2 ** 31 - 1, 2 ** 31 + 3, 1, 2 ** 31 + 4],
] as const) {
  t.test(`a worker that stalls before it takes its number, and goes on ${name}`, async (t) => {
    const { memory, words, next } = rig(from);
    let stalled = false;
    const mine = interleave((name, done) => {
      if (name !== "add" || done || stalled) return;
      stalled = true;
      moveCounter(memory, 1, number);
      words[KeyCounter.size + KeyCounter.half] = half;
    }, next);
    t.equal(mine, wanted);
    t.equal(next(), wanted + 1);
  });
}

for (const [name, from, number, wanted] of [
  ["behind the border", 2 ** 31 - 2, 2 ** 31 + 3, 2 ** 31 - 1],
  ["2³² numbers later", 2 ** 31 - 2, 2 ** 32 + 2 ** 31 - 2, 2 ** 32 + 2 ** 31 - 1],
] as const) {
  t.test(`a worker that stalls with the last number before 2³¹, and goes on ${name}`, async (t) => {
    const { memory, next } = rig(from);
    let stalled = false;
    const mine = interleave((name, done) => {
      if (name !== "add" || !done || stalled) return;
      stalled = true;
      moveCounter(memory, 1, number);
    }, next);
    t.equal(mine, wanted);
  });
}

t.test("a worker that dies at any step leaves at most one number unused", async (t) => {
  for (const from of [0, 2 ** 31 - 1, 2 ** 32 - 1]) {
    let steps = 0;
    for (let died = true; died; steps++) {
      const { next } = rig(from);
      died = dieAt(steps, next);
      const after = next() as number;
      t.ok(after === from + 1 || after === from + 2, `step ${steps} from ${from}: ${after}`);
      t.equal(next(), after + 1);
    }
    t.ok(steps > 2);
  }
});
