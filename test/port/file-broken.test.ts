// Capture files that are cut, lie about themselves, or cannot be used at all; and a disk that is full.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { PortCounter } from "../../src/memory/counters.js";
import { Fate } from "../../src/reason.js";
import { bigEndian, openFile as open, writePcapng } from "./open-file.js";
import { captures, positions, Rig, writePcap } from "./rig.js";

const frame = (seed: number, length = 60) => Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7) & 0xff);

t.test("a capture cut anywhere gives the records before the cut, and one error", (t) => {
  const records = [0, 1, 2].map((i) => ({ sec: i, nsec: 0, data: frame(i, 20 + i) }));
  const whole = writePcap(records);
  const ends = [24, 60, 97, 135];
  t.equal(whole.length, ends[3]);
  const path = join(t.testdir(), "cut.pcap");
  for (let cut = 0; cut <= whole.length; cut++) {
    writeFileSync(path, whole.subarray(0, cut));
    const rig = new Rig();
    if (cut < 24) {
      t.throws(() => open(rig, { in: path }), { code: "file", message: new RegExp(path) });
      continue;
    }
    const received = rig.drain(open(rig, { in: path }));
    t.same(
      received.map((r) => r.hex),
      records.slice(0, ends.filter((end) => end <= cut).length - 1).map((r) => Buffer.from(r.data).toString("hex")),
      `cut at ${cut}`,
    );
    t.equal(rig.told.length, ends.includes(cut) ? 0 : 1);
    if (rig.told[0]) t.match(rig.told[0].message, /cut\.pcap failed after record [012]: truncated/);
  }
  t.end();
});

t.test("snap lengths that disagree with the records, or with each other, cut nothing", (t) => {
  const dir = t.testdir();
  const [long, ng] = [join(dir, "long.pcap"), join(dir, "long.pcapng")];
  const records = Array.from({ length: 200 }, (_, i) => ({ sec: i, nsec: 0, data: frame(i, 60 + i * 7) }));
  const expected = records.map((r) => Buffer.from(r.data).toString("hex"));
  const bytes = writePcap(records);
  for (const [order, snap] of [
    ["little", 40],
    ["big", 0],
  ] as const) {
    const other = Buffer.from(bytes);
    other.writeUInt32LE(snap, 16);
    writeFileSync(long, order === "little" ? other : bigEndian(other));
    const rig = new Rig();
    t.same(
      rig.drain(open(rig, { in: long })).map((r) => r.hex),
      expected,
      `${order} endian pcap`,
    );
  }
  for (const big of [false, true]) {
    writeFileSync(ng, writePcapng(records, [65535, 77, 0], big));
    const rig = new Rig();
    t.same(
      rig.drain(open(rig, { in: ng })).map((r) => r.hex),
      expected,
      "pcapng",
    );
    t.same(rig.told, []);
  }
  t.end();
});

t.test("a looped capture that is cut short is told once and goes on", (t) => {
  const dir = t.testdir({ "in.pcap": writePcap([0, 1].map((i) => ({ sec: i, nsec: 0, data: frame(i) }))).subarray(0, -1) });
  const rig = new Rig();
  t.equal(rig.drain(open(rig, { in: join(dir, "in.pcap"), loop: true }), () => {}, 5).length, 5);
  t.equal(rig.told.length, 1);
  t.end();
});

