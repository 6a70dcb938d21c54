import t from "tap";
import { hashKey } from "../../src/table/flow.js";
import { allocateSessions } from "../../src/table/session-memory.js";
import { AddStatus } from "../../src/table/session-table.js";
import { nth, open, START } from "./open-table.js";

t.test("in a table that is nearly full, one that exists takes no room from those behind it", async (t) => {
  const { table } = open(allocateSessions(4, 1, hashKey(new Uint8Array(12).fill(7))));
  table.add(nth(0), START);
  table.add(nth(1), START);
  const statuses: AddStatus[] = [];
  const sessions = [nth(0), nth(1), nth(2), nth(0, 99n), nth(3), nth(4), nth(3)];
  table.addAll(sessions, START, (i, status) => {
    statuses[i] = status;
  });
  const { exists, added, full } = { exists: AddStatus.exists, added: AddStatus.added, full: AddStatus.full };
  t.same(statuses, [exists, exists, added, exists, added, full, full]);
  t.equal(table.free, 0);
});
