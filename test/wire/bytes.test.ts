import t from "tap";
import { be16, be32 } from "../../src/wire/bytes.js";

t.test("reads big-endian numbers at any offset", async (t) => {
  const bytes = Uint8Array.from([0, 0x12, 0x34, 0xff, 0xfe, 0x80, 0x00, 0x00, 0x01]);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 2 <= bytes.length; at++) t.equal(be16(bytes, at), view.getUint16(at));
  for (let at = 0; at + 4 <= bytes.length; at++) t.equal(be32(bytes, at), view.getInt32(at));
});
