import fc from "fast-check";
import t from "tap";
import { SessionRequest } from "../../src/control/gen/openoffload.js";
import { decodeSessionRequest } from "../../src/control/session-request.js";
import { request } from "./device.js";

/** What either decoder makes of bytes: a message, or that it refuses them. */
function outcome(decode: (bytes: Buffer) => SessionRequest, bytes: Buffer): unknown {
  try {
    return decode(bytes);
  } catch {
    return "refused";
  }
}

const uint32 = fc.oneof(fc.constantFrom(0, 1, 127, 128, 16_383, 16_384, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32 - 1), fc.nat());
const int32 = fc.oneof(uint32.map((n) => n | 0));
const bytes = fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b));

const requests = fc.record({
  sessionId: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  inLif: int32,
  outLif: int32,
  ipVersion: int32,
  sourceIp: uint32,
  sourceIpv6: bytes,
  sourcePort: uint32,
  destinationIp: uint32,
  destinationIpv6: bytes,
  destinationPort: uint32,
  protocolId: int32,
  action: fc.option(fc.record({ actionType: int32, actionNextHop: uint32, actionNextHopV6: bytes }), { nil: undefined }),
  cacheTimeout: uint32,
});

t.test("every request is what the generated decoder makes of it", async (t) => {
  fc.assert(
    fc.property(requests, (message) => {
      const encoded = Buffer.from(SessionRequest.encode(message).finish());
      t.same(decodeSessionRequest(encoded), message);
    }),
    { numRuns: 300 },
  );
});

t.test("bytes that are cut off, changed or in another order give what the generated decoder gives", async (t) => {
  let refused = 0;
  fc.assert(
    fc.property(requests, fc.nat(), fc.nat(255), fc.boolean(), (message, place, value, cut) => {
      const encoded = Buffer.from(SessionRequest.encode(message).finish());
      if (encoded.length === 0) return;
      const position = place % encoded.length;
      encoded[position] = value;
      const given = cut ? encoded.subarray(0, position) : encoded;
      const expected = outcome((b) => SessionRequest.decode(b), given);
      if (expected === "refused") refused++;
      t.same(outcome(decodeSessionRequest, given), expected, given.toString("hex"));
    }),
    { numRuns: 2000 },
  );
  t.ok(refused > 50, `${refused} were refused`);
});

t.test("a known field twice: the last counts; an unknown one is passed over", async (t) => {
  const one = Buffer.from(SessionRequest.encode(request(1)).finish());
  const two = Buffer.from(SessionRequest.encode(request(2)).finish());
  const unknown = Buffer.from([0xf8, 0x01, 0x05]);
  t.equal(decodeSessionRequest(Buffer.concat([one, two])).sessionId, 2n);
  t.equal(decodeSessionRequest(Buffer.concat([one, unknown])).sessionId, 1n);
});

t.test("an address does not change with the memory that the message came in", async (t) => {
  const encoded = Buffer.from(SessionRequest.encode(request(1, { sourceIpv6: Buffer.alloc(16, 7) })).finish());
  const message = decodeSessionRequest(encoded);
  encoded.fill(0);
  t.same(message.sourceIpv6, Buffer.alloc(16, 7));
});
