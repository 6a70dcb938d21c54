import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import t from "tap";
import { PortCounter } from "../../src/memory/counters.js";
import { prepareFile } from "../../src/port/file.js";
import { Fate } from "../../src/reason.js";
import { MAX, openFile as open, plain } from "./open-file.js";
import { captures, noScapy, noTshark, type Packet, positions, python, Rig, scapyRead, scapyReadAll, writePcap } from "./rig.js";

const bare = ({ sec, nsec, wire, hex }: Packet): Packet => ({ sec, nsec, wire, hex });
const frame = (seed: number, length = 60) => Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7) & 0xff);

t.test(
  "every capture of others is read as scapy reads it",
  { skip: noScapy || (captures.length === 0 && "needs ../shared/captures") },
  (t) => {
    const views = scapyReadAll(captures);
    captures.forEach((path, i) => {
      const rig = new Rig();
      const expected = views[i] as Packet[];
      const received = rig.drain(open(rig, { in: path })).map(bare);
      const fitting = expected.filter((packet) => packet.wire <= MAX);
      t.same(received, fitting, basename(path));
      const counter = rig.counters.port(1);
      t.equal(counter[PortCounter.rxFrames], expected.length, "all are counted");
      t.equal(
        counter[PortCounter.rxBytes],
        expected.reduce((sum, { wire }) => sum + wire, 0),
      );
      t.equal(rig.counters.fates[Fate.oversize], expected.length - fitting.length);
      t.same(rig.told, []);
    });
    t.end();
  },
);

t.test("what is read and sent again stands in the capture in the same order, byte for byte", { skip: noScapy }, (t) => {
  const dir = t.testdir();
  const outs = captures.map((path, i) => {
    const rig = new Rig();
    const out = join(dir, `${i}.pcap`);
    prepareFile({ ...plain, out });
    const sender = open(rig, { out }, { index: 2 });
    rig.drain(open(rig, { in: path }), (n) => t.equal(sender.tx(rig.burst, positions(n), n), n));
    sender.close();
    return out;
  });
  const pick = ({ wire, hex }: Packet) => ({ wire, hex });
  const [before, after] = [scapyReadAll(captures), scapyReadAll(outs)];
  captures.forEach((path, i) => {
    t.same(after[i]?.map(pick), before[i]?.filter((packet) => packet.wire <= MAX).map(pick), basename(path));
  });
  t.end();
});

t.test(
  "pcapng with nanoseconds and pcap with a short snap length, as scapy and tshark write them",
  { skip: noScapy || noTshark },
  (t) => {
    const dir = t.testdir();
    const [pcap, ng, short] = ["a.pcap", "a.pcapng", "short.pcap"].map((name) => join(dir, name)) as [string, string, string];
    python(
      `
import sys
from scapy.all import Ether, IP, UDP, Raw, PcapWriter
w = PcapWriter(sys.argv[1], nano=True, linktype=1)
w.write_header(None)
for i in range(5):
    w.write_packet(bytes(Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")/IP()/UDP()/Raw(b"x"*(20*i))), sec=1700000000+i, usec=123456780+i)
w.close()`,
      pcap,
    );
    execFileSync("editcap", ["-F", "pcapng", pcap, ng]);
    execFileSync("editcap", ["-F", "nsecpcap", "-s", "50", pcap, short]);
    for (const path of [pcap, ng, short]) {
      const rig = new Rig();
      const received = rig.drain(open(rig, { in: path }));
      t.same(
        received.map((r) => [r.sec, r.nsec]),
        [0, 1, 2, 3, 4].map((i) => [1700000000 + i, 123456780 + i]),
        path,
      );
      t.same(
        received.map((r) => r.wire),
        [42, 62, 82, 102, 122],
      );
      t.same(
        received.map((r) => r.hex.length / 2),
        path === short ? [42, 50, 50, 50, 50] : [42, 62, 82, 102, 122],
      );
      t.same(rig.counters.port(1)[PortCounter.rxBytes], 410, "bytes are those of the wire");
    }
    // Cut records keep their original length on the way out.
    const out = join(dir, "out.pcap");
    const rig = new Rig();
    const sender = open(rig, { out }, { index: 2 });
    rig.drain(open(rig, { in: short }), (n) => sender.tx(rig.burst, positions(n), n));
    sender.close();
    t.same(
      scapyRead(out).map((p) => [p.wire, p.hex.length / 2]),
      [
        [42, 42],
        [62, 50],
        [82, 50],
        [102, 50],
        [122, 50],
      ],
    );
    t.end();
  },
);

