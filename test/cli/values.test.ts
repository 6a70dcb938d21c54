import t from "tap";
import { endpoint, idRange, lif, seconds, sessionId, whole } from "../../src/cli/values.js";

t.test("what is taken", async (t) => {
  t.equal(whole(1)("12"), 12);
  t.equal(seconds(0.1, 3600)("0.5"), 0.5);
  t.equal(sessionId("18446744073709551615"), 0xffff_ffff_ffff_ffffn);
  t.same(idRange("7-18446744073709551615"), { from: 7n, to: 0xffff_ffff_ffff_ffffn });
  t.equal(lif("65535"), 65535n);
  // api.md 9: the VLAN id is in the upper 16 bits.
  t.equal(lif("1.100"), 0x0064_0001n);
  t.match(endpoint("10.0.0.1:80"), { address: "10.0.0.1", port: 80n });
  t.match(endpoint("[2001:db8::1]:65535"), { address: "2001:db8::1", port: 65535n });
});

t.test("what is not", async (t) => {
  const wrong: [(text: string) => unknown, string[]][] = [
    [whole(1), ["0", "-1", "1.5", "", "x", "4294967296"]],
    [seconds(0.1, 3600), ["0", "0.05", "3601", "1s", ".5", ""]],
    [sessionId, ["", "-1", "0x1", "18446744073709551616"]],
    [idRange, ["", "1", "2-1", "1-", "-1", "1-2-3", "1-18446744073709551616"]],
    [lif, ["", "0", "65536", "1.4095", "1.", ".1", "1.1.1", "host1"]],
    [endpoint, ["", "10.0.0.1", "10.0.0.1:", ":80", "10.0.0.1:65536", "::1:80", "[::1]", "[10.0.0.1]:80", "[::1]:x"]],
  ];
  for (const [parse, texts] of wrong)
    for (const text of texts) t.throws(() => parse(text), { message: /\S/ }, `${parse.name} "${text}"`);
});
