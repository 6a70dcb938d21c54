// Rates of sessions: differences of their counters between two rounds in which all were looked at.
//
// Two rounds are kept, at some 100 bytes for each session of each: numbers side by side and not as objects, so that a table
// of millions can be watched.

import type { SessionResponse } from "../../control/gen/openoffload.js";
import { startTime } from "./select.js";

/** A session and what it did per second since the round before. */
export interface RatedSession {
  readonly session: SessionResponse;
  readonly inPackets: number;
  readonly inBits: number;
  readonly outPackets: number;
  readonly outBits: number;
}

/** Numbers that are kept of a session. */
const enum Field {
  /** Milliseconds. */
  at,
  /** Tells a session from a later one with the same id. */
  start,
  inPackets,
  inBytes,
  outPackets,
  outBytes,
  count,
}

class Round {
  readonly #slots = new Map<bigint, number>();
  #numbers = new Float64Array(1024 * Field.count);

  /** Where the numbers of this session go. */
  add(id: bigint): Float64Array {
    const from = this.#slots.size * Field.count;
    if (from === this.#numbers.length) {
      const larger = new Float64Array(2 * from);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#slots.set(id, from);
    return this.#numbers.subarray(from, from + Field.count);
  }

  get(id: bigint): Float64Array | undefined {
    const from = this.#slots.get(id);
    return from === undefined ? undefined : this.#numbers.subarray(from, from + Field.count);
  }
}

export class Rates {
  #before = new Round();
  #round = new Round();
  /** When the round before began: a session that it has not seen has counted from zero since. */
  #began = 0;
  #now = 0;

  /** @param at milliseconds of a clock that never jumps; here and below */
  begin(at: number): void {
    this.#before = this.#round;
    this.#round = new Round();
    this.#began = this.#now;
    this.#now = at;
  }

  /** Once a round for each session. The first round's rates mean nothing. */
  add(session: SessionResponse, at: number): RatedSession {
    const now = this.#round.add(session.sessionId);
    now[Field.at] = at;
    now[Field.start] = startTime(session);
    now[Field.inPackets] = Number(session.inPackets);
    now[Field.inBytes] = Number(session.inBytes);
    now[Field.outPackets] = Number(session.outPackets);
    now[Field.outBytes] = Number(session.outBytes);
    const known = this.#before.get(session.sessionId);
    const before = known !== undefined && known[Field.start] === now[Field.start] ? known : undefined;
    const seconds = Math.max(at - (before?.[Field.at] ?? this.#began), 1) / 1000;
    const rate = (field: Field) => ((now[field] as number) - (before?.[field] ?? 0)) / seconds;
    return {
      session,
      inPackets: rate(Field.inPackets),
      inBits: 8 * rate(Field.inBytes),
      outPackets: rate(Field.outPackets),
      outBits: 8 * rate(Field.outBytes),
    };
  }
}
