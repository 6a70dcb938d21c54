import t from "tap";
import { Grace } from "../../src/memory/grace.js";
import { Word, wordOf, wordsSize } from "../../src/memory/worker-words.js";

function open(workers: number) {
  const words = new Int32Array(new SharedArrayBuffer(wordsSize(workers)));
  return {
    grace: new Grace(words, workers),
    step: (worker: number) => Atomics.add(words, wordOf(worker, Word.burst), 1),
    set: (worker: number, value: number) => Atomics.store(words, wordOf(worker, Word.burst), value),
  };
}

t.test("is over at once when every worker is between bursts", async (t) => {
  const { grace, step } = open(3);
  step(1);
  step(1);
  grace.begin();
  t.ok(grace.over());
});

t.test("waits for a worker inside a burst until it has left that one, whatever it does then", async (t) => {
  const { grace, step } = open(2);
  step(1);
  grace.begin();
  t.notOk(grace.over());
  t.notOk(grace.over());
  step(1);
  step(1);
  t.ok(grace.over(), "in the next burst already");
  t.ok(grace.over(), "stays over");
});

t.test("a burst that begins after begin() is not waited for", async (t) => {
  const { grace, step } = open(1);
  grace.begin();
  step(0);
  t.ok(grace.over());
});

t.test("waits for each of several workers, in any order", async (t) => {
  const { grace, step } = open(3);
  step(0);
  step(2);
  grace.begin();
  step(2);
  t.notOk(grace.over());
  step(2);
  t.notOk(grace.over(), "one that was seen out stays out");
  step(0);
  t.ok(grace.over());
});

t.test("survives the wrap of the burst word", async (t) => {
  const { grace, set, step } = open(1);
  set(0, 0x7fff_ffff);
  grace.begin();
  t.notOk(grace.over());
  step(0);
  t.ok(grace.over());
  set(0, -1);
  grace.begin();
  t.notOk(grace.over(), "-1 is odd");
  step(0);
  t.ok(grace.over());
});

t.test("is over with no worker at all", async (t) => {
  const { grace } = open(0);
  grace.begin();
  t.ok(grace.over());
});
