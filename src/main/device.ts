// A live device: interfaces prepared, workers serving, sessions programmed over gRPC. The composition root of `sluice run`.

import { randomBytes } from "node:crypto";
import type { AfPacketDriver, Config } from "../config/config.js";
import { startAging } from "../control/aging.js";
import { startServer } from "../control/server.js";
import { sessionService } from "../control/session-service.js";
import { statsService } from "../control/stats-service.js";
import type { Command } from "../memory/worker-words.js";
import { type Prepared, prepareInterface } from "../port/interface.js";
import { ClosedSessions } from "../table/closed.js";
import { WorkerPool } from "../worker/pool.js";
import { createCore } from "./core.js";
import { watchLinks } from "./links.js";
import type { Log } from "./log.js";
import { addUp, type DeviceTotals } from "./stats.js";

export interface Device {
  /** Where gRPC listens, with the port that was taken when it was 0. */
  readonly address: string;
  totals(): DeviceTotals;
  /** Fault injection for tests: see memory/worker-words.ts. */
  command(worker: number, command: Command): void;
  /** Stops taking calls, stops the workers, puts the interfaces back. */
  stop(): Promise<void>;
}
