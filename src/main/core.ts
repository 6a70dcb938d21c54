// What every device is made of, live or in replay: shared memory, the session table over it, and a plan for each worker.

import { randomBytes } from "node:crypto";
import type { Config } from "../config/config.js";
import { Counters } from "../memory/counters.js";
import { EventRing } from "../memory/event-ring.js";
import { Grace } from "../memory/grace.js";
import { NoticeRing } from "../memory/notice-ring.js";
import { wordsSize } from "../memory/worker-words.js";
import { native } from "../native.js";
import { portMtu } from "../port/interface.js";
import type { ReplayPlan } from "../port/replay.js";
import { hashKey } from "../table/flow.js";
import { Routes } from "../table/route.js";
import { allocateRules } from "../table/rule-memory.js";
import { RuleTable } from "../table/rule-table.js";
import { allocateSas } from "../table/sa-memory.js";
import { SaTable } from "../table/sa-table.js";
import { allocateSessions } from "../table/session-memory.js";
import { SessionTable } from "../table/session-table.js";
import { compile } from "../tunnel/compile.js";
import type { WorkerPlan } from "../worker/messages.js";
import { IvFile, keyedFingerprint } from "./iv-state.js";

export interface CoreOptions {
  /** Random bytes; from the seed in replay, so that a run can be repeated. */
  readonly random: (bytes: number) => Uint8Array;
  /** Those for IVs; absent: the same. */
  readonly ivRandom?: (bytes: number) => Uint8Array;
  /** Milliseconds since the epoch at which the device's clock starts. */
  readonly now: number;
  readonly replay?: ReplayPlan;
}

export interface Core {
  readonly config: Config;
  readonly sessions: SessionTable;
  readonly rules: RuleTable;
  readonly sas: SaTable;
  readonly plans: readonly WorkerPlan[];
  /** By worker. */
  readonly counters: readonly Counters[];
  /** With ipsec.ivState. */
  readonly ivs: IvFile | undefined;
  /** Takes the connections that workers saw close out of the table (`sessions.tcpClose: device`). Call now and then. */
  removeClosed(now: number): void;
}

export function createCore(config: Config, options: CoreOptions): Core {
  const { workers, ports } = config;
  const words = new SharedArrayBuffer(wordsSize(workers));
  const memory = allocateSessions(config.sessions.capacity, workers, hashKey(options.random(12)));
  for (const table of [memory.records, memory.index, ...memory.lanes]) native.adviseHuge(new Uint8Array(table));
  const sessions = new SessionTable(memory, new Grace(new Int32Array(words), workers), {
    duplicateFlow: config.sessions.duplicateFlow,
    portOf: new Map(ports.filter((port) => port.role === "uplink").map((port) => [port.lif, port.index])),
    now: options.now,
    seed: new Int32Array(options.random(4).slice().buffer)[0],
  });
  const ruleMemory = allocateRules(config.tunnels.capacity, workers, hashKey(options.random(12)), config.ipsec.capacity);
  const saMemory = allocateSas(config.ipsec.capacity, workers);
  const routes = config.routes.map(({ address, sourceMac, destinationMac, ...rest }) => ({
    ...rest,
    address: Uint8Array.from(address),
    sourceMac: Uint8Array.from(sourceMac),
    destinationMac: Uint8Array.from(destinationMac),
  }));
  for (const shared of [ruleMemory.records, ...ruleMemory.lanes]) native.adviseHuge(new Uint8Array(shared));
  const table = new Routes(routes);
  const nextHops = config.nextHops.map(({ reach }) =>
    "tunnel" in reach ? { port: -1, mac: new Uint8Array(6) } : { port: reach.port, mac: Uint8Array.from(reach.mac) },
  );
  const hopTunnels = config.nextHops.map(({ reach }) => ("tunnel" in reach ? BigInt(reach.tunnel) : undefined));
  const hopRules = new SharedArrayBuffer(Math.max(1, nextHops.length) * 4);
  const live = options.replay === undefined;
  const { ivState } = config.ipsec;
  const ivs = live && ivState !== undefined ? new IvFile(ivState, { capacity: saMemory.keys }) : undefined;
  const fingerprint = ivs?.fingerprint ?? keyedFingerprint(randomBytes(32));
  const sas = new SaTable(saMemory, { random: options.ivRandom ?? options.random, fingerprint, ...(ivs && { ivs }) });
  const rules = new RuleTable(ruleMemory, new Grace(new Int32Array(words), workers), {
    compile: (rule, record) => compile(rule, record, table),
    failClosed: config.tunnels.failClosed * 1000,
    sas,
    watch: { ids: hopTunnels, slots: new Int32Array(hopRules) },
  });
  const limited = ports.map((port) => ({ ...port, mtu: port.mtu ?? (live ? portMtu(port.driver) : undefined) }));
  // One fanout group per port; the number must be free in the network namespace, hence at random.
  const groups = new Uint16Array(options.random(ports.length * 2).slice().buffer);
  const plans = Array.from(
    { length: workers },
    (_, worker): WorkerPlan => ({
      worker,
      workers,
      cpu: config.pin.length === 0 ? -1 : config.pin[worker % config.pin.length],
      maxFrame: config.maxFrame,
      ports: limited,
      fanout: [...groups],
      words,
      counters: new SharedArrayBuffer(Counters.size(ports.length)),
      closed: new SharedArrayBuffer(EventRing.size()),
      sessions: memory,
      rules: ruleMemory,
      sas: saMemory,
      aead: config.ipsec.aead,
      notices: new SharedArrayBuffer(NoticeRing.size()),
      auditRate: live ? config.ipsec.auditRate : 0,
      routes,
      nextHops,
      hopRules,
      tooBig: { icmpRate: config.mtu.onExceed === "icmp" ? config.mtu.icmpRate : 0 },
      reassembly: { ...config.reassembly, timeout: config.reassembly.timeout * 1000 },
      replay: options.replay,
    }),
  );
  const rings = plans.map((plan) => new EventRing(plan.closed));
  const act = config.sessions.tcpClose === "device";
  return {
    config,
    sessions,
    rules,
    sas,
    ivs,
    plans,
    counters: plans.map((plan) => new Counters(plan.counters, ports.length)),
    removeClosed(now) {
      for (const ring of rings) ring.drain((slot) => act && sessions.closedByTcp(slot, now));
    },
  };
}
