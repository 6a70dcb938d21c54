import t from "tap";
import type { MemoryDriver } from "../../src/config/config.js";
import { BURST } from "../../src/memory/burst.js";
import { PortCounter } from "../../src/memory/counters.js";
import { FRAME_LIMIT } from "../../src/memory/frames.js";
import { createSink, MemoryPort, PackedFrames, packFrames, readSink } from "../../src/port/memory.js";
import { positions, Rig } from "./rig.js";

const frame = (length: number, seed = length) => Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7) & 0xff);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const open = (rig: Rig, driver: Partial<MemoryDriver>, worker = 0) =>
  new MemoryPort({ index: 2, driver: structuredClone({ driver: "memory", ...driver }), worker, counters: rig.counters });

t.test("frames of any length are received as they are, in order", (t) => {
  const lengths = [0, 1, 13, 14, 59, 60, 61, 62, 63, 64, 65, 125, 126, 127, 128, 1500, 9216, FRAME_LIMIT, 60];
  const frames = lengths.map((length, i) => frame(length, i));
  const rig = new Rig();
  const port = open(rig, { source: packFrames(frames) });
  const received = rig.receive(port, 77);
  t.same(
    received.map((r) => r.hex),
    frames.map(hex),
  );
  t.same(
    received.map(({ port, time, wire }) => ({ port, time, wire })),
    lengths.map((wire) => ({ port: 2, time: 77, wire })),
  );
  t.equal(port.idle(), Number.POSITIVE_INFINITY, "each comes once");
  t.equal(rig.counters.port(2)[PortCounter.rxFrames], lengths.length);
  t.equal(
    rig.counters.port(2)[PortCounter.rxBytes],
    lengths.reduce((a, b) => a + b),
  );
  t.end();
});

t.test("NaN patterns and all other bits survive the copy, before and after optimization", (t) => {
  const words = new Uint8Array(
    Uint32Array.from([0, 0x7ff00001, 1, 0xfff40000, 0xffffffff, 0xffffffff, 0, 0x7ff80000, 5, 0x7ff7ffff]).buffer,
  );
  const rig = new Rig();
  const port = open(rig, { source: packFrames([words, words.subarray(2), words.subarray(6)]), total: Number.POSITIVE_INFINITY });
  const wrong = new Set<number>();
  for (let k = 0; k < 3000; k++) {
    const received = rig.receive(port);
    received.forEach(({ hex: found }, i) => {
      if (found !== hex(words.subarray([0, 2, 6][(k * BURST + i) % 3]))) wrong.add(k);
    });
  }
  t.same([...wrong], []);
  t.end();
});

t.test("a total is met exactly, round after round; only worker 0 receives unless every worker shall", (t) => {
  const source = packFrames([1, 2, 3].map((length) => frame(length)));
  const rig = new Rig();
  const received = rig.drain(open(rig, { source, total: 200 }));
  t.same(
    received.map((r) => r.wire),
    Array.from({ length: 200 }, (_, i) => (i % 3) + 1),
  );
  t.equal(rig.drain(open(rig, { source, total: 200 }, 1)).length, 0);
  t.equal(rig.drain(open(rig, { source, total: 200, everyWorker: true }, 1)).length, 200);
  t.equal(rig.drain(open(rig, {})).length, 0);
  const endless = open(rig, { source, total: Number.POSITIVE_INFINITY });
  t.equal(rig.drain(endless, () => {}, 100).length, 100 * BURST);
  endless.close();
  t.equal(rig.receive(endless).length, 0);
  t.end();
});

t.test("it appends to a burst that has frames", (t) => {
  const rig = new Rig();
  const port = open(rig, { source: packFrames([frame(70)]), total: 1000 });
  rig.burst.reset(0);
  rig.burst.n = 60;
  t.equal(port.rx(rig.burst), 4);
  t.equal(port.rx(rig.burst), 0);
  const at = rig.burst.offset[63] as number;
  t.equal(hex(rig.burst.frames.bytes.subarray(at, at + 70)), hex(frame(70)));
  t.end();
});

t.test("frames made in place", (t) => {
  const packed = new PackedFrames(1000, 60);
  for (let i = 0; i < 1000; i++) packed.bytes.set(frame(60, i), packed.at(i));
  const rig = new Rig();
  t.same(
    rig.drain(open(rig, { source: packed.shared })).map((r) => r.hex),
    Array.from({ length: 1000 }, (_, i) => hex(frame(60, i))),
  );
  t.throws(() => new PackedFrames(1, FRAME_LIMIT + 1), RangeError);
  t.throws(() => new PackedFrames(0x7fffffff, 60), RangeError);
  t.end();
});

t.test("a sink keeps what was sent while there is room, for all workers, and counts the rest", (t) => {
  const rig = new Rig();
  const sink = createSink(3 * (8 + 64) + 8);
  const ports = [
    open(rig, { source: packFrames([1, 61, 62, 63].map((length) => frame(length))), sink }),
    open(rig, { sink }, 1),
  ] as const;
  rig.receive(ports[0]);
  rig.burst.wire[1] = 1500;
  t.equal(ports[0].tx(rig.burst, Int32Array.of(2, 1), 2), 2);
  t.equal(ports[1].tx(rig.burst, Int32Array.of(3, 0), 1), 1);
  t.equal(ports[1].tx(rig.burst, positions(4), 4), 4);
  const { frames, wire, left } = readSink(sink);
  t.same(
    frames.map(hex),
    [62, 61, 63].map((length) => hex(frame(length))),
  );
  t.same(wire, [62, 1500, 63]);
  t.equal(left, 4);
  t.equal(rig.counters.port(2)[PortCounter.txFrames], 7);
  t.equal(rig.counters.port(2)[PortCounter.txBytes], 62 + 1500 + 63 + 1 + 1500 + 62 + 63);
  t.end();
});
