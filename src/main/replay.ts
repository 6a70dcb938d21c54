// A replay: captures in, captures out, on the captures' own clock. The composition root of `sluice replay`.
//
// Everything random follows from the seed (IVs only when it is given), and sessions age between the same two packets in every run,
// so with one worker the output is the same byte for byte; with more, each flow keeps its order and the totals are the same.

import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/config.js";
import type { Program } from "../control/program.js";
import { SluiceError } from "../errors.js";
import { clearReplay, leftovers, mergeParts, type ReplayInput } from "../port/replay.js";
import { ReplayClock } from "../port/replay-clock.js";
import type { RuleInfo } from "../table/rule-table.js";
import type { SessionInfo } from "../table/session.js";
import { WorkerPool } from "../worker/pool.js";
import { createCore } from "./core.js";
import { addProgram } from "./program.js";
import { addUp, type DeviceTotals } from "./stats.js";

export interface ReplayRun {
  readonly config: Config;
  /** Name of the port (as in Config.ports) and capture that it receives. Of equal time stamps, the earlier input comes first. */
  readonly inputs: readonly { readonly port: string; readonly file: string }[];
  readonly program?: Program | undefined;
  /** Directory for the captures that come out; made when it is not there. */
  readonly out: string;
  /** Undefined: DEFAULT_SEED for all but IVs, which must not repeat under a key whatever is replayed (RFC 4106 section 3.1). */
  readonly seed: number | undefined;
  /** Told what is wrong with an input that is cut short, or an output that takes no more; the rest goes on. */
  readonly problem: (message: string) => void;
  /** Told now and then how many bytes of the inputs have been read. */
  readonly progress?: (bytes: number) => void;
}

export interface ReplayReport extends DeviceTotals {
  /** Alive at the end, in the order of their creation. */
  readonly sessions: readonly SessionInfo[];
  /** By the time of closing, of equal times by id. */
  readonly closedSessions: readonly SessionInfo[];
  /** In the order of their creation. */
  readonly tunnels: readonly RuleInfo[];
}

/** Name of the report in the output directory; written by whoever asked for the replay. */
export const REPORT = "report.json";
/** pcap's header of each record. */
const RECORD_HEADER = 16;
/** Milliseconds between two reports of progress. */
const PROGRESS = 100;
const DEFAULT_SEED = 1;

export async function replay(run: ReplayRun): Promise<ReplayReport> {
  const { config, out, problem } = run;
  const names = config.ports.map((port) => port.name);
  const inputs = run.inputs.map(({ port, file }) => {
    const index = names.indexOf(port);
    if (index < 0)
      throw new SluiceError("config", `--in ${port}=${file}: there is no port ${port}; there are ${names.join(", ")}`);
    return { port: index, path: file };
  });
  await prepare(out, names, inputs);

  const random = seeded(run.seed ?? DEFAULT_SEED);
  const clock = new ReplayClock(config.workers);
  const core = createCore(config, {
    random,
    ivRandom: run.seed === undefined ? randomBytes : random,
    now: 0,
    replay: { inputs, out, clock: clock.shared },
  });
  const { sessions } = core;
  const closedSessions: SessionInfo[] = [];
  sessions.onClosed = (info) => closedSessions.push(info);
  const failures: unknown[] = [];
  const pool = new WorkerPool(core.plans, {
    died: (worker, cause) => {
      failures.push(cause);
      clock.finish(worker);
    },
    report: ({ message }) => problem(message),
  });
  await pool.start();
  const { progress } = run;
  const watch = progress && setInterval(() => progress(bytesRead(addUp(config, core.counters))), PROGRESS);
  try {
    const start = await clock.start();
    // Without a packet the captures have no time.
    if (run.program !== undefined) await addProgram(run.program, core, Number.isFinite(start) ? start : 0);
    const age = (now: number) => {
      core.removeClosed(now);
      while (sessions.age(now, Number.POSITIVE_INFINITY));
      core.rules.age(now);
      return undefined;
    };
    // A worker that died has no next packet: with it the clock may come to the end.
    while ((await clock.advance(age)) && failures.length === 0);
    if (failures.length > 0) throw failures[0];
  } finally {
    clearInterval(watch);
    await pool.stop();
  }
  await mergeParts(out, names, config.workers, (error) => problem(error.message));

  const alive: SessionInfo[] = [];
  const cursor = sessions.open(undefined);
  if (cursor !== undefined) alive.push(...sessions.read(cursor, sessions.capacity));
  // Those that came due in one tick, or in one gap, left the timers in no order.
  closedSessions.sort((a, b) => a.endTime - b.endTime || (a.id < b.id ? -1 : 1));
  return { ...addUp(config, core.counters), sessions: alive, closedSessions, tunnels: [...core.rules.list()] };
}

/** Makes the output directory, or clears it of what an earlier replay left: never of an input of this one. */
async function prepare(out: string, names: readonly string[], inputs: readonly ReplayInput[]): Promise<void> {
  try {
    mkdirSync(out, { recursive: true });
    for (const path of await leftovers(out, names)) {
      const input = inputs.find((each) => sameFile(each.path, path));
      if (input === undefined) continue;
      throw new SluiceError("config", `--out ${out}: the replay would overwrite its input ${input.path}; give another directory`);
    }
    await clearReplay(out, names);
    rmSync(join(out, REPORT), { force: true });
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SluiceError("file", `preparing the output directory ${out} failed: ${why}; give one that may be written`, {
      cause,
    });
  }
}

function sameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return one !== undefined && other !== undefined && one.ino === other.ino && one.dev === other.dev;
}

function bytesRead({ ports }: DeviceTotals): number {
  return ports.reduce((sum, port) => sum + port.rxBytes + port.rxPackets * RECORD_HEADER, 0);
}

/** Random bytes that follow from a seed: SHA-256 in counter mode. */
function seeded(seed: number): (bytes: number) => Uint8Array {
  let counter = 0;
  return (bytes) => {
    const blocks: Buffer[] = [];
    for (let have = 0; have < bytes; have += 32) {
      blocks.push(createHash("sha256").update(`sluice replay ${seed} ${counter++}`).digest());
    }
    return new Uint8Array(Buffer.concat(blocks).subarray(0, bytes));
  };
}
