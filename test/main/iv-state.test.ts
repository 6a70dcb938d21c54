import { spawn } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { SluiceError } from "../../src/errors.js";
import { IvFile } from "../../src/main/iv-state.js";
import type { IvRecord } from "../../src/table/key-counters.js";
import { keyOf } from "../table/sa-rig.js";

const pathIn = (t: Test) => join(t.testdir({}), "iv.state");
const open = (path: string, capacity = 8) => new IvFile(path, { capacity, block: 64 });

function record(file: IvFile, n: number, limit = 64): IvRecord {
  return { fingerprint: file.fingerprint(keyOf(n)), ivHigh: -n, ivLow: 0x12345678, limit };
}

t.test("what was put is there for the next process; keys are known by their fingerprint", async (t) => {
  const path = pathIn(t);
  const file = open(path);
  const records = [record(file, 1), record(file, 2, 2 ** 53 - 1)];
  file.put(records);
  file.put([{ ...(records[0] as IvRecord), limit: 128 }]);
  file.close();
  const next = open(path);
  t.same(next.get(next.fingerprint(keyOf(1))), { ...records[0], limit: 128 });
  t.same(next.get(next.fingerprint(keyOf(2))), records[1]);
  t.equal(next.get(next.fingerprint(keyOf(3))), undefined);
  const size = statSync(path).size;
  next.put([record(next, 1, 192)]);
  t.equal(statSync(path).size, size, "once");
  next.close();
});

t.test("the file is the owner's alone, and holds no key", async (t) => {
  const path = pathIn(t);
  const before = process.umask(0);
  const file = open(path);
  file.put([record(file, 1)]);
  process.umask(before);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(readdirSync(join(path, "..")), ["iv.state"]);
  const image = readFileSync(path);
  const key = Buffer.from(keyOf(1));
  for (let i = 0; i + 4 <= key.length; i++) t.notOk(image.includes(key.subarray(i, i + 4)));
  const other = open(`${path}.other`);
  t.not(other.fingerprint(keyOf(1)), file.fingerprint(keyOf(1)), "another file, another fingerprint");
  for (const each of [file, other]) each.close();
});

t.test("it is bounded: the key that had no counter for the longest gives way, none that has one", async (t) => {
  const path = pathIn(t);
  const file = open(path, 3);
  for (const n of [1, 2, 3]) file.put([record(file, n)]);
  for (const n of [2, 1]) file.idle(file.fingerprint(keyOf(n)));
  file.put([record(file, 4)]);
  const has = (file: IvFile) => [1, 2, 3, 4].filter((n) => file.get(file.fingerprint(keyOf(n))) !== undefined);
  t.same(has(file), [1, 3, 4]);
  const size = statSync(path).size;
  file.put([record(file, 5)]);
  t.same(has(file), [3, 4]);
  t.equal(statSync(path).size, size);
  file.close();
  // After a restart none has a counter: those that had one last stay the longest.
  const next = open(path, 3);
  next.put([record(next, 6)]);
  t.same(has(next), [4]);
  next.close();
});

t.test("a file that is damaged in any byte, cut at any length, or something else is refused, and stays as it is", async (t) => {
  const path = pathIn(t);
  const file = open(path);
  file.put([record(file, 1), record(file, 2)]);
  file.close();
  const image = readFileSync(path);
  const refused = (bytes: Buffer) => {
    writeFileSync(path, bytes);
    try {
      open(path).close();
      return false;
    } catch (error) {
      const told =
        error instanceof SluiceError && error.code === "file" && error.message.includes(path) && /new keys/.test(error.message);
      return told && readFileSync(path).equals(bytes);
    }
  };
  const flipped = (at: number) => Buffer.from(image.map((byte, i) => (i === at ? byte ^ 1 : byte)));
  t.same(
    [...image.keys()].filter((at) => !refused(flipped(at))),
    [],
    "flipped",
  );
  t.same(
    [...image.keys()].filter((length) => !refused(image.subarray(0, length))),
    [],
    "cut",
  );
  t.ok(refused(Buffer.concat([image, Buffer.alloc(32)])));
  t.ok(refused(Buffer.from("ports: []\n")));
  writeFileSync(path, image);
  open(path).close();
});

