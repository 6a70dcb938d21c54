// AddSession (api.md 8). Up to 64 requests are a batch: collected first and inserted when the client closes its side, so
// that a stream that breaks leaves nothing behind and a table that is too full takes none. Longer streams are inserted as
// they come, at a cost of one request in memory.

import { type handleClientStreamingCall, Metadata } from "@grpc/grpc-js";
import type { BaseLogger } from "pino";
import type { NewSession } from "../table/session.js";
import { AddStatus, type SessionTable } from "../table/session-table.js";
import { FailureLog } from "./failure-log.js";
import { AddSessionStatus, type SessionRequest } from "./gen/openoffload.js";
import { toStatus } from "./handler.js";
import { Pace } from "./pace.js";
import { AddOutcome } from "./status.js";
import { whenWhole } from "./stream-end.js";
import { type SessionRules, toSession } from "./translate.js";

const BATCH = 64;
/** Requests of one stream between two looks at the clock. */
const STRIDE = 16;
/** Trailing metadata with AddOutcome.sentences, for clients that want more than a code. */
export const ERROR_METADATA = "sluice-error";
export const ERROR_SEPARATOR = " | ";
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
  const log = new FailureLog(options.log, "sessions were not added");
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
        if (over) return;
        try {
          const unavailable = insertion.finish();
          over = true;
          log.write(outcome.failures, outcome.sentences[0]);
          callback(null, outcome.response(options.now(), unavailable), trailer(outcome));
        } catch (cause) {
          fail(cause);
        }
      };
      whenWhole(call, insertion.pending, answer, (step) => pace.later(step));
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
