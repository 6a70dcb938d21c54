import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { BURST } from "../../src/memory/burst.js";
import { PortCounter } from "../../src/memory/counters.js";
import { native } from "../../src/native.js";
import { Gso, Offload } from "../../src/port/offload.js";
import { Fate } from "../../src/reason.js";
import { frame, ip, offload, Rig, Tap, tagged } from "./af-packet-rig.js";
import { noNamespace } from "./namespace.js";
import { verify } from "./verify.js";

const skip = noNamespace;
const hex = (frames: readonly Uint8Array[]) => frames.map((one) => Buffer.from(one).toString("hex"));

/** Nothing but the test speaks on interfaces of this namespace. */
if (!skip) for (const kind of ["default", "all"]) writeFileSync(`/proc/sys/net/ipv6/conf/${kind}/disable_ipv6`, "1");

t.test("frames in are frames out, byte for byte, from 60 to 9,216 bytes", { skip }, async (t) => {
  const tap = await Tap.make("slpin");
  const rig = new Rig("slpin");
  const sizes = [60, 61, 62, 63, 64, 65, 127, 128, 590, 1514, 1518, 1971, 1972, 1973, 2047, 2048, 2049, 4096, 9000, 9215, 9216];
  const frames = sizes.map((size, i) => frame(size, i));
  tap.give(frames);
  const got = await rig.receive(frames.length);
  t.strictSame(hex(got), hex(frames), "received");
  t.equal(rig.tx(frames), frames.length);
  t.strictSame(hex(await tap.take(frames.length)), hex(frames), "sent");
  const bytes = sizes.reduce((sum, one) => sum + one, 0);
  t.equal(rig.count(PortCounter.rxFrames), sizes.length);
  t.equal(rig.count(PortCounter.rxBytes), bytes);
  t.equal(rig.count(PortCounter.txFrames), sizes.length);
  t.equal(rig.count(PortCounter.txBytes), bytes);
  t.strictSame(await rig.receive(0), [], "its own frames are not seen");
  t.equal(rig.balance(got.length), 0);
  t.ok(
    rig.positions.every((one) => one === 0),
    "each frame lies in the slot of its position",
  );
  rig.port.close();
  rig.port.close();
  await tap.remove();
});

t.test("VLAN tags that the kernel took out stand in the frame again", { skip }, async (t) => {
  const tap = await Tap.make("slpin");
  const rig = new Rig("slpin");
  const one = frame(100, 1);
  const big = frame(4000, 2);
  const frames = [
    tagged(one, [0x8100, 100]),
    tagged(one, [0x8100, 0]),
    tagged(one, [0x8100, 0xe000]),
    tagged(one, [0x88a8, 7], [0x8100, 100]),
    tagged(one, [0x8100, 9], [0x8100, 9]),
    tagged(one, [0x88a8, 9], [0x88a8, 9], [0x8100, 9]),
    one,
    tagged(big, [0x8100, 4095]),
    tagged(big, [0x88a8, 7], [0x8100, 100]),
  ];
  tap.give(frames);
  const got = await rig.receive(frames.length);
  t.strictSame(hex(got), hex(frames));
  t.equal(
    rig.count(PortCounter.rxBytes),
    frames.reduce((sum, f) => sum + f.length, 0),
  );
  rig.tx(got);
  t.strictSame(hex(await tap.take(frames.length)), hex(frames), "and leave with them");
  rig.port.close();
  await tap.remove();
});

/** Ethernet, IPv4 without checksum, and a TCP header whose checksum field holds the sum of the pseudo-header alone. */
function unfinished(payload: number): Buffer {
  const made = frame(14 + 20 + 20 + payload);
  made.set(
    Buffer.from("0800" + "4500000000014000400600000a0000010a000002" + "13890050000000010000000250180400" + "00000000", "hex"),
    12,
  );
  made.writeUInt16BE(made.length - 14, 16);
  made.writeUInt16BE(0xffff - ones(made.subarray(14, 34)), 24);
  const tail = Buffer.from([0, 6, (20 + payload) >> 8, (20 + payload) & 255]);
  made.writeUInt16BE(ones(Buffer.concat([made.subarray(26, 34), tail])), 34 + 16);
  return made;
}

function ones(bytes: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += bytes[i] * 256 + bytes[i + 1];
  return (total % 65536) + Math.floor(total / 65536);
}

