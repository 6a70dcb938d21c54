import fc from "fast-check";
import t from "tap";
import { SessionResponse } from "../../src/control/gen/openoffload.js";
import { SESSION_BYTES, writeSession } from "../../src/control/session-response.js";
import { toResponse } from "../../src/control/translate.js";

const counter = fc.oneof(
  fc.constantFrom(0, 1, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 32 - 1, Number.MAX_SAFE_INTEGER),
  fc.maxSafeNat(),
  fc.nat(),
);
const infos = fc.record({
  id: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n, 2n ** 35n)),
  inPackets: counter,
  outPackets: counter,
  inBytes: counter,
  outBytes: counter,
  state: fc.nat(3),
  closeCode: fc.nat(3),
  startTime: fc.oneof(fc.nat({ max: 253_402_300_799_999 }), fc.constant(1_790_000_000_000.25)),
  endTime: fc.oneof(fc.nat({ max: 253_402_300_799_999 }), fc.constant(0)),
});

t.test("the bytes are those of the generated encoder, and not one beyond them is touched", async (t) => {
  fc.assert(
    fc.property(infos, (info) => {
      const expected = Buffer.from(SessionResponse.encode(toResponse(info)).finish());
      const bytes = Buffer.alloc(SESSION_BYTES + 8, 0xa5);
      const end = writeSession(bytes, 3, info);
      t.equal(bytes.subarray(3, end).toString("hex"), expected.toString("hex"));
      t.ok(end - 3 <= SESSION_BYTES);
      t.ok([...bytes.subarray(0, 3), ...bytes.subarray(end)].every((b) => b === 0xa5));
    }),
    { numRuns: 2000 },
  );
});

t.test("a session at its longest fits", async (t) => {
  const most = Number.MAX_SAFE_INTEGER;
  const info = { id: 2n ** 64n - 1n, inPackets: most, outPackets: most, inBytes: most, outBytes: most, state: 3, closeCode: 3 };
  const late = 253_402_300_799_999;
  t.ok(writeSession(new Uint8Array(200), 0, { ...info, startTime: late, endTime: late }) <= SESSION_BYTES);
});
