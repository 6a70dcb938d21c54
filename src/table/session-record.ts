// A session's record in shared memory (layout: session-memory.ts), written by control while nothing refers to the slot.

import { flowWord } from "./flow.js";
import type { NewSession } from "./session.js";
import { Decision, Record } from "./session-memory.js";

const UDP = 17;

/** @param inPort, outPort indices of the ports of in_lif and out_lif */
export function writeRecord(records: Int32Array, slot: number, session: NewSession, inPort: number, outPort: number): void {
  const base = slot << Record.shift;
  const udp = session.protocol === UDP;
  for (let at = base; at < base + Record.words; at++) records[at] = 0;
  writeAddress(records, base + Record.source, session.source);
  writeAddress(records, base + Record.destination, session.destination);
  records[base + Record.ports] = bigEndian(session.sourcePort) | (bigEndian(session.destinationPort) << 16);
  records[base + Record.flowIn] = flowWord(session.inLif, session.inVlan, session.ipv6, udp);
  records[base + Record.flowOut] = flowWord(session.outLif, session.outVlan, session.ipv6, udp);
  records[base + Record.decision] =
    outPort |
    (inPort << Decision.directionShift) |
    (session.action << Decision.actionShift) |
    (session.nextHop << Decision.nextHopShift);
}

/** Two, or one when both directions have the same key: a flow from a socket to itself, back out of the same lif. */
export function claims(records: Int32Array, slot: number): number {
  const base = slot << Record.shift;
  if (records[base + Record.flowIn] !== records[base + Record.flowOut]) return 2;
  const ports = records[base + Record.ports];
  if ((ports & 0xffff) !== ports >>> 16) return 2;
  for (let w = 0; w < 4; w++) {
    if (records[base + Record.source + w] !== records[base + Record.destination + w]) return 2;
  }
  return 1;
}

/** A 16-bit number as a little-endian machine reads it from network order. */
function bigEndian(port: number): number {
  return ((port & 0xff) << 8) | (port >>> 8);
}

function writeAddress(records: Int32Array, at: number, address: Uint8Array): void {
  for (let i = 0; i < address.length; i += 4) {
    records[at + (i >> 2)] = address[i] | (address[i + 1] << 8) | (address[i + 2] << 16) | (address[i + 3] << 24);
  }
}
