// The device's clock in a replay is the captures': who ages when, by a plain model of datapath.md "Aging".

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { noScapy, scapyRead } from "../port/rig.js";
import { run, type Session } from "../replay/run.js";
import { capture, type Entry, program, random, type Sent, T0 } from "../replay/traffic.js";

/** Milliseconds by which an aged session may outlive its time in a replay: the tick of port/replay-clock.ts. */
const TICK = 100;
/** What a double holds of seconds since the epoch, and twice that. */
const MICROSECOND = 1e-6;
const [FIN, RST, ACK] = [0x11, 0x04, 0x10];

/** Seconds with the microseconds that a double holds. */
const time = (ms: number) => (T0 + ms / 1000).toFixed(5);
const end = (session: Session | undefined) => session?.end_time?.toFixed(5);

t.test("each of many sessions is gone at the right packet, whatever the gaps", async (t) => {
  const next = random(4);
  const entries: Entry[] = Array.from({ length: 800 }, (_, i) => ({
    id: i + 1,
    flow: i,
    udp: i % 2 === 0,
    timeout: [1, 2, 3, 5, 30, 4000, 1_000_000][i % 7] as number,
  }));
  const sessions = entries.map(({ id, timeout }) => ({ id, timeout: timeout * 1000, last: 0, gone: false, in: 0, out: 0 }));
  const sent: Sent[] = [{ ms: 50, flow: 60_001 }];
  let now = 50;
  let hits = 0;
  let control = 0;
  while (sent.length < 30_000) {
    // Mostly within a tick, now and then a second, seldom hours.
    const gap = next(1000);
    now += gap < 990 ? next(4000) / 1000 : gap < 998 ? next(1500) : next(20) === 0 ? 7_200_000 : 1000;
    const flow = next(sessions.length);
    const session = sessions[flow] as (typeof sessions)[number];
    const silent = now - session.last;
    if (silent > session.timeout - 1 && silent <= session.timeout + TICK + 1) continue;
    const udp = flow % 2 === 0;
    const reverse = next(2) === 1;
    const isControl = !udp && next(4) === 0;
    now = Math.round(now * 1e6) / 1e6;
    sent.push({ ms: now, flow, udp, reverse, ...(isControl ? { tcp: { flags: 0x02 | ACK } } : {}) });
    session.gone ||= silent > session.timeout;
    if (session.gone) continue;
    if (isControl) {
      control++;
      continue;
    }
    hits++;
    session.last = now;
    session[reverse ? "out" : "in"]++;
  }
  const directory = t.testdir({
    "1.pcap": capture(sent.filter(({ reverse = false }) => !reverse)),
    "2.pcap": capture(sent.filter(({ reverse = false }) => reverse)),
  });
  const { report } = await run(t, {
    inputs: [
      ["1", join(directory, "1.pcap")],
      ["2", join(directory, "2.pcap")],
    ],
    program: program(entries),
  });
  t.equal(report.totals.offloaded, hits);
  t.equal(report.reasons.find(({ name }) => name === "tcp-control")?.packets, control);
  t.ok(hits > 1000 && control > 200, `${hits} hits, ${control} control packets`);
  const reported = new Map([...report.sessions, ...report.closed_sessions].map((session) => [session.session_id, session]));
  t.equal(reported.size, sessions.length, "each once");
  const wrong: unknown[] = [];
  for (const session of sessions) {
    const found = reported.get(session.id);
    const due = session.last + session.timeout;
    // A session that came due behind the last packet may have gone with the last tick.
    if (!session.gone && due < now) session.gone = true;
    const right =
      found?.in_packets === session.in &&
      found.out_packets === session.out &&
      (found.end_time !== undefined) === session.gone &&
      (!session.gone ||
        (Math.abs((found.end_time as number) - T0 - due / 1000) < MICROSECOND && found.session_close_code === "_TIMEOUT"));
    if (!right && Math.abs(due - now) > TICK) wrong.push({ found, session, now });
  }
  t.same(wrong, []);
  const ends = report.closed_sessions.map((session) => session.end_time as number);
  t.same(
    ends,
    [...ends].sort((a, b) => a - b),
    "closed sessions are listed by the time of closing",
  );
  t.ok(report.sessions.length > 0 && report.closed_sessions.length > 300);
});

