// GetAllSessions: pages in creation order, continued by key (api.md 5).
//
// A page is encoded in slices with a turn of the event loop between them: protobuf lets encoded messages be concatenated, so
// a page of 4 MB holds the thread no longer than one of 512 sessions. Sessions that come and go meanwhile are seen or not,
// but none that stays is left out or listed twice.

import { setImmediate as turn } from "node:timers/promises";
import { type SessionRequestArgs, SessionResponses } from "./gen/openoffload.js";
import type { Sessions } from "./sessions.js";
import { RESERVED_ID, toResponse } from "./translate.js";

/** What a client accepts by default in one message, less what next_key takes. */
const PAGE_BYTES = 4 * 1024 * 1024 - 64;
/** A session on the wire at the longest: 11 for the id, 4 counters of 9, 3 enums of 2, 2 times of 14, 2 around it. */
const SESSION_BYTES = 83;
const SLICE = 512;
const REMEMBERED_ENDS = 1024;

/** A client was gone before its page was ready. */
const NOTHING = Buffer.alloc(0);

export class Pager {
  /** Creation number by session id of the last page ends: where to go on when that session is gone. Oldest first. */
  readonly #ends = new Map<bigint, number>();

  constructor(private readonly sessions: Sessions) {}

  /** An encoded SessionResponses. `gone`: nobody waits for it any more. */
  async page(args: SessionRequestArgs, gone: () => boolean): Promise<Buffer> {
    const sessions = this.sessions;
    const parts: Buffer[] = [];
    let left = args.pageSize === 0 ? Number.POSITIVE_INFINITY : args.pageSize;
    let bytes = 0;
    let lastId = args.startSession;
    let position = this.#start(args);
    while (position >= 0) {
      const max = Math.min(left, SLICE, Math.floor((PAGE_BYTES - bytes) / SESSION_BYTES));
      const slice = sessions.listFrom(position, max);
      const last = slice.at(-1);
      if (last === undefined) {
        break;
      }
      const part = Buffer.from(SessionResponses.encode({ sessionInfo: slice.map(toResponse), nextKey: 0n }).finish());
      parts.push(part);
      bytes += part.length;
      left -= slice.length;
      lastId = last.id;
      position = sessions.position(lastId) + 1;
      if (slice.length < max || left === 0 || PAGE_BYTES - bytes < SESSION_BYTES) {
        break;
      }
      await turn();
      if (gone()) {
        return NOTHING;
      }
    }
    if (parts.length > 0) {
      this.#remember(lastId, position - 1);
    }
    parts.push(Buffer.from(SessionResponses.encode({ sessionInfo: [], nextKey: lastId }).finish()));
    return Buffer.concat(parts);
  }

  /** The least creation number that the page may hold, or -1 for an empty page. */
  #start({ pageSize, page, startSession }: SessionRequestArgs): number {
    if (page > 0 && pageSize > 0) {
      return this.sessions.positionAt((page - 1) * pageSize);
    }
    if (startSession === 0n || startSession === RESERVED_ID) {
      return 0;
    }
    // A page end comes first: its session may have been deleted and added again, which would be somewhere else.
    const end = this.#ends.get(startSession) ?? this.sessions.position(startSession);
    return end < 0 ? -1 : end + 1;
  }

  #remember(id: bigint, position: number): void {
    this.#ends.delete(id);
    this.#ends.set(id, position);
    if (this.#ends.size > REMEMBERED_ENDS) {
      for (const oldest of this.#ends.keys()) {
        this.#ends.delete(oldest);
        break;
      }
    }
  }
}
