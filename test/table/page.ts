// Pages as control/paging.ts takes them, in one step.

import type { CreationOrder, Cursor } from "../../src/table/creation-order.js";
import type { SessionInfo } from "../../src/table/session.js";
import type { SessionTable } from "../../src/table/session-table.js";

/** Up to `max` sessions after the one with this id; remembers where the page ended. undefined when the id is unknown. */
export function list(table: SessionTable, after: bigint | undefined, max: number): SessionInfo[] | undefined {
  const cursor = table.open(after);
  if (cursor === undefined) return undefined;
  const page = table.read(cursor, max);
  table.close(cursor, page.at(-1)?.id);
  return page;
}

/** The page-th page of `size` sessions, from 1. */
export function listAt(table: SessionTable, page: number, size: number): SessionInfo[] {
  const cursor = table.open(undefined) as Cursor;
  table.skip(cursor, (page - 1) * size);
  const sessions = table.read(cursor, size);
  table.close(cursor);
  return sessions;
}

export function rememberEnd(order: CreationOrder, id: bigint, slot: number): void {
  order.keep(order.open(slot), id);
}

export function resumeEnd(order: CreationOrder, id: bigint): number | undefined {
  const cursor = order.reopen(id);
  if (cursor === undefined) return undefined;
  const slot = order.slot(cursor);
  order.close(cursor);
  return slot;
}
