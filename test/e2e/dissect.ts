// tshark over what left the device: a second opinion on every header and checksum.

import { spawnSync } from "node:child_process";
import type { Test } from "tap";
import type { Capture } from "./capture.js";

/** Why nothing is dissected, or false. */
export const noTshark: string | false =
  spawnSync("sh", ["-c", "command -v tshark"]).status === 0 ? false : "needs tshark (Debian package tshark)";

/**
 * Sequence numbers are the hosts' affair: a capture may begin within a connection. What TCP carries is random, and not to be
 * taken for a protocol.
 */
const OPTIONS = [
  ...[
    "ip.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "tcp.analyze_sequence_numbers:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    // Those of packets that turned out too big are missing.
    "esp.do_esp_sequence_analysis:FALSE",
  ].flatMap((option) => ["-o", option]),
  "-d",
  "tcp.port==1024-65535,data",
];

/** PI_WARN of Wireshark's epan/proto.h; notes are below it. */
const WARNING = 0x00600000;
/** A host's answer to what it got twice. */
const HOSTS_AFFAIR = "D-SACK Sequence";
const CHECKSUMS = ["ip.checksum.status", "udp.checksum.status", "tcp.checksum.status"];
const BAD = "0";
const FIELDS = ["frame.number", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message", ...CHECKSUMS];

/** Frames that a display filter passes: nothing may be wrong with them, outside or inside. */
export function soundToTshark(t: Test, { file }: Capture, filter: string, what: string): void {
  if (noTshark) {
    t.comment(`not dissected: ${noTshark}`);
    return;
  }
  const fields = FIELDS.flatMap((field) => ["-e", field]);
  const done = spawnSync(
    "tshark",
    ["-n", "-r", file, ...OPTIONS, "-Y", filter, "-T", "fields", "-E", "aggregator=;", ...fields],
    {
      encoding: "utf8",
      maxBuffer: 1 << 26,
    },
  );
  if (done.status !== 0) throw new Error(`tshark, filter ${filter}: ${done.stderr.slice(0, 500)}`);
  const lines = done.stdout.split("\n").filter((line) => line !== "");
  const wrong = lines.filter((line) => {
    const [, malformed, severities, messages, ...checksums] = line.split("\t").map((field) => field.split(";")) as string[][];
    return (
      malformed?.[0] !== "" ||
      severities?.some((one, i) => Number(one) >= WARNING && messages?.[i] !== HOSTS_AFFAIR) ||
      checksums.some((status) => status.includes(BAD))
    );
  });
  t.ok(lines.length > 0, `${what}: tshark dissects ${lines.length}`);
  t.strictSame(wrong.slice(0, 5), [], `${what}: and finds nothing wrong`);
}
