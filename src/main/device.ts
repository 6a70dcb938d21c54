// A live device: interfaces prepared, workers serving, sessions programmed over gRPC. The composition root of `sluice run`.

import { randomBytes } from "node:crypto";
import { chooseAead } from "../aead/choose.js";
import type { Config } from "../config/config.js";
import { startAging } from "../control/aging.js";
import { healthService } from "../control/health.js";
import { reflectionServices } from "../control/reflection.js";
import { type Service, serviceName, startServer } from "../control/server.js";
import { sessionService } from "../control/session-service.js";
import { statsService } from "../control/stats-service.js";
import { tunnelService } from "../control/tunnel-service.js";
import { TunnelWriter } from "../control/tunnel-writer.js";
import { vxlanService } from "../control/vxlan-service.js";
import type { Command } from "../memory/worker-words.js";
import { prepareFile } from "../port/file.js";
import { type Prepared, prepareInterface } from "../port/interface.js";
import { ClosedSessions } from "../table/closed.js";
import type { SaTable } from "../table/sa-table.js";
import { WorkerPool } from "../worker/pool.js";
import { watchAudit } from "./audit.js";
import { createCore } from "./core.js";
import { type Watched, watchLinks } from "./links.js";
import type { Log } from "./log.js";
import { sessionRules, tunnelNames } from "./rules.js";
import { addUp, type DeviceTotals, statsResponse } from "./stats.js";

/** Milliseconds that running calls get to end when the device stops. */
const GRACE = 2000;
/** Milliseconds between two looks at what workers saw close. */
const CLOSED_PERIOD = 20;
/** Milliseconds between two looks for sequence numbers to reserve (ipsec.ivState). */
const EXTEND_PERIOD = 100;
/** Milliseconds between two looks for deleted tunnels that need not keep their chain closed any more. */
const RULES_PERIOD = 1000;

export interface Device {
  /** Where gRPC listens: with the port that was taken when it was 0. */
  readonly address: string;
  totals(): DeviceTotals;
  /** Tells a worker to fail: fault injection for tests (memory/worker-words.ts). */
  command(worker: number, command: Command): void;
  /** Reads the certificates of the gRPC server again. */
  reload(): void;
  /** Stops taking calls, stops the workers, puts the interfaces back. */
  stop(): Promise<void>;
}

export async function startDevice(config: Config, log: Log): Promise<Device> {
  const undo: (() => void | Promise<void>)[] = [];
  const stop = async () => {
    for (let last = undo.pop(); last !== undefined; last = undo.pop()) await last();
  };
  try {
    const interfaces = prepare(config);
    // However the process ends, short of SIGKILL, the interfaces are put back.
    const restore = () => {
      for (const each of interfaces) each.prepared.restore();
    };
    process.once("exit", restore);
    undo.push(() => {
      process.off("exit", restore);
      restore();
    });
    const { aead, reason } = chooseAead(config.ipsec.aead, new Uint8Array(0));
    aead.close();
    log.info({ aead: aead.name }, `ESP is encrypted and decrypted by ${reason}`);
    const core = createCore(config, { random: randomBytes, now: Date.now() });
    const { sessions, rules } = core;
    const closed = new ClosedSessions(config.sessions.closedBacklog);
    sessions.onClosed = (info) => closed.push(info);

    const pool = new WorkerPool(core.plans, {
      died: (worker, cause, retryIn) => {
        core.sas.unlock(worker);
        log.error({ worker, err: cause }, `worker ${worker} died, the next one starts in ${retryIn} ms`);
      },
      report: ({ worker, message }) => log.error({ worker }, message),
    });
    const { sas, ivs } = core;
    undo.push(() => {
      // No worker runs any more.
      sas.settle();
      ivs?.close();
      sas.close();
    });
    if (ivs !== undefined) undo.push(extendIvs(sas, log));
    await pool.start();
    undo.push(() => pool.stop());
    undo.push(startAging(sessions, Date.now));
    if (config.sessions.tcpClose === "device") {
      const closing = setInterval(() => core.removeClosed(Date.now()), CLOSED_PERIOD);
      undo.push(() => clearInterval(closing));
    }
    const opening = setInterval(() => rules.age(Date.now()), RULES_PERIOD);
    undo.push(() => clearInterval(opening));
    undo.push(watchLinks(interfaces, log));
    undo.push(watchAudit(core.plans, log));

    let stopping = false;
    const ready = () => !stopping && pool.serving > 0;
    const names = tunnelNames(config, core.sas);
    const writer = new TunnelWriter({ rules, names, ready, now: Date.now, log });
    const tunnels = { rules, writer, names, missing: config.api.missingSession, log };
    const totals = () => addUp(config, core.counters);
    const services = [
      sessionService({
        sessions,
        closed,
        rules: sessionRules(config),
        missingSession: config.api.missingSession,
        ready,
        now: Date.now,
        log,
      }),
      tunnelService(tunnels),
      vxlanService(tunnels),
      statsService(() => statsResponse(totals(), core, closed, pool), log),
    ];
    const server = await startServer(config.grpc, [...services, ...standard(services, ready)], log);
    undo.push(() => {
      stopping = true;
      return server.stop(GRACE);
    });
    const address = `${config.grpc.listen.slice(0, config.grpc.listen.lastIndexOf(":"))}:${server.port}`;
    return {
      address,
      totals,
      command: (worker, command) => pool.command(worker, command),
      reload: () => server.reload(),
      stop,
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

/** Reserves sequence numbers before workers need them. What cannot be reserved is not used: SAs stop, and say so. */
function extendIvs(sas: SaTable, log: Log): () => void {
  let failed = false;
  const timer = setInterval(() => {
    try {
      sas.extend();
      failed = false;
    } catch (err) {
      if (!failed)
        log.error({ err }, "sequence numbers of ESP could not be reserved: SAs stop when those that they have are used up");
      failed = true;
    }
  }, EXTEND_PERIOD);
  return () => clearInterval(timer);
}

/** What every gRPC server has: health and reflection of its services. */
function standard(services: readonly Service[], ready: () => boolean): Service[] {
  const names = services.map(serviceName);
  const health = healthService(names, ready);
  return [health, ...reflectionServices([...names, serviceName(health)])];
}

interface PreparedPort extends Watched {
  readonly prepared: Prepared;
}

/** Interfaces and output files, made ready before any worker opens them. */
function prepare(config: Config): PreparedPort[] {
  const done: PreparedPort[] = [];
  try {
    for (const { name, driver } of config.ports) {
      if (driver.driver === "file") prepareFile(driver);
      if (driver.driver !== "af_packet") continue;
      const prepared = prepareInterface(driver);
      done.push({ port: name, interface: driver.interface, prepared, renew: () => prepared.renew() });
    }
    return done;
  } catch (cause) {
    for (const { prepared } of done.reverse()) prepared.restore();
    throw cause;
  }
}
