// Replays within this process: a device as small as the captures are, its report as a user gets it, and the one equation
// that must hold after every one of them.

import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Test } from "tap";
import { json } from "../../src/cli/json.js";
import { replayReport } from "../../src/cli/replay-report.js";
import type { Config } from "../../src/config/config.js";
import { REPLAY } from "../../src/config/defaults.js";
import { load } from "../../src/config/load.js";
import { parseProgram } from "../../src/control/program.js";
import { replay } from "../../src/main/replay.js";
import { FRAME_LIMIT } from "../../src/memory/frames.js";

/** The captures beside the sources: tests run from the project's root. */
export const PCAPS = resolve("pcaps");

export interface Session {
  session_id: number;
  in_packets: number;
  out_packets: number;
  in_bytes: number;
  out_bytes: number;
  session_state: string;
  session_close_code: string;
  start_time: number;
  end_time?: number;
}

/** report.json */
export interface Report {
  totals: Record<"in" | "created" | "out" | "to_host" | "dropped" | "consumed" | "offloaded", number>;
  ports: { name: string; role: string; rx_packets: number; rx_bytes: number; tx_packets: number; tx_bytes: number }[];
  reasons: { name: string; kind: string; packets: number; sentence?: string }[];
  sessions: Session[];
  closed_sessions: Session[];
  tunnels: unknown[];
}

export interface Run {
  /** Port and capture. */
  readonly inputs: readonly (readonly [port: string, file: string])[];
  /** Text of a program file. */
  readonly program?: string | undefined;
  /** Path of a configuration; none: uplinks 1 and 2 with host ports. */
  readonly device?: string | undefined;
  readonly sessions?: Partial<Config["sessions"]>;
  readonly workers?: number;
  readonly seed?: number;
  readonly out?: string;
  readonly progress?: (bytes: number) => void;
  /** Changes the configuration that the device is made of. */
  readonly change?: (config: Config) => Config;
}

export interface Done {
  readonly out: string;
  readonly report: Report;
  /** The text of report.json. */
  readonly text: string;
  /** What it said was wrong. */
  readonly problems: readonly string[];
}

const directories = mkdtempSync(join(tmpdir(), "sluice-replay-"));
let runs = 0;

export { directories };

export async function run(t: Test, what: Run): Promise<Done> {
  const { workers = 1, out = join(directories, String(runs++)), change = (config: Config) => config } = what;
  const loaded = load({ file: what.device, workers }, REPLAY, { maxFrame: FRAME_LIMIT });
  const small = what.device === undefined ? { capacity: 1024 } : {};
  const config = change({ ...loaded, sessions: { ...loaded.sessions, ...small, ...what.sessions } });
  const problems: string[] = [];
  const report = await replay({
    config,
    inputs: what.inputs.map(([port, file]) => ({ port, file })),
    program: what.program === undefined ? undefined : parseProgram(what.program, "program.yaml", config.api.ipv4Order),
    out,
    seed: what.seed ?? 1,
    problem: (message) => problems.push(message),
    ...(what.progress === undefined ? {} : { progress: what.progress }),
  });
  const text = json(replayReport(report));
  const parsed = JSON.parse(text) as Report;
  balanced(t, parsed);
  return { out, report: parsed, text, problems };
}

/** datapath.md "Counters": in + created = out + to host + dropped + consumed, and what follows from the same packets. */
export function balanced(t: Test, { totals, ports, reasons }: Report): void {
  const sum = <T>(list: readonly T[], value: (item: T) => number) => list.reduce((total, item) => total + value(item), 0);
  const { in: received, created, out, to_host, dropped, consumed, offloaded } = totals;
  t.equal(received + created, out + to_host + dropped + consumed, "in + created = out + to host + dropped + consumed");
  t.equal(
    received,
    sum(ports, (port) => port.rx_packets),
    "in is what the ports received",
  );
  t.equal(
    out + to_host,
    sum(ports, (port) => port.tx_packets),
    "out and to host are what the ports sent",
  );
  t.equal(
    received + created,
    sum(reasons, (reason) => reason.packets),
    "each packet met one fate",
  );
  t.equal(offloaded, reasons.find(({ name }) => name === "forwarded")?.packets ?? 0);
}

/** Port → records of each capture in a directory, byte for byte behind the file header; the magic number of nanoseconds checked. */
export function records(t: Test, directory: string): Record<string, string> {
  const found: Record<string, string> = {};
  if (!existsSync(directory)) return found;
  for (const file of readdirSync(directory).sort()) {
    if (!file.endsWith(".pcap")) continue;
    const bytes = readFileSync(join(directory, file));
    t.equal(bytes.readUInt32LE(0), 0xa1b23c4d, `${file} is in nanoseconds`);
    t.equal(bytes.readUInt32LE(20), 1, `${file} is Ethernet`);
    found[file.slice(0, -".pcap".length)] = bytes.subarray(24).toString("hex");
  }
  return found;
}
