import t from "tap";
import { Counters } from "../../src/memory/counters.js";
import { Grace } from "../../src/memory/grace.js";
import { wordsSize } from "../../src/memory/worker-words.js";
import { Fate } from "../../src/reason.js";
import { Copies } from "../../src/stage/copy.js";
import { hashKey } from "../../src/table/flow.js";
import { Action, CloseCode, type NewSession, State } from "../../src/table/session.js";
import { SessionLookup } from "../../src/table/session-lookup.js";
import { allocateSessions } from "../../src/table/session-memory.js";
import { SessionTable } from "../../src/table/session-table.js";
import { type Arrival, FACTS, NEXT_HOPS, newBurst, newRing, PORT_OF, run } from "./device.js";
import { frameOf, type TcpFields } from "./packet.js";
import { TunnelRig } from "./tunnel-rig.js";

const START = 1_700_000_000_000;
const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;

const TCP4: NewSession = {
  id: 1n,
  inLif: 1,
  inVlan: 0,
  outLif: 2,
  outVlan: 0,
  ipv6: false,
  source: Uint8Array.from([10, 0, 0, 1]),
  destination: Uint8Array.from([10, 1, 0, 1]),
  sourcePort: 1234,
  destinationPort: 80,
  protocol: 6,
  action: Action.forward,
  nextHop: 0,
  timeout: 10,
};
const TCP6: NewSession = {
  ...TCP4,
  ipv6: true,
  source: Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
  destination: Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]),
};
const UDP4: NewSession = { ...TCP4, id: 2n, protocol: 17 };

function device(...sessions: NewSession[]) {
  const memory = allocateSessions(16, 1, hashKey(new Uint8Array(12).fill(9)));
  const words = new Int32Array(new SharedArrayBuffer(wordsSize(1)));
  const table = new SessionTable(memory, new Grace(words, 1), { duplicateFlow: "reject", portOf: PORT_OF, now: START, seed: 1 });
  for (const session of sessions) table.add(session, START);
  const lookup = new SessionLookup(memory, 0);
  const burst = newBurst();
  const ring = newRing();
  const copies = new Copies(NEXT_HOPS, new Int32Array(NEXT_HOPS.length));
  return {
    table,
    /** What becomes of each frame: [fate, egress]. */
    receive: (...arrivals: Arrival[]): [Fate, number][] => {
      copies.n = 0;
      run(burst, arrivals, lookup, ring, copies);
      return arrivals.map((_, i) => [burst.fate[i] as Fate, burst.egress[i] as number]);
    },
    /** Which of the frames received last a collector gets, sent by which port. */
    copied: (): [number, number][] => {
      copies.make(burst, new Counters(new SharedArrayBuffer(Counters.size(FACTS.length)), FACTS.length), new TunnelRig().stage);
      return [...copies.list.subarray(0, copies.n)].map((i) => [i, burst.egress[i] as number]);
    },
    closed: () => {
      const slots: number[] = [];
      ring.drain((slot) => slots.push(slot));
      return slots;
    },
  };
}

function arrival(s: NewSession, direction: 0 | 1, fields: TcpFields & { payload?: number; time?: number } = {}): Arrival {
  const vlan = direction === 0 ? s.inVlan : s.outVlan;
  const there = direction === 0;
  const frame = frameOf(
    {
      ...s,
      udp: s.protocol === 17,
      source: there ? s.source : s.destination,
      destination: there ? s.destination : s.source,
      sourcePort: there ? s.sourcePort : s.destinationPort,
      destinationPort: there ? s.destinationPort : s.sourcePort,
      tags: vlan === 0 ? [] : [{ tpid: 0x8100, tci: vlan }],
      payload: fields.payload ?? 0,
    },
    fields,
  );
  return { frame, port: (there ? s.inLif : s.outLif) - 1, time: fields.time ?? START };
}

t.test("FORWARD sends each direction out of the other interface and counts it apart", async (t) => {
  for (const session of [TCP4, TCP6, UDP4, { ...TCP6, protocol: 17 }]) {
    const { table, receive } = device(session);
    const decided = receive(
      arrival(session, 0, { payload: 10 }),
      arrival(session, 1, { payload: 1000 }),
      arrival(session, 0, { payload: 0 }),
      arrival(session, 1, { payload: 1 }),
      arrival(session, 1, { payload: 2 }),
    );
    t.same(
      decided,
      [1, 0, 1, 0, 0].map((port) => [Fate.forwarded, port]),
    );
    const headers = 14 + (session.ipv6 ? 40 : 20) + (session.protocol === 6 ? 20 : 8);
    t.match(table.get(session.id), { inPackets: 2, inBytes: 2 * headers + 10, outPackets: 3, outBytes: 3 * headers + 1003 });
  }
});

