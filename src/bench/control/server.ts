// A server process of the control benchmarks: the control plane of a device (table, aging, services, two workers that see no
// frames) put together as main/device.ts does it, or the same service with empty handlers. Its parent tells it what to do.

import { randomBytes } from "node:crypto";
import { PerformanceObserver } from "node:perf_hooks";
import { startAging } from "../../control/aging.js";
import { startServer } from "../../control/server.js";
import { sessionService } from "../../control/session-service.js";
import { type Core, createCore } from "../../main/core.js";
import { sessionRules } from "../../main/rules.js";
import { native } from "../../native.js";
import { ClosedSessions } from "../../table/closed.js";
import { CloseCode, State } from "../../table/session.js";
import { Lane, SKEW } from "../../table/session-memory.js";
import { WorkerPool } from "../../worker/pool.js";
import { benchConfig, benchSession } from "../config.js";
import { emptyService } from "./empty.js";
import { FIRST_ID } from "./frames.js";
import type { ServerAnswer, ServerRequest } from "./messages.js";
import { serve } from "./process.js";

const LISTEN = "127.0.0.1:0";
const WORKERS = 2;
/** Between two looks at how long the thread was held. */
const TICK_MS = 1;

let core: Core;
let backlog: ClosedSessions;
let empty: { closing: number } | undefined;
let ahead = 0;
let closedCount = 0;
let onClosedCount = () => {};

const now = () => Date.now() + ahead;
const log = { info: () => {}, error: (...what: unknown[]) => console.error(...what) };

serve<ServerRequest, ServerAnswer>(async (request) => {
  switch (request.do) {
    case "start":
      return { port: await (request.kind === "empty" ? startEmpty() : startDevice(request.capacity, request.backlog)) };
    case "fill":
      for (let i = 0; i < request.count; i++) {
        core.sessions.add(benchSession(FIRST_ID + request.first + i, request.timeout), now());
      }
      return {};
    case "close":
      if (empty === undefined) close(request.count);
      else empty.closing = request.count;
      return {};
    case "touch":
      return touch();
    case "age":
      return age(request.ms, request.count);
    case "watch":
      return watch();
    case "pause":
      return pause();
  }
});

async function startDevice(capacity: number, records: number): Promise<number> {
  const config = benchConfig(capacity, WORKERS);
  core = createCore(config, { random: randomBytes, now: now() });
  backlog = new ClosedSessions(records);
  core.sessions.onClosed = (info) => {
    backlog.push(info);
    closedCount++;
    onClosedCount();
  };
  const pool = new WorkerPool(core.plans, {
    died: (_worker, cause) => {
      throw cause;
    },
    report: () => {},
  });
  await pool.start();
  startAging(core.sessions, now);
  const service = sessionService({
    sessions: core.sessions,
    closed: backlog,
    rules: sessionRules(config),
    missingSession: "response",
    ready: () => pool.serving > 0,
    now,
    log,
  });
  return (await startServer({ listen: LISTEN }, [service])).port;
}

async function startEmpty(): Promise<number> {
  empty = { closing: 0 };
  return (await startServer({ listen: LISTEN }, [emptyService(empty)])).port;
}

function close(count: number): void {
  for (let i = 0; i < count; i++) {
    backlog.push({
      id: BigInt(FIRST_ID + i),
      inPackets: 1000 + i,
      outPackets: 900 + i,
      inBytes: 640_000 + i,
      outBytes: 320_000 + i,
      state: State.established,
      closeCode: CloseCode.timeout,
      startTime: now() - 60_000,
      endTime: now(),
    });
  }
}

function touch(): ServerAnswer {
  for (const lane of core.plans[0]?.sessions.lanes ?? []) {
    const words = new Float64Array(lane, SKEW);
    for (let at = 0; at < words.length; at += Lane.words) {
      words[at + Lane.inPackets] = 1;
      words[at + Lane.lastSeen] = now();
    }
  }
  return { resident: process.memoryUsage.rss() };
}

function age(ms: number, count: number): Promise<ServerAnswer> {
  const until = closedCount + count;
  const start = performance.now();
  const processor = native.cpuTime();
  ahead += ms;
  return new Promise((resolve) => {
    onClosedCount = () => {
      if (closedCount === until)
        resolve({ seconds: (performance.now() - start) / 1000, processor: (native.cpuTime() - processor) / 1e9 });
    };
  });
}

const held = { wall: 0, processor: 0, collection: 0 };
let watching: NodeJS.Timeout | undefined;

/** A timer says for how long the thread did not come to it, and how much of that it computed itself. */
function watch(): ServerAnswer {
  held.wall = 0;
  held.processor = 0;
  held.collection = 0;
  let wall = performance.now();
  let processor = native.cpuTime();
  watching = setInterval(() => {
    const [wallNow, processorNow] = [performance.now(), native.cpuTime()];
    held.wall = Math.max(held.wall, wallNow - wall - TICK_MS);
    held.processor = Math.max(held.processor, (processorNow - processor) / 1e6);
    wall = wallNow;
    processor = processorNow;
  }, TICK_MS);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) held.collection = Math.max(held.collection, entry.duration);
  }).observe({ entryTypes: ["gc"] });
  return {};
}

function pause(): ServerAnswer {
  clearInterval(watching);
  return { held };
}
