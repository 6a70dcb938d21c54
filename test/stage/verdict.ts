// What others say of frames that we made: scapy by expressions, tshark by its expert information.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** The value of a Python expression over `p` (of scapy) for each frame; `fixed(p)` has its checksums computed anew. */
export function dissect<T>(frames: readonly Uint8Array[], expression: string): T[] {
  const script = [
    "import json, sys, logging; logging.getLogger('scapy').setLevel(logging.ERROR)",
    "from scapy.all import *; from scapy.contrib.geneve import GENEVE, GeneveOptions",
    "def fixed(p):",
    "    q = p.copy()",
    "    for l in ('IP', 'UDP'):",
    "        if l in q and 'chksum' in q[l].fields: del q[l].chksum",
    "    return q.__class__(bytes(q))",
    "out = []",
    "for h in json.load(sys.stdin):",
    "    p = Ether(bytes.fromhex(h))",
    `    out.append(${expression})`,
    "print(json.dumps(out))",
  ].join("\n");
  const done = spawnSync("/usr/bin/python3", ["-c", script], { input: JSON.stringify(frames.map(hex)), encoding: "utf8" });
  if (done.status !== 0) throw new Error(done.stderr);
  return JSON.parse(done.stdout) as T[];
}

export const noTshark = spawnSync("tshark", ["--version"]).status === 0 ? false : "needs tshark";

/** Runs over a capture file of these frames. */
function withCapture<T>(frames: readonly Uint8Array[], run: (file: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "sluice-"));
  try {
    const file = join(directory, "frames.pcap");
    const header = Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex");
    const records = frames.flatMap((frame, i) => {
      const record = Buffer.alloc(16);
      record.writeUInt32LE(i, 0);
      record.writeUInt32LE(frame.length, 8);
      record.writeUInt32LE(frame.length, 12);
      return [record, frame];
    });
    writeFileSync(file, Buffer.concat([header, ...records]));
    return run(file);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Fields of each frame as tshark prints them, with IP and UDP checksums verified. */
export function tshark(frames: readonly Uint8Array[], ...fields: string[]): string[][] {
  return tsharkWith([], frames, ...fields);
}

/** @param preferences as behind `-o` */
export function tsharkWith(preferences: readonly string[], frames: readonly Uint8Array[], ...fields: string[]): string[][] {
  return withCapture(frames, (file) => {
    const options = ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE", ...preferences].flatMap((preference) => [
      "-o",
      preference,
    ]);
    const done = spawnSync("tshark", ["-r", file, ...options, "-T", "fields", ...fields.flatMap((field) => ["-e", field])], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    if (done.status !== 0) throw new Error(done.stderr);
    return done.stdout
      .split("\n")
      .slice(0, frames.length)
      .map((line) => line.split("\t"));
  });
}

/** What tshark warns of: a sentence for each frame that has anything above a note, or is malformed. */
export function warnings(frames: readonly Uint8Array[]): string[] {
  const seen = tshark(frames, "frame.number", "frame.protocols", "_ws.expert.severity", "_ws.expert.message", "_ws.malformed");
  const WARNING = 0x600000;
  return seen
    .filter(
      ([, , severities = "", , malformed = ""]) =>
        malformed !== "" || severities.split(",").some((one) => Number(one) >= WARNING),
    )
    .map((line) => line.join(" | "));
}
