import fc from "fast-check";
import t from "tap";
import { ShadowQueue } from "../../src/table/shadow-queue.js";

t.test("agrees with an array of arrays, whatever joins and leaves", async () => {
  const claims = 16;
  const step = fc.tuple(fc.nat({ max: claims - 1 }), fc.nat({ max: 3 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const queue = new ShadowQueue(claims / 2);
      const keys: number[][] = [[], [], [], []];
      for (const [claim, key] of steps) {
        const stands = keys.find((waiting) => waiting.includes(claim));
        if (stands === undefined) {
          const waiting = keys[key] as number[];
          if (waiting.length === 0) queue.hold(claim);
          else queue.join(waiting[0] as number, claim);
          waiting.push(claim);
        } else {
          const held = stands[0] === claim;
          stands.splice(stands.indexOf(claim), 1);
          if (queue.leave(claim) !== (held ? (stands[0] ?? -1) : -1)) return false;
        }
        for (let c = 0; c < claims; c++) if (queue.holds(c) !== keys.some((waiting) => waiting[0] === c)) return false;
      }
      return true;
    }),
    { numRuns: 400 },
  );
});

t.test("leaving from the middle of a hundred thousand costs the same as leaving alone", async (t) => {
  const count = 100_000;
  const queue = new ShadowQueue(count);
  queue.hold(0);
  for (let n = 1; n < count; n++) queue.join(0, n * 2);
  const start = performance.now();
  // All but every tenth, from the middle outwards.
  for (let n = 1; n < count; n++) {
    const at = n % 2 === 0 ? count / 2 + n / 2 : count / 2 - (n - 1) / 2;
    if (at % 10 !== 0 && queue.leave(at * 2) !== -1) throw new Error("a waiting claim has no heir");
  }
  const ms = performance.now() - start;
  // A walk through the queue would be 90,000 times 50,000 steps: minutes.
  t.ok(ms < 1000, `${ms.toFixed(1)} ms`);
  for (let n = 0; n < count - 10; n += 10) t.equal(queue.leave(n * 2), (n + 10) * 2) || t.bailout("order lost");
});