t.test("where time runs backwards the clock stands, and each packet keeps its stamp", { skip: noScapy }, async (t) => {
  const sent = [10_000, 5000, 11_900, 0, 13_800, 16_000].map((ms) => ({ ms, flow: 1 }));
  const file = join(t.testdir({ "a.pcap": capture(sent) }), "a.pcap");
  const { report, out } = await run(t, { inputs: [["1", file]], program: program([{ id: 1, flow: 1, timeout: 2 }]) });
  t.equal(report.totals.offloaded, 5);
  t.match(report.closed_sessions, [{ session_id: 1, in_packets: 5 }]);
  t.equal(end(report.closed_sessions[0]), time(15_800));
  t.same(
    scapyRead(join(out, "2.pcap")).map(({ sec, nsec }) => (sec - T0) * 1000 + nsec / 1e6),
    [10_000, 5000, 11_900, 0, 13_800],
  );
});

t.test("captures from before 1970's epoch has come far, and from the end of pcap's time", async (t) => {
  for (const start of [-T0 * 1000, (0xffff_fff0 - T0) * 1000]) {
    const sent = [0.000001, 1500, 3700].map((ms) => ({ ms: start + ms, flow: 1 }));
    const file = join(t.testdir({ "a.pcap": capture(sent) }), "a.pcap");
    const { report } = await run(t, { inputs: [["1", file]], program: program([{ id: 1, flow: 1, timeout: 2 }]) });
    t.match(report.closed_sessions, [{ in_packets: 2 }], `from ${start}`);
    t.equal(end(report.closed_sessions[0]), time(start + 3500));
  }
});

t.test("a connection that TCP closed: gone at once with tcpClose device, at its timeout otherwise", async (t) => {
  const tcp = (ms: number, reverse: boolean, flags: number, sequence: number, acknowledgment: number) => ({
    ms,
    flow: 1,
    udp: false,
    reverse,
    payload: 0,
    tcp: { flags, sequence, acknowledgment },
  });
  const sent: Sent[] = [
    tcp(50, false, ACK, 100, 900),
    tcp(150, false, FIN, 100, 900),
    tcp(250, true, FIN, 900, 101),
    tcp(350, false, ACK, 101, 901),
    tcp(500, false, ACK, 101, 901),
    // The reset of a connection that is closed already changes nothing.
    tcp(600, true, RST, 901, 0),
    tcp(4600, false, ACK, 101, 901),
  ];
  const directory = t.testdir({
    "1.pcap": capture(sent.filter(({ reverse }) => !reverse)),
    "2.pcap": capture(sent.filter(({ reverse }) => reverse)),
  });
  const inputs = [
    ["1", join(directory, "1.pcap")],
    ["2", join(directory, "2.pcap")],
  ] as const;
  const entry = { id: 7, flow: 1, udp: false, timeout: 4 };
  const closed = { session_id: 7, session_state: "_CLOSED", session_close_code: "_FINACK" };
  const device = await run(t, { inputs, program: program([entry]), sessions: { tcpClose: "device" } });
  t.match(device.report.closed_sessions, [{ ...closed, in_packets: 2 }]);
  t.equal(end(device.report.closed_sessions[0]), time(400));
  const application = await run(t, { inputs, program: program([entry]) });
  t.match(application.report.closed_sessions, [{ ...closed, in_packets: 3 }]);
  t.equal(end(application.report.closed_sessions[0]), time(4500));
});

t.test("a worker that dies ends the replay with its error", async (t) => {
  const file = join(t.testdir({}), "a.pcap");
  writeFileSync(file, capture([{ ms: 0, flow: 1 }]));
  const nowhere = 99;
  await t.rejects(
    run(t, {
      inputs: [["1", file]],
      change: (config) => ({ ...config, ports: config.ports.map((port) => ({ ...port, host: nowhere })) }),
    }),
    { message: /undefined/ },
  );
});
