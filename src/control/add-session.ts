// AddSession (api.md 8). Up to 64 requests are a batch: collected first and inserted when the client closes its side, so
// that a stream that breaks leaves nothing behind and a table that is too full takes none. Longer streams are inserted as
// they come, at a cost of one request in memory.

import { type handleClientStreamingCall, Metadata } from "@grpc/grpc-js";
import type { BaseLogger } from "pino";
import type { NewSession } from "../table/session.js";
import { AddStatus, type SessionTable } from "../table/session-table.js";
import { AddSessionStatus, type SessionRequest } from "./gen/openoffload.js";
import { toStatus } from "./handler.js";
import { Pace } from "./pace.js";
import { AddOutcome } from "./status.js";
import { type SessionRules, toSession } from "./translate.js";

const BATCH = 64;
/** Requests of one stream between two looks at the clock. */
const STRIDE = 16;
const LOG_PERIOD_MS = 1000;
/** Trailing metadata with AddOutcome.sentences, for clients that want more than a code. */
export const ERROR_METADATA = "sluice-error";
export const ERROR_SEPARATOR = " | ";
/**
 * When a call is cancelled or runs out of time, Node's HTTP/2 client first closes its side, as if the batch were complete,
 * and resets the stream afterwards: 1 ms later as a rule, 5 ms on a busy machine. So its batches wait longer than that.
 * Our own client (client.ts) has a name of its own before that of grpc-node: it never cancels a batch.
 */
const NODE_CLIENT = /^grpc-node/;
const NODE_RESET_MS = 10;

export interface AddSessionOptions {
  readonly sessions: SessionTable;
  readonly rules: SessionRules;
  /** Can the device serve sessions? */
  readonly ready: () => boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Pick<BaseLogger, "info" | "error">;
}

/** Answers with an encoded AddSessionResponse. */
export function addSession(options: AddSessionOptions): handleClientStreamingCall<SessionRequest, Buffer> {
  const log = new FailureLog(options);
  const pace = new Pace();
  return (call, callback) => {
    const outcome = new AddOutcome();
    const insertion = new Insertion(options, (id, status, sentence) => outcome.add(id, status, sentence));
    let over = false;
    let taken = 0;

    function fail(cause: unknown): void {
      over = true;
      callback(toStatus(cause, "AddSession", options.log));
    }

    call.on("data", (request: SessionRequest) => {
      if (over) {
        return;
      }
      try {
        insertion.add(request);
      } catch (cause) {
        fail(cause);
      }
      if (++taken % STRIDE === 0 && pace.over) {
        call.pause();
        pace.later(() => call.resume());
      }
    });
    call.on("end", () => {
      const answer = (): void => {
        if (over || call.cancelled || call.destroyed || Date.now() >= Number(call.getDeadline())) {
          return;
        }
        try {
          const unavailable = insertion.finish();
          over = true;
          log.write(outcome);
          callback(null, outcome.response(options.now(), unavailable), trailer(outcome));
        } catch (cause) {
          fail(cause);
        }
      };
      // A stream that was cut off ends too, in the same turn of the event loop in which it is then known to be cancelled.
      if (insertion.pending && NODE_CLIENT.test(String(call.metadata.get("user-agent")[0]))) {
        setTimeout(() => pace.later(answer), NODE_RESET_MS);
      } else {
        pace.later(answer);
      }
    });
    call.on("error", () => {
      over = true;
    });
  };
}

function trailer(outcome: AddOutcome): Metadata {
  const metadata = new Metadata();
  if (outcome.sentences.length > 0) {
    metadata.set(ERROR_METADATA, outcome.sentences.join(ERROR_SEPARATOR));
  }
  return metadata;
}

class Insertion {
  /** Undefined once the stream is longer than a batch. */
  #batch: SessionRequest[] | undefined = [];

  /** `report` is called once per request, in order. */
  constructor(
    private readonly options: AddSessionOptions,
    private readonly report: (id: bigint, status: AddSessionStatus, sentence?: string) => void,
  ) {}

  /** Is there a batch that is not inserted before the stream ends? */
  get pending(): boolean {
    return this.#batch !== undefined && this.#batch.length > 0;
  }

  add(request: SessionRequest): void {
    if (this.#batch === undefined) {
      this.#insert(request.sessionId, toSession(request, this.options.rules), true, this.options.now());
    } else if (this.#batch.length < BATCH) {
      this.#batch.push(request);
    } else {
      const first = this.#batch;
      this.#batch = undefined;
      for (const early of first) {
        this.add(early);
      }
      this.add(request);
    }
  }

  /** The stream is complete. True when the device cannot serve. */
  finish(): boolean {
    const batch = this.#batch;
    if (batch !== undefined) {
      const { rules, sessions } = this.options;
      const now = this.options.now();
      const wanted = batch.map((request) => toSession(request, rules));
      // Looking for what exists already is left out while there is room for all.
      const room = batch.length <= sessions.free;
      if (room && this.options.ready() && wanted.every((session) => typeof session !== "string")) {
        sessions.addAll(wanted, now, (i, status) => this.report((batch[i] as SessionRequest).sessionId, STATUS[status]));
      } else {
        const fits = room || missing(wanted, sessions) <= sessions.free;
        wanted.forEach((session, i) => {
          this.#insert((batch[i] as SessionRequest).sessionId, session, fits, now);
        });
      }
    }
    return !this.options.ready();
  }

  /** `fits`: false when its batch does not, which says only why this one is not in. */
  #insert(id: bigint, session: NewSession | string, fits: boolean, now: number): void {
    const { sessions, ready } = this.options;
    if (!ready()) {
      this.report(id, AddSessionStatus._SESSION_TABLE_UNAVAILABLE);
    } else if (typeof session === "string") {
      this.report(id, AddSessionStatus._SESSION_REJECTED, session);
    } else {
      const status = fits ? sessions.add(session, now) : AddStatus.full;
      // A full table does not look whether it has the session.
      this.report(id, STATUS[status === AddStatus.full && sessions.exists(session) ? AddStatus.exists : status]);
    }
  }
}

const STATUS: Record<AddStatus, AddSessionStatus> = {
  [AddStatus.added]: AddSessionStatus._SESSION_ACCEPTED,
  [AddStatus.exists]: AddSessionStatus._SESSION_ALREADY_EXISTS,
  [AddStatus.full]: AddSessionStatus._SESSION_TABLE_FULL,
};

/** Slots that a batch would take. Ids that it names twice take one; flows that it names twice are not looked for. */
function missing(wanted: readonly (NewSession | string)[], sessions: SessionTable): number {
  const ids = new Set<bigint>();
  let count = 0;
  for (const session of wanted) {
    if (typeof session === "string" || sessions.exists(session) || ids.has(session.id)) {
      continue;
    }
    if (session.id !== 0n) {
      ids.add(session.id);
    }
    count++;
  }
  return count;
}

/** One line for streams with failures, at most one a second: a client that errs in a loop does not fill the log. */
class FailureLog {
  #last = Number.NEGATIVE_INFINITY;
  #unsaid = 0;

  constructor(private readonly options: Pick<AddSessionOptions, "log">) {}

  write(outcome: AddOutcome): void {
    if (outcome.failures === 0) {
      return;
    }
    const now = performance.now();
    this.#unsaid += outcome.failures;
    if (now - this.#last < LOG_PERIOD_MS) {
      return;
    }
    const [first] = outcome.sentences;
    this.options.log.info(`${this.#unsaid} sessions were not added${first === undefined ? "" : `; request ${first}`}`);
    this.#last = now;
    this.#unsaid = 0;
  }
}
