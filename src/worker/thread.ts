// Thread entry: what piscina calls, once per worker, with the plan; it returns when the worker is told to stop.
// Everything that the thread opened is closed however it ends: here when it returns or throws, by the addon's destructors
// when the thread is torn down.

import { chooseAead } from "../aead/choose.js";
import { SluiceError } from "../errors.js";
import { POSITIONS } from "../memory/burst.js";
import { Counters } from "../memory/counters.js";
import { EventRing } from "../memory/event-ring.js";
import { Frames } from "../memory/frames.js";
import { NoticeRing } from "../memory/notice-ring.js";
import { native } from "../native.js";
import { openPorts } from "../port/open.js";
import { Copies } from "../stage/copy.js";
import { Topology } from "../stage/topology.js";
import { EspAudit, TunnelStage } from "../stage/tunnel.js";
import { Routes } from "../table/route.js";
import { RuleLookup } from "../table/rule-lookup.js";
import { SaLookup } from "../table/sa-lookup.js";
import { SessionLookup } from "../table/session-lookup.js";
import { serve } from "./loop.js";
import type { Failure, Report, WorkerTask } from "./messages.js";
import { Pipeline } from "./pipeline.js";

export default function work(task: WorkerTask): Failure | undefined {
  try {
    start(task);
    return undefined;
  } catch (error) {
    if (error instanceof SluiceError) return { code: error.code, message: error.message };
    throw error;
  }
}

function start({ plan, reports }: WorkerTask): void {
  const { worker } = plan;
  if (plan.cpu >= 0) native.pin(plan.cpu);
  native.name(`sluice-${worker}`);
  const frames = new Frames(native.frames(Frames.size(POSITIONS) + plan.reassembly.memory));
  const counters = new Counters(plan.counters, plan.ports.length);
  const tell = (error: Error) => reports.postMessage({ worker, message: error.message } satisfies Report);
  const { aead } = chooseAead(plan.aead, frames.bytes);
  const ports = openPorts({ ...plan, frames, counters, tell });
  try {
    const topology = new Topology(plan.ports);
    const pipeline = new Pipeline(
      topology,
      new TunnelStage(
        new RuleLookup(plan.rules, worker),
        new Routes(plan.routes),
        topology,
        worker,
        plan.workers,
        plan.tooBig,
        { ...plan.reassembly, fates: counters.fates },
        { sas: new SaLookup(plan.sas, worker), aead, audit: new EspAudit(new NoticeRing(plan.notices), plan.auditRate) },
      ),
      new SessionLookup(plan.sessions, worker),
      new EventRing(plan.closed),
      new Copies(plan.nextHops, new Int32Array(plan.hopRules)),
      ports.egress,
      counters,
      new Int32Array(plan.words),
      worker,
    );
    serve(pipeline, ports, frames, plan.replay === undefined);
  } finally {
    aead.close();
    ports.close();
  }
}
