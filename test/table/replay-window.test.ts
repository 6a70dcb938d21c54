// conformance.md, "Anti-replay windows": RFC 6479 and RFC 4303 appendix A.

import fc from "fast-check";
import t from "tap";
import { ReplayWindows, Verdict } from "../../src/table/replay-window.js";
import { allocateSas, Window } from "../../src/table/sa-memory.js";
import { SKEW } from "../../src/table/session-memory.js";
import { dieAt, interleave } from "./interleave.js";
import { moveTop, tableOf } from "./sa-rig.js";

const SLOT = 3;
const TWO32 = 2 ** 32;

function rig(options: { top?: number; window?: number; esn?: boolean } = {}) {
  const { top = 0, window = 64, esn = false } = options;
  const memory = allocateSas(4, 2);
  if (top > 0) moveTop(memory, SLOT, top);
  const windows = new ReplayWindows(memory, 0);
  const accept = (n: number, w = window) => windows.accept(SLOT, n | 0, Math.floor(n / TWO32), w);
  const check = (n: number, w = window) => windows.check(SLOT, n | 0, esn, w);
  return { memory, words: new Int32Array(memory.windows, SKEW), windows, accept, check, base: SLOT * Window.size };
}

t.test("0 is never accepted, 1 is, once", async (t) => {
  for (const esn of [false, true]) {
    for (const window of [0, 64]) {
      const { accept, check } = rig({ esn, window });
      t.same([check(0), accept(0)], [Verdict.tooOld, Verdict.tooOld]);
      t.same([check(1), accept(1)], [Verdict.ok, Verdict.ok]);
      t.same([check(0), accept(0)], [Verdict.tooOld, Verdict.tooOld]);
      const again = window === 0 ? Verdict.ok : Verdict.replayed;
      t.same([check(1), accept(1)], [again, again]);
    }
  }
});

for (const window of [64, 100, 1024, 8192]) {
  t.test(`window ${window}: W-1 behind is accepted, W behind is too old`, async (t) => {
    const { accept, check } = rig({ window });
    t.equal(accept(20_000), Verdict.ok);
    t.same([check(20_001 - window), accept(20_001 - window)], [Verdict.ok, Verdict.ok]);
    t.same([check(20_001 - window), accept(20_001 - window)], [Verdict.replayed, Verdict.replayed]);
    t.same([check(20_000 - window), accept(20_000 - window)], [Verdict.tooOld, Verdict.tooOld]);
  });

  t.test(`window ${window}: who jumps further than the window finds it empty`, async (t) => {
    for (const jump of [window, window + 1, 8191, 8192, 16_352, 16_384, 16_385, 3 * 16_384, 1_000_000]) {
      const { accept } = rig({ window });
      for (let n = 1; n <= 20_000; n++) accept(n);
      t.equal(accept(20_000 + jump), Verdict.ok);
      const behind = Array.from({ length: Math.min(window, jump) - 1 }, (_, k) => accept(20_000 + jump - 1 - k));
      t.notOk(
        behind.some((verdict) => verdict !== Verdict.ok),
        `${jump} ahead`,
      );
      t.equal(accept(20_000 + jump - window), Verdict.tooOld);
    }
  });
}

t.test("a jump to a block's border clears that block and those between, and no other", async (t) => {
  for (const to of [63, 64, 65, 95, 96, 97]) {
    const { accept, words, base } = rig({ window: 1024 });
    words.fill(-1, base + Window.ring, base + Window.size);
    moveTop({ ...rig().memory, windows: words.buffer as SharedArrayBuffer }, SLOT, 40);
    accept(to);
    const cleared = [...words.subarray(base + Window.ring, base + Window.size).entries()].filter(([, word]) => word !== -1);
    const blocks = Array.from({ length: Math.floor(to / 32) - 1 }, (_, k) => k + 2);
    t.same(
      cleared,
      blocks.map((block) => [block, block === Math.floor(to / 32) ? 1 << (to & 31) : 0]),
      `40 to ${to}`,
    );
  }
});

