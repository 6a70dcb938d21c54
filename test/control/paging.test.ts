import t from "tap";
import { SessionResponses } from "../../src/control/gen/openoffload.js";
import { Pager } from "../../src/control/paging.js";
import { AddStatus } from "../../src/table/session-table.js";
import { ids, list } from "./calls.js";
import { range, startDevice } from "./device.js";
import { newSession, TestTable } from "./test-table.js";

function filled(count: number): TestTable {
  const sessions = new TestTable(count + 1000);
  for (const id of range(1, count + 1)) {
    if (sessions.add(newSession(id), 1_700_000_000_000) !== AddStatus.added) {
      throw new Error("not added");
    }
  }
  return sessions;
}

t.test("lists in creation order from 0 and from 4294967295, and goes on by key until an empty page", async (t) => {
  const sessions = new TestTable(100);
  for (const id of [5, 3, 9, 1, 7]) {
    sessions.add(newSession(id), 1);
  }
  const device = await startDevice({ sessions });
  t.teardown(() => device.stop());
  for (const from of [0n, 4294967295n]) {
    const first = await list(device.client, { pageSize: 2, startSession: from });
    t.same([ids(first), first.nextKey], [[5, 3], 3n]);
  }
  const second = await list(device.client, { pageSize: 2, startSession: 3n });
  t.same([ids(second), second.nextKey], [[9, 1], 1n]);
  const third = await list(device.client, { pageSize: 2, startSession: 1n });
  t.same([ids(third), third.nextKey], [[7], 7n]);
  const end = await list(device.client, { pageSize: 2, startSession: 7n });
  t.same([ids(end), end.nextKey], [[], 7n], "an empty page echoes start_session");
  const inside = await list(device.client, { pageSize: 2, startSession: 5n });
  t.same(ids(inside), [3, 9], "any session may be the start");
});

t.test("an empty table echoes start_session, in either form", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  t.match(await list(device.client), { sessionInfo: [], nextKey: 0n });
  t.match(await list(device.client, { startSession: 4294967295n }), { sessionInfo: [], nextKey: 4294967295n });
  t.match(await list(device.client, { startSession: 77n, pageSize: 3 }), { sessionInfo: [], nextKey: 77n }, "unknown");
});

t.test("page counts pages of page_size from 1", async (t) => {
  const device = await startDevice({ sessions: filled(10) });
  t.teardown(() => device.stop());
  t.same(ids(await list(device.client, { pageSize: 4, page: 1 })), [1, 2, 3, 4]);
  t.same(ids(await list(device.client, { pageSize: 4, page: 3 })), [9, 10]);
  t.same(ids(await list(device.client, { pageSize: 4, page: 4 })), []);
  t.same(ids(await list(device.client, { pageSize: 4294967295, page: 4294967295 })), []);
  t.same(ids(await list(device.client, { pageSize: 0, page: 1, startSession: 8n })), [9, 10], "without a size it is not used");
});

t.test("a client that deletes each page before asking for the next sees all", async (t) => {
  const sessions = filled(5000);
  const device = await startDevice({ sessions });
  t.teardown(() => device.stop());
  const seen: number[] = [];
  for (let key = 0n; ; ) {
    const page = await list(device.client, { pageSize: 700, startSession: key });
    if (page.sessionInfo.length === 0) {
      break;
    }
    seen.push(...ids(page));
    for (const { sessionId } of page.sessionInfo) {
      void sessions.delete(sessionId, 2);
    }
    key = page.nextKey;
  }
  t.same(seen, range(1, 5001));
});

t.test("goes on where the page ended, also when its last session was added again since", async (t) => {
  const sessions = filled(6);
  const pager = new Pager(sessions);
  const page = async (startSession: bigint) =>
    SessionResponses.decode(await pager.page({ pageSize: 2, page: 0, startSession }, () => false));
  t.same(ids(await page(0n)), [1, 2]);
  void sessions.delete(2n, 2);
  sessions.add(newSession(2), 3);
  t.same(ids(await page(2n)), [3, 4]);
});

