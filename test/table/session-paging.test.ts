// Pages of sessions with deletion in between (api.md point 5), as control/paging.ts takes them.

import t from "tap";
import { hashKey } from "../../src/table/flow.js";
import type { SessionInfo } from "../../src/table/session.js";
import { allocateSessions } from "../../src/table/session-memory.js";
import { nth, open, START } from "./open-table.js";
import { list } from "./page.js";

t.test("a page that ended with a session that is gone continues where it ended", async (t) => {
  const { table } = open(allocateSessions(100, 1, hashKey(new Uint8Array(12).fill(3))));
  for (let n = 0; n < 20; n++) table.add(nth(n), START);
  const ids = (page: SessionInfo[] | undefined) => page?.map((info) => Number(info.id));
  const page = list(table, undefined, 5);
  t.same(ids(page), [1, 2, 3, 4, 5]);
  t.equal(list(table, 77n, 5), undefined, "never heard of");
  for (const info of page as SessionInfo[]) table.delete(info.id, START);
  t.same(ids(list(table, 5n, 5)), [6, 7, 8, 9, 10]);
  for (const id of [10n, 9n, 8n, 12n]) table.delete(id, START);
  t.same(ids(list(table, 10n, 3)), [11, 13, 14]);
  t.equal(list(table, 9n, 3), undefined, "gone, and no page ended there");
  t.same(list(table, 20n, 3), [], "the end");
});

t.test(
  "a page end whose id was deleted and added again continues where the page ended, not behind the new session",
  async (t) => {
    const { table } = open(allocateSessions(100, 1, hashKey(new Uint8Array(12).fill(3))));
    for (let n = 0; n < 9; n++) table.add(nth(n), START);
    list(table, undefined, 3);
    table.delete(3n, START);
    table.add(nth(2), START);
    t.same(
      list(table, 3n, 100)?.map((info) => Number(info.id)),
      [4, 5, 6, 7, 8, 9, 3],
    );
  },
);
