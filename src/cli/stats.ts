// `sluice stats`: the device's counters, as tables or as JSON.

import type { SluiceClient } from "../control/client.js";
import type { FateStats, PortStats, SessionStats, StatsResponse, TunnelStats, WorkerStats } from "../control/gen/sluice.js";
import { json } from "./json.js";
import { type Column, table } from "./table.js";

const ports: readonly Column<PortStats>[] = [
  { title: "port", value: ({ name }) => name },
  { title: "role", value: ({ role }) => role },
  { title: "rx packets", value: ({ rxPackets }) => rxPackets },
  { title: "rx bytes", value: ({ rxBytes }) => rxBytes },
  { title: "created", value: ({ createdPackets }) => createdPackets },
  { title: "tx packets", value: ({ txPackets }) => txPackets },
  { title: "tx bytes", value: ({ txBytes }) => txBytes },
  { title: "kernel drops", value: ({ kernelDrops }) => kernelDrops },
  { title: "freezes", value: ({ freezes }) => freezes },
];

const fates: readonly Column<FateStats>[] = [
  { title: "packets", value: ({ packets }) => packets },
  { title: "kind", value: ({ kind }) => kind },
  { title: "fate", value: ({ name }) => name },
  { title: "why", value: ({ sentence }) => sentence },
];

const workers: readonly Column<WorkerStats>[] = [
  { title: "worker", value: ({ worker }) => worker },
  { title: "serving", value: ({ serving }) => (serving ? "yes" : "no") },
  { title: "restarts", value: ({ restarts }) => restarts },
  { title: "rx packets", value: ({ rxPackets }) => rxPackets },
  { title: "forwarded", value: ({ forwardedPackets }) => forwardedPackets },
];

const sessions: readonly Column<SessionStats>[] = [
  { title: "capacity", value: ({ capacity }) => capacity },
  { title: "active", value: ({ active }) => active },
  { title: "added", value: ({ added }) => added },
  { title: "aged", value: ({ aged }) => aged },
  { title: "deleted", value: ({ deleted }) => deleted },
  { title: "closed by tcp", value: ({ closedByTcp }) => closedByTcp },
  { title: "to report", value: ({ closedWaiting }) => closedWaiting },
  { title: "never reported", value: ({ closedDropped }) => closedDropped },
];

const tunnels: readonly Column<TunnelStats>[] = [
  { title: "capacity", value: ({ capacity }) => capacity },
  { title: "active", value: ({ active }) => active },
  { title: "closing", value: ({ closing }) => closing },
  { title: "shapes", value: ({ shapes }) => shapes },
];

export async function showStats(client: SluiceClient, asJson: boolean): Promise<void> {
  const stats = await client.stats();
  process.stdout.write(asJson ? json(snakeCase(stats)) : statsText(stats));
}

/** Of the fates, those that were met. */
export function statsText(stats: StatsResponse): string {
  const met = stats.fates.filter(({ packets }) => packets > 0n);
  const parts = [
    `ports\n${table(ports, stats.ports)}`,
    met.length === 0 ? "no packets yet\n" : `what became of the packets\n${table(fates, met)}`,
    `workers\n${table(workers, stats.workers)}`,
  ];
  if (stats.sessions !== undefined) parts.push(`sessions\n${table(sessions, [stats.sessions])}`);
  if (stats.tunnels !== undefined) parts.push(`tunnels\n${table(tunnels, [stats.tunnels])}`);
  return parts.join("\n");
}

/** Keys as in the .proto file, as everywhere in the JSON that the commands print. */
function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== "object" || value === null) return value;
  const renamed = Object.entries(value).map(([key, inner]) => [
    key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    snakeCase(inner),
  ]);
  return Object.fromEntries(renamed);
}