t.test("absurd lengths end the file, absurd times do not", (t) => {
  const good = { sec: 1, nsec: 0, data: frame(1) };
  const read = (records: Parameters<typeof writePcap>[0]) => {
    const rig = new Rig();
    const received = rig.drain(open(rig, { in: join(t.testdir({ "in.pcap": writePcap(records) }), "in.pcap") }));
    return { received, told: rig.told.length, oversize: rig.counters.fates[Fate.oversize] };
  };
  for (const captured of [0xffffffff, 0x7fffffff, 0x10000000])
    t.match(read([good, { ...good, captured }, good]), { received: { length: 1 }, told: 1 });
  t.match(read([good, { ...good, wire: 0xffffffff }, good]), { received: { length: 2 }, told: 0, oversize: 1 });
  t.match(read([{ ...good, wire: 0 }]).received, [{ wire: 60 }], "a frame is at least as long as what is there of it");
  t.match(read([{ ...good, data: new Uint8Array(0) }]).received, [{ wire: 0, hex: "" }]);
  t.match(read([{ ...good, sec: 0xfffffffe, nsec: 2_000_000_005 }]).received, [{ sec: 0x100000000, nsec: 5 }]);
  t.match(read([9215, 9216, 9217].map((n) => ({ ...good, data: frame(n, n) }))), { received: { length: 2 }, oversize: 1 });
  t.end();
});

t.test("files that cannot be used say why", (t) => {
  const dir = t.testdir({
    "raw.pcap": writePcap([], 101),
    "text.pcap": "not a capture, but long enough to look at",
    empty: "",
    "ok.pcap": writePcap([]),
  });
  const rig = new Rig();
  t.throws(() => open(rig, { in: join(dir, "none.pcap") }), { code: "file", message: /none\.pcap failed: open: No such file/ });
  t.throws(() => open(rig, { in: join(dir, "raw.pcap") }), { message: /link type is RAW \(\d+\), and only Ethernet/ });
  t.throws(() => open(rig, { in: join(dir, "text.pcap") }), { message: /unknown file format/ });
  t.throws(() => open(rig, { in: join(dir, "empty") }), { code: "file" });
  t.throws(() => open(rig, { in: dir }), { code: "file" });
  t.throws(() => open(rig, { in: join(dir, "ok.pcap"), filter: "tcp and and" }), {
    message: /filter "tcp and and": .*syntax error/,
  });
  t.throws(() => open(rig, { out: join(dir, "no/such/dir.pcap") }), { code: "file", message: /dir\.pcap/ });
  t.end();
});

t.test("a full disk is told once, and nothing more is taken", (t) => {
  const rig = new Rig();
  const dir = t.testdir({ "in.pcap": writePcap([{ sec: 1, nsec: 0, data: frame(1) }]) });
  const port = open(rig, { out: "/dev/full" });
  rig.receive(open(rig, { in: join(dir, "in.pcap") }));
  const before = rig.counters.port(1)[PortCounter.txFrames];
  t.equal(port.tx(rig.burst, positions(1), 1), 0);
  t.equal(port.tx(rig.burst, positions(1), 1), 0);
  port.close();
  t.equal(rig.counters.port(1)[PortCounter.txFrames], before);
  t.match(
    rig.told.map((error) => error.message),
    [/\/dev\/full failed: write: No space left/],
  );
  t.equal(rig.told.length, 1);
  t.end();
});

t.test("garbage does not crash the reader", (t) => {
  let seed = 12345;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const path = join(t.testdir(), "garbage");
  const small = captures.filter((capture) => readFileSync(capture).length < 3000);
  const originals = [
    writePcap([0, 1, 2].map((i) => ({ sec: i, nsec: 0, data: frame(i) }))),
    ...small.map((capture) => readFileSync(capture)),
  ];
  let frames = 0;
  for (let round = 0; round < 1500; round++) {
    const bytes = Buffer.from(originals[round % originals.length] as Buffer);
    for (let k = random(8) + 1; k > 0; k--) bytes[random(round % 3 === 0 ? 40 : bytes.length)] = random(256);
    writeFileSync(path, bytes);
    const rig = new Rig();
    try {
      const port = open(rig, { in: path, filter: round % 2 ? "ip or ip6" : undefined });
      frames += rig.drain(port, () => {}, 200).length;
      port.close();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "SluiceError") throw error;
    }
    if (rig.told.length > 1) t.fail("told more than once");
  }
  t.ok(frames > 500, `${frames} frames`);
  t.end();
});