t.test("what is left of a write that did not come to its end is no hindrance", async (t) => {
  const path = pathIn(t);
  open(path).close();
  writeFileSync(`${path}.new`, "SLUI");
  chmodSync(`${path}.new`, 0o644);
  const file = open(path);
  file.put([record(file, 1)]);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(readdirSync(join(path, "..")), ["iv.state"]);
  file.close();
});

t.test("a path that cannot be written is told at once", async (t) => {
  const path = join(pathIn(t), "missing", "iv.state");
  t.throws(() => open(path), { name: "SluiceError", code: "file", message: new RegExp(`cannot write ${path}`) });
  t.throws(() => open(join(path, "..", "..", "..")), { name: "SluiceError", code: "file", message: /cannot read/ });
});

t.test("a file that is gone, or that another process has written, is not written", async (t) => {
  const path = pathIn(t);
  const file = open(path);
  file.put([record(file, 1)]);
  const other = open(path);
  t.ok(other.get(other.fingerprint(keyOf(1))));
  t.throws(() => file.put([record(file, 1, 128)]), { name: "SluiceError", message: /another process/ });
  other.put([record(other, 1, 192)]);
  t.throws(() => file.put([record(file, 1, 128)]), { name: "SluiceError", message: /another process/ });
  renameSync(path, `${path}.gone`);
  t.throws(() => other.put([record(other, 1, 256)]), { name: "SluiceError" });
  unlinkSync(`${path}.gone`);
  for (const each of [file, other]) each.close();
});

t.test("killed 20 times, no IV is used twice with a key, and numbers go up", async (t) => {
  const path = pathIn(t);
  const child = fileURLToPath(new URL("./iv-state.child.js", import.meta.url));
  const seen = [new Set<bigint>(), new Set<bigint>()];
  const last = [0, 0];
  const runs: number[] = [];
  const amiss: string[] = [];
  for (let run = 0; run < 20; run++) {
    const bytes = await new Promise<Buffer>((done, fail) => {
      const chunks: Buffer[] = [];
      // Without tap's hooks in NODE_OPTIONS, which take a second to load.
      const sealing = spawn(process.execPath, [child, path, "64"], { stdio: ["ignore", "pipe", "inherit"], env: {} });
      sealing.stdout.once("data", () => setTimeout(() => sealing.kill("SIGKILL"), 1 + ((run * 7) % 40)));
      sealing.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
      sealing.once("error", fail).once("close", () => done(Buffer.concat(chunks)));
    });
    for (let at = 0; at + 20 <= bytes.length; at += 20) {
      const key = bytes.readUInt32BE(at);
      const number = Number(bytes.readBigUInt64BE(at + 4));
      const iv = bytes.readBigUInt64BE(at + 12);
      if (seen[key]?.has(iv)) amiss.push(`run ${run}, key ${key}: IV ${iv} again`);
      seen[key]?.add(iv);
      if (number <= (last[key] as number)) amiss.push(`run ${run}, key ${key}: ${number} after ${last[key]}`);
      last[key] = number;
    }
    runs.push(bytes.length / 20);
  }
  t.same(amiss.slice(0, 5), []);
  t.ok(runs.every((n) => n > 0));
  t.ok(
    runs.some((n) => n > 200),
    "through several blocks",
  );
  const image = readFileSync(path);
  t.notOk(image.includes(Buffer.from(keyOf(1)).subarray(0, 4)));
  t.comment(`${runs.join(" ")} numbers; now at ${last.join(", ")}`);
});

t.test("a block is at least 2²⁴ unless a test says otherwise", async (t) => {
  const file = new IvFile(pathIn(t), { capacity: 4 });
  t.ok(file.block >= 2 ** 24);
  file.close();
});
