// What crosses from the main thread to a worker when it starts: shared memory and plain values, nothing else.

import type { MessagePort } from "node:worker_threads";
import type { AeadName } from "../aead/aead.js";
import type { PortConfig } from "../config/config.js";
import type { ErrorCode } from "../errors.js";
import type { ReplayPlan } from "../port/replay.js";
import type { NextHop } from "../stage/copy.js";
import type { TooBigOptions } from "../stage/too-big.js";
import type { ReassemblyOptions } from "../stage/tunnel.js";
import type { Route } from "../table/route.js";
import type { RuleMemory } from "../table/rule-memory.js";
import type { SaMemory } from "../table/sa-memory.js";
import type { SessionMemory } from "../table/session-memory.js";

export interface WorkerPlan {
  /** 0 … workers - 1: its lane in all that is kept per worker. */
  readonly worker: number;
  readonly workers: number;
  /** Processor to run on, or -1. */
  readonly cpu: number;
  readonly maxFrame: number;
  readonly ports: readonly PortConfig[];
  /** By port: fanout group of an af_packet port. */
  readonly fanout: readonly number[];
  /** memory/worker-words.ts, of all workers. */
  readonly words: SharedArrayBuffer;
  /** memory/counters.ts, of this worker. */
  readonly counters: SharedArrayBuffer;
  /** memory/event-ring.ts: slots of sessions whose connection closed. */
  readonly closed: SharedArrayBuffer;
  readonly sessions: SessionMemory;
  readonly rules: RuleMemory;
  readonly sas: SaMemory;
  readonly aead: AeadName | "auto";
  /** memory/notice-ring.ts: packets that IPsec dropped (tunnel/esp-audit.ts), and how many are told of per second. */
  readonly notices: SharedArrayBuffer;
  readonly auditRate: number;
  readonly routes: readonly Route[];
  readonly tooBig: TooBigOptions;
  readonly reassembly: ReassemblyOptions;
  /** By the index that sessions hold. */
  readonly nextHops: readonly NextHop[];
  /** By next hop: slot + 1 of the rule whose tunnel leads to it, or 0. */
  readonly hopRules: SharedArrayBuffer;
  /** Packets come from captures merged by time, and leave into captures. */
  readonly replay?: ReplayPlan | undefined;
}

/** One start of a worker. */
export interface WorkerTask {
  readonly plan: WorkerPlan;
  /** Where it tells what a user should know while it goes on (Report). */
  readonly reports: MessagePort;
}

/** Said by a worker that goes on serving: a capture that is cut short, a full disk. */
export interface Report {
  readonly worker: number;
  readonly message: string;
}

/** What the task of a worker resolves with when it met something that a user can mend: errors lose their class on the way. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}
