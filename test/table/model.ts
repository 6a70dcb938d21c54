// What a session table must do, said with Maps and arrays: the oracle of session-table.test.ts. Flow keys are strings,
// each with a queue of claims of which the first holds it (api.md point 8).

import { CloseCode, type NewSession, type SessionInfo, State } from "../../src/table/session.js";

export interface ModelSession {
  readonly id: bigint;
  readonly wanted: NewSession;
  readonly start: number;
  lastSeen: number;
  readonly packets: [number, number];
  readonly bytes: [number, number];
}

export interface Claim {
  readonly session: ModelSession;
  readonly direction: 0 | 1;
}

/** The key of a frame of this session in direction 0 (as programmed) or 1 (reversed). */
export function keyOf(s: NewSession, direction: 0 | 1): string {
  const from = `${s.source}:${s.sourcePort}`;
  const to = `${s.destination}:${s.destinationPort}`;
  const kind = `${s.ipv6 ? 6 : 4}/${s.protocol}`;
  return direction === 0 ? `${s.inLif}.${s.inVlan} ${kind} ${from}>${to}` : `${s.outLif}.${s.outVlan} ${kind} ${to}>${from}`;
}

export class Model {
  /** In creation order. */
  readonly sessions = new Map<bigint, ModelSession>();
  readonly #keys = new Map<string, Claim[]>();
  #assigned = 2_147_483_647n;

  constructor(
    readonly capacity: number,
    readonly shadow: boolean,
  ) {}

  add(wanted: NewSession, now: number): "added" | "exists" | "full" {
    if (this.sessions.size === this.capacity) return "full";
    if (wanted.id !== 0n && this.sessions.has(wanted.id)) return "exists";
    const keys = this.#claimed(wanted);
    if (!this.shadow && keys.some((key) => this.#keys.has(key))) return "exists";
    let id = wanted.id;
    if (id === 0n) {
      while (this.sessions.has(this.#assigned)) this.#assigned--;
      id = this.#assigned--;
    }
    const session: ModelSession = { id, wanted, start: now, lastSeen: 0, packets: [0, 0], bytes: [0, 0] };
    this.sessions.set(id, session);
    keys.forEach((key, direction) => {
      const queue = this.#keys.get(key) ?? [];
      queue.push({ session, direction: direction as 0 | 1 });
      this.#keys.set(key, queue);
    });
    return "added";
  }

  remove(id: bigint): ModelSession | undefined {
    const session = this.sessions.get(id);
    if (session === undefined) return undefined;
    this.sessions.delete(id);
    for (const key of this.#claimed(session.wanted)) {
      const left = (this.#keys.get(key) as Claim[]).filter((claim) => claim.session !== session);
      if (left.length === 0) this.#keys.delete(key);
      else this.#keys.set(key, left);
    }
    return session;
  }

  holder(key: string): Claim | undefined {
    return this.#keys.get(key)?.[0];
  }

  /** Removes and returns those whose silence is over, with the time at which it was. */
  age(now: number): { session: ModelSession; due: number }[] {
    const gone: { session: ModelSession; due: number }[] = [];
    for (const session of this.sessions.values()) {
      const due = Math.max(session.start, session.lastSeen) + session.wanted.timeout * 1000;
      if (due <= now) gone.push({ session, due });
    }
    for (const { session } of gone) this.remove(session.id);
    return gone;
  }

  #claimed(s: NewSession): string[] {
    return [...new Set([keyOf(s, 0), keyOf(s, 1)])];
  }
}

export function report(s: ModelSession, endTime: number, closeCode: CloseCode = CloseCode.notClosed): SessionInfo {
  return {
    id: s.id,
    inPackets: s.packets[0],
    outPackets: s.packets[1],
    inBytes: s.bytes[0],
    outBytes: s.bytes[1],
    state: State.established,
    closeCode,
    startTime: s.start,
    endTime,
  };
}
