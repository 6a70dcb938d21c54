// A replay repeated is the same byte for byte; with more workers each flow and every sum is.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { captures, noScapy, type Packet, scapyReadAll } from "../port/rig.js";
import { type Done, type Report, run } from "../replay/run.js";
import { capture, type Entry, program, random, type Sent } from "../replay/traffic.js";

const FLOWS = 300;
const entries: Entry[] = Array.from({ length: FLOWS / 2 }, (_, i) => ({
  id: i + 1,
  flow: i * 2,
  udp: i % 3 > 0,
  timeout: 1 + (i % 4),
}));

/** Flows with and without sessions, both ways, with control packets, bursts and silences; each packet of a flow is told by its length. */
function traffic(): Sent[] {
  const next = random(11);
  const sent: Sent[] = [];
  let ms = 0;
  for (let i = 0; i < 20_000; i++) {
    ms += next(1500) === 0 ? 2000 : next(3) / 16;
    const flow = next(FLOWS);
    const udp = (flow >> 1) % 3 > 0;
    const control = !udp && next(10) === 0;
    sent.push({ ms, flow, udp, reverse: next(2) === 0, payload: i % 200, tcp: { flags: control ? 0x11 : 0x10, sequence: i } });
  }
  return sent;
}

function contents({ out, text }: Done): Record<string, string> {
  return { ...Object.fromEntries(readdirSync(out).map((file) => [file, readFileSync(join(out, file), "hex")])), text };
}

/** The addresses and ports, in one order for both directions. */
function flowOf({ hex }: Packet): string {
  const at = 14 * 2;
  const [a, b] = [hex.slice(at + 24, at + 32), hex.slice(at + 32, at + 40)];
  return [a, b].sort().join(" ");
}

/** Flow → its packets in order. */
function flows(packets: readonly Packet[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const packet of packets) {
    const key = flowOf(packet);
    const list = found.get(key) ?? [];
    found.set(key, list);
    list.push(`${packet.sec}.${packet.nsec} ${packet.wire} ${packet.hex}`);
  }
  return found;
}

const byId = (report: Report) => [...report.sessions].sort((a, b) => a.session_id - b.session_id);

t.test("the same captures and program: the same bytes, for any seed", async (t) => {
  const sent = traffic();
  const directory = t.testdir({
    "1.pcap": capture(sent.filter(({ reverse }) => !reverse)),
    "2.pcap": capture(sent.filter(({ reverse }) => reverse)),
  });
  const own = ["1", "2"].map((port): [string, string] => [port, join(directory, `${port}.pcap`)]);
  const one = await run(t, { inputs: own, program: program(entries) });
  t.ok(one.report.totals.offloaded > 1000, `${one.report.totals.offloaded} are offloaded`);
  const { sessions, closed_sessions: closed } = one.report;
  t.ok(closed.length > 20 && sessions.length > 20, `${closed.length} sessions aged, ${sessions.length} live`);
  const expected = contents(one);
  t.same(Object.keys(expected), ["1.pcap", "2.pcap", "host1.pcap", "host2.pcap", "text"]);
  for (const seed of [1, 2]) {
    t.same(contents(await run(t, { inputs: own, program: program(entries), seed })), expected, `seed ${seed}`);
  }
});

t.test(
  "captures by others, merged over years: the same bytes",
  { skip: captures.length === 0 && "needs ../shared/captures" },
  async (t) => {
    for (const port of ["1", "host2"]) {
      const inputs = captures.map((file): [string, string] => [port, file]);
      const [first, second] = [await run(t, { inputs }), await run(t, { inputs, seed: 9 })];
      t.ok(first.report.totals.in > 300);
      t.same(contents(second), contents(first));
    }
  },
);

t.test(
  "two and three workers: the same packets per port, the same order per flow, the same sums",
  { skip: noScapy },
  async (t) => {
    const sent = traffic();
    const directory = t.testdir({
      "1.pcap": capture(sent.filter(({ reverse }) => !reverse)),
      "2.pcap": capture(sent.filter(({ reverse }) => reverse)),
    });
    const inputs = ["1", "2"].map((port): [string, string] => [port, join(directory, `${port}.pcap`)]);
    const read = ({ out }: Done) => {
      const files = readdirSync(out).sort();
      return { files, captures: scapyReadAll(files.map((file) => join(out, file))) };
    };
    const one = await run(t, { inputs, program: program(entries) });
    const expected = read(one);
    t.same(expected.files, ["1.pcap", "2.pcap", "host1.pcap", "host2.pcap"]);
    for (const workers of [2, 3]) {
      const many = await run(t, { inputs, program: program(entries), workers });
      t.same(many.problems, []);
      t.same(
        { ...many.report, sessions: byId(many.report) },
        { ...one.report, sessions: byId(one.report) },
        `report of ${workers}`,
      );
      const found = read(many);
      t.same(found.files, expected.files, "no part files are left");
      for (const [i, file] of expected.files.entries()) {
        const [some, all] = [flows(found.captures[i] as Packet[]), flows(expected.captures[i] as Packet[])];
        t.ok(all.size > 50, `${all.size} flows left by ${file}`);
        t.same(Object.fromEntries(some), Object.fromEntries(all), `${file} of ${workers} workers`);
        const times = (found.captures[i] as Packet[]).map(({ sec, nsec }) => sec * 1e3 + nsec / 1e6);
        t.ok(
          times.every((time, k) => k === 0 || time >= (times[k - 1] as number)),
          `${file} of ${workers} workers is in the order of time`,
        );
      }
    }
  },
);
