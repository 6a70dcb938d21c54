import t from "tap";
import { startAging } from "../../src/control/aging.js";
import { until } from "./calls.js";
import { newSession, TestTable } from "./test-table.js";

t.test("ages what is due within a second, by the clock that it is given", async (t) => {
  let now = 1_000_000;
  const sessions = new TestTable(10, now);
  const closed: bigint[] = [];
  sessions.onClosed = (info) => closed.push(info.id);
  sessions.add(newSession(1), now);
  sessions.add({ ...newSession(2), timeout: 20 }, now);
  t.teardown(startAging(sessions, () => now));
  await new Promise((resolve) => setTimeout(resolve, 250));
  t.same(closed, []);
  now += 10_000;
  await until(() => closed.length === 1, 1000);
  t.same(closed, [1n]);
});

t.test("works in slices, with turns of the event loop between them, until nothing is due", async (t) => {
  let slices = 0;
  let turns = 0;
  const budgets = new Set<number>();
  const turn = (): void => {
    turns++;
    if (slices < 50) {
      setImmediate(turn);
    }
  };
  const stop = startAging(
    {
      age(_, budget) {
        budgets.add(budget);
        slices++;
        return slices < 50;
      },
    },
    () => 0,
  );
  t.teardown(stop);
  turn();
  const start = performance.now();
  await until(() => slices >= 50);
  t.ok(performance.now() - start < 2500, "it does not wait for the next period while more is due");
  t.ok(turns >= 49, `${turns} turns`);
  t.ok(
    [...budgets].every((budget) => budget <= 5),
    "a slice is a few milliseconds",
  );
});

t.test("nothing runs after stop, not even a slice that was due", async (t) => {
  let slices = 0;
  const stop = startAging({ age: () => ++slices > 0 }, () => 0);
  await until(() => slices > 10);
  stop();
  const before = slices;
  await new Promise((resolve) => setTimeout(resolve, 250));
  t.equal(slices, before);
});