t.test("unfinished checksums are finished, behind a restored tag too", { skip }, async (t) => {
  const tap = await Tap.make("slpin");
  const rig = new Rig("slpin");
  const head = offload(Offload.needsChecksum, Gso.none, 0, 0, 34, 16);
  for (const payload of [0, 1, 2, 3, 500, 1461, 3001]) {
    const bare = unfinished(payload);
    t.throws(() => verify(bare), /TCP checksum/, "the test gives an unfinished one");
    tap.give([bare], head);
    tap.give([tagged(bare, [0x8100, 5])], offload(Offload.needsChecksum, Gso.none, 0, 0, 38, 16));
    const got = await rig.receive(2);
    t.equal(got.length, 2);
    for (const one of got) t.doesNotThrow(() => verify(one), `${payload} bytes of payload`);
    t.equal(Buffer.from(got[0].subarray(54)).compare(bare.subarray(54)), 0);
  }
  rig.port.close();
  await tap.remove();
});

t.test("a merged frame becomes as many frames as it takes, over several bursts", { skip }, async (t) => {
  const tap = await Tap.make("slpin");
  const rig = new Rig("slpin");
  const payload = 60_000;
  const whole = unfinished(payload);
  const merged = offload(Offload.needsChecksum, Gso.tcp4, 54, 700, 34, 16);
  const tag = offload(Offload.needsChecksum, Gso.tcp4, 58, 700, 38, 16);
  tap.give([frame(200, 9)]);
  tap.give([whole], merged);
  tap.give([frame(300, 9)]);
  tap.give([tagged(whole, [0x8100, 5])], tag);
  tap.give([frame(400, 9)]);
  const segments = Math.ceil(payload / 700);
  const got = await rig.receive(2 * segments + 3);
  t.equal(got.length, 2 * segments + 3);
  t.ok(segments > BURST);
  t.strictSame(
    [got[0], got[1 + segments], got[got.length - 1]].map((one) => one.length),
    [200, 300, 400],
    "order is kept",
  );
  for (const [first, tags] of [
    [1, 0],
    [2 + segments, 4],
  ]) {
    const part = got.slice(first, first + segments);
    t.equal(Buffer.concat(part.map((one) => verify(one).payload)).compare(whole.subarray(54)), 0);
    t.equal(part[0].length, 54 + tags + 700);
    t.equal(part[0][12] * 256 + part[0][13], tags > 0 ? 0x8100 : 0x0800);
  }
  t.equal(rig.count(PortCounter.rxFrames), 5);
  t.equal(rig.count(PortCounter.created), 2 * (segments - 1));
  t.equal(rig.balance(got.length), 0);
  t.ok(rig.positions.every((one) => one === 0));
  rig.port.close();
  await tap.remove();
});

t.test("what cannot be handed up is dropped by name, and those behind it move up", { skip }, async (t) => {
  const tap = await Tap.make("slpin");
  const rig = new Rig("slpin", { maxFrame: 1514 });
  const good = [frame(100, 1), tagged(frame(200, 2), [0x8100, 3]), frame(1514, 3)];
  tap.give([good[0], frame(1515), frame(5000), good[1]]);
  tap.give([tagged(frame(1514), [0x8100, 3])]);
  tap.give([unfinished(6000)], offload(Offload.needsChecksum, Gso.tcp4, 54, 3000, 34, 16));
  tap.give([good[2]]);
  const got = await rig.receive(3);
  t.strictSame(hex(got), hex(good));
  t.equal(rig.counters.fates[Fate.oversize], 5, "two segments and three frames");
  t.equal(rig.count(PortCounter.created), 1);
  t.equal(rig.balance(got.length), 0);
  t.ok(rig.positions.every((one) => one === 0));
  rig.port.close();
  await tap.remove();
});

t.test("a long frame for which the queue has no room is truncated, and counted", { skip }, async (t) => {
  const tap = await Tap.make("slpin");
  const rig = new Rig("slpin", { more: { rxQueueBytes: 4096 } });
  tap.give(Array.from({ length: 10 }, (_, i) => frame(9000, i)));
  tap.give([frame(100, 1)]);
  await sleep(300);
  const got = await rig.receive(1);
  t.strictSame(hex(got.slice(-1)), hex([frame(100, 1)]));
  t.ok(rig.counters.fates[Fate.truncated] > 0, `${rig.counters.fates[Fate.truncated]} truncated`);
  t.equal(rig.counters.fates[Fate.truncated] + got.length, 11);
  t.equal(rig.balance(got.length), 0);
  rig.port.close();
  await tap.remove();
});

t.test("what finds the ring full is counted as the kernel's drop", { skip }, async (t) => {
  const tap = await Tap.make("slpin");
  const rig = new Rig("slpin", { more: { rxFrames: 64 } });
  tap.give(Array.from({ length: 200 }, (_, i) => frame(100, i)));
  await sleep(300);
  const got = await rig.receive(64);
  await sleep(300);
  rig.rx();
  t.equal(got.length, 64);
  t.equal(rig.count(PortCounter.kernelDrops), 136);
  rig.port.close();
  await tap.remove();
});

