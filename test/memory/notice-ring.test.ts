// Notices of a worker: in order, bounded, and what is lost is counted.

import t from "tap";
import { NOTICE_WORDS, NoticeRing } from "../../src/memory/notice-ring.js";

function told(ring: NoticeRing): { numbers: number[]; lost: number } {
  const numbers: number[] = [];
  const lost = ring.drain((at) => numbers.push(ring.words[at] as number));
  return { numbers, lost };
}

t.test("a full ring loses what comes last, and says how many", async (t) => {
  const shared = new SharedArrayBuffer(NoticeRing.size());
  const [worker, control] = [new NoticeRing(shared), new NoticeRing(shared)];
  let written = 0;
  for (let n = 0; n < 100; n++) {
    const at = worker.begin();
    if (at < 0) continue;
    worker.words.fill(n, at, at + NOTICE_WORDS);
    worker.publish();
    written++;
  }
  worker.lose();
  const first = told(control);
  t.same(
    first.numbers,
    Array.from({ length: written }, (_, n) => n),
    "in order",
  );
  t.equal(first.lost, 100 - written + 1);
  t.ok(written >= 64 && written < 100);
  t.same(told(control), { numbers: [], lost: 0 }, "once");
  const at = worker.begin();
  worker.words[at] = 7;
  t.same(told(control).numbers, [], "nothing before it is published");
  worker.publish();
  t.same(told(control), { numbers: [7], lost: 0 }, "room again");
});
