import t from "tap";
import { Word, wordOf } from "../../src/memory/worker-words.js";
import { hashKey } from "../../src/table/flow.js";
import { CloseCode, State } from "../../src/table/session.js";
import { allocateSessions } from "../../src/table/session-memory.js";
import { tcpSegment } from "../../src/table/tcp-state.js";
import { nth, open, START } from "./open-table.js";

// RFC 9293 section 3.1
const SYN = 0x02;
const RST = 0x04;

t.test("a SYN that meets a session on its way out for TCP's close does not change what is reported", async (t) => {
  const { table, closed, words, lookup } = open(allocateSessions(4, 1, hashKey(new Uint8Array(12).fill(7))));
  const epoch = wordOf(0, Word.burst);
  table.add(nth(0), START);
  // In slot 0, whose record is the first.
  tcpSegment(lookup.records, 0, 0, RST, 0, 0);
  words[epoch] = 1;
  table.closedByTcp(0, START + 5);
  t.equal(table.get(1n), undefined, "unlinked");
  // A worker that had found it in its burst.
  tcpSegment(lookup.records, 0, 0, SYN, 0, 0);
  words[epoch] = 2;
  await new Promise((done) => setTimeout(done, 20));
  t.match(closed, [{ id: 1n, state: State.closed, closeCode: CloseCode.rst, endTime: START + 5 }]);

  table.add(nth(2), START + 10);
  t.match(table.get(3n), { state: State.established, closeCode: CloseCode.notClosed }, "the next one in its slot begins anew");
});

t.test("a SYN before control looks keeps the session", async (t) => {
  const { table, closed, lookup } = open(allocateSessions(4, 1, hashKey(new Uint8Array(12).fill(7))));
  table.add(nth(0), START);
  tcpSegment(lookup.records, 0, 0, RST, 0, 0);
  tcpSegment(lookup.records, 0, 0, SYN, 0, 0);
  table.closedByTcp(0, START + 5);
  t.match(table.get(1n), { state: State.established, closeCode: CloseCode.notClosed });
  t.same(closed, []);
});
