// GetClosedSessions: what has closed and was not delivered yet (api.md 6).
//
// A stream holds what it sent in a lease. A poll acknowledges all of it when its last message's write callback has run; a
// follow stream (metadata `sluice-follow: 1`, page_size not used) each record 10 s after its own. A stream that is cancelled
// before gives the rest back. grpc-js emits 'cancelled' after successful calls too, which then means nothing.
//
// Back-pressure: a stream takes a record only when the one before was taken off its hands, so that a client that does not
// read holds a few records and not the backlog.

import { Metadata, type ServerWritableStream, status } from "@grpc/grpc-js";
import type { BaseLogger } from "pino";
import type { ClosedSessions, Lease } from "../table/closed.js";
import type { SessionInfo } from "../table/session.js";
import type { SessionRequestArgs } from "./gen/openoffload.js";
import { toStatus } from "./handler.js";

/** Records are encoded as they are sent (session-service.ts). */
type Call = ServerWritableStream<SessionRequestArgs, SessionInfo>;

/** A lease may pin a chunk of the backlog (64 KiB), so there is a bound on leases. */
const MAX_STREAMS = 256;
const FOLLOW_HOLD_MS = 10_000;
/** A follow stream acknowledges once in a tenth of the time that it holds a record. */
const HOLD_TICKS = 10;

export interface ClosedStreamsOptions {
  readonly closed: ClosedSessions;
  readonly log: Pick<BaseLogger, "error">;
  /** How long a follow stream keeps a record after it was sent. */
  readonly followHoldMs?: number;
}

export class ClosedStreams {
  readonly #streams = new Set<ClosedStream>();

  constructor(private readonly options: ClosedStreamsOptions) {}

  serve(call: Call): void {
    if (this.#streams.size >= MAX_STREAMS) {
      call.emit("error", {
        code: status.RESOURCE_EXHAUSTED,
        details: `${MAX_STREAMS} calls of GetClosedSessions are running: end some`,
      });
      return;
    }
    const { closed, log, followHoldMs = FOLLOW_HOLD_MS } = this.options;
    const follow = call.metadata.get("sluice-follow").includes("1");
    const stream: ClosedStream = new ClosedStream(call, closed, log, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    if (follow) {
      stream.follow(followHoldMs);
    } else {
      stream.poll(call.request.pageSize);
    }
  }

  /** Ends follow streams, which would not end themselves. */
  end(): void {
    for (const stream of this.#streams) {
      stream.endFollowing();
    }
  }
}

class ClosedStream {
  readonly #lease: Lease;
  /** Sequence number in the backlog at which a poll ends. */
  #end = 0;
  /** Records that a poll may still take. */
  #left = Number.POSITIVE_INFINITY;
  #following = false;
  #blocked = false;
  #over = false;
  #written = 0;
  /** Records whose write callback has run. */
  #arrived = 0;
  readonly #stops: (() => void)[] = [];

  constructor(
    private readonly call: Call,
    private readonly closed: ClosedSessions,
    private readonly log: Pick<BaseLogger, "error">,
    private readonly onOver: () => void,
  ) {
    this.#lease = closed.lease();
    call.on("cancelled", () => this.#stop());
    call.on("drain", () => {
      this.#blocked = false;
      this.#pump();
    });
  }

  poll(pageSize: number): void {
    this.#end = this.closed.next;
    this.#left = pageSize === 0 ? Number.POSITIVE_INFINITY : pageSize;
    this.#pump();
  }

  follow(holdMs: number): void {
    this.#following = true;
    this.#end = Number.POSITIVE_INFINITY;
    let woken: NodeJS.Immediate | undefined;
    const unsubscribe = this.closed.onWaiting(() => {
      woken ??= setImmediate(() => {
        woken = undefined;
        this.#pump();
      });
    });
    const marks: number[] = [];
    let acknowledged = 0;
    const timer = setInterval(() => {
      marks.push(this.#arrived);
      if (marks.length > HOLD_TICKS) {
        const mark = marks.shift() as number;
        this.#lease.acknowledge(mark - acknowledged);
        acknowledged = mark;
      }
    }, holdMs / HOLD_TICKS);
    this.#stops.push(
      unsubscribe,
      () => clearInterval(timer),
      () => clearImmediate(woken),
    );
    // Headers at once, so that the client sees that it follows before anything closes.
    this.call.sendMetadata(new Metadata());
    this.#pump();
  }

  endFollowing(): void {
    if (this.#following) {
      this.#stop();
      this.call.end();
    }
  }

  #pump(): void {
    try {
      while (!this.#over && !this.#blocked) {
        const info = this.#left > 0 ? this.#lease.take(this.#end) : undefined;
        if (info === undefined) {
          this.#endIfDelivered();
          return;
        }
        this.#left--;
        this.#written++;
        this.#blocked = !this.call.write(info, this.#onWritten);
      }
    } catch (cause) {
      this.#stop();
      this.call.emit("error", toStatus(cause, "GetClosedSessions", this.log));
    }
  }

  readonly #onWritten = (error: Error | null | undefined): void => {
    if (!error && !this.#over) {
      this.#arrived++;
      this.#pump();
    }
  };

  #endIfDelivered(): void {
    if (!this.#following && this.#arrived === this.#written) {
      this.#lease.acknowledge(this.#written);
      this.#stop();
      this.call.end();
    }
  }

  /** What is not acknowledged waits for the next stream. */
  #stop(): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    for (const stop of this.#stops) {
      stop();
    }
    this.#lease.release();
    this.onOver();
  }
}
