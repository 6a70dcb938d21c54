// A session table with its fast path's half, on one thread, and sessions to put into it.

import { Grace } from "../../src/memory/grace.js";
import { wordsSize } from "../../src/memory/worker-words.js";
import { Action, type NewSession, type SessionInfo } from "../../src/table/session.js";
import { SessionLookup } from "../../src/table/session-lookup.js";
import type { SessionMemory } from "../../src/table/session-memory.js";
import { SessionTable } from "../../src/table/session-table.js";
import { PORT_OF } from "../stage/device.js";

export const START = 1_700_000_000_000;

export function open(memory: SessionMemory, duplicateFlow: "reject" | "shadow" = "reject", workers = 1) {
  const words = new Int32Array(new SharedArrayBuffer(wordsSize(workers)));
  const table = new SessionTable(memory, new Grace(words, workers), { duplicateFlow, portOf: PORT_OF, now: START, seed: 1 });
  const closed: SessionInfo[] = [];
  table.onClosed = (info) => closed.push(info);
  return { table, closed, words, lookup: new SessionLookup(memory, 0) };
}

// A small universe: collisions of every kind are common. Addresses and ports of which one is the other's mirror image.
export const V4 = [
  [10, 0, 0, 1],
  [10, 1, 0, 1],
  [1, 0, 0, 10],
].map((a) => Uint8Array.from(a));
export const V6 = [1, 2, 0xff].map((last) => Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]));

/** The nth of many different flows. */
export function nth(n: number, id = BigInt(n + 1)): NewSession {
  return {
    id,
    inLif: 1,
    inVlan: 0,
    outLif: 2,
    outVlan: 0,
    ipv6: n % 3 === 2,
    source:
      n % 3 === 2
        ? Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, n >>> 16, n >>> 8, n])
        : Uint8Array.from([10, n >>> 16, n >>> 8, n]),
    destination: (n % 3 === 2 ? V6[0] : V4[1]) as Uint8Array,
    sourcePort: n & 0xffff,
    destinationPort: 80,
    protocol: n % 2 === 0 ? 6 : 17,
    action: Action.forward,
    nextHop: 0,
    timeout: 10,
  };
}
