// The session table without workers: its grace periods end at once, and tests count for them.

import { Grace } from "../../src/memory/grace.js";
import { wordsSize } from "../../src/memory/worker-words.js";
import { hashKey } from "../../src/table/flow.js";
import { Action, type NewSession } from "../../src/table/session.js";
import { allocateSessions, Lane, SKEW } from "../../src/table/session-memory.js";
import { AddStatus, SessionTable } from "../../src/table/session-table.js";

/** Lifs 1, 2 and 3; one worker that never runs. */
export class TestTable extends SessionTable {
  /** What control asked for, by id. */
  readonly wanted = new Map<bigint, NewSession>();
  readonly #lane: Float64Array;

  constructor(capacity: number, now = Date.now()) {
    const memory = allocateSessions(capacity, 1, hashKey(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)));
    const portOf = new Map([1, 2, 3].map((lif) => [lif, lif - 1]));
    const grace = new Grace(new Int32Array(new SharedArrayBuffer(wordsSize(1))), 1);
    super(memory, grace, { duplicateFlow: "reject", portOf, now, seed: 1 });
    this.#lane = new Float64Array(memory.lanes[0] as SharedArrayBuffer, SKEW);
  }

  override add(session: NewSession, now: number): AddStatus {
    const status = super.add(session, now);
    if (status === AddStatus.added) this.wanted.set(this.lastId, session);
    return status;
  }

  override addAll(sessions: readonly NewSession[], now: number, each: (i: number, status: AddStatus) => void): void {
    super.addAll(sessions, now, (i, status) => {
      if (status === AddStatus.added) this.wanted.set(this.lastId, sessions[i] as NewSession);
      each(i, status);
    });
  }

  /** Counts on the session that was added `nth` (from 0), as long as none was deleted. */
  count(nth: number, inPackets: number, outPackets: number, inBytes: number, outBytes: number): void {
    const base = nth << Lane.shift;
    this.#lane[base + Lane.inPackets] = inPackets;
    this.#lane[base + Lane.outPackets] = outPackets;
    this.#lane[base + Lane.inBytes] = inBytes;
    this.#lane[base + Lane.outBytes] = outBytes;
  }
}

/** A flow of its own: 10.x.y.z:1000 → 192.0.2.1:80 over TCP. */
export function newSession(id: number): NewSession {
  return {
    id: BigInt(id),
    inLif: 1,
    inVlan: 0,
    outLif: 2,
    outVlan: 0,
    ipv6: false,
    source: Uint8Array.of(10, (id >> 16) & 255, (id >> 8) & 255, id & 255),
    destination: Uint8Array.of(192, 0, 2, 1),
    sourcePort: 1000,
    destinationPort: 80,
    protocol: 6,
    action: Action.forward,
    nextHop: 0,
    timeout: 10,
  };
}
