// The device's counters, added up over its workers.

import type { Config } from "../config/config.js";
import type { StatsResponse } from "../control/gen/sluice.js";
import { type Counters, PortCounter } from "../memory/counters.js";
import { Fate, type FateKind, REASONS } from "../reason.js";
import type { ClosedSessions } from "../table/closed.js";
import type { WorkerPool } from "../worker/pool.js";
import type { Core } from "./core.js";

export interface PortTotals {
  readonly name: string;
  readonly role: Config["ports"][number]["role"];
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly createdPackets: number;
  readonly txPackets: number;
  readonly txBytes: number;
  readonly kernelDrops: number;
  readonly freezes: number;
}

export interface FateTotal {
  readonly name: string;
  readonly kind: FateKind;
  readonly sentence: string;
  readonly packets: number;
}

/** The two sides of `in + created = out + to host + dropped + consumed` (datapath.md "Counters"); equal when idle. */
export interface Totals {
  readonly in: number;
  readonly created: number;
  readonly out: number;
  readonly toHost: number;
  readonly dropped: number;
  readonly consumed: number;
  /** Of `out`: decided by a session. */
  readonly offloaded: number;
}

export interface DeviceTotals {
  readonly ports: readonly PortTotals[];
  /** Every fate of src/reason.ts. */
  readonly fates: readonly FateTotal[];
  readonly totals: Totals;
}

export function addUp(config: Config, counters: readonly Counters[]): DeviceTotals {
  const ports = config.ports.map((port): PortTotals => {
    const of = (field: PortCounter) => sum(counters, (worker) => worker.port(port.index)[field] as number);
    return {
      name: port.name,
      role: port.role,
      rxPackets: of(PortCounter.rxFrames),
      rxBytes: of(PortCounter.rxBytes),
      createdPackets: of(PortCounter.created),
      txPackets: of(PortCounter.txFrames),
      txBytes: of(PortCounter.txBytes),
      kernelDrops: of(PortCounter.kernelDrops),
      freezes: of(PortCounter.freezes),
    };
  });
  const fates = REASONS.map(
    (reason, fate): FateTotal => ({
      name: reason.name,
      kind: reason.kind,
      sentence: reason.sentence,
      packets: sum(counters, (worker) => worker.fates[fate]),
    }),
  );
  const kind = (wanted: FateKind) => sum(fates, (fate) => (fate.kind === wanted ? fate.packets : 0));
  return {
    ports,
    fates,
    totals: {
      in: sum(ports, (port) => port.rxPackets),
      created: sum(ports, (port) => port.createdPackets),
      out: sum(ports, (port) => (port.role === "host" ? 0 : port.txPackets)),
      toHost: sum(ports, (port) => (port.role === "host" ? port.txPackets : 0)),
      dropped: kind("drop"),
      consumed: kind("consumed"),
      offloaded: fates[Fate.forwarded]?.packets ?? 0,
    },
  };
}

function sum<T>(list: readonly T[], value: (item: T) => number): number {
  return list.reduce((total, item) => total + value(item), 0);
}

/** As sluice.v1 answers it. */
export function statsResponse(totals: DeviceTotals, core: Core, closed: ClosedSessions, pool: WorkerPool): StatsResponse {
  const { stats, capacity } = core.sessions;
  const { rules } = core;
  return {
    ports: totals.ports.map((port) => ({
      name: port.name,
      role: port.role,
      rxPackets: BigInt(port.rxPackets),
      rxBytes: BigInt(port.rxBytes),
      createdPackets: BigInt(port.createdPackets),
      txPackets: BigInt(port.txPackets),
      txBytes: BigInt(port.txBytes),
      kernelDrops: BigInt(port.kernelDrops),
      freezes: BigInt(port.freezes),
    })),
    fates: totals.fates.map((fate) => ({ ...fate, packets: BigInt(fate.packets) })),
    workers: core.counters.map((counters, worker) => ({
      worker,
      serving: pool.isServing(worker),
      restarts: pool.restarts[worker],
      rxPackets: BigInt(sum(core.config.ports, (port) => counters.port(port.index)[PortCounter.rxFrames] as number)),
      forwardedPackets: BigInt(counters.fates[Fate.forwarded]),
    })),
    sessions: {
      capacity: BigInt(capacity),
      active: BigInt(stats.active),
      added: BigInt(stats.added),
      aged: BigInt(stats.aged),
      deleted: BigInt(stats.deleted),
      closedByTcp: BigInt(stats.closedByTcp),
      closedWaiting: BigInt(closed.waiting),
      closedDropped: BigInt(closed.dropped),
    },
    tunnels: {
      capacity: BigInt(rules.capacity),
      active: BigInt(rules.size),
      closing: BigInt(rules.closing),
      shapes: BigInt(rules.shapes),
    },
  };
}
