import fc from "fast-check";
import t from "tap";
import { Frames } from "../../src/memory/frames.js";
import { copySum, crc32c, finish, pseudo4, pseudo6, sum, swap16 } from "../../src/wire/checksum.js";
import { onesSum } from "../port/verify.js";

const view = new Frames(new ArrayBuffer(1 << 18));
const from = new Frames(new ArrayBuffer(1 << 18));
const inverted = (bytes: Iterable<number>) => swap16(~onesSum(bytes) & 0xffff);

t.test("the example of RFC 1071 section 3", (t) => {
  view.bytes.set([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0);
  t.equal(finish(sum(view, 0, 8)), swap16(~0xddf2 & 0xffff));
  t.end();
});

t.test("sum and copySum agree with the definition at every alignment and length", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(40), fc.nat(7), (data, half, source) => {
      const at = 64 + 2 * half;
      view.bytes.fill(0xa5, 0, 600);
      from.bytes.fill(0x5a, 0, 600);
      from.bytes.set(data, source);
      const copied = finish(copySum(view, at, from, source, data.length));
      const expected = inverted(data);
      return (
        copied === expected &&
        finish(sum(view, at, data.length)) === expected &&
        Buffer.compare(view.bytes.subarray(at, at + data.length), data) === 0 &&
        view.bytes[at - 1] === 0xa5 &&
        view.bytes[at + data.length] === 0xa5
      );
    }),
    { numRuns: 2000 },
  );
  t.end();
});

t.test("128 KB of ones do not overflow", (t) => {
  view.bytes.fill(0xff, 0, 131_072);
  t.equal(finish(sum(view, 0, 131_072)), 0);
  t.equal(finish(copySum(view, 2, from, 0, 0)), 0xffff, "nothing sums to nothing");
  t.end();
});

t.test("pseudo-headers are those of RFC 9293 and RFC 8200", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 40, maxLength: 40 }), fc.nat(65_535), fc.nat(255), (ip, length, protocol) => {
      view.bytes.set(ip, 4);
      const tail = [0, protocol, length >> 8, length & 255];
      return (
        finish(pseudo4(view, 4, protocol, length)) === inverted([...ip.subarray(12, 20), ...tail]) &&
        finish(pseudo6(view, 4, protocol, length)) ===
          inverted([...ip.subarray(8, 40), 0, 0, ...tail.slice(2), 0, 0, 0, protocol])
      );
    }),
  );
  t.end();
});

t.test("CRC32c of RFC 3720 appendix B.4", (t) => {
  const of = (bytes: number[]) => crc32c(Uint8Array.from(bytes), 0, bytes.length) >>> 0;
  t.equal(of(new Array(32).fill(0)), 0x8a9136aa);
  t.equal(of(new Array(32).fill(0xff)), 0x62a8ab43);
  t.equal(of(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
  t.end();
});
