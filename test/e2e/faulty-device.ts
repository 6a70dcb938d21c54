// A device whose workers can be told to fail, for tests alone: `sluice run` offers no such thing.

import { load } from "../../src/config/load.js";
import { startDevice } from "../../src/main/device.js";
import { createLog } from "../../src/main/log.js";
import { FRAME_LIMIT } from "../../src/memory/frames.js";
import { Command } from "../../src/memory/worker-words.js";
import { PORTS } from "./device.js";
import { serve } from "./remote.js";

const FAULTS = { throw: Command.throw, exit: Command.exit, exhaust: Command.exhaust };
export type Fault = keyof typeof FAULTS;

const [workers, ...given] = process.argv.slice(2);
const ports = (given.length === 0 ? PORTS : given).filter((word) => word !== "--port");
const config = load({ ports, grpc: "127.0.0.1:3443", workers: Number(workers) }, {}, { maxFrame: FRAME_LIMIT });
const device = await startDevice(config, createLog("info"));

const faulty = {
  fail: (worker: number, fault: Fault) => device.command(worker, FAULTS[fault]),
  stop: () => device.stop(),
};

export type FaultyDevice = typeof faulty;

serve(faulty);
