// GetAllSessions: pages in creation order, continued by key (api.md 5).
//
// A page is encoded in slices with a turn of the event loop between them: protobuf lets encoded messages be concatenated, so
// a page of 4 MB holds the thread no longer than one of 512 sessions. Sessions that come and go meanwhile are seen or not,
// but none that stays is left out or listed twice.

import { setImmediate as turn } from "node:timers/promises";
import type { Cursor } from "../table/creation-order.js";
import type { SessionTable } from "../table/session-table.js";
import { type SessionRequestArgs, SessionResponses } from "./gen/openoffload.js";
import { RESERVED_ID, toResponse } from "./translate.js";

/** What a client accepts by default in one message, less what next_key takes. */
const PAGE_BYTES = 4 * 1024 * 1024 - 64;
/** A session on the wire at the longest: 11 for the id, 4 counters of 9, 3 enums of 2, 2 times of 14, 2 around it. */
const SESSION_BYTES = 83;
const SLICE = 512;

/** A client was gone before its page was ready. */
const NOTHING = Buffer.alloc(0);

export class Pager {
  constructor(private readonly sessions: Pick<SessionTable, "open" | "openAt" | "read" | "close">) {}

  /** An encoded SessionResponses. `gone`: nobody waits for it any more. */
  async page(args: SessionRequestArgs, gone: () => boolean): Promise<Buffer> {
    const cursor = this.#start(args);
    const parts: Buffer[] = [];
    let lastId = args.startSession;
    if (cursor !== undefined) {
      let left = args.pageSize === 0 ? Number.POSITIVE_INFINITY : args.pageSize;
      let bytes = 0;
      for (;;) {
        const max = Math.min(left, SLICE, Math.floor((PAGE_BYTES - bytes) / SESSION_BYTES));
        const slice = this.sessions.read(cursor, max);
        const last = slice.at(-1);
        if (last === undefined) break;
        const part = Buffer.from(SessionResponses.encode({ sessionInfo: slice.map(toResponse), nextKey: 0n }).finish());
        parts.push(part);
        bytes += part.length;
        left -= slice.length;
        lastId = last.id;
        if (slice.length < max) break;
        await turn();
        if (gone()) {
          this.sessions.close(cursor);
          return NOTHING;
        }
      }
      this.sessions.close(cursor, parts.length > 0 ? lastId : undefined);
    }
    parts.push(Buffer.from(SessionResponses.encode({ sessionInfo: [], nextKey: lastId }).finish()));
    return Buffer.concat(parts);
  }

  /** Where the page begins; undefined for an empty page. */
  #start({ pageSize, page, startSession }: SessionRequestArgs): Cursor | undefined {
    if (page > 0 && pageSize > 0) return this.sessions.openAt((page - 1) * pageSize);
    return this.sessions.open(startSession === 0n || startSession === RESERVED_ID ? undefined : startSession);
  }
}
