import { readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import t from "tap";
import { PortCounter } from "../../src/memory/counters.js";
import { clearReplay, mergeParts, openReplay, type ReplayInput, type ReplayOptions } from "../../src/port/replay.js";
import { ReplayClock } from "../../src/port/replay-clock.js";
import { Fate } from "../../src/reason.js";
import { captures, noScapy, type Packet, positions, type Received, Rig, scapyReadAll, writePcap } from "./rig.js";

const MAX = 9216;
const ports = ["1", "2", "host1", "host2"].map((name, index) => ({ index, name }));

function open(rig: Rig, clock: ReplayClock, inputs: readonly ReplayInput[], more: Partial<ReplayOptions> = {}) {
  const options = {
    inputs,
    ports,
    out: "",
    clock: clock.shared,
    worker: 0,
    workers: 1,
    maxFrame: MAX,
    counters: rig.counters,
    tell: rig.tell,
  };
  return openReplay({ ...options, ...more });
}

/** Drives the workers in this thread until the clock has come to the end. @returns what each received, and the agings */
async function play(
  rigs: Rig[],
  clock: ReplayClock,
  opened: ReturnType<typeof open>[],
  each: (w: number, n: number) => void = () => {},
) {
  const received: Received[][] = opened.map(() => []);
  const log: (string | number)[] = [];
  let more = true;
  while (more) {
    opened.forEach(({ source }, w) => {
      do {
        const now = (rigs[w] as Rig).receive(source);
        received[w]?.push(...now);
        log.push(...now.map(() => "frame"));
        each(w, now.length);
      } while (source.idle() === 0);
    });
    more = await clock.advance((now) => void log.push(now) as undefined);
  }
  return { received, log };
}

const frame = (id: number, length = 60) => Uint8Array.from({ length }, (_, i) => (i === length - 1 ? id : 0));
const id = (packet: Packet) => Number.parseInt(packet.hex.slice(-2), 16);
const at = (ms: number, number: number, length?: number) => ({
  sec: 1_000_000 + Math.floor(ms / 1000),
  nsec: (ms % 1000) * 1e6,
  data: frame(number, length),
});

t.test("inputs are merged by time stamp; of equal times the earlier input comes first", async (t) => {
  const dir = t.testdir({
    "a.pcap": writePcap([at(0, 1), at(30, 4), at(30, 5), at(70, 9)]),
    "b.pcap": writePcap([at(10, 2), at(30, 6), at(30, 7), at(60, 8)]),
    "c.pcap": writePcap([at(10, 3)]),
    "empty.pcap": writePcap([]),
  });
  const clock = new ReplayClock(1);
  const rig = new Rig();
  const inputs = ["a", "b", "c", "empty"].map((name, i) => ({ port: 3 - i, path: join(dir, `${name}.pcap`) }));
  const { received } = await play([rig], clock, [open(rig, clock, inputs)]);
  const all = received[0] as Received[];
  t.same(all.map(id), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.same(
    all.map((r) => r.port),
    [3, 2, 1, 3, 3, 2, 2, 2, 3],
  );
  t.same(
    all.map((r) => r.time),
    [0, 10, 10, 30, 30, 30, 30, 60, 70].map((ms) => 1e9 + ms),
  );
  t.ok(rig.burst.stamped);
  t.equal(rig.counters.port(2)[PortCounter.rxFrames], 4);
  t.equal(rig.counters.port(2)[PortCounter.rxBytes], 240);
});

t.test("the order of a file stands where its time stamps run backwards, and the clock does not", async (t) => {
  const dir = t.testdir({ "a.pcap": writePcap([at(50, 1), at(10, 2), at(60, 4)]), "b.pcap": writePcap([at(55, 3)]) });
  const clock = new ReplayClock(1);
  const rig = new Rig();
  const { received } = await play([rig], clock, [
    open(
      rig,
      clock,
      ["a", "b"].map((name, port) => ({ port, path: join(dir, `${name}.pcap`) })),
    ),
  ]);
  const all = received[0] as Received[];
  t.same(all.map(id), [1, 2, 3, 4]);
  t.same(
    all.map((r) => r.time - 1e9),
    [50, 50, 55, 60],
  );
  t.same(
    all.map((r) => r.nsec / 1e6),
    [50, 10, 55, 60],
    "each keeps its own stamp",
  );
});

t.test("time stamps a nanosecond apart are told apart", async (t) => {
  const stamp = (nsec: number, number: number) => ({ sec: 1_700_000_000, nsec, data: frame(number) });
  const dir = t.testdir({
    "a.pcap": writePcap([stamp(999_999_999, 2), stamp(999_999_999, 3)]),
    "b.pcap": writePcap([stamp(999_999_998, 1), { ...stamp(0, 4), sec: 1_700_000_001 }]),
  });
  const clock = new ReplayClock(1);
  const rig = new Rig();
  const { received } = await play([rig], clock, [
    open(
      rig,
      clock,
      ["a", "b"].map((name, port) => ({ port, path: join(dir, `${name}.pcap`) })),
    ),
  ]);
  t.same(received[0]?.map(id), [1, 2, 3, 4]);
});

t.test("sessions age between the frames of two ticks, and empty spans are jumped over", async (t) => {
  const dir = t.testdir({
    "a.pcap": writePcap([at(1, 1), at(100, 2), { ...at(100, 3), nsec: 100_000_001 }, at(450, 4), at(3_600_000, 5)]),
  });
  const clock = new ReplayClock(1);
  const rig = new Rig();
  const opened = open(rig, clock, [{ port: 0, path: join(dir, "a.pcap") }]);
  t.same(rig.receive(opened.source), [], "nothing before control says so");
  t.equal(opened.source.idle(), 1);
  t.equal(await clock.start(), 1e9);
  const { log } = await play([rig], clock, [opened]);
  t.same(
    log.map((entry) => (typeof entry === "number" ? entry - 1e9 : entry)),
    [0, "frame", "frame", 100, "frame", 200, 400, "frame", 500, 3_599_900, "frame", 3_600_000],
  );
  t.equal(opened.source.idle(), Number.POSITIVE_INFINITY);
});

t.test("frames without number in one tick come in bursts, before it ends", async (t) => {
  const dir = t.testdir({ "a.pcap": writePcap(Array.from({ length: 200 }, (_, i) => at(i / 10, i))) });
  const clock = new ReplayClock(1);
  const rig = new Rig();
  const { received, log } = await play([rig], clock, [open(rig, clock, [{ port: 0, path: join(dir, "a.pcap") }])]);
  t.equal(received[0]?.length, 200);
  t.same(
    log.filter((entry) => typeof entry === "number"),
    [1e9 - 100, 1e9, 1e9 + 100],
  );
});

t.test(
  "one worker or three: every frame once, and the same order within a flow",
  { skip: captures.length === 0 && "needs ../shared/captures" },
  async (t) => {
    const inputs = captures.map((path, i) => ({ port: i % 4, path }));
    const run = async (workers: number) => {
      const clock = new ReplayClock(workers);
      const rigs = Array.from({ length: workers }, () => new Rig());
      const { received } = await play(
        rigs,
        clock,
        rigs.map((rig, worker) => open(rig, clock, inputs, { worker, workers })),
      );
      t.same(
        rigs.flatMap((rig) => rig.told),
        [],
      );
      const sum = (pick: (rig: Rig) => number) => rigs.reduce((total, rig) => total + pick(rig), 0);
      const totals = [0, 1, 2, 3].map((port) =>
        [PortCounter.rxFrames, PortCounter.rxBytes].map((c) => sum((rig) => rig.counters.port(port)[c] as number)),
      );
      return { received, totals, oversize: sum((rig) => rig.counters.fates[Fate.oversize] as number) };
    };
    const [one, three] = [await run(1), await run(3)];
    t.same(three.totals, one.totals);
    t.equal(one.oversize, 1);
    t.equal(three.oversize, 1);
    const key = (r: Received) => `${r.time} ${r.port} ${r.hex}`;
    t.same(three.received.flat().map(key).sort(), one.received.flat().map(key).sort());
    t.ok(
      three.received.every((share) => share.length > 20),
      `shares of ${three.received.map((share) => share.length)}`,
    );
    // A share is the whole in the same order, less what others have: so it is within each flow.
    for (const share of three.received) {
      const mine = new Set(share.map(key));
      t.same(
        share.map(key),
        one.received
          .flat()
          .map(key)
          .filter((k) => mine.has(k)),
      );
    }
  },
);

t.test("each port that sent something has a capture with the stamps of the input", { skip: noScapy }, async (t) => {
  for (const workers of [1, 2]) {
    const dir = t.testdir({ out: { "2.pcap": "left by an earlier replay", "host1.pcap.worker1": "also left" } });
    const out = join(dir, "out");
    const addressed = (ms: number, number: number, host: number) => {
      const record = at(ms, number);
      record.data[11] = host;
      return record;
    };
    const records = Array.from({ length: 300 }, (_, i) => addressed(i * 7.000001, i % 256, i % 17));
    writeFileSync(join(dir, "a.pcap"), writePcap(records));
    const names = ports.map((port) => port.name);
    await clearReplay(out, names);
    const clock = new ReplayClock(workers);
    const rigs = Array.from({ length: workers }, () => new Rig());
    const opened = rigs.map((rig, worker) =>
      open(rig, clock, [{ port: 0, path: join(dir, "a.pcap") }], { worker, workers, out }),
    );
    await play(rigs, clock, opened, (w, n) => t.equal(opened[w]?.sinks[2]?.tx((rigs[w] as Rig).burst, positions(n), n), n));
    for (const { source, sinks } of opened) {
      source.close();
      for (const sink of sinks) sink.close();
    }
    const rig = rigs[0] as Rig;
    await mergeParts(out, names, workers, rig.tell);
    t.same(rig.told, []);
    t.same(readdirSync(out), ["host1.pcap"]);
    const [before, after] = scapyReadAll([join(dir, "a.pcap"), join(out, "host1.pcap")]);
    t.same(after, before);
    t.equal(
      rigs.reduce((sum, { counters }) => sum + (counters.port(2)[PortCounter.txFrames] as number), 0),
      300,
    );
  }
});

t.test("a sink that cannot be written tells once and takes nothing", async (t) => {
  const dir = t.testdir({ "a.pcap": writePcap([at(1, 1)]) });
  const clock = new ReplayClock(1);
  const rig = new Rig();
  const opened = open(rig, clock, [{ port: 0, path: join(dir, "a.pcap") }], { out: join(dir, "none") });
  await play([rig], clock, [opened], (_, n) => {
    for (let i = 0; i < 2; i++) t.equal(opened.sinks[0]?.tx(rig.burst, positions(n), n), 0);
  });
  t.match(rig.told, [{ code: "file", message: /none\/1\.pcap/ }]);
  t.equal(rig.told.length, 1);
});

t.test("a file that is cut short is played to the cut and told by one worker", async (t) => {
  const dir = t.testdir({ "a.pcap": writePcap([at(0, 1), at(1, 2)]).subarray(0, -1) });
  const clock = new ReplayClock(2);
  const rigs = [new Rig(), new Rig()];
  const { received } = await play(
    rigs,
    clock,
    rigs.map((rig, worker) => open(rig, clock, [{ port: 0, path: join(dir, "a.pcap") }], { worker, workers: 2 })),
  );
  t.same(received.flat().map(id), [1]);
  t.same(
    rigs.map((rig) => rig.told.length),
    [1, 0],
  );
  t.match(
    rigs.map((rig) => rig.told),
    [[{ message: /a\.pcap failed after record 1: truncated/ }], []],
  );
});

t.test("nothing but frames that are too long: all are counted, and the end is reached", async (t) => {
  const dir = t.testdir({ "a.pcap": writePcap(Array.from({ length: 9000 }, (_, i) => ({ ...at(i, 1), wire: 10_000 }))) });
  const clock = new ReplayClock(1);
  const rig = new Rig();
  const { received } = await play([rig], clock, [open(rig, clock, [{ port: 1, path: join(dir, "a.pcap") }])]);
  t.same(received, [[]], basename(dir));
  t.equal(rig.counters.fates[Fate.oversize], 9000);
  t.equal(rig.counters.port(1)[PortCounter.rxBytes], 90_000_000);
});
