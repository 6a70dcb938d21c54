import t from "tap";
import { Cause, Leaving } from "../../src/table/leaving.js";

function take(leaving: Leaving): number[] {
  const slots: number[] = [];
  while (leaving.next()) slots.push(leaving.slot);
  return slots;
}

t.test("nothing is free before the grace period that began after it is over", async (t) => {
  const leaving = new Leaving();
  t.ok(leaving.empty);
  leaving.push(7, Cause.aged, 100);
  t.same(take(leaving), []);
  leaving.begin();
  t.ok(leaving.running);
  leaving.push(8, Cause.deleted, 200);
  t.same(take(leaving), []);
  leaving.end();
  t.notOk(leaving.running);
  t.ok(leaving.next());
  t.same([leaving.slot, leaving.cause, leaving.endTime], [7, Cause.aged, 100]);
  t.same(take(leaving), [], "8 came after that grace period began");
  t.notOk(leaving.empty);
  leaving.begin();
  leaving.end();
  t.same(take(leaving), [8]);
  t.ok(leaving.empty);
});

t.test("in order, however many wait, with what belongs to each, also where the ring has turned", async (t) => {
  const leaving = new Leaving();
  let pushed = 0;
  let taken = 0;
  for (const count of [700, 900, 5000, 1, 20_000]) {
    for (let i = 0; i < count; i++) {
      leaving.push(pushed, pushed % 3, pushed * 2);
      pushed++;
    }
    leaving.begin();
    leaving.end();
    for (let left = Math.ceil(count / 2); left > 0 && leaving.next(); left--) {
      if (leaving.slot !== taken || leaving.cause !== taken % 3 || leaving.endTime !== taken * 2)
        t.fail(`${leaving.slot} for ${taken}`);
      taken++;
    }
  }
  while (leaving.next()) taken++;
  t.equal(taken, pushed);
});
