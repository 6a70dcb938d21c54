import { setImmediate as turn } from "node:timers/promises";
import t from "tap";
import { Pace } from "../../src/control/pace.js";

function busy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

t.test("the time of a turn is over after a few milliseconds of it, and begins again with the next turn", async (t) => {
  const pace = new Pace();
  t.notOk(pace.over);
  busy(6);
  t.ok(pace.over);
  await turn();
  await turn();
  t.notOk(pace.over);
});

t.test("steps run later, in order, a few milliseconds' worth in each turn", async (t) => {
  const pace = new Pace();
  const ran: number[] = [];
  let turns = 0;
  for (let i = 0; i < 20; i++) {
    pace.later(() => {
      busy(2);
      ran.push(i);
    });
  }
  t.same(ran, [], "not at once");
  while (ran.length < 20) {
    const before = ran.length;
    await turn();
    turns++;
    if (ran.length - before > 3) t.fail(`${ran.length - before} steps of 2 ms in one turn`);
  }
  t.same(
    ran,
    Array.from({ length: 20 }, (_, i) => i),
  );
  t.ok(turns >= 7, `${turns} turns`);
});

t.test("a step that is put off by a step runs in a later turn", async (t) => {
  const pace = new Pace();
  const ran: string[] = [];
  pace.later(() => {
    ran.push("first");
    pace.later(() => ran.push("second"));
  });
  while (ran.length === 0) await turn();
  t.same(ran, ["first"]);
  while (ran.length < 2) await turn();
  t.same(ran, ["first", "second"]);
});
