// The pool of workers, from the main thread: one piscina thread and one never-ending task per worker. A worker that dies
// (an exception in its loop, an exit, out of memory in its thread) is noticed when its task fails; what it left behind is
// settled, and the next one takes over its lane.

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { Piscina } from "piscina";
import { SluiceError } from "../errors.js";
import { Counters } from "../memory/counters.js";
import { Command, Word, WorkerState, wordOf } from "../memory/worker-words.js";
import { Fate } from "../reason.js";
import type { Failure, Report, WorkerPlan, WorkerTask } from "./messages.js";

/** Milliseconds before a worker is started again: at once, then longer while it keeps failing. */
const BACKOFF = [0, 100, 250, 500, 1000];
/** Milliseconds that a worker gets to stop by itself. */
const PATIENCE = 2_000;
/** A worker that served this long has recovered. */
const STEADY = 10_000;
/** JavaScript heap of a worker in MB: it holds code and a few objects, tables and frames lie outside. */
const HEAP = 256;

/**
 * The fast path is a few long functions that call many short ones: with its usual budget (920 bytes of bytecode) the optimizing compiler
 * leaves some of the calls in it. Measured: 4 to 10 % more packets through sessions and tunnels. The flags are those of the process.
 */
const INLINING = ["--max-inlined-bytecode-size-cumulative=4000", "--max-inlined-bytecode-size=1500"];

export interface PoolEvents {
  /** A worker died; the next one starts in `retryIn` milliseconds. */
  died(worker: number, cause: unknown, retryIn: number): void;
  /** A worker that goes on has something to say. */
  report(report: Report): void;
}

export class WorkerPool {
  readonly restarts: Int32Array;
  readonly #pool: Piscina;
  readonly #words: Int32Array;
  readonly #tasks: Promise<void>[] = [];
  /** Whether start() succeeded: only then are workers replaced. */
  readonly #start: Promise<boolean>;
  #started: (succeeded: boolean) => void = () => {};
  #stopping = false;

  constructor(
    readonly plans: readonly WorkerPlan[],
    readonly events: PoolEvents,
  ) {
    this.restarts = new Int32Array(plans.length);
    this.#words = new Int32Array(plans[0].words);
    this.#start = new Promise((resolve) => {
      this.#started = resolve;
    });
    for (const flag of INLINING) setFlagsFromString(flag);
    this.#pool = new Piscina({
      filename: fileURLToPath(new URL("./thread.js", import.meta.url)),
      minThreads: plans.length,
      maxThreads: plans.length,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      atomics: "disabled",
      recordTiming: false,
      // Hooks and loaders of the main thread are no business of the fast loop, and slow to start.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP },
    });
    // A dead thread also fails its task, which is where it is dealt with.
    this.#pool.on("error", () => {});
  }

  /** Starts all workers; resolves when each has opened its ports and serves, rejects with the first failure. */
  async start(): Promise<void> {
    const first = this.plans.map((plan) => {
      const task = this.#run(plan);
      this.#tasks[plan.worker] = this.#keep(plan, task);
      return Promise.race([this.#untilServing(plan.worker), task]);
    });
    try {
      await Promise.all(first);
      this.#started(true);
    } catch (cause) {
      this.#started(false);
      await this.stop();
      throw cause;
    }
  }

  /** Workers that serve now. */
  get serving(): number {
    return this.plans.filter((plan) => this.isServing(plan.worker)).length;
  }

  isServing(worker: number): boolean {
    return Atomics.load(this.#words, wordOf(worker, Word.state)) === WorkerState.serving;
  }

  /** Tells a worker to do something other than run. Commands beyond stop are faults that tests inject. */
  command(worker: number, command: Command): void {
    Atomics.store(this.#words, wordOf(worker, Word.command), command);
  }

  /** Stops all workers and waits until their ports are closed; one that does not answer is terminated. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const plan of this.plans) this.command(plan.worker, Command.stop);
    const patience = new AbortController();
    await Promise.race([Promise.all(this.#tasks), sleep(PATIENCE, undefined, patience).catch(() => {})]);
    patience.abort();
    await this.#pool.destroy();
    await Promise.all(this.#tasks);
  }

  async #run(plan: WorkerPlan): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    port1.on("message", (report: Report) => this.events.report(report));
    port1.unref();
    try {
      const task: WorkerTask = { plan, reports: port2 };
      const failure: Failure | undefined = await this.#pool.run(task, { transferList: [port2] });
      if (failure !== undefined) throw new SluiceError(failure.code, failure.message);
    } finally {
      // What it said last lies in the port still.
      for (let last = receiveMessageOnPort(port1); last !== undefined; last = receiveMessageOnPort(port1)) {
        this.events.report(last.message as Report);
      }
      port1.close();
    }
  }

  /** Waits for the task to end and starts the next, while the pool is not stopping. */
  async #keep(plan: WorkerPlan, first: Promise<void>): Promise<void> {
    let failures = 0;
    for (let task = first; ; task = this.#run(plan)) {
      const started = performance.now();
      let cause: unknown = new Error("its task ended by itself");
      try {
        await task;
      } catch (thrown) {
        cause = thrown;
      }
      this.#bury(plan);
      if (!(await this.#start) || this.#stopping) return;
      if (performance.now() - started > STEADY) failures = 0;
      const retryIn = BACKOFF[Math.min(failures++, BACKOFF.length - 1)];
      this.restarts[plan.worker] = this.restarts[plan.worker] + 1;
      this.events.died(plan.worker, cause, retryIn);
      await sleep(retryIn);
      if (this.#stopping) return;
    }
  }

  /** Resolves once the worker serves; never when it fails before (its task rejects then). */
  async #untilServing(worker: number): Promise<void> {
    const at = wordOf(worker, Word.state);
    for (;;) {
      const waited = Atomics.waitAsync(this.#words, at, WorkerState.down);
      if (!waited.async) return;
      await waited.value;
    }
  }

  /** Settles what a worker left behind. Its words and counters are ours until the next one starts. */
  #bury(plan: WorkerPlan): void {
    const { worker } = plan;
    const words = this.#words;
    const inflight = words[wordOf(worker, Word.inflight)];
    const { fates } = new Counters(plan.counters, plan.ports.length);
    fates[Fate.workerLost] = fates[Fate.workerLost] + inflight + fates[Fate.waiting];
    fates[Fate.waiting] = 0;
    words[wordOf(worker, Word.inflight)] = 0;
    // Even: it holds no reference any more.
    if ((Atomics.load(words, wordOf(worker, Word.burst)) & 1) === 1) Atomics.add(words, wordOf(worker, Word.burst), 1);
    Atomics.store(words, wordOf(worker, Word.command), Command.run);
    Atomics.store(words, wordOf(worker, Word.state), WorkerState.down);
  }
}
