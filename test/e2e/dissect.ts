// tshark over what left the device: a second opinion on every header and checksum.

import { spawnSync } from "node:child_process";
import type { Test } from "tap";
import type { Capture } from "./capture.js";

/** Why nothing is dissected, or false. */
export const noTshark: string | false =
  spawnSync("sh", ["-c", "command -v tshark"]).status === 0 ? false : "needs tshark (Debian package tshark)";

/** Sequence numbers are the hosts' affair: a capture may begin within a connection. */
const OPTIONS = [
  "ip.check_checksum:TRUE",
  "udp.check_checksum:TRUE",
  "tcp.check_checksum:TRUE",
  "tcp.analyze_sequence_numbers:FALSE",
].flatMap((option) => ["-o", option]);

/** Bad: a checksum, or an expert's warning or error. */
const COMPLAINTS = [
  "_ws.malformed",
  "_ws.expert.severity >= 0x00600000",
  ...["ip", "udp", "tcp"].map((protocol) => `${protocol}.checksum.status == 0`),
].join(" or ");

/** Frames that a display filter passes: nothing may be wrong with them. */
export function soundToTshark(t: Test, capture: Capture, frames: string, what: string): void {
  if (noTshark) {
    t.comment(`not dissected: ${noTshark}`);
    return;
  }
  t.ok(lines(capture, frames).length > 0, `${what}: tshark dissects them`);
  t.strictSame(lines(capture, `(${frames}) and (${COMPLAINTS})`).slice(0, 5), [], `${what}: and finds nothing wrong`);
}

function lines({ file }: Capture, filter: string): string[] {
  const done = spawnSync("tshark", ["-n", "-r", file, ...OPTIONS, "-Y", filter], { encoding: "utf8", maxBuffer: 1 << 26 });
  if (done.status !== 0) throw new Error(`tshark, filter ${filter}: ${done.stderr}`);
  return done.stdout.split("\n").filter((line) => line !== "");
}
