// `memory/session-forward/<sessions>`: the whole fast path on the memory port, one worker in its own thread, 64-byte
// frames, every frame a hit, flows uniformly random over all sessions. The cost of the generator (a copy of the frame into
// its slot) is part of the figure.

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Core, createCore } from "../main/core.js";
import { PortCounter } from "../memory/counters.js";
import { PackedFrames } from "../port/memory.js";
import { WorkerPool } from "../worker/pool.js";
import { benchConfig, benchSession } from "./config.js";
import { type Bench, type BenchOptions, type Result, result } from "./result.js";

export const memoryBenches: readonly Bench[] = (
  [
    ["1k", 1_000],
    ["1m", 1_000_000],
    ["4m", 4_000_000],
  ] as const
).map(([scale, sessions]) => {
  const name = `memory/session-forward/${scale}`;
  return {
    names: [name],
    unavailable: () => undefined,
    run: async (options) => [await sessionForward(name, sessions, options)],
  };
});

async function sessionForward(name: string, sessions: number, options: BenchOptions): Promise<Result> {
  const core = createCore(benchConfig(sessions, 1, flood(sessions)), {
    random: randomBytes,
    now: Date.now(),
  });
  for (let i = 0; i < sessions; i++) core.sessions.add(benchSession(i), Date.now());
  return result(name, "Mpps", await forwardingRates(core, options));
}

/** Million packets per second out of port 1, of each run: the device's worker serves until the end. */
export async function forwardingRates(core: Core, options: BenchOptions): Promise<number[]> {
  const pool = new WorkerPool(core.plans, {
    died: (_worker, cause) => {
      throw cause;
    },
    report: () => {},
  });
  await pool.start();
  const sent = () => core.counters[0]?.port(1)[PortCounter.txFrames] as number;
  await sleep(1000); // The optimizing compiler has seen the loop by then.
  const rates: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    const before = sent();
    const start = performance.now();
    await sleep(options.seconds * 1000);
    rates.push((sent() - before) / (performance.now() - start) / 1000);
  }
  await pool.stop();
  return rates;
}

const FRAME_BYTES = 60;
/** Frames that the source holds at the most: 128 MB. */
const FRAMES = 2_000_000;

/** UDP frames of 64 bytes with FCS, each of a session picked at random. */
function flood(sessions: number): SharedArrayBuffer {
  const count = Math.min(FRAMES, Math.max(sessions, 100_000));
  const frames = new PackedFrames(count, FRAME_BYTES);
  const template = Uint8Array.from([
    ...[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0],
    ...[0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 0, 10, 255, 0, 1],
    ...[4, 0, 0, 80, 0, 26, 0, 0],
  ]);
  for (let i = 0; i < count; i++) {
    const at = frames.at(i);
    const flow = Math.floor(Math.random() * sessions);
    frames.bytes.set(template, at);
    frames.bytes[at + 27] = flow >>> 16;
    frames.bytes[at + 28] = flow >>> 8;
    frames.bytes[at + 29] = flow;
  }
  return frames.shared;
}
