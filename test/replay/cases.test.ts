// The cases of pcaps/: captures and a program in, and what pcaps/make-cases.py says by the specification must come out.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { noScapy } from "../port/rig.js";
import { type Opened, opened, type Suite } from "../stage/esp-receiver.js";
import { PCAPS, type Report, records, run } from "./run.js";

const SCRIPT = join(PCAPS, "make-cases.py");
const cases = readdirSync(PCAPS).filter((name) => existsSync(join(PCAPS, name, "program.yaml")));

t.ok(cases.length >= 6, "there are cases");

for (const name of cases) {
  for (const workers of [1, 3]) {
    t.test(`${name}, ${workers} worker${workers > 1 ? "s" : ""}`, async (t) => {
      const directory = join(PCAPS, name);
      const device = join(directory, "device.yaml");
      const program = readFileSync(join(directory, "program.yaml"), "utf8");
      t.match(program, /^# .+\n/, "says in a line what it shows");
      const { report, out, problems } = await run(t, {
        inputs: inputs(directory),
        program,
        device: existsSync(device) ? device : undefined,
        workers,
      });
      t.same(problems, []);
      const expected = JSON.parse(readFileSync(join(directory, "expected", "report.json"), "utf8")) as Report;
      t.same(comparable(report), comparable(expected));
      const entropy = join(directory, "expected", "entropy.json");
      const free = existsSync(entropy) ? (JSON.parse(readFileSync(entropy, "utf8")) as Record<string, Free[]>) : {};
      const esp = join(directory, "expected", "esp.json");
      const sealed = existsSync(esp) ? (JSON.parse(readFileSync(esp, "utf8")) as Record<string, Sealed[]>) : {};
      const wanted = records(t, join(directory, "expected"));
      const sent = records(t, out);
      t.same(Object.keys(sent), Object.keys(wanted), "the ports that sent something");
      for (const [port, bytes] of Object.entries(wanted)) {
        // Packets of equal time and different flows may change places between workers.
        const settle = (hex: string) => settled(unsealed(hex, bytes, sealed[port] ?? []), bytes, free[port] ?? []);
        if (workers === 1) t.equal(settle(sent[port] ?? ""), bytes, `what ${port} sent`);
        else t.equal(sent[port]?.length, bytes.length, `how much ${port} sent`);
      }
    });
  }
}

t.test("a program's addresses are text: api.ipv4Order makes no difference to it", async (t) => {
  const directory = join(PCAPS, "forward-ipv4");
  const { out } = await run(t, {
    inputs: inputs(directory),
    program: readFileSync(join(directory, "program.yaml"), "utf8"),
    change: (config) => ({ ...config, api: { ...config.api, ipv4Order: "host" } }),
  });
  t.same(records(t, out), records(t, join(directory, "expected")));
});

t.test("the cases are what the script makes", { skip: noScapy }, (t) => {
  const fresh = mkdtempSync(join(tmpdir(), "sluice-cases-"));
  t.teardown(() => rmSync(fresh, { recursive: true, force: true }));
  t.equal(spawnSync("/usr/bin/python3", [SCRIPT, fresh], { stdio: "inherit" }).status, 0);
  t.same(readdirSync(fresh).sort(), cases.sort());
  for (const name of cases) {
    const files = readdirSync(join(fresh, name), { recursive: true }).map(String).sort();
    t.same(readdirSync(join(PCAPS, name), { recursive: true }).map(String).sort(), files, name);
    let bytes = 0;
    for (const file of files) {
      const path = join(PCAPS, name, file);
      if (statSync(path).isDirectory()) continue;
      const made = readFileSync(join(fresh, name, file));
      bytes += made.length;
      t.ok(readFileSync(path).equals(made), `${name}/${file}`);
    }
    t.ok(bytes < 16_000, `${name} is small`);
  }
  t.end();
});

/** Bytes that the device chooses: of the numbered record, from the start of its frame. */
interface Free {
  readonly record: number;
  readonly offset: number;
  readonly length: number;
}

/** ESP in the numbered record, its header at `offset` of the frame. */
interface Sealed {
  readonly record: number;
  readonly offset: number;
  readonly cipher: Suite["cipher"];
  readonly icv: number;
  /** Hexadecimal. */
  readonly key: string;
  readonly salt: string;
  /** Offset and length of what the device chooses in what is encrypted. */
  readonly free: readonly (readonly [number, number])[];
}

/**
 * Records as sent, with ESP put in as expected where node:crypto finds the same inside and the IV is made as the specification says:
 * of a key, always the sequence number XOR the same.
 */
function unsealed(sent: string, expected: string, all: readonly Sealed[]): string {
  const [bytes, wanted] = [Buffer.from(sent, "hex"), Buffer.from(expected, "hex")];
  if (bytes.length !== wanted.length) return sent;
  const constants = new Map<string, string>();
  for (const { record, offset, cipher, icv, key, salt, free } of all) {
    const { start, end } = recordsOf(wanted)[record] as Span;
    const suite = { cipher, icv, key: Buffer.from(key, "hex"), salt: Buffer.from(salt, "hex") };
    const [ours, theirs] = [bytes, wanted].map((one) => opened(one.subarray(start, end), offset, suite)) as [Opened, Opened];
    for (const [at, length] of free) theirs.inside.copy(ours.inside, at, at, at + length);
    const iv = Buffer.from(bytes.subarray(start + offset + 8, start + offset + 16));
    iv.writeUInt32BE((iv.readUInt32BE(4) ^ ours.sequence) >>> 0, 4);
    const constant = constants.get(key) ?? iv.toString("hex");
    constants.set(key, constant);
    const same = ours.inside.equals(theirs.inside) && ours.pad.equals(theirs.pad) && ours.next === theirs.next;
    if (same && constant === iv.toString("hex")) wanted.copy(bytes, start + offset + 8, start + offset + 8, end);
  }
  return bytes.toString("hex");
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The frames of a capture behind its header. */
function recordsOf(bytes: Buffer): Span[] {
  const spans: Span[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    spans.push({ start: at + 16, end: at + 16 + length });
    at += 16 + length;
  }
  return spans;
}

/** Records as sent, with what the device chose put in as expected. */
function settled(sent: string, expected: string, free: readonly Free[]): string {
  const [bytes, wanted] = [Buffer.from(sent, "hex"), Buffer.from(expected, "hex")];
  if (bytes.length !== wanted.length) return sent;
  const spans = recordsOf(wanted);
  for (const { record, offset, length } of free) {
    const at = (spans[record] as Span).start + offset;
    wanted.copy(bytes, at, at, at + length);
  }
  return bytes.toString("hex");
}

/** in-PORT.pcap, in the order of their names: of packets with equal times that of the first file comes first. */
function inputs(directory: string): [string, string][] {
  return readdirSync(directory)
    .flatMap((file): [string, string][] => {
      const port = /^in-(.+)\.pcap$/.exec(file)?.[1];
      return port === undefined ? [] : [[port, join(directory, file)]];
    })
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Without sentences, which are not of the specification, and with times in microseconds: what a double of seconds holds. */
function comparable(report: Report): unknown {
  const time = (seconds: number | undefined) => (seconds === undefined ? undefined : seconds.toFixed(6));
  const session = (each: Report["sessions"][number]) => ({
    ...each,
    start_time: time(each.start_time),
    end_time: time(each.end_time),
  });
  return {
    ...report,
    reasons: report.reasons.map(({ name, kind, packets }) => ({ name, kind, packets })),
    sessions: report.sessions.map(session),
    closed_sessions: report.closed_sessions.map(session),
  };
}