t.test("a frame that is refused for its size does not stop those behind it", { skip }, async (t) => {
  const tap = await Tap.make("slpin", 1500);
  const rig = new Rig("slpin");
  const frames = [frame(100, 1), frame(1600, 2), frame(1514, 3), frame(13, 4), tagged(frame(1514, 5), [0x8100, 6]), frame(60, 6)];
  t.equal(rig.tx(frames), frames.length);
  t.strictSame(
    frames.map((_, i) => rig.burst.fate[i]),
    [0, Fate.txTooBig, 0, Fate.txTooBig, 0, 0],
  );
  t.strictSame(hex(await tap.take(4)), hex([frames[0], frames[2], frames[4], frames[5]]));
  t.equal(rig.count(PortCounter.txFrames), 4);
  t.notOk(rig.port.down);
  rig.port.close();
  await tap.remove();
});

t.test("an interface that goes down and comes back is served again", { skip }, async (t) => {
  const tap = await Tap.make("slpin");
  const rig = new Rig("slpin");
  const fds = Int32Array.of(rig.port.fd);
  ip("link set slpin down");
  t.equal(rig.tx([frame(100)]), 0);
  t.ok(rig.port.down, "known from the refused frame");
  native.poll(fds, 1, 0);
  t.equal(native.poll(fds, 1, 10), 0, "poll does not report it again and again");
  ip("link set slpin up");
  await sleep(300);
  t.equal(rig.tx([frame(100)]), 1, "served by tx alone");
  t.notOk(rig.port.down);
  ip("link set slpin down");
  await sleep(300);
  rig.rx();
  t.ok(rig.port.down, "known without traffic");
  ip("link set slpin up");
  await sleep(300);
  tap.give([frame(5000, 1), frame(101, 2)]);
  t.strictSame(hex(await rig.receive(2)), hex([frame(5000, 1), frame(101, 2)]));
  t.notOk(rig.port.down);
  rig.port.close();
  await tap.remove();
});

t.test("an interface that was deleted and made again is served again, by all members of its group", { skip }, async (t) => {
  let tap = await Tap.make("slpin");
  const rigs = [new Rig("slpin", { workers: 2 }), new Rig("slpin", { workers: 2 })];
  await tap.remove();
  t.equal(rigs[0].tx([frame(100)]), 0);
  t.ok(rigs[0].port.down);
  ip("link add slpother type veth peer name slppeer"); // takes the old index
  tap = await Tap.make("slpin");
  const turn = async () => {
    for (const rig of rigs) rig.rx();
    await sleep(100);
  };
  for (let i = 0; i < 12; i++) await turn();
  for (const rig of rigs) {
    t.notOk(rig.port.down);
    t.equal(rig.tx([frame(100)]), 1);
  }
  t.equal((await tap.take(2)).length, 2);
  tap.give([frame(100, 1)]);
  const got = [...(await rigs[0].receive(0)), ...(await rigs[1].receive(0))];
  t.strictSame(hex(got), hex([frame(100, 1)]));
  for (const rig of rigs) rig.port.close();
  ip("link del slpother");
  await tap.remove();
});

t.test("two rings of a fanout group share the flows, and nothing is lost or doubled", { skip }, async (t) => {
  const tap = await Tap.make("slpin");
  const rigs = [new Rig("slpin", { workers: 2 }), new Rig("slpin", { workers: 2 })];
  const frames: Buffer[] = [];
  for (let i = 0; i < 400; i++) {
    const one = unfinished(40);
    one.writeUInt16BE(1000 + (i % 40), 34);
    one.writeUInt32BE(i, 38);
    frames.push(one);
  }
  tap.give(frames);
  const got = [await rigs[0].receive(1), await rigs[1].receive(1)];
  t.strictSame(hex(got.flat()).sort(), hex(frames).sort());
  const ports = got.map((share) => new Set(share.map((one) => one[34] * 256 + one[35])));
  t.ok(ports[0].size > 5 && ports[1].size > 5, `${ports[0].size} and ${ports[1].size} flows`);
  t.equal(ports[0].size + ports[1].size, 40, "no flow is on both");
  for (const rig of rigs) rig.tx(frames.slice(0, 40));
  t.equal((await tap.take(80)).length, 80);
  t.equal((await rigs[0].receive(0)).length + (await rigs[1].receive(0)).length, 0, "own frames are not seen");
  for (const rig of rigs) t.equal(rig.balance(got[rigs.indexOf(rig)].length), 0);
  for (const rig of rigs) rig.port.close();
  await tap.remove();
});

t.test("opening an interface that is not there says so", { skip }, async (t) => {
  t.throws(() => new Rig("slpnone"), { code: "interface", message: /no interface slpnone/ });
});
