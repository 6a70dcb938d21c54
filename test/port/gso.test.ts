import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import t from "tap";
import { Frames, HEADROOM, SLOT, slotStart } from "../../src/memory/frames.js";
import { BEGUN, Segmenter } from "../../src/port/gso.js";
import { Gso } from "../../src/port/offload.js";
import { Fate } from "../../src/reason.js";
import { verify } from "./verify.js";

interface Expected {
  cases: { name: string; type: number; size: number; transport: number; frame: string; segments: string[] }[];
  captures: Record<string, string>;
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const CAPTURES = ["ipv6", "ipv4-vxlan-ipv4", "ipv4-geneve-ipv6"]
  .map((name) => `${ROOT}../shared/captures/tcpdump-gso-${name}.pcap`)
  .filter((path) => existsSync(path));
const made = spawnSync("/usr/bin/python3", [`${ROOT}test/port/gso_expected.py`, ...CAPTURES], { maxBuffer: 1 << 26 });
const noScapy = made.status === 0 ? false : "needs /usr/bin/python3 with scapy";
const expected: Expected = made.status === 0 ? JSON.parse(made.stdout.toString()) : { cases: [], captures: {} };

const stage = new Frames(new ArrayBuffer(1 << 20));
const out = new Frames(new ArrayBuffer(Frames.size(2)));

/** Segments of a frame, out of memory full of 0xa5 in which an unset byte shows. */
function segment(frame: Uint8Array, type: number, size: number, transport: number): Uint8Array[] {
  const segmenter = new Segmenter(stage);
  stage.bytes.set(frame, HEADROOM);
  const verdict = segmenter.begin(HEADROOM, frame.length, type, size, transport);
  if (verdict !== BEGUN) throw new Error(`fate ${verdict}`);
  const segments: Uint8Array[] = [];
  while (segmenter.pending) {
    out.bytes.fill(0xa5);
    const announced = segmenter.length;
    const length = segmenter.next(out, slotStart(0));
    if (length !== announced || length > SLOT) throw new Error("length");
    if (out.bytes[slotStart(0) + length] !== 0xa5 || out.bytes[slotStart(0) - 1] !== 0xa5)
      throw new Error("wrote beside the segment");
    segments.push(out.bytes.slice(slotStart(0), slotStart(0) + length));
  }
  return segments;
}

function fate(frame: Uint8Array, type: number, size: number, transport: number): number {
  stage.bytes.set(frame, HEADROOM);
  return new Segmenter(stage).begin(HEADROOM, frame.length, type, size, transport);
}

const joined = (parts: Uint8Array[]) => Buffer.concat(parts);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

t.test("segments are those that scapy builds", { skip: noScapy }, (t) => {
  for (const { name, frame, type, size, transport, segments } of expected.cases) {
    const got = segment(Buffer.from(frame, "hex"), type, size, transport).map(hex);
    t.strictSame(got, segments, name);
    const unannounced = segment(Buffer.from(frame, "hex"), type, size, -1).map(hex);
    if (!name.startsWith("udp") || !/vxlan|geneve/.test(name)) t.strictSame(unannounced, segments, `${name}, without csum_start`);
  }
  t.end();
});

t.test(
  "captured merged frames come apart into valid segments of the same payload",
  { skip: noScapy || (CAPTURES.length === 0 && "there is no ../shared/captures") },
  (t) => {
    for (const [path, frame] of Object.entries(expected.captures)) {
      const bytes = Buffer.from(frame, "hex");
      const type = path.includes("ipv4-vxlan") ? Gso.tcp4 : Gso.tcp6;
      const seen = segment(bytes, type, 1348, -1).map(verify);
      const payload = joined(seen.map((one) => one.payload));
      t.ok(seen.length > 2, `${path}: ${seen.length} segments`);
      t.strictSame(hex(payload), hex(bytes.subarray(bytes.length - payload.length)));
      for (let i = 1; i < seen.length; i++) t.equal(seen[i].sequence, (seen[i - 1].sequence + 1348) % 2 ** 32);
    }
    t.end();
  },
);

t.test("a UDP checksum that comes out as zero is sent as 0xffff", { skip: noScapy }, (t) => {
  for (const { frame, type, transport } of expected.cases.filter((one) => /^udp., (plain|vxlan over IPv6),/.test(one.name))) {
    const bytes = Buffer.from(frame, "hex").subarray(0, transport + 8 + 100);
    bytes.writeUInt16BE(0, bytes.length - 2);
    const [before] = segment(bytes, type, 100, transport);
    bytes.writeUInt16BE(Buffer.from(before).readUInt16BE(transport + 6), bytes.length - 2);
    const [after] = segment(bytes, type, 100, transport);
    t.equal(Buffer.from(after).readUInt16BE(transport + 6), 0xffff);
    t.doesNotThrow(() => verify(after));
  }
  t.end();
});

t.test("any payload in any pieces: valid, in order, and whole", { skip: noScapy }, (t) => {
  const heads = expected.cases.slice(0, 32);
  fc.assert(
    fc.property(
      fc.nat(heads.length - 1),
      fc.uint8Array({ minLength: 1, maxLength: 9000 }),
      fc.integer({ min: 1, max: 9000 }),
      fc.boolean(),
      (index, payload, wanted, cwr) => {
        const { frame, type, transport } = heads[index];
        const size = Math.max(wanted, payload.length >> 6, 1);
        const own = type === Gso.udp ? 8 : 32;
        const whole = Buffer.concat([Buffer.from(frame, "hex").subarray(0, transport + own), payload]);
        if (type !== Gso.udp && !cwr) whole[transport + 13] &= 0x7f;
        const seen = segment(whole, type, size, transport).map(verify);
        if (hex(joined(seen.map((one) => one.payload))) !== hex(payload)) return false;
        return seen.every(({ flags, ids }, i) => {
          const last = i === seen.length - 1;
          const right = type === Gso.udp || flags === (0x10 | (last ? 0x09 : 0) | (i === 0 && cwr ? 0x80 : 0));
          return right && ids.every((id) => id === ((0xfffe + i) & 0xffff));
        });
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});

t.test("a packet beyond 64 KB loses its jumbo option and its zero length", (t) => {
  const size = 1428;
  const payload = new Uint8Array(150_000).map((_, i) => i * 31);
  const head = Buffer.from(
    "02000000000202000000000186dd" + // Ethernet
      "600000000000004020010db800000000000000000000000120010db8000000000000000000000002" + // IPv6, length 0, hop-by-hop
      "0600c204000249f0" + // TCP follows; Jumbo Payload 150,000 (its exact value is nobody's business)
      "1389005000000000000000005018ffff00000000", // TCP without options
    "hex",
  );
  const seen = segment(Buffer.concat([head, payload]), Gso.tcp6, size, head.length - 20).map(verify);
  t.equal(seen.length, Math.ceil(payload.length / size));
  t.strictSame(hex(joined(seen.map((one) => one.payload))), hex(payload));
  t.end();
});

t.test("a type that is not known is named", (t) => {
  for (const type of [2, 3, 6, 0x7f]) t.equal(fate(new Uint8Array(100), type, 1000, 34), Fate.unknownGso, `type ${type}`);
  t.end();
});

t.test("no frame, however broken, is read or written beyond its end", { skip: noScapy }, (t) => {
  const heads = expected.cases.slice(0, 32);
  fc.assert(
    fc.property(
      fc.nat(heads.length - 1),
      fc.nat(4000),
      fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 4 }),
      fc.integer({ min: -1, max: 300 }),
      fc.nat(3000),
      (index, length, changes, shift, size) => {
        const { frame, type, transport } = heads[index];
        const bytes = Buffer.from(frame, "hex").subarray(0, length);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        try {
          const total = segment(bytes, type, size, shift < 0 ? transport : shift).reduce((sum, one) => sum + one.length, 0);
          return total >= bytes.length - 8;
        } catch (error) {
          return [`fate ${Fate.unknownGso}`, `fate ${Fate.malformedGso}`].includes((error as Error).message);
        }
      },
    ),
    { numRuns: 2000 },
  );
  t.end();
});

t.test("offsets that fit no header chain are malformed", { skip: noScapy }, (t) => {
  const plain = expected.cases[0];
  const bytes = Buffer.from(plain.frame, "hex");
  t.equal(fate(bytes, plain.type, plain.size, plain.transport + 2), Fate.malformedGso, "csum_start inside the TCP header");
  t.equal(fate(bytes, plain.type, plain.size, 60_000), Fate.malformedGso, "csum_start behind the end");
  t.equal(fate(bytes, plain.type, 0, plain.transport), Fate.malformedGso, "size 0");
  t.equal(fate(bytes.subarray(0, 40), plain.type, plain.size, plain.transport), Fate.malformedGso, "cut in the headers");
  t.equal(fate(bytes, Gso.udp, plain.size, plain.transport), Fate.malformedGso, "UDP said, TCP found");
  t.end();
});