t.test("the ring's index wraps", async (t) => {
  const { accept } = rig({ window: 8192 });
  for (let n = 1; n <= 40_000; n++) if (n % 3 !== 0 && accept(n) !== Verdict.ok) t.fail(`${n}`);
  for (let n = 40_000; n > 40_000 - 8192; n--) {
    if (accept(n) !== (n % 3 !== 0 ? Verdict.replayed : Verdict.ok)) t.fail(`${n} again`);
  }
});

t.test("out of order across every bit of two blocks", async (t) => {
  const { accept } = rig({ window: 128 });
  accept(16_384 + 96);
  const order = Array.from({ length: 64 }, (_, k) => 16_384 + 16 + ((k * 37) & 63));
  t.notOk(order.some((n) => accept(n) !== Verdict.ok));
  t.notOk(order.some((n) => accept(n) !== Verdict.replayed));
});

t.test("before authentication, nothing moves", async (t) => {
  const { check, accept, words, base } = rig({ window: 64, esn: true });
  accept(100);
  const before = [...words.subarray(base, base + Window.size)];
  for (const forged of [101, 5_000, 0x7fffffff, 0xffffffff, 99, 3]) check(forged);
  t.same([...words.subarray(base, base + Window.size)], before);
  t.equal(accept(101), Verdict.ok);
});

t.test("numbers from 2³¹ on are not negative", async (t) => {
  const { accept, check } = rig({ top: 2 ** 31 - 2 });
  for (const n of [2 ** 31 + 1, 2 ** 31, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 32 - 64])
    t.same([check(n), accept(n)], [Verdict.ok, Verdict.ok]);
  t.same([check(2 ** 32 - 65), check(2 ** 31), check(5)], [Verdict.tooOld, Verdict.tooOld, Verdict.tooOld]);
});

t.test("ESN, case A: the window lies in one subspace; what is below it belongs to the next", async (t) => {
  const { windows, check, accept } = rig({ top: 5 * TWO32 + 1_000, window: 64, esn: true });
  for (const [low, high] of [
    [937, 5],
    [936, 6],
    [0, 6],
    [1_000, 5],
    [1_001, 5],
    [0xffffffff, 5],
  ] as const) {
    check(low);
    t.equal(windows.high, high, `${low}`);
  }
  t.equal(accept(6 * TWO32), Verdict.ok, "0 with a high word is a number");
});

t.test("ESN, case B: the window lies in two subspaces", async (t) => {
  const { windows, check } = rig({ top: 5 * TWO32 + 10, window: 64, esn: true });
  for (const [low, high] of [
    [10, 5],
    [0, 5],
    [11, 5],
    [TWO32 - 53, 4],
    [0xffffffff, 4],
    [TWO32 - 54, 5],
  ] as const) {
    check(low);
    t.equal(windows.high, high, `${low}`);
  }
});

t.test("ESN: between case A and case B", async (t) => {
  for (const [top, low, high] of [
    [64, 0, 6],
    [64, 1, 5],
    [63, 0, 5],
    [63, 0xffffffff, 5],
    [62, 0, 5],
    [62, 0xffffffff, 4],
    [62, 0xfffffffe, 5],
  ] as const) {
    const { windows, check } = rig({ top: 5 * TWO32 + top, window: 64, esn: true });
    check(low);
    t.equal(windows.high, high, `${low} at ${top}`);
  }
});

t.test("ESN: before the first border no number is below 0", async (t) => {
  const { windows, check } = rig({ top: 10, window: 64, esn: true });
  t.equal(check(0xffffffff), Verdict.ok);
  t.equal(windows.high, 0);
});

t.test("ESN: 0xffffffff is followed by 0 with the next high word, in whatever order they come", async (t) => {
  const { windows, check, accept } = rig({ top: TWO32 - 10, window: 64, esn: true });
  for (const n of [TWO32 - 3, TWO32 + 2, TWO32 - 1, TWO32, TWO32 - 2, TWO32 + 1]) {
    t.same([check(n), windows.high, accept(n)], [Verdict.ok, Math.floor(n / TWO32), Verdict.ok]);
    t.same([check(n), windows.high, accept(n)], [Verdict.replayed, Math.floor(n / TWO32), Verdict.replayed]);
  }
});