t.test("what is sent carries the device's clock", { skip: noScapy }, (t) => {
  const dir = t.testdir({ "in.pcap": writePcap([{ sec: 5, nsec: 5, data: frame(1) }]) });
  const rig = new Rig();
  const sender = open(rig, { out: join(dir, "out.pcap") }, { index: 2 });
  rig.receive(open(rig, { in: join(dir, "in.pcap") }), 1700000000123.5);
  sender.tx(rig.burst, positions(1), 1);
  t.same(
    scapyRead(join(dir, "out.pcap")).map(({ sec, nsec }) => [sec, nsec]),
    [[1700000000, 123500000]],
    "at once, before close",
  );
  sender.close();
  sender.close();
  t.end();
});

t.test("two workers append to one capture, whole batches at a time", { skip: noScapy }, (t) => {
  const dir = t.testdir({ "in.pcap": writePcap([frame(1, 9216), frame(2)].map((data) => ({ sec: 1, nsec: 0, data }))) });
  const driver = { ...plain, out: join(dir, "out.pcap") };
  writeFileSync(driver.out, "left over");
  prepareFile(driver);
  const rig = new Rig();
  const [first, second] = [open(rig, driver, { worker: 0 }), open(rig, driver, { worker: 1 })];
  rig.receive(open(rig, { in: join(dir, "in.pcap") }));
  for (const port of [first, second, first, second]) port.tx(rig.burst, Int32Array.of(1, 0), 2);
  t.equal(scapyRead(driver.out).length, 8);
  t.same(new Set(scapyRead(driver.out).map(({ wire }) => wire)), new Set([60, 9216]));
  first.close();
  const again = open(rig, driver, { worker: 0 });
  again.tx(rig.burst, positions(1), 1);
  t.equal(scapyRead(driver.out).length, 9, "a worker that is started again adds to it");
  again.close();
  second.close();
  t.throws(() => prepareFile({ ...plain, in: "x.pcap", out: "./x.pcap" }), { code: "file" });
  t.end();
});

t.test("only worker 0 receives", (t) => {
  const dir = t.testdir({ "in.pcap": writePcap([{ sec: 1, nsec: 0, data: frame(1) }]) });
  const port = open(new Rig(), { in: join(dir, "in.pcap") }, { worker: 1 });
  t.equal(port.idle(), Number.POSITIVE_INFINITY);
  t.same(new Rig().receive(port), []);
  t.end();
});

t.test("without `out` what is sent is counted", (t) => {
  const rig = new Rig();
  const dir = t.testdir({ "in.pcap": writePcap([{ sec: 1, nsec: 0, data: frame(1), wire: 100 }]) });
  rig.receive(open(rig, { in: join(dir, "in.pcap") }));
  t.equal(open(rig, {}, { index: 3 }).tx(rig.burst, positions(1), 1), 1);
  t.match(rig.counters.port(3), { [PortCounter.txFrames]: 1, [PortCounter.txBytes]: 100 });
  t.end();
});

