// The fast loop: receive a burst from each port, run it to completion, look at the command word; block when there is
// nothing to do.
//
// Adaptive polling: after the last frame the loop spins for a while, because the next burst is probably near, then sleeps
// until a ring has frames, a paced file is due, or SLEEP has passed (the command word wakes nobody).

import { Burst } from "../memory/burst.js";
import type { Frames } from "../memory/frames.js";
import { Command, Word, WorkerState, wordOf } from "../memory/worker-words.js";
import type { OpenPorts } from "../port/open.js";
import type { Port } from "../port/port.js";
import type { Pipeline } from "./pipeline.js";

/** Milliseconds to keep spinning after the last frame. */
const SPIN = 0.05;
/** Milliseconds to sleep at the most: how late a command may be noticed. */
const SLEEP = 50;

/**
 * Serves until the command word says stop.
 * @param live whether packets come as time passes; a replay has a clock of its own, which its packets carry
 */
export function serve(pipeline: Pipeline, ports: OpenPorts, frames: Frames, live: boolean): void {
  const { words, worker } = pipeline;
  const { sources } = ports;
  const command = wordOf(worker, Word.command);
  const burst = new Burst(frames);
  let lastBusy = 0;

  Atomics.store(words, wordOf(worker, Word.state), WorkerState.serving);
  Atomics.notify(words, wordOf(worker, Word.state));

  for (;;) {
    const order = Atomics.load(words, command);
    if (order !== Command.run) {
      if (order === Command.stop) {
        pipeline.expire(burst, Number.POSITIVE_INFINITY);
        return;
      }
      fail(order);
    }
    const now = performance.timeOrigin + performance.now();
    let received = 0;
    for (let s = 0; s < sources.length; s++) {
      const source = sources[s];
      burst.reset(now);
      const n = source.rx(burst);
      if (n === 0) continue;
      received += n;
      pipeline.process(burst);
    }
    if (live) pipeline.expire(burst, now);
    if (received > 0) lastBusy = now;
    else if (now - lastBusy > SPIN) ports.rest(patience(sources));
  }
}

/** Milliseconds until one of the sources may have something, at the most SLEEP. */
function patience(sources: readonly Port[]): number {
  let least = SLEEP;
  for (let s = 0; s < sources.length; s++) {
    const source = sources[s];
    // A port with a descriptor wakes poll(2) by itself.
    if (source.fd < 0) least = Math.min(least, source.idle());
  }
  return Math.ceil(least);
}

/** Dies in the way that a test asked for. */
function fail(order: Command): void {
  if (order === Command.exit) process.exit(3);
  if (order === Command.exhaust) {
    const hoard: number[][] = [];
    for (;;) hoard.push(new Array<number>(1_000_000).fill(1.5));
  }
  throw new Error("fault injected into the worker's loop");
}
