// What control asks of the session table. src/table/session-table.ts fits it.

import type { NewSession, SessionInfo } from "../table/session.js";

/** Answers of Sessions.add. */
export const enum Added {
  added,
  /** The id or one of the two flow keys is taken. */
  exists,
  full,
}

export interface SessionCounts {
  readonly active: number;
  readonly added: number;
  readonly aged: number;
  readonly deleted: number;
  readonly closedByTcp: number;
}

export interface Sessions {
  readonly capacity: number;
  /** Slots that can be filled right now. */
  readonly free: number;
  readonly stats: SessionCounts;

  /** `now`: milliseconds since the epoch, here and below. */
  add(session: NewSession, now: number): Added;
  /** The id of the session added last: what the table chose for id 0. */
  readonly lastId: bigint;
  /** Would `add` answer that it exists? */
  exists(session: NewSession): boolean;
  /** With live counters. */
  get(id: bigint): SessionInfo | undefined;
  /**
   * Unlinks it; resolves once every worker has passed on, with the final counters and endTime. Undefined when unknown.
   * Calls onClosed too.
   */
  delete(id: bigint, now: number): Promise<SessionInfo | undefined>;

  /** Creation number of a session: grows by creation, never given twice, > 0. -1 when unknown. */
  position(id: bigint): number;
  /** Creation number of the `index`-th session in creation order, from 0. -1 past the end. */
  positionAt(index: number): number;
  /** In creation order, up to `max` sessions with creation numbers of at least `position`, which need not exist any more. */
  listFrom(position: number, max: number): SessionInfo[];

  /** Called once for every session that is gone: aged, deleted, closed by TCP. */
  onClosed: (info: SessionInfo) => void;
  /** Ages what is due; returns after at most `budgetMs` of work; true when more is due now. */
  age(now: number, budgetMs: number): boolean;
}
