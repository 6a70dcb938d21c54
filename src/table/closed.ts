// Closed sessions that wait for GetClosedSessions (api.md 6): a bounded log in the order of closing, delivered at least once.
// Private to the control thread.
//
// A record has a sequence number for life. Which records wait, and which a lease holds, are lists of runs of such numbers,
// so that giving back costs the number of runs, not of records, and what is given back is in its old place.
// Records lie in chunks of 64 KiB that come and go with them: an empty log costs nothing, a full one 64 bytes per session.
//
// A record that a lease holds counts against the bound but is not what is dropped at it: that is the oldest one that waits,
// and with nothing else waiting the new one.

import type { SessionInfo } from "./session.js";

/** Words of a record, 8 bytes each. */
const enum Field {
  id,
  inPackets,
  outPackets,
  inBytes,
  outBytes,
  startTime,
  endTime,
  /** state + closeCode * STATES */
  end,
  count,
}

const STATES = 8;
const CHUNK = 1024;

class Chunk {
  readonly numbers = new Float64Array(CHUNK * Field.count);
  readonly ids = new BigUint64Array(this.numbers.buffer);
  /** Records not yet forgotten, of those that were written. */
  live = 0;
}

/** Sequence numbers from … to - 1. */
interface Run {
  from: number;
  to: number;
}

export class ClosedSessions {
  readonly #chunks = new Map<number, Chunk>();
  /** In order, none empty, none touching. */
  readonly #waiting: Run[] = [];
  readonly #listeners = new Set<() => void>();
  #waitingCount = 0;
  #held = 0;
  #dropped = 0;
  #next = 0;

  /** `capacity`: records that wait or are being delivered. */
  constructor(readonly capacity: number) {}

  /** Records that no lease holds. */
  get waiting(): number {
    return this.#waitingCount;
  }

  /** Records that were pushed out at the bound before anyone fetched them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Sequence number of the record that closes next. */
  get next(): number {
    return this.#next;
  }

  push(info: SessionInfo): void {
    this.#write(this.#next, info);
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.to === this.#next) {
      last.to++;
    } else {
      this.#waiting.push({ from: this.#next, to: this.#next + 1 });
    }
    this.#next++;
    this.#waitingCount++;
    this.#held++;
    if (this.#held > this.capacity) {
      this.#dropOldest();
    }
    this.#wake();
  }

  /** What one stream holds. Every lease must be released in the end. */
  lease(): Lease {
    return new Lease(this);
  }

  /** Calls `wake` whenever records may have begun to wait; it must be cheap. Returns what ends that. */
  onWaiting(wake: () => void): () => void {
    this.#listeners.add(wake);
    return () => this.#listeners.delete(wake);
  }

  /** For Lease: takes the oldest waiting record if it closed before `end`. */
  take(end: number): Run | undefined {
    const first = this.#waiting[0];
    if (first === undefined || first.from >= end) {
      return undefined;
    }
    const run = { from: first.from, to: first.from + 1 };
    first.from = run.to;
    if (first.from === first.to) {
      this.#waiting.shift();
    }
    this.#waitingCount--;
    return run;
  }

  /** For Lease: puts runs back where they were. */
  giveBack(runs: readonly Run[]): void {
    for (const run of runs) {
      this.#waitingCount += run.to - run.from;
    }
    const sorted = [...this.#waiting, ...runs].sort((a, b) => a.from - b.from);
    this.#waiting.length = 0;
    for (const run of sorted) {
      const last = this.#waiting.at(-1);
      if (last !== undefined && last.to === run.from) {
        last.to = run.to;
      } else {
        this.#waiting.push(run);
      }
    }
    this.#wake();
  }

  /** For Lease: these are delivered. */
  forget(from: number, to: number): void {
    this.#held -= to - from;
    for (let at = from; at < to; ) {
      const number = Math.floor(at / CHUNK);
      const end = Math.min(to, (number + 1) * CHUNK);
      const chunk = this.#chunks.get(number) as Chunk;
      chunk.live -= end - at;
      if (chunk.live === 0 && this.#next >= (number + 1) * CHUNK) {
        this.#chunks.delete(number);
      }
      at = end;
    }
  }

  /** For Lease: the record with sequence number `at`. */
  read(at: number): SessionInfo {
    const { numbers, ids } = this.#chunks.get(Math.floor(at / CHUNK)) as Chunk;
    const base = (at % CHUNK) * Field.count;
    const end = numbers[base + Field.end];
    return {
      id: ids[base + Field.id] as bigint,
      inPackets: numbers[base + Field.inPackets],
      outPackets: numbers[base + Field.outPackets],
      inBytes: numbers[base + Field.inBytes],
      outBytes: numbers[base + Field.outBytes],
      state: end % STATES,
      closeCode: Math.floor(end / STATES),
      startTime: numbers[base + Field.startTime],
      endTime: numbers[base + Field.endTime],
    };
  }

  #write(at: number, info: SessionInfo): void {
    const number = Math.floor(at / CHUNK);
    let chunk = this.#chunks.get(number);
    if (chunk === undefined) {
      chunk = new Chunk();
      this.#chunks.set(number, chunk);
    }
    const { numbers, ids } = chunk;
    const base = (at % CHUNK) * Field.count;
    ids[base + Field.id] = info.id;
    numbers[base + Field.inPackets] = info.inPackets;
    numbers[base + Field.outPackets] = info.outPackets;
    numbers[base + Field.inBytes] = info.inBytes;
    numbers[base + Field.outBytes] = info.outBytes;
    numbers[base + Field.startTime] = info.startTime;
    numbers[base + Field.endTime] = info.endTime;
    numbers[base + Field.end] = info.state + info.closeCode * STATES;
    chunk.live++;
  }

  #dropOldest(): void {
    const oldest = this.take(this.#next) as Run;
    this.forget(oldest.from, oldest.to);
    this.#dropped++;
  }

  #wake(): void {
    for (const wake of this.#listeners) {
      wake();
    }
  }
}

/** Records in the hands of one stream: in no other's, until they are acknowledged or given back. */
export class Lease {
  /** In the order in which they were taken. */
  readonly #runs: Run[] = [];
  #count = 0;

  constructor(private readonly closed: ClosedSessions) {}

  /** Records handed out and not yet acknowledged. */
  get count(): number {
    return this.#count;
  }

  /** Hands out the oldest waiting record of those that closed before sequence number `end`; undefined when there is none. */
  take(end: number): SessionInfo | undefined {
    const run = this.closed.take(end);
    if (run === undefined) {
      return undefined;
    }
    const last = this.#runs.at(-1);
    if (last !== undefined && last.to === run.from) {
      last.to = run.to;
    } else {
      this.#runs.push(run);
    }
    this.#count++;
    return this.closed.read(run.to - 1);
  }

  /** The `count` that were handed out first have arrived: they are forgotten. */
  acknowledge(count: number): void {
    let left = Math.min(count, this.#count);
    this.#count -= left;
    while (left > 0) {
      const run = this.#runs[0] as Run;
      const end = Math.min(run.to, run.from + left);
      this.closed.forget(run.from, end);
      left -= end - run.from;
      run.from = end;
      if (run.from === run.to) {
        this.#runs.shift();
      }
    }
  }

  /** The stream is over: what it did not acknowledge waits again, in order. */
  release(): void {
    this.#count = 0;
    this.closed.giveBack(this.#runs.splice(0));
  }
}
