import fc from "fast-check";
import t from "tap";
import { CloseCode, State } from "../../src/table/session.js";
import { Record } from "../../src/table/session-memory.js";
import { tcpCloseCode, tcpSegment, tcpState } from "../../src/table/tcp-state.js";

// RFC 9293 section 3.1
const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;

/** A session's record between two others, which must stay as they are. */
class Connection {
  readonly records = new Int32Array(new SharedArrayBuffer(3 * 64));
  readonly base = Record.words;

  constructor() {
    this.records.fill(0x5a5a5a5a);
    for (const word of [Record.tcp, Record.finIn, Record.finOut]) this.records[this.base + word] = 0;
  }

  segment(direction: 0 | 1, flags: number, end = 0, ack = 0): boolean {
    return tcpSegment(this.records, this.base, direction, flags, end | 0, ack | 0);
  }

  get state(): State {
    return tcpState(this.records[this.base + Record.tcp] as number);
  }

  get code(): CloseCode {
    return tcpCloseCode(this.records[this.base + Record.tcp] as number);
  }
}

t.test("closes as RFC 9293 figure 12 draws it", async (t) => {
  const c = new Connection();
  t.equal(c.state, State.established);
  t.notOk(c.segment(0, FIN | ACK, 101, 300), "A: FIN,ACK seq 100");
  t.equal(c.state, State.closing1);
  t.notOk(c.segment(1, ACK, 300, 101), "B acknowledges");
  t.equal(c.state, State.closing1);
  t.notOk(c.segment(1, FIN | ACK, 301, 101), "B: FIN,ACK seq 300");
  t.equal(c.state, State.closing2);
  t.equal(c.code, CloseCode.notClosed);
  t.ok(c.segment(0, ACK, 101, 301), "A acknowledges");
  t.equal(c.state, State.closed);
  t.equal(c.code, CloseCode.finAck);
  t.notOk(c.segment(0, ACK, 101, 301), "says it closed only once");
});

t.test("closes simultaneously as RFC 9293 figure 13 draws it", async (t) => {
  const c = new Connection();
  c.segment(0, FIN | ACK, 101, 300);
  c.segment(1, FIN | ACK, 301, 100);
  t.equal(c.state, State.closing2);
  t.notOk(c.segment(0, ACK, 101, 301));
  t.equal(c.state, State.closing2);
  t.ok(c.segment(1, ACK, 301, 101));
  t.equal(c.state, State.closed);
});

t.test("closes in three segments: FIN, FIN that acknowledges it, ACK", async (t) => {
  const c = new Connection();
  c.segment(1, FIN | ACK, 101, 300);
  c.segment(0, FIN | ACK, 301, 101);
  t.equal(c.state, State.closing2);
  t.ok(c.segment(1, ACK, 101, 301));
  t.equal(c.code, CloseCode.finAck);
});