t.test("window 0: nothing is a replay, and the high word still follows", async (t) => {
  const { windows, check, accept } = rig({ top: TWO32 - 100_000, window: 0, esn: true });
  for (const n of [TWO32 - 5, TWO32 + 5, TWO32 - 5, TWO32 - 90_000, TWO32 + 5]) {
    t.same([check(n), windows.high, accept(n)], [Verdict.ok, Math.floor(n / TWO32), Verdict.ok]);
  }
});

t.test("a window that is switched on remembers what came before", async (t) => {
  const { check, accept } = rig({ window: 0 });
  for (let n = 1; n <= 3_000; n += 2) accept(n);
  t.same(
    [check(2_999, 1024), check(2_998, 1024), accept(1_977, 1024), accept(1_978, 1024)],
    [Verdict.replayed, Verdict.ok, Verdict.replayed, Verdict.ok],
  );
});

t.test("without a window, one far behind leaves no trace in the ring", async (t) => {
  const { accept } = rig({ window: 0 });
  accept(20_001);
  for (const n of [20_005 - 16_384, 19_990 - 16_384, 20_000 - 8192]) t.equal(accept(n), Verdict.ok);
  t.same([accept(20_005, 1024), accept(19_990, 1024), accept(20_000, 8192)], [Verdict.ok, Verdict.ok, Verdict.ok]);
});

const WINDOWS = [0, 64, 65, 127, 1024, 4096, 8192];

/** Relative to the top: near it, at the window's edges, around multiples of the ring, far ahead. */
const move = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -70, max: 40 }) },
  { weight: 2, arbitrary: fc.integer({ min: -8200, max: 300 }) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom(-8192, -4096, -1024, -127, -64), fc.integer({ min: -2, max: 2 })).map(([a, b]) => a + b),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: -40, max: 40 })).map(([a, b]) => a * 8160 + b),
  },
);
const step = fc.record({ move, window: fc.option(fc.constantFrom(...WINDOWS), { freq: 30 }) });

for (const esn of [false, true]) {
  t.test(`as a set of all accepted numbers has it${esn ? ", extended" : ""}`, async (t) => {
    const tops = [
      0,
      40,
      2 ** 31 - 30,
      TWO32 - (esn ? 5_000 : 400_000),
      ...(esn ? [TWO32 - 1, TWO32 + 60, 7 * TWO32 - 20_000] : []),
    ];
    const property = fc.property(
      fc.constantFrom(...tops),
      fc.constantFrom(...WINDOWS),
      fc.array(step, { minLength: 20, maxLength: 120, size: "max" }),
      (start, first, steps) => {
        const { windows, check, accept } = rig({ top: start, esn });
        const accepted = new Set<bigint>();
        let top = BigInt(start);
        let window = first;
        for (const next of steps) {
          window = next.window ?? window;
          const n = top + BigInt(next.move);
          if (n < 0n || (!esn && n >= 1n << 32n)) continue;
          let wanted = Verdict.ok;
          if (n === 0n) wanted = Verdict.tooOld;
          else if (n <= top && window > 0) {
            if (top - n >= BigInt(window)) wanted = Verdict.tooOld;
            else if (accepted.has(n)) wanted = Verdict.replayed;
          }
          const pre = check(Number(n), window);
          const inferable = !esn || window === 0 || top - n < BigInt(window);
          if (inferable && (pre !== wanted || windows.high !== Number(n >> 32n))) return false;
          if (!inferable && n > 0n && windows.high === Number(n >> 32n) && pre !== Verdict.tooOld) return false;
          if (accept(Number(n), window) !== wanted) return false;
          if (wanted !== Verdict.ok) continue;
          accepted.add(n);
          if (n > top) top = n;
        }
        return true;
      },
    );
    t.doesNotThrow(() => fc.assert(property, { numRuns: 1500 }));
  });
}

