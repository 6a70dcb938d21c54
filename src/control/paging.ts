// GetAllSessions: pages in creation order, continued by key or by number (api.md 5).
//
// A page is encoded in slices with a turn of the event loop between them: protobuf lets encoded messages be concatenated, so
// a page of 4 MB holds the thread no longer than one of 512 sessions. Sessions that come and go meanwhile are seen or not,
// but none that stays is left out or listed twice.
//
// Where a page by number ended is remembered, so that the next one need not count from the beginning: while no session left
// meanwhile, and for one client at a time. Else it counts, in slices too.

import { setImmediate as turn } from "node:timers/promises";
import type { Cursor } from "../table/creation-order.js";
import type { SessionInfo } from "../table/session.js";
import type { SessionTable } from "../table/session-table.js";
import { type SessionRequestArgs, SessionResponses } from "./gen/openoffload.js";
import { SESSION_BYTES, writeSession } from "./session-response.js";
import { RESERVED_ID } from "./translate.js";

/** What a client accepts by default in one message, less what next_key takes. */
const PAGE_BYTES = 4 * 1024 * 1024 - 64;
/** Key and length of a session in a page; the length is below 128 and so one byte. */
const SESSION_INFO = (1 << 3) | 2;
const FRAMING = 2;
const SLICE = 512;
/** Sessions passed over in one turn: half a millisecond, up to 5 when each is a cache miss. */
const STRIDE = 32_768;

/** A client was gone before its page was ready. */
const NOTHING = Buffer.alloc(0);
/** Slices are encoded here, one at a time. */
const slice = Buffer.allocUnsafeSlow(SLICE * (FRAMING + SESSION_BYTES));

type Sessions = Pick<SessionTable, "open" | "skip" | "copy" | "removals" | "read" | "close">;

/** The end of a page by number. */
interface Mark {
  readonly cursor: Cursor;
  /** Sessions before it. */
  readonly index: number;
  readonly removals: number;
}

interface Filled {
  readonly parts: Buffer[];
  readonly count: number;
  /** Id of the last session; undefined when there is none. */
  readonly last: bigint | undefined;
}

export class Pager {
  #mark: Mark | undefined;

  constructor(private readonly sessions: Sessions) {}

  /** An encoded SessionResponses. `gone`: nobody waits for it any more. */
  async page(args: SessionRequestArgs, gone: () => boolean): Promise<Buffer> {
    const { page, pageSize, startSession } = args;
    return page > 0 && pageSize > 0 ? this.#numbered((page - 1) * pageSize, args, gone) : this.#keyed(args, startSession, gone);
  }

  async #keyed(args: SessionRequestArgs, after: bigint, gone: () => boolean): Promise<Buffer> {
    const cursor = this.sessions.open(after === 0n || after === RESERVED_ID ? undefined : after);
    if (cursor === undefined) return join([], after);
    let end: bigint | undefined;
    try {
      const filled = await this.#fill(cursor, args.pageSize, gone);
      end = filled?.last;
      return filled === undefined ? NOTHING : join(filled.parts, end ?? after);
    } finally {
      this.sessions.close(cursor, end);
    }
  }

  async #numbered(index: number, args: SessionRequestArgs, gone: () => boolean): Promise<Buffer> {
    const { removals } = this.sessions;
    const mark = this.#mark;
    const usable = mark !== undefined && mark.removals === removals && mark.index <= index;
    const cursor = usable ? this.sessions.copy(mark.cursor) : (this.sessions.open(undefined) as Cursor);
    let end: bigint | undefined;
    try {
      const skipped = await this.#skip(cursor, usable ? index - mark.index : index, gone);
      const filled = skipped ? await this.#fill(cursor, args.pageSize, gone) : { parts: [], count: 0, last: undefined };
      if (skipped === undefined || filled === undefined) return NOTHING;
      end = filled.last;
      if (filled.count > 0) this.#remember(cursor, index + filled.count, removals);
      return join(filled.parts, end ?? args.startSession);
    } finally {
      this.sessions.close(cursor, end);
    }
  }

  /** Encodes up to `pageSize` sessions (0: no limit), or what a message holds. undefined when nobody waits any more. */
  async #fill(cursor: Cursor, pageSize: number, gone: () => boolean): Promise<Filled | undefined> {
    const parts: Buffer[] = [];
    let left = pageSize === 0 ? Number.POSITIVE_INFINITY : pageSize;
    let bytes = 0;
    let count = 0;
    let last: bigint | undefined;
    for (;;) {
      const max = Math.min(left, SLICE, Math.floor((PAGE_BYTES - bytes) / (FRAMING + SESSION_BYTES)));
      const sessions = this.sessions.read(cursor, max);
      if (sessions.length > 0) {
        const part = encode(sessions);
        parts.push(part);
        bytes += part.length;
        left -= sessions.length;
        count += sessions.length;
        last = (sessions.at(-1) as SessionInfo).id;
      }
      if (sessions.length < max || max === 0) return { parts, count, last };
      await turn();
      if (gone()) return undefined;
    }
  }

  /** Moves the cursor behind `count` more sessions. @returns false when there are fewer, undefined when nobody waits any more */
  async #skip(cursor: Cursor, count: number, gone: () => boolean): Promise<boolean | undefined> {
    for (let left = count; left > 0; left -= STRIDE) {
      const wanted = Math.min(left, STRIDE);
      if (this.sessions.skip(cursor, wanted) < wanted) return false;
      if (left <= STRIDE) break;
      await turn();
      if (gone()) return undefined;
    }
    return true;
  }

  /** `removals`: before the page was looked for. Where something left since, the index is not right. */
  #remember(cursor: Cursor, index: number, removals: number): void {
    if (removals !== this.sessions.removals) return;
    if (this.#mark !== undefined) this.sessions.close(this.#mark.cursor);
    this.#mark = { cursor: this.sessions.copy(cursor), index, removals };
  }
}

function encode(sessions: readonly SessionInfo[]): Buffer {
  let at = 0;
  for (const info of sessions) {
    const end = writeSession(slice, at + FRAMING, info);
    slice[at] = SESSION_INFO;
    slice[at + 1] = end - at - FRAMING;
    at = end;
  }
  return Buffer.from(slice.subarray(0, at));
}

function join(parts: Buffer[], nextKey: bigint): Buffer {
  parts.push(Buffer.from(SessionResponses.encode({ sessionInfo: [], nextKey }).finish()));
  return Buffer.concat(parts);
}