t.test("the last 1,024 page ends are remembered", async (t) => {
  const sessions = filled(1100);
  const pager = new Pager(sessions);
  const page = async (startSession: bigint) =>
    SessionResponses.decode(await pager.page({ pageSize: 1, page: 0, startSession }, () => false));
  for (const id of range(0, 1025)) {
    await page(BigInt(id));
  }
  for (const id of range(1, 1026)) {
    void sessions.delete(BigInt(id), 2);
  }
  t.same(ids(await page(2n)), [1026]);
  t.same(ids(await page(1025n)), [1026]);
  t.same(ids(await page(1n)), [], "the 1,025th is forgotten");
});

t.test("page_size 0 fills a message of 4 MB and no more, and next_key goes on", async (t) => {
  const sessions = filled(120_000);
  for (const id of range(1, 100_001)) {
    sessions.count(id - 1, 2 ** 53 - 1, 2 ** 53 - 1, 2 ** 53 - 1, 2 ** 53 - 1);
  }
  const device = await startDevice({ sessions });
  t.teardown(() => device.stop());
  const first = await list(device.client);
  const bytes = SessionResponses.encode(first).finish().length;
  t.ok(bytes <= 4 * 1024 * 1024 && bytes > 4 * 1024 * 1024 - 200, `${bytes} bytes, ${first.sessionInfo.length} sessions`);
  const tooMuch = await list(device.client, { pageSize: 200_000 });
  t.equal(tooMuch.sessionInfo.length, first.sessionInfo.length, "so does a page_size that is too large");
  const second = await list(device.client, { startSession: first.nextKey });
  t.same([...ids(first), ...ids(second)], range(1, 120_001));
});

t.test("a long page does not hold the thread", async (t) => {
  const pager = new Pager(filled(60_000));
  await pager.page({ pageSize: 20_000, page: 0, startSession: 0n }, () => false);
  let turns = 0;
  let running = true;
  const count = (): void => {
    turns++;
    if (running) {
      setImmediate(count);
    }
  };
  count();
  await pager.page({ pageSize: 60_000, page: 0, startSession: 0n }, () => false);
  running = false;
  t.ok(turns >= 60_000 / 512 - 1, `${turns} turns of the event loop`);
  let asked = 0;
  const nothing = await pager.page({ pageSize: 60_000, page: 0, startSession: 0n }, () => ++asked === 2);
  t.equal(nothing.length, 0, "nobody waits for it any more");
  t.equal(asked, 2);
});

t.test("pages by number go on where the one before ended, are right when sessions left, and never hold the thread", async (t) => {
  const sessions = filled(100_000);
  let skipped = 0;
  let most = 0;
  const skip = sessions.skip.bind(sessions);
  sessions.skip = (cursor, count) => {
    skipped += count;
    most = Math.max(most, count);
    return skip(cursor, count);
  };
  const pager = new Pager(sessions);
  const at = async (page: number, pageSize = 1000) =>
    ids(SessionResponses.decode(await pager.page({ pageSize, page, startSession: 0n }, () => false)));
  for (const page of range(1, 101)) {
    t.strictSame(await at(page), range((page - 1) * 1000 + 1, page * 1000 + 1));
  }
  t.equal(skipped, 0, "in turn: nothing is passed over twice");
  t.same(await at(101), [], "behind the end");
  t.same(await at(90, 1000), range(89_001, 90_001), "an earlier one");
  t.ok(most <= 50_000, `at most ${most} in one go`);
  await sessions.delete(5n, 2);
  t.same(await at(91), range(90_002, 91_002), "a session before it left");
  t.same(await at(92), range(91_002, 92_002));
  t.same(await pager.page({ pageSize: 10, page: 9000, startSession: 0n }, () => true), Buffer.alloc(0), "nobody waits");
});

t.test("a page that fails leaves no cursor behind", async (t) => {
  const sessions = filled(10);
  let open = 0;
  const [opening, closing] = [sessions.open.bind(sessions), sessions.close.bind(sessions)];
  sessions.open = (after) => {
    open++;
    return opening(after);
  };
  sessions.close = (cursor, end) => {
    open--;
    closing(cursor, end);
  };
  sessions.read = () => {
    throw new Error("cannot read");
  };
  const pager = new Pager(sessions);
  for (const page of [0, 1]) {
    await t.rejects(
      pager.page({ pageSize: 5, page, startSession: 0n }, () => false),
      /cannot read/,
    );
  }
  t.equal(open, 0);
});
