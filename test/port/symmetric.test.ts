import t from "tap";
import { Frames } from "../../src/memory/frames.js";
import { symmetricHash } from "../../src/port/symmetric.js";
import { noScapy, python } from "./rig.js";

const SCRIPT = `
import json
from scapy.all import Ether, Dot1Q, Dot1AD, ARP, IP, IPv6, IPv6ExtHdrFragment, TCP, UDP, Raw, fragment, fragment6
ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"
def frame(source, destination, payload, tags=()):
    f = Ether(src=source, dst=destination)
    for tag in tags: f = f/tag
    return bytes(f/payload).hex()
def flow(cls, a, b, tags=()):
    data = UDP(sport=5, dport=6)/Raw(b"x"*3000)
    cut = fragment(IP(src=a, dst=b)/data) if cls is IP else fragment6(IPv6(src=a, dst=b)/IPv6ExtHdrFragment(id=7)/data, 1280)
    return [frame(ONE, TWO, cls(src=a, dst=b)/UDP(sport=5, dport=6), tags), frame(TWO, ONE, cls(src=b, dst=a)/UDP(sport=6, dport=5), tags),
            frame(TWO, ONE, cls(src=b, dst=a)/TCP(sport=9, dport=8)/b"data", tags)] + [frame(ONE, TWO, x, tags) for x in cut]
print(json.dumps([
    flow(IP, "10.0.0.1", "10.1.0.1"), flow(IP, "10.0.0.1", "10.1.0.1", [Dot1Q(vlan=5)]), flow(IPv6, "2001:db8::1", "2001:db8:1::1"),
    flow(IPv6, "2001:db8::1", "2001:db8:1::1", [Dot1AD(vlan=5), Dot1Q(vlan=6), Dot1Q(vlan=7)]), flow(IP, "10.0.0.2", "10.1.0.1"),
    [frame(ONE, TWO, ARP()), frame(TWO, ONE, ARP(op=2))]]))
`;

/** Of the first `length` bytes; the rest stands behind them. */
function hash(bytes: Uint8Array, length = bytes.length): number {
  const frames = new Frames(new ArrayBuffer(4096));
  frames.bytes.fill(0xa5);
  frames.bytes.set(bytes, 514);
  return symmetricHash(frames, 514, length);
}

t.test("both directions, all fragments and all protocols of two addresses have one hash", { skip: noScapy }, (t) => {
  const flows = JSON.parse(python(SCRIPT)) as string[][];
  const hashes = flows.map((flow) => new Set(flow.map((hex) => hash(Buffer.from(hex, "hex")))));
  t.same(
    flows.map((flow) => flow.length > 1),
    flows.map(() => true),
  );
  t.same(
    hashes.map((set) => set.size),
    flows.map(() => 1),
  );
  t.equal(new Set(hashes.flatMap((set) => [...set])).size, 4, "tags make no difference, addresses do");
  t.end();
});

t.test("pairs of addresses spread over the workers", (t) => {
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 4000; i++) {
    const frame = new Uint8Array(34);
    frame.set([0x08, 0x00, 0x45], 12);
    frame.set([10, 0, i >> 8, i & 255, 10, 1, i >> 8, i & 255], 26);
    (counts[hash(frame) % 4] as number)++;
  }
  t.ok(
    counts.every((count) => count > 800 && count < 1200),
    `${counts}`,
  );
  t.end();
});

t.test("frames that are cut anywhere are hashed without reading past them", (t) => {
  const tagged = [...Array(12).keys(), 0x81, 0, 0, 1, 0x81, 0, 0, 1, 0x86, 0xdd];
  for (const whole of [
    Uint8Array.from([...tagged, ...Array(40).fill(7)]),
    Uint8Array.from([...Array(12).keys(), 8, 0, ...Array(20).fill(7)]),
  ]) {
    for (let length = 0; length < whole.length; length++) {
      const expected = length < 14 ? 0 : hash(Uint8Array.from([...Array(14).keys()].map((i) => (i < 12 ? i : 0x12))));
      t.equal(hash(whole, length), expected, `${length}`);
    }
    t.not(hash(whole), hash(whole.subarray(0, -1)));
  }
  t.end();
});
