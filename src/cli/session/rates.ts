// Rates of sessions: differences of their counters between two rounds in which all were looked at.
//
// Memory: some 200 bytes for each session of a round; two rounds exist at a time.

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

interface Sample {
  /** Milliseconds. */
  readonly at: number;
  /** Tells a session from a later one with the same id. */
  readonly start: number;
  readonly inPackets: number;
  readonly inBytes: number;
  readonly outPackets: number;
  readonly outBytes: number;
}

export class Rates {
  #before = new Map<bigint, Sample>();
  #round = new Map<bigint, Sample>();
  /** When the round before began: a session that it has not seen has counted from zero since. */
  #began = 0;
  #now = 0;

  /** @param at milliseconds of a clock that never jumps; here and below */
  begin(at: number): void {
    this.#before = this.#round;
    this.#round = new Map();
    this.#began = this.#now;
    this.#now = at;
  }

  /** Once a round for each session. The first round's rates mean nothing. */
  add(session: SessionResponse, at: number): RatedSession {
    const sample: Sample = {
      at,
      start: startTime(session),
      inPackets: Number(session.inPackets),
      inBytes: Number(session.inBytes),
      outPackets: Number(session.outPackets),
      outBytes: Number(session.outBytes),
    };
    this.#round.set(session.sessionId, sample);
    const known = this.#before.get(session.sessionId);
    const before = known?.start === sample.start ? known : undefined;
    const seconds = Math.max(at - (before?.at ?? this.#began), 1) / 1000;
    return {
      session,
      inPackets: (sample.inPackets - (before?.inPackets ?? 0)) / seconds,
      inBits: (8 * (sample.inBytes - (before?.inBytes ?? 0))) / seconds,
      outPackets: (sample.outPackets - (before?.outPackets ?? 0)) / seconds,
      outBits: (8 * (sample.outBytes - (before?.outBytes ?? 0))) / seconds,
    };
  }
}
