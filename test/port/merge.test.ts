import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { mergeCaptures } from "../../src/port/merge.js";
import { noScapy, Rig, scapyRead, writePcap } from "./rig.js";

const record = (sec: number, nsec: number, id: number, wire = 60) => ({
  sec,
  nsec,
  data: Uint8Array.from({ length: 60 }, () => id),
  wire,
});

t.test("parts become one capture by time stamp, ties by the order of the parts", { skip: noScapy }, async (t) => {
  const dir = t.testdir({
    a: writePcap([record(1, 5, 1), record(2, 0, 3), record(2, 0, 4), record(9, 0, 8, 1500)]),
    b: writePcap([record(1, 6, 2), record(2, 0, 5), record(3, 0, 6)]),
    c: writePcap([record(3, 0, 7)]),
  });
  const out = join(dir, "out.pcap");
  const rig = new Rig();
  await mergeCaptures(
    ["a", "b", "c"].map((name) => join(dir, name)),
    out,
    rig.tell,
  );
  const merged = scapyRead(out);
  t.same(
    merged.map(({ hex }) => Number(hex.slice(0, 2))),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
  t.match(merged[0], { sec: 1, nsec: 5 });
  t.match(merged[7], { sec: 9, wire: 1500, hex: "08".repeat(60) });
  t.same(rig.told, []);
});

t.test("many records from many parts, more than fit the buffers", { skip: noScapy }, async (t) => {
  const parts = Array.from({ length: 5 }, (_, p) => Array.from({ length: 4000 }, (_, i) => record(i * 2 + (p % 2), p, p)));
  const dir = t.testdir(Object.fromEntries(parts.map((records, p) => [`${p}`, writePcap(records)])));
  const out = join(dir, "out.pcap");
  await mergeCaptures(
    parts.map((_, p) => join(dir, `${p}`)),
    out,
    () => t.fail("no error"),
  );
  const order = scapyRead(out).map(({ sec, nsec }) => sec * 10 + nsec);
  t.equal(order.length, 20_000);
  t.same(
    order,
    [...order].sort((a, b) => a - b),
  );
});

t.test("a part of a worker that died in the middle of a record is used up to there", { skip: noScapy }, async (t) => {
  const dir = t.testdir({ a: writePcap([record(1, 0, 1), record(3, 0, 3)]).subarray(0, -5), b: writePcap([record(2, 0, 2)]) });
  const rig = new Rig();
  await mergeCaptures([join(dir, "a"), join(dir, "b")], join(dir, "out.pcap"), rig.tell);
  t.equal(scapyRead(join(dir, "out.pcap")).length, 2);
  t.match(rig.told, [{ message: /truncated/ }]);
});

t.test("what cannot be merged is an error, never a loss", async (t) => {
  const dir = t.testdir({ a: writePcap([record(1, 0, 1, 65535)]), b: writePcap([record(1, 0, 1)]) });
  await t.rejects(
    mergeCaptures([join(dir, "a")], join(dir, "out.pcap"), () => {}),
    { code: "file", message: /longer than/ },
  );
  await t.rejects(
    mergeCaptures([join(dir, "none")], join(dir, "none.pcap"), () => {}),
    { code: "file" },
  );
  t.notOk(existsSync(join(dir, "none.pcap")));
  await t.rejects(
    mergeCaptures([join(dir, "b")], "/dev/full", () => {}),
    { code: "file", message: /\/dev\/full.*No space/ },
  );
});