t.test(
  "an acknowledgment of less than the FIN does not count, one of more does, across the wrap of sequence numbers",
  async (t) => {
    for (const fin of [101, 0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      const c = new Connection();
      c.segment(0, FIN | ACK, fin, 5);
      c.segment(1, FIN | ACK, 1000, fin - 1);
      t.notOk(c.segment(0, ACK, fin, 1000));
      t.notOk(c.segment(1, ACK, 1000, fin - 1), "the FIN itself is outstanding");
      t.notOk(c.segment(1, ACK, 1000, fin - 60_000), "an old segment");
      t.equal(c.state, State.closing2);
      t.ok(c.segment(1, ACK, 1000, fin + 1));
      t.equal(c.state, State.closed, `FIN ends at ${fin}`);
    }
  },
);

t.test("data behind the other side's FIN still flows, retransmitted FINs change nothing", async (t) => {
  const c = new Connection();
  c.segment(0, FIN | ACK, 101, 300);
  for (let k = 0; k < 3; k++) c.segment(0, FIN | ACK, 101, 300 + k * 1000);
  t.equal(c.state, State.closing1);
  c.segment(1, ACK, 2300, 101);
  c.segment(1, FIN | ACK, 3301, 101);
  c.segment(0, FIN | ACK, 101, 2300);
  t.equal(c.state, State.closing2);
  t.ok(c.segment(0, FIN | ACK, 101, 3301), "a retransmission may carry the last acknowledgment");
});

t.test("any RST closes, from either side, in any state, and says so once", async (t) => {
  for (const before of [[], [FIN | ACK], [SYN], [SYN | ACK]]) {
    for (const direction of [0, 1] as const) {
      for (const flags of [RST, RST | ACK, RST | FIN, RST | SYN, RST | SYN | ACK | FIN]) {
        const c = new Connection();
        for (const flags of before) c.segment(0, flags, 101, 300);
        t.ok(c.segment(direction, flags, 1, 1), `flags ${flags}`);
        t.equal(c.state, State.closed);
        t.equal(c.code, CloseCode.rst);
        t.notOk(c.segment(direction, flags, 1, 1));
      }
    }
  }
});

t.test("a RST after both FINs were acknowledged changes nothing, FINs after a RST neither", async (t) => {
  const c = new Connection();
  c.segment(0, FIN | ACK, 101, 300);
  c.segment(1, FIN | ACK, 301, 101);
  c.segment(0, ACK, 101, 301);
  t.notOk(c.segment(1, RST));
  t.equal(c.code, CloseCode.finAck);
  const d = new Connection();
  d.segment(0, RST);
  d.segment(0, FIN | ACK, 101, 300);
  d.segment(1, FIN | ACK, 301, 101);
  t.notOk(d.segment(0, ACK, 101, 301));
  t.equal(d.code, CloseCode.rst);
});

t.test("a bare SYN opens the ports again, a SYN+ACK does not", async (t) => {
  for (const close of [RST, FIN | ACK]) {
    const c = new Connection();
    c.segment(0, close, 101, 300);
    const closing = c.state;
    c.segment(1, SYN | ACK, 1, 1);
    t.equal(c.state, closing);
    t.notOk(c.segment(1, SYN, 5000, 0));
    t.equal(c.state, State.established);
    t.equal(c.code, CloseCode.notClosed);
    // The old connection's FIN numbers mean nothing now.
    t.notOk(c.segment(1, ACK, 300, 101));
    c.segment(0, FIN | ACK, 9001, 5000);
    t.equal(c.state, State.closing1);
    c.segment(1, FIN | ACK, 5001, 101);
    t.notOk(c.segment(0, ACK, 9001, 5001));
    t.ok(c.segment(1, ACK, 5001, 9001));
    t.equal(c.code, CloseCode.finAck);
  }
});

t.test("agrees with the rules of datapath.md for every order of segments of both sides", async (t) => {
  // Each side: its FIN ends at 100 (side 0) or 200 (side 1), sequence numbers near the wrap.
  const ends = [0xffff_fff0 + 100, 0x7fff_fff0 + 200];
  const segment = fc.record({
    direction: fc.constantFrom<0 | 1>(0, 1),
    flags: fc.constantFrom(ACK, ACK, FIN | ACK, FIN | ACK, FIN, 0, RST, RST | ACK, SYN, SYN | ACK),
    /** How far behind (or beyond) the other side's FIN it acknowledges. */
    behind: fc.constantFrom(-1000, -1, 0, 0, 0, 1),
  });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 12, size: "max" }), (segments) => {
      const c = new Connection();
      let fin = [false, false];
      let acked = [false, false];
      let rst = false;
      for (const { direction, flags, behind } of segments) {
        const other = 1 - direction;
        const wasClosed: boolean = rst || (acked[0] === true && acked[1] === true);
        const closed = c.segment(direction, flags, ends[direction] as number, (ends[other] as number) + behind);
        if ((flags & RST) !== 0) {
          if (!wasClosed) rst = true;
        } else if ((flags & (SYN | ACK)) === SYN) {
          fin = [false, false];
          acked = [false, false];
          rst = false;
        } else if ((flags & SYN) === 0 && !wasClosed) {
          if ((flags & FIN) !== 0) fin[direction] = true;
          if ((flags & ACK) !== 0 && fin[other] === true && behind >= 0) acked[other] = true;
        }
        const finAck = acked[0] === true && acked[1] === true;
        const fins = Number(fin[0]) + Number(fin[1]);
        const state =
          finAck || rst ? State.closed : fins === 2 ? State.closing2 : fins === 1 ? State.closing1 : State.established;
        if (c.state !== state) return false;
        if (c.code !== (finAck ? CloseCode.finAck : rst ? CloseCode.rst : CloseCode.notClosed)) return false;
        if (closed !== (!wasClosed && (finAck || rst))) return false;
      }
      return true;
    }),
    { numRuns: 3000 },
  );
  const c = new Connection();
  c.segment(0, FIN | ACK, 1, 1);
  c.segment(1, FIN | ACK, 1, 1);
  c.segment(0, RST, 1, 1);
  t.ok(c.records.subarray(0, 16).every((word) => word === 0x5a5a5a5a) && c.records.subarray(32).every((w) => w === 0x5a5a5a5a));
  t.ok(
    c.records.subarray(16, 28).every((word) => word === 0x5a5a5a5a),
    "the key and the decision stay",
  );
});
