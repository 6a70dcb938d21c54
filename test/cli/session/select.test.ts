import t from "tap";
import { type Filter, matches, type Selection, select, Top } from "../../../src/cli/session/select.js";
import type { SessionResponse } from "../../../src/control/gen/openoffload.js";
import { missingSession } from "../../../src/control/translate.js";

const NOW = 1_000_000_000;

function session(id: number, changes: Partial<SessionResponse> = {}, age = 0): SessionResponse {
  const startTime = { seconds: BigInt(NOW / 1000 - age), nanos: 0 };
  return { ...missingSession(BigInt(id)), startTime, ...changes };
}

async function* pages(...of: SessionResponse[][]): AsyncGenerator<SessionResponse[]> {
  yield* of;
}

async function ids(source: AsyncIterable<SessionResponse[]>, selection: Selection): Promise<number[]> {
  const found: number[] = [];
  for await (const page of select(source, selection)) found.push(...page.map(({ sessionId }) => Number(sessionId)));
  return found;
}

t.test("each filter, and all of them together", async (t) => {
  const of = session(5, { sessionState: 1, inPackets: 2n, outPackets: 1n, inBytes: 100n, outBytes: 20n }, 60);
  const cases: [Filter, boolean][] = [
    [{}, true],
    [{ state: "closing-1" }, true],
    [{ state: "established" }, false],
    [{ ids: { from: 5n, to: 5n } }, true],
    [{ ids: { from: 6n, to: 9n } }, false],
    [{ ids: { from: 1n, to: 4n } }, false],
    [{ unused: true }, false],
    [{ minPackets: 3 }, true],
    [{ minPackets: 4 }, false],
    [{ minBytes: 120 }, true],
    [{ minBytes: 121 }, false],
    [{ olderThan: 59 }, true],
    [{ olderThan: 60 }, false],
    [{ youngerThan: 61 }, true],
    [{ youngerThan: 60 }, false],
    [{ state: "closing-1", minPackets: 3, olderThan: 59 }, true],
    [{ state: "closing-1", minPackets: 3, olderThan: 61 }, false],
  ];
  for (const [filter, expected] of cases) {
    const { ids, ...shown } = filter;
    t.equal(matches(of, filter, NOW), expected, JSON.stringify({ ...shown, ids: ids && `${ids.from}-${ids.to}` }));
  }
  t.equal(matches(session(1), { unused: true }, NOW), true);
  t.equal(matches(session(1, { outPackets: 1n }), { unused: true }, NOW), false);
});

t.test("without sorting, the order is kept and no page is asked for past the limit", async (t) => {
  let asked = 0;
  async function* endless(): AsyncGenerator<SessionResponse[]> {
    for (;;) yield [session(++asked), session(++asked)];
  }
  t.same(await ids(endless(), { limit: 3 }), [1, 2, 3]);
  t.equal(asked, 4);
  t.same(await ids(pages([session(3)], [session(1), session(2)]), {}), [3, 1, 2]);
});

t.test("sorted by packets or bytes of both directions, or by start: highest first, equals in order of creation", async (t) => {
  const all = [
    session(1, { inPackets: 1n, inBytes: 10n }, 30),
    session(2, { outPackets: 5n, outBytes: 20n }, 20),
    session(3, { inPackets: 3n, outPackets: 2n, inBytes: 900n }, 10),
  ];
  t.same(await ids(pages(all), { sort: "packets" }), [2, 3, 1]);
  t.same(await ids(pages(all), { sort: "bytes" }), [3, 2, 1]);
  t.same(await ids(pages(all), { sort: "start" }), [3, 2, 1]);
  t.same(await ids(pages(all), { sort: "packets", limit: 1 }), [2]);
  t.same(await ids(pages(all), { sort: "packets", minBytes: 20, limit: 5 }), [2, 3]);
});

t.test("the highest of very many are found with room for few", async (t) => {
  const top = new Top<number>(3, (n) => n);
  for (let n = 0; n < 100_000; n++) top.add((n * 7919) % 100_003);
  t.same(
    top.rows(),
    [100_002, 100_001, 100_000].map((n) => n),
  );
});
