// `sluice replay`: captures in, captures and report.json out, a summary at the end.

import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SingleBar } from "cli-progress";
import { REPLAY } from "../config/defaults.js";
import { load } from "../config/load.js";
import { SluiceError } from "../errors.js";
import { REPORT, type ReplayReport, replay as run } from "../main/replay.js";
import { FRAME_LIMIT } from "../memory/frames.js";
import { json } from "./json.js";
import { readProgram } from "./program.js";
import type { ReplayOptions } from "./replay-options.js";
import { replayReport } from "./replay-report.js";
import { type Column, table } from "./table.js";

export async function replay(options: ReplayOptions): Promise<void> {
  const { inputs, out, seed } = options;
  const loaded = load({ file: options.config, workers: options.workers }, REPLAY, { maxFrame: FRAME_LIMIT });
  // A configuration's number of workers is for its interfaces: here one worker is what gives the same bytes each time.
  const config = { ...loaded, workers: options.workers ?? 1 };
  const program = options.program === undefined ? undefined : readProgram(options.program, config.api.ipv4Order);
  const size = inputs.reduce((sum, { file }) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
  // A pipe has no size.
  const bar = process.stderr.isTTY && !options.json && size > 0 ? progressBar(size) : undefined;
  let read = 0;
  let report: ReplayReport;
  try {
    report = await run({
      config,
      inputs,
      program,
      out,
      seed,
      problem: (message) => {
        bar?.stop();
        problem(message);
        bar?.start(size, read);
      },
      progress: (bytes) => {
        read = bytes;
        bar?.update(bytes);
      },
    });
  } finally {
    bar?.stop();
  }
  const text = json(replayReport(report));
  writeReport(join(out, REPORT), text);
  process.stdout.write(options.json ? text : summary(report, out));
}

/** Said at once; the replay goes on with what there is, and the exit code tells. */
function problem(message: string): void {
  process.stderr.write(`sluice: ${message}\n`);
  process.exitCode = 1;
}

function writeReport(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new SluiceError("file", `writing ${path} failed: ${(cause as Error).message}`, { cause });
  }
}

function progressBar(size: number): SingleBar {
  const bar = new SingleBar({
    format: "replay {bar} {percentage} % | {eta} s left",
    stream: process.stderr,
    clearOnComplete: true,
    gracefulExit: false,
  });
  bar.start(size, 0);
  // It has switched the terminal's line wrapping off: back on before the signal ends the process, as it would without a bar.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      bar.stop();
      process.kill(process.pid, signal);
    });
  }
  return bar;
}

const ports: readonly Column<ReplayReport["ports"][number]>[] = [
  { title: "port", value: ({ name }) => name },
  { title: "role", value: ({ role }) => role },
  { title: "in", value: ({ rxPackets }) => rxPackets },
  { title: "in bytes", value: ({ rxBytes }) => rxBytes },
  { title: "sent", value: ({ txPackets }) => txPackets },
  { title: "sent bytes", value: ({ txBytes }) => txBytes },
];

const fates: readonly Column<ReplayReport["fates"][number]>[] = [
  { title: "packets", value: ({ packets }) => packets },
  { title: "kind", value: ({ kind }) => kind },
  { title: "fate", value: ({ name }) => name },
  { title: "why", value: ({ sentence }) => sentence },
];

const tunnels: readonly Column<ReplayReport["tunnels"][number]>[] = [
  { title: "tunnel", value: ({ rule }) => rule.id },
  { title: "in", value: ({ counters }) => counters.inPackets },
  { title: "out", value: ({ counters }) => counters.outPackets },
  { title: "dropped", value: ({ counters }) => counters.inDrops + counters.outDrops },
];

function summary(report: ReplayReport, out: string): string {
  const met = report.fates.filter(({ packets }) => packets > 0);
  const { totals } = report;
  return [
    table(ports, report.ports),
    met.length === 0 ? "no packets\n" : table(fates, met),
    ...(report.tunnels.length === 0 ? [] : [table(tunnels, report.tunnels)]),
    `${count(totals.in, "packet")} in, ${count(totals.offloaded)} offloaded, ${count(totals.toHost)} to host, ` +
      `${count(totals.dropped)} dropped; ${count(report.sessions.length, "session")} alive, ` +
      `${count(report.closedSessions.length)} closed\n` +
      `captures and report.json are in ${out}\n`,
  ].join("\n");
}

function count(n: number, what?: string): string {
  const number = n.toLocaleString("en");
  return what === undefined ? number : `${number} ${what}${n === 1 ? "" : "s"}`;
}
