// A session table without packets, for the tests of control: both flow keys, ids, creation order, aging by a clock.

import { Added, type Sessions } from "../../src/control/sessions.js";
import { Action, CloseCode, type NewSession, type SessionInfo, State } from "../../src/table/session.js";

interface Entry {
  readonly position: number;
  readonly keys: readonly string[];
  readonly session: NewSession;
  readonly started: number;
  readonly counters: { inPackets: number; outPackets: number; inBytes: number; outBytes: number };
}

export class MemorySessions implements Sessions {
  readonly #byId = new Map<bigint, Entry>();
  readonly #keys = new Set<string>();
  #created = 0;
  #assigned = 2147483647n;
  lastId = 0n;
  readonly stats = { active: 0, added: 0, aged: 0, deleted: 0, closedByTcp: 0 };
  onClosed: (info: SessionInfo) => void = () => {};

  constructor(readonly capacity: number) {}

  get free(): number {
    return this.capacity - this.#byId.size;
  }

  add(session: NewSession, now: number): Added {
    if (this.exists(session)) {
      return Added.exists;
    }
    if (this.free === 0) {
      return Added.full;
    }
    let id = session.id;
    while (id === 0n || this.#byId.has(id)) {
      id = this.#assigned--;
    }
    const keys = flowKeys(session);
    for (const key of keys) {
      this.#keys.add(key);
    }
    const counters = { inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 };
    this.#byId.set(id, { position: ++this.#created, keys, session: { ...session, id }, started: now, counters });
    this.lastId = id;
    this.stats.added++;
    return Added.added;
  }

  exists(session: NewSession): boolean {
    return this.#byId.has(session.id) || flowKeys(session).some((key) => this.#keys.has(key));
  }

  /** What control asked for, for tests to look at. */
  session(id: bigint): NewSession | undefined {
    return this.#byId.get(id)?.session;
  }

  count(id: bigint, counters: Partial<Entry["counters"]>): void {
    Object.assign((this.#byId.get(id) as Entry).counters, counters);
  }

  get(id: bigint): SessionInfo | undefined {
    const entry = this.#byId.get(id);
    return entry && toInfo(entry);
  }

  async delete(id: bigint, now: number): Promise<SessionInfo | undefined> {
    const info = this.#remove(id, CloseCode.notClosed, now);
    await new Promise((resolve) => setTimeout(resolve, 1));
    return info;
  }

  position(id: bigint): number {
    return this.#byId.get(id)?.position ?? -1;
  }

  positionAt(index: number): number {
    return [...this.#byId.values()][index]?.position ?? -1;
  }

  listFrom(position: number, max: number): SessionInfo[] {
    const infos: SessionInfo[] = [];
    for (const entry of this.#byId.values()) {
      if (entry.position >= position && infos.length < max) {
        infos.push(toInfo(entry));
      }
    }
    return infos;
  }

  age(now: number, budgetMs: number): boolean {
    const end = performance.now() + budgetMs;
    for (const { session, started } of this.#byId.values()) {
      if (performance.now() >= end) {
        return true;
      }
      if (started + session.timeout * 1000 <= now) {
        this.#remove(session.id, CloseCode.timeout, now);
      }
    }
    return false;
  }

  #remove(id: bigint, closeCode: CloseCode, now: number): SessionInfo | undefined {
    const entry = this.#byId.get(id);
    if (entry === undefined) {
      return undefined;
    }
    this.#byId.delete(id);
    for (const key of entry.keys) {
      this.#keys.delete(key);
    }
    const info = { ...toInfo(entry), closeCode, endTime: now };
    this.onClosed(info);
    return info;
  }
}

function toInfo({ session, started, counters }: Entry): SessionInfo {
  return {
    id: session.id,
    ...counters,
    state: State.established,
    closeCode: CloseCode.notClosed,
    startTime: started,
    endTime: 0,
  };
}

function flowKeys(s: NewSession): string[] {
  const source = `${Buffer.from(s.source).toString("hex")}:${s.sourcePort}`;
  const destination = `${Buffer.from(s.destination).toString("hex")}:${s.destinationPort}`;
  return [
    `${s.inLif}.${s.inVlan} ${s.protocol} ${source} ${destination}`,
    `${s.outLif}.${s.outVlan} ${s.protocol} ${destination} ${source}`,
  ];
}

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
    timeout: 10,
  };
}
