import fc from "fast-check";
import t from "tap";
import { CreationOrder } from "../../src/table/creation-order.js";
import { rememberEnd, resumeEnd } from "./page.js";

/** The slots after this one, to the end. */
function walk(order: CreationOrder, from: number): number[] {
  const slots: number[] = [];
  for (let slot = order.after(from); slot >= 0; slot = order.after(slot)) slots.push(slot);
  return slots;
}

t.test("agrees with an array, page ends included, whatever is appended and removed", async () => {
  const slots = 24;
  const step = fc.tuple(fc.constantFrom("append", "remove", "remove", "end"), fc.nat({ max: slots - 1 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const order = new CreationOrder(slots);
      const model: number[] = [];
      // Id of a page end → what was listed up to it, in order of creation, as unique numbers of the sessions.
      const ends = new Map<bigint, number>();
      const numberOf = new Map<number, number>();
      let created = 0;
      for (const [what, slot] of steps) {
        const at = model.indexOf(slot);
        if (what === "append" && at < 0) {
          order.append(slot);
          model.push(slot);
          numberOf.set(slot, ++created);
        } else if (what === "remove" && at >= 0) {
          order.remove(slot);
          model.splice(at, 1);
        } else if (what === "end" && at >= 0) {
          rememberEnd(order, BigInt(slot), slot);
          ends.set(BigInt(slot), numberOf.get(slot) as number);
        }
        if (`${walk(order, -1)}` !== `${model}`) return false;
        for (const [id, until] of ends) {
          const resume = resumeEnd(order, id);
          if (resume === undefined) return false;
          const left = model.filter((s) => (numberOf.get(s) as number) > until);
          if (`${walk(order, resume)}` !== `${left}`) return false;
        }
      }
      return true;
    }),
    { numRuns: 400 },
  );
});

t.test("remembers the last 1,024 page ends", async (t) => {
  const order = new CreationOrder(2000);
  for (let slot = 0; slot < 2000; slot++) order.append(slot);
  for (let slot = 0; slot < 1025; slot++) rememberEnd(order, BigInt(slot), slot);
  t.equal(resumeEnd(order, 0n), undefined);
  t.equal(resumeEnd(order, 1n), 1);
  rememberEnd(order, 1n, 1);
  rememberEnd(order, 5000n, 1999);
  t.equal(resumeEnd(order, 1n), 1, "used again: no longer the oldest");
  t.equal(resumeEnd(order, 2n), undefined);
});

t.test("removal does not slow down with the page ends that are remembered", async (t) => {
  const count = 200_000;
  const run = (ends: number): number => {
    const order = new CreationOrder(count);
    for (let slot = 0; slot < count; slot++) order.append(slot);
    for (let k = 0; k < ends; k++) rememberEnd(order, BigInt(k), count - 1 - k);
    const start = performance.now();
    // Newest first: every page end is pushed towards the first session.
    for (let slot = count - 1; slot >= 0; slot--) order.remove(slot);
    for (let k = 0; k < ends; k++) if (resumeEnd(order, BigInt(k)) !== -1) throw new Error(`page end ${k}`);
    return performance.now() - start;
  };
  run(0);
  const without = run(0);
  const withEnds = run(1024);
  t.ok(withEnds < without * 10 + 300, `${without.toFixed(1)} ms without, ${withEnds.toFixed(1)} ms with 1,024`);
  t.comment(`${without.toFixed(1)} ms without, ${withEnds.toFixed(1)} ms with 1,024`);
});