t.test("a worker that died with the lock: control frees it, and what was accepted is not accepted again", async (t) => {
  const { memory, windows, words, base } = rig();
  const dead = new ReplayWindows(memory, 1);
  for (let n = 1; n < 10; n++) dead.accept(SLOT, n, 0, 64);
  words[base + Window.lock] = 2;
  const table = tableOf(memory);
  table.unlock(0);
  t.equal(words[base + Window.lock], 2, "not its own");
  table.unlock(1);
  t.equal(words[base + Window.lock], 0);
  t.same([windows.accept(SLOT, 9, 0, 64), windows.accept(SLOT, 10, 0, 64)], [Verdict.replayed, Verdict.ok]);
  table.unlock(1);
  table.unlock(0);
});

/** Numbers accepted before, and the one that a worker is about to accept. */
const DEATHS: readonly (readonly [string, readonly number[], number])[] = [
  ["in the block", [100, 97], 101],
  ["in the next block", [100, 90, 64], 140],
  ["over the window", [100, 90, 64], 10_000],
  ["around the ring", [8_300, 8_299, 109, 110, 4_000], 8_300 + 16_000],
  ["far over the ring", [8_300, 8_299, 109, 110, 4_000], 5_000_000],
  ["behind the top", [100, 97], 60],
  ["across the border", [TWO32 - 10, TWO32 - 5, TWO32 - 2], TWO32 + 3],
  ["across the border and over the window", [TWO32 - 8_000, TWO32 - 5, TWO32 - 2], TWO32 + 9_000],
  ["across the border and far over the ring", [TWO32 - 8_000, TWO32 - 5, TWO32 - 2], TWO32 + 90_000],
];

for (const [name, before, next] of DEATHS) {
  t.test(`a worker that dies at any step: what was accepted is not accepted again, what comes is: ${name}`, async (t) => {
    let steps = 0;
    for (let died = true; died; steps++) {
      const { memory, check, accept } = rig({ top: Math.max(0, (before[0] as number) - 8_200), window: 8192, esn: true });
      for (const n of before) t.equal(accept(n), Verdict.ok);
      const dead = new ReplayWindows(memory, 1);
      died = dieAt(steps, () => dead.accept(SLOT, next | 0, Math.floor(next / TWO32), 8192));
      tableOf(memory).unlock(1);
      for (const n of before) t.not(accept(n), Verdict.ok, `${n}, step ${steps}`);
      const verdict = accept(next);
      if (!died) t.equal(verdict, Verdict.replayed);
      t.same([accept(next), check(next)], [Verdict.replayed, Verdict.replayed]);
      const top = Math.max(next, ...before);
      t.same([check(top + 1), accept(top + 1), accept(top + 1)], [Verdict.ok, Verdict.ok, Verdict.replayed]);
    }
    t.ok(steps >= 2);
  });
}

t.test("a worker that looks while another one crosses the border takes each number for what it is", async (t) => {
  for (const [n, high] of [
    [TWO32 - 3, 0],
    [TWO32 + 1, 1],
    [TWO32 + 70, 1],
  ] as const) {
    const { windows, memory, accept, check } = rig({ top: TWO32 - 20, window: 64, esn: true });
    accept(TWO32 - 2);
    const other = new ReplayWindows(memory, 1);
    let crossed = 0;
    const verdict = interleave(
      () => {
        if (crossed++ === 2) other.accept(SLOT, 3, 1, 64);
      },
      () => check(n),
    );
    t.ok(crossed > 2);
    t.same([verdict, windows.high], [Verdict.ok, high]);
  }
});

t.test("what seems a replay for a moment is looked at once more", async (t) => {
  const { memory, words, windows, base } = rig({ top: 100 });
  // Another one is about to move the window, and the word still has bits from the time before.
  words[base + Window.ring + 3] = -1;
  words[base + Window.lock] = 2;
  const other = new ReplayWindows(memory, 1);
  const verdict = interleave(
    (name, done) => {
      if (name !== "compareExchange" || done) return;
      words[base + Window.ring + 3] = 0;
      words[base + Window.lock] = 0;
      other.accept(SLOT, 120, 0, 64);
    },
    () => windows.check(SLOT, 99, false, 64),
  );
  t.equal(verdict, Verdict.ok);
});
