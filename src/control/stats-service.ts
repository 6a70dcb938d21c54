// sluice.v1.Device: the device's own counters, from whoever has them all.

import type { BaseLogger } from "pino";
import { type DeviceServer, DeviceService, type StatsRequest, type StatsResponse } from "./gen/sluice.js";
import { unary } from "./handler.js";
import type { Service } from "./server.js";

export function statsService(stats: () => StatsResponse, log: Pick<BaseLogger, "error">): Service {
  const handlers: DeviceServer = { stats: unary<StatsRequest, StatsResponse>("Stats", log, stats) };
  return { definition: DeviceService, handlers, end: () => {} };
}
