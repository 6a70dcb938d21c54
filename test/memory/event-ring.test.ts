import fc from "fast-check";
import t from "tap";
import { EventRing } from "../../src/memory/event-ring.js";

const SIZE = 65_536;

function drain(ring: EventRing): number[] {
  const events: number[] = [];
  ring.drain((event) => events.push(event));
  return events;
}

t.test("hands over what was pushed, in order, once; a full ring drops the newest and counts it", async () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 48_000 }), fc.boolean()), { maxLength: 12 }), (steps) => {
      const shared = new SharedArrayBuffer(EventRing.size());
      const worker = new EventRing(shared);
      const control = new EventRing(shared);
      const model: number[] = [];
      let next = 0;
      for (const [pushes, take] of steps) {
        for (let k = 0; k < pushes; k++, next++) {
          worker.push(next);
          if (model.length < SIZE) model.push(next);
        }
        if (take && `${drain(control)}` !== `${model.splice(0)}`) return false;
      }
      return `${drain(control)}` === `${model}` && drain(control).length === 0;
    }),
    { numRuns: 30 },
  );
});

t.test("goes on when its counters wrap", async (t) => {
  const shared = new SharedArrayBuffer(EventRing.size());
  // head and tail just before 2^31, as after two thousand million events.
  const words = new Int32Array(shared);
  words[0] = 0x7fff_fffe;
  words[16] = 0x7fff_fffe;
  const ring = new EventRing(shared);
  for (let n = 0; n < SIZE + 3; n++) ring.push(n);
  t.same(
    drain(ring),
    Array.from({ length: SIZE }, (_, n) => n),
  );
  t.equal(words[17], 3, "dropped");
  ring.push(7);
  t.same(drain(ring), [7]);
});