t.test("bytes are the whole frame's: tag and padding too", async (t) => {
  const tagged = { ...UDP4, inVlan: 7, outVlan: 7 };
  const { table, receive } = device(tagged);
  const there = arrival(tagged, 0);
  const padded = { ...there, frame: Uint8Array.from([...there.frame, ...new Uint8Array(14)]) };
  t.same(receive(padded), [[Fate.forwarded, 1]]);
  t.match(table.get(2n), { inPackets: 1, inBytes: 14 + 4 + 20 + 8 + 14 });
});

t.test("a frame of the same 5-tuple on another interface, in another VLAN or the wrong way round is no hit", async (t) => {
  const { table, receive } = device(UDP4);
  const there = arrival(UDP4, 0);
  const back = arrival(UDP4, 1);
  t.same(
    receive({ ...there, port: 1 }, { ...there, port: 2 }, { ...back, port: 0 }, arrival({ ...UDP4, inVlan: 1 }, 0)).map(
      ([fate]) => fate,
    ),
    [Fate.noSession, Fate.noSession, Fate.noSession, Fate.noSession],
  );
  t.same(receive({ ...there, port: 4 }), [[Fate.fromHost, 0]], "from the host port: the table is not asked");
  t.match(table.get(2n), { inPackets: 0, outPackets: 0 });
});

t.test("DROP drops and counts", async (t) => {
  const { table, receive } = device({ ...UDP4, action: Action.drop });
  t.same(
    receive(arrival(UDP4, 0), arrival(UDP4, 1), arrival(UDP4, 1)).map(([fate]) => fate),
    [Fate.sessionDrop, Fate.sessionDrop, Fate.sessionDrop],
  );
  t.match(table.get(2n), { inPackets: 1, outPackets: 2 });
});

t.test("MIRROR forwards like FORWARD, SNOOP leaves to the application; both count, and the next hop gets a copy", async (t) => {
  for (const flow of [TCP4, TCP6, UDP4, { ...TCP6, protocol: 17 }, { ...UDP4, inVlan: 7, outVlan: 7 }]) {
    for (const nextHop of [0, 1]) {
      const port = NEXT_HOPS[nextHop]?.port as number;
      const both = (session: NewSession) => [arrival(session, 0, { payload: 10 }), arrival(session, 1, { payload: 1000 })];
      const copies = [
        [0, port],
        [1, port],
      ];

      const mirror = device({ ...flow, action: Action.mirror, nextHop });
      t.same(mirror.receive(...both(flow)), [
        [Fate.forwarded, 1],
        [Fate.forwarded, 0],
      ]);
      t.same(mirror.copied(), copies);

      const snoop = device({ ...flow, action: Action.snoop, nextHop });
      t.same(snoop.receive(...both(flow)), [
        [Fate.snooped, 4],
        [Fate.snooped, 5],
      ]);
      t.same(snoop.copied(), copies);
      for (const { table } of [mirror, snoop]) t.match(table.get(flow.id), { inPackets: 1, outPackets: 1 });
    }
  }
});

t.test("SNOOP where there is no application takes the miss path to the peer", async (t) => {
  const session = { ...UDP4, inLif: 3, outLif: 1, action: Action.snoop };
  const { receive } = device(session);
  t.same(receive(arrival(session, 0)), [[Fate.snooped, 0]]);
});

t.test("out_lif equal to in_lif sends back out of it", async (t) => {
  const hairpin = { ...UDP4, outLif: 1 };
  const { table, receive } = device(hairpin);
  t.same(receive(arrival(hairpin, 0), arrival(hairpin, 1)), [
    [Fate.forwarded, 0],
    [Fate.forwarded, 0],
  ]);
  t.match(table.get(2n), { inPackets: 1, outPackets: 1 });
});

t.test("a flow from a socket to itself, back out of the same lif, counts as direction in", async (t) => {
  const own = { ...UDP4, outLif: 1, destination: UDP4.source, destinationPort: UDP4.sourcePort };
  const { table, receive } = device(own);
  t.same(receive(arrival(own, 0), arrival(own, 1)), [
    [Fate.forwarded, 0],
    [Fate.forwarded, 0],
  ]);
  t.match(table.get(2n), { inPackets: 2, outPackets: 0 });
});

t.test("SYN, FIN and RST take the miss path whatever the action, neither counted nor refreshing the timer", async (t) => {
  for (const action of [Action.forward, Action.drop, Action.mirror, Action.snoop]) {
    for (const flags of [SYN, SYN | ACK, FIN | ACK, RST, RST | ACK]) {
      const session = { ...TCP4, action };
      const { table, receive, copied } = device(session);
      const time = START + 9_000;
      t.same(receive(arrival(session, 0, { flags, payload: 5, time }), arrival(session, 1, { flags, time })), [
        [Fate.tcpControl, 4],
        [Fate.tcpControl, 5],
      ]);
      t.match(table.get(1n), { inPackets: 0, inBytes: 0, outPackets: 0, outBytes: 0 });
      t.same(copied(), [], "no collector gets them");
      table.age(START + 10_000, 1000);
      t.equal(table.stats.aged, 1, "aged ten seconds after its start");
    }
  }
  const { table, receive } = device(TCP4);
  receive(arrival(TCP4, 1, { time: START + 9_000 }));
  table.age(START + 18_900, 1000);
  t.equal(table.stats.aged, 0, "data in either direction does refresh it");
  table.age(START + 19_000, 1000);
  t.equal(table.stats.aged, 1);
});