t.test("a filter passes what tshark finds with it", { skip: noTshark }, (t) => {
  const demo = "pcaps/demo.pcap";
  for (const [filter, display] of [
    ["ether src 02:00:00:00:00:01", "eth.src == 02:00:00:00:00:01"],
    ["ip6", "ipv6"],
    ["icmp or arp", "icmp || arp"],
  ] as const) {
    const rig = new Rig();
    const expected = spawnSync("tshark", ["-r", demo, "-Y", display], { encoding: "utf8" }).stdout.split("\n").filter(Boolean);
    t.ok(expected.length > 0);
    t.equal(rig.drain(open(rig, { in: demo, filter })).length, expected.length, filter);
    t.equal(rig.counters.port(1)[PortCounter.rxFrames], expected.length);
  }
  t.end();
});

t.test("a loop in which nothing is for the port ends, and says so", (t) => {
  const rig = new Rig();
  const port = open(rig, { in: "pcaps/demo.pcap", loop: true, filter: "ether src 02:00:00:00:00:99" });
  t.same(rig.drain(port), []);
  t.equal(port.idle(), Number.POSITIVE_INFINITY);
  t.match(rig.told, [{ message: /demo\.pcap.*filter/ }]);
  t.end();
});

t.test("in real time a frame comes when it is due, and rounds are a mean gap apart", (t) => {
  const offsets = [0, 100, 300, 600];
  const dir = t.testdir({ "in.pcap": writePcap(offsets.map((ms, i) => ({ sec: 1000, nsec: ms * 1e6, data: frame(i) }))) });
  const rig = new Rig();
  let now = 5_000;
  const port = open(rig, { in: join(dir, "in.pcap"), loop: true, realtime: true }, { clock: () => now });
  const seen: number[] = [];
  while (seen.length < 9) {
    const received = rig.receive(port);
    seen.push(...received.map(() => now - 5_000));
    const idle = port.idle();
    t.ok(idle > 0 && idle <= 300, `idle for ${idle}`);
    // Just before it is due nothing comes.
    now += idle - 0.01;
    t.same(rig.receive(port), []);
    now += 0.01;
  }
  t.same(
    seen.map((ms) => Math.round(ms * 1000) / 1000),
    [0, 100, 300, 600, 800, 900, 1100, 1400, 1600],
  );
  t.end();
});

t.test("ports that play parts of one capture stay in step", (t) => {
  const hex = (source: number) => Uint8Array.from({ length: 60 }, (_, i) => (i === 11 ? source : 0));
  const dir = t.testdir({
    "in.pcap": writePcap([1, 2, 1, 1, 2].map((source, i) => ({ sec: 0, nsec: i * 1e7, data: hex(source) }))),
  });
  const rig = new Rig();
  let now = 0;
  const ports = [1, 2].map((i) =>
    open(
      rig,
      { in: join(dir, "in.pcap"), loop: true, realtime: true, filter: `ether src 00:00:00:00:00:0${i}` },
      { clock: () => now },
    ),
  );
  const seen: string[] = [];
  for (; now < 500; now++) {
    ports.forEach((port, i) => {
      if (rig.receive(port).length > 0) seen.push(`${now}:${i + 1}`);
    });
  }
  t.same(
    seen,
    Array.from({ length: 50 }, (_, i) => `${i * 10}:${[1, 2, 1, 1, 2][i % 5]}`),
  );
  t.end();
});

t.test("a port that slept long does not make up for it", (t) => {
  const dir = t.testdir({
    "in.pcap": writePcap(Array.from({ length: 1000 }, (_, i) => ({ sec: 0, nsec: i * 1e6, data: frame(i) }))),
  });
  const rig = new Rig();
  let now = 0;
  const port = open(rig, { in: join(dir, "in.pcap"), realtime: true }, { clock: () => now });
  t.equal(rig.receive(port).length, 1);
  now = 50;
  t.equal(rig.receive(port).length, 50, "a short delay is made up for");
  now = 100_000;
  t.equal(rig.receive(port).length, 1);
  now += 3;
  t.equal(rig.receive(port).length, 3, "and then in time again");
  t.end();
});
