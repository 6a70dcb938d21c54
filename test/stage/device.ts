// A device of four uplinks on one thread, without ports: what a burst of given frames becomes.

import { BURST, Burst } from "../../src/memory/burst.js";
import { EventRing } from "../../src/memory/event-ring.js";
import { Frames, SLOT, slotStart } from "../../src/memory/frames.js";
import { Copies, type NextHop } from "../../src/stage/copy.js";
import { parse } from "../../src/stage/parse.js";
import { decide } from "../../src/stage/session.js";
import { type PortFacts, Topology } from "../../src/stage/topology.js";
import type { SessionLookup } from "../../src/table/session-lookup.js";

export interface Arrival {
  readonly frame: Uint8Array;
  readonly port: number;
  readonly time?: number;
}

/** Ports 0-3 are uplinks 1-4, ports 4 and 5 the host ports of 1 and 2, port 6 is named; uplink 4 has neither host nor peer. */
export const FACTS: readonly PortFacts[] = [
  { role: "uplink", lif: 1, peer: 1, host: 4 },
  { role: "uplink", lif: 2, peer: 0, host: 5 },
  { role: "uplink", lif: 3, peer: 0, host: -1 },
  { role: "uplink", lif: 4, peer: -1, host: -1 },
  { role: "host", lif: 1, peer: 0, host: -1 },
  { role: "host", lif: 2, peer: 1, host: -1 },
  { role: "named", lif: 0, peer: -1, host: -1 },
];

export const PORT_OF = new Map([1, 2, 3, 4].map((lif) => [lif, lif - 1]));

export const topology = new Topology(FACTS);

export function newBurst(): Burst {
  return new Burst(new Frames(new ArrayBuffer(Frames.size(BURST))));
}

/** Fills the burst; all that belongs to no frame is `fill` before, and every result 0xa5. */
export function load(burst: Burst, arrivals: readonly Arrival[], fill = 0xa5): void {
  burst.reset(0);
  burst.n = arrivals.length;
  for (const result of [burst.kind, burst.flow, burst.l3, burst.l4, burst.hash, burst.ref, burst.egress, burst.fate]) {
    result.fill(0xa5a5a5a5 | 0);
  }
  arrivals.forEach(({ frame, port, time = 0 }, i) => {
    burst.frames.bytes.fill(fill, i * SLOT, (i + 1) * SLOT);
    burst.frames.bytes.set(frame, slotStart(i));
    burst.length[i] = frame.length;
    burst.wire[i] = frame.length;
    burst.port[i] = port;
    burst.time[i] = time;
  });
}

export function newRing(): EventRing {
  return new EventRing(new SharedArrayBuffer(EventRing.size()));
}

/** Two collectors: on the named port and on uplink 3. */
export const NEXT_HOPS: readonly NextHop[] = [
  { port: 6, mac: Uint8Array.of(2, 0, 0, 0, 0, 9) },
  { port: 2, mac: Uint8Array.of(0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54) },
];

/** Parse, lookup and decide. */
export function run(
  burst: Burst,
  arrivals: readonly Arrival[],
  sessions: SessionLookup,
  closed: EventRing,
  copies = new Copies(NEXT_HOPS, new Int32Array(NEXT_HOPS.length)),
): void {
  load(burst, arrivals);
  parse(burst, topology);
  sessions.lookup(burst);
  decide(burst, sessions, closed, copies);
}
