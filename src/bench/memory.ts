// `memory/session-forward/<sessions>`: the whole fast path on the memory port, one worker in its own thread, 64-byte
// frames, every frame a hit, flows uniformly random over all sessions. The cost of the generator (a copy of the frame into
// its slot) is part of the figure.

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config, PortConfig } from "../config/config.js";
import { createCore } from "../main/core.js";
import { PortCounter } from "../memory/counters.js";
import { Action, type NewSession } from "../table/session.js";
import { WorkerPool } from "../worker/pool.js";
import { floodFrames } from "./flood.js";
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
  const core = createCore(benchConfig(sessions), {
    random: randomBytes,
    now: Date.now(),
  });
  for (let i = 0; i < sessions; i++) core.sessions.add(session(i), Date.now());
  const pool = new WorkerPool(core.plans, {
    died: (_worker, cause) => {
      throw cause;
    },
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
  return result(name, "Mpps", rates);
}

/** Session i holds the flow of frame i of floodFrames. */
function session(i: number): NewSession {
  return {
    id: BigInt(i + 1),
    inLif: 1,
    inVlan: 0,
    outLif: 2,
    outVlan: 0,
    ipv6: false,
    source: Uint8Array.of(10, (i >>> 16) & 0xff, (i >>> 8) & 0xff, i & 0xff),
    destination: Uint8Array.of(10, 255, 0, 1),
    sourcePort: 1024,
    destinationPort: 80,
    protocol: 17,
    action: Action.forward,
    timeout: 86_400,
  };
}