t.test("follows a connection to its end and says once that it closed", async (t) => {
  for (const session of [TCP4, TCP6]) {
    const { table, receive, closed } = device(session);
    const state = () => table.get(1n)?.state;
    const A = 0xffff_ff00;
    const B = 500;
    receive(arrival(session, 0, { sequence: A, acknowledgment: B, payload: 100 }));
    t.equal(state(), State.established);
    // A FIN that carries 300 bytes: its sequence numbers wrap.
    receive(arrival(session, 0, { flags: FIN | ACK, sequence: A + 100, acknowledgment: B, payload: 300 }));
    t.equal(state(), State.closing1);
    const finA = (A + 100 + 300 + 1) >>> 0;
    const half = receive(
      arrival(session, 1, { sequence: B, acknowledgment: finA - 1, payload: 50 }),
      arrival(session, 1, { sequence: B + 50, acknowledgment: finA, payload: 50 }),
    );
    t.same(
      half,
      [
        [Fate.forwarded, 0],
        [Fate.forwarded, 0],
      ],
      "data of a half-closed connection is offloaded still",
    );
    receive(arrival(session, 1, { flags: FIN | ACK, sequence: B + 100, acknowledgment: finA }));
    t.equal(state(), State.closing2);
    receive(arrival(session, 0, { sequence: finA, acknowledgment: B + 100 }));
    t.equal(state(), State.closing2, "all but the FIN is acknowledged");
    t.same(closed(), []);
    t.same(receive(arrival(session, 0, { sequence: finA, acknowledgment: B + 101 })), [[Fate.forwarded, 1]], "an ACK is data");
    t.match(table.get(1n), { state: State.closed, closeCode: CloseCode.finAck, inPackets: 3, outPackets: 2 });
    t.equal(closed().length, 1);
    receive(arrival(session, 0, { sequence: finA, acknowledgment: B + 101 }), arrival(session, 1, { flags: RST }));
    t.same(closed(), []);
    receive(arrival(session, 0, { flags: SYN }));
    t.match(table.get(1n), { state: State.established, closeCode: CloseCode.notClosed });
  }
});

t.test("TCP options and padding are not payload", async (t) => {
  const { table, receive } = device(TCP4);
  // Data offset 8: three words of options before 5 bytes of payload; then 9 bytes of padding.
  const fin = arrival(TCP4, 0, { flags: FIN | ACK, sequence: 1000, payload: 17 });
  const frame = Uint8Array.from([...fin.frame, ...new Uint8Array(9)]);
  frame[14 + 20 + 12] = 0x80;
  receive({ ...fin, frame });
  receive(arrival(TCP4, 1, { flags: FIN | ACK, sequence: 2000, acknowledgment: 1005 }));
  receive(arrival(TCP4, 0, { acknowledgment: 2001 }));
  t.equal(table.get(1n)?.state, State.closing2, "its FIN is at 1005, 1006 acknowledges it");
  receive(arrival(TCP4, 1, { acknowledgment: 1006 }));
  t.equal(table.get(1n)?.state, State.closed);
});

t.test("a closed session: control removes it, unless the ports were opened again or it is gone", async (t) => {
  const { table, receive, closed } = device(TCP4);
  receive(arrival(TCP4, 0, { flags: RST }));
  const [slot] = closed();
  receive(arrival(TCP4, 0, { flags: SYN }));
  table.closedByTcp(slot as number, START);
  t.equal(table.stats.active, 1, "reopened before control heard of it");
  receive(arrival(TCP4, 0, { flags: RST }));
  const reports: CloseCode[] = [];
  table.onClosed = (info) => reports.push(info.closeCode);
  table.closedByTcp(slot as number, START);
  table.closedByTcp(slot as number, START);
  t.same(reports, [CloseCode.rst]);
  t.same(table.stats, { active: 0, added: 1, aged: 0, deleted: 0, closedByTcp: 1 });
});

t.test("a session that TCP closed and that is then deleted or ages keeps its close code", async (t) => {
  const { table, receive } = device(TCP4);
  receive(arrival(TCP4, 0, { flags: RST }));
  t.match(await table.delete(1n, START), { closeCode: CloseCode.rst, state: State.closed });
});

t.test("UDP whose bytes look like TCP flags is data", async (t) => {
  const { receive, closed } = device(UDP4);
  const frame = arrival(UDP4, 0, { payload: 30 });
  frame.frame.fill(0xff, 14 + 20 + 8);
  t.same(receive(frame), [[Fate.forwarded, 1]]);
  t.same(closed(), []);
});
