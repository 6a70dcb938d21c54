import t from "tap";
import { json, jsonLine } from "../../src/cli/json.js";

t.test("64-bit numbers are numbers while they are exact, else strings", async (t) => {
  t.same(JSON.parse(json({ a: 5n, b: 9007199254740991n, c: 9007199254740992n, d: [0n] })), {
    a: 5,
    b: 9007199254740991,
    c: "9007199254740992",
    d: [0],
  });
});

t.test("a line is one line", async (t) => {
  t.equal(jsonLine({ a: 5n, b: [9007199254740992n] }), '{"a":5,"b":["9007199254740992"]}\n');
});
