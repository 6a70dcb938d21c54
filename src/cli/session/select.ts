// Which sessions a command shows, and in which order: by what SessionResponse has (it has no addresses).
//
// Ages are by the clock of this machine, start times by the device's.

import type { SessionResponse } from "../../control/gen/openoffload.js";
import type { IdRange } from "../values.js";

/** By the values of SessionState: the generated enum would bring gRPC into `sluice --help`. */
export const STATES: Readonly<Record<string, number>> = { established: 0, "closing-1": 1, "closing-2": 2, closed: 3 };

export const SORTS = ["packets", "bytes", "start"] as const;

export interface Filter {
  /** A key of STATES. */
  readonly state?: string;
  readonly ids?: IdRange;
  readonly unused?: true;
  readonly minPackets?: number;
  readonly minBytes?: number;
  /** Seconds. */
  readonly olderThan?: number;
  readonly youngerThan?: number;
}

export interface Selection extends Filter {
  readonly sort?: (typeof SORTS)[number];
  readonly limit?: number;
}

const RANK: Record<(typeof SORTS)[number], (session: SessionResponse) => number> = {
  packets,
  bytes,
  start: startTime,
};

/** `now`: milliseconds since the epoch. */
export function matches(session: SessionResponse, filter: Filter, now: number): boolean {
  const { state, ids, unused, minPackets = 0, minBytes = 0, olderThan, youngerThan } = filter;
  const age = (now - startTime(session)) / 1000;
  return (
    (state === undefined || session.sessionState === STATES[state]) &&
    (ids === undefined || (session.sessionId >= ids.from && session.sessionId <= ids.to)) &&
    (unused === undefined || packets(session) === 0) &&
    packets(session) >= minPackets &&
    bytes(session) >= minBytes &&
    (olderThan === undefined || age > olderThan) &&
    (youngerThan === undefined || age < youngerThan)
  );
}

/** Of sessions that come in any number. Only sorting without a limit holds them all. */
export async function* select(pages: AsyncIterable<SessionResponse[]>, selection: Selection): AsyncGenerator<SessionResponse[]> {
  const { sort, limit = Number.POSITIVE_INFINITY } = selection;
  const now = Date.now();
  const top = sort === undefined ? undefined : new Top(limit, RANK[sort]);
  let left = limit;
  for await (const page of pages) {
    const found = page.filter((session) => matches(session, selection, now));
    if (top !== undefined) {
      for (const session of found) top.add(session);
      continue;
    }
    yield found.slice(0, left);
    left -= found.length;
    if (left <= 0) return;
  }
  if (top !== undefined) yield top.rows();
}

/** Most and longest-known first: those of the highest rank, at the cost of twice as many in memory. */
export class Top<T> {
  #rows: T[] = [];

  constructor(
    private readonly limit: number,
    private readonly rank: (row: T) => number,
  ) {}

  add(row: T): void {
    if (this.#rows.push(row) > 2 * this.limit + 1000) this.#rows = this.rows();
  }

  rows(): T[] {
    const { rank, limit } = this;
    return this.#rows.sort((a, b) => rank(b) - rank(a)).slice(0, limit);
  }
}

function packets({ inPackets, outPackets }: SessionResponse): number {
  return Number(inPackets + outPackets);
}

function bytes({ inBytes, outBytes }: SessionResponse): number {
  return Number(inBytes + outBytes);
}

/** Milliseconds since the epoch. */
export function startTime({ startTime }: SessionResponse): number {
  return startTime === undefined ? 0 : Number(startTime.seconds) * 1000 + startTime.nanos / 1e6;
}
