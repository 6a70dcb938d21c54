import { spawnSync } from "node:child_process";
import t from "tap";
import { Frames, HEADROOM } from "../../src/memory/frames.js";
import { finishChecksum } from "../../src/port/offload.js";

// Finished frames as scapy builds them; the unfinished ones follow from those.
const SCRIPT = `
from scapy.all import *
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN
e = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
v4 = IP(src="10.0.0.1", dst="10.0.0.2"); v6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
d = bytes(range(101))
print(raw(e/v4/TCP(sport=1, dport=2)/d).hex(), 34, 16)
print(raw(e/v6/TCP(sport=1, dport=2)/d).hex(), 54, 16)
print(raw(e/v4/UDP(sport=1, dport=2)/d).hex(), 34, 6)
print(raw(e/v6/UDP(sport=1, dport=2)).hex(), 54, 6)
print(raw(e/v4/UDP(sport=5, dport=4789)/VXLAN(vni=1)/e/v6/TCP(sport=1, dport=2)/d).hex(), 104, 16)
print(raw(e/v4/SCTP(sport=1, dport=2, tag=3)/SCTPChunkData(data=d)).hex(), 34, 8)
`;
const made = spawnSync("/usr/bin/python3", ["-c", SCRIPT]);
const skip = made.status === 0 ? false : "needs /usr/bin/python3 with scapy";
const view = new Frames(new ArrayBuffer(4096));

t.test("an unfinished checksum becomes the one that scapy computes", { skip }, (t) => {
  for (const line of made.stdout.toString().trim().split("\n")) {
    const [hex, start, offset] = line.split(" ");
    const whole = Buffer.from(hex, "hex");
    const from = Number(start);
    const field = from + Number(offset);
    const unfinished = Buffer.from(whole);
    if (offset === "8") unfinished.fill(0xee, field, field + 4);
    else unfinished.writeUInt16BE(pseudo(whole, from), field);
    t.notSame(unfinished, whole);
    for (const moved of [0, 4]) {
      view.bytes.fill(0xa5);
      view.bytes.set(unfinished, HEADROOM - moved);
      t.ok(finishChecksum(view, HEADROOM - moved, whole.length, from, Number(offset)));
      t.equal(Buffer.from(view.bytes.subarray(HEADROOM - moved, HEADROOM - moved + whole.length)).toString("hex"), hex);
      t.equal(view.bytes[HEADROOM - moved + whole.length], 0xa5);
    }
  }
  t.end();
});

/** Sum of the pseudo-header of the TCP or UDP segment at `from`, as a stack leaves it in the checksum field. */
function pseudo(frame: Buffer, from: number): number {
  const version6 = frame[from - 40] >> 4 === 6;
  const addresses = frame.subarray(from - (version6 ? 32 : 8), from);
  let total = frame.length - from + (version6 ? frame[from - 34] : frame[from - 11]);
  for (let i = 0; i < addresses.length; i += 2) total += addresses.readUInt16BE(i);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

t.test("a checksum of zero is written as 0xffff: in UDP zero means none", (t) => {
  view.bytes.fill(0);
  view.halves.fill(0xffff, (HEADROOM + 34) >> 1, (HEADROOM + 42) >> 1);
  t.ok(finishChecksum(view, HEADROOM, 60, 34, 6));
  t.equal(view.halves[(HEADROOM + 40) >> 1], 0xffff);
  view.bytes.fill(0);
  view.halves.fill(0xffff, (HEADROOM + 34) >> 1, (HEADROOM + 54) >> 1);
  t.ok(finishChecksum(view, HEADROOM, 60, 34, 16));
  t.equal(view.halves[(HEADROOM + 50) >> 1], 0, "TCP has no such exception");
  t.end();
});

t.test("offsets outside the frame, or odd ones, change nothing", (t) => {
  view.bytes.fill(0xa5);
  for (const [from, offset] of [
    [60, 0],
    [34, 26],
    [58, 2],
    [35, 16],
    [34, 7],
    [65_535, 65_535],
    [50, 8],
  ]) {
    t.notOk(finishChecksum(view, HEADROOM, 60, from, offset), `${from} + ${offset}`);
  }
  t.ok(view.bytes.every((byte) => byte === 0xa5));
  t.end();
});
