// Encodes openoffload.v2.SessionResponse straight from what the table knows of a session: the same bytes as the generated
// encoder's, without a BigInt per counter. Fields in the order of their numbers; zeros are left out, as proto3 does.
// What GetAllSessions and GetClosedSessions send by the million is written with it; single answers are not (translate.ts).

import type { SessionInfo } from "../table/session.js";

/** Field number << 3 | wire type. */
const enum Key {
  sessionId = 8,
  inPackets = 16,
  outPackets = 24,
  inBytes = 32,
  outBytes = 40,
  sessionState = 48,
  sessionCloseCode = 56,
  startTime = 74,
  endTime = 82,
  /** Of google.protobuf.Timestamp. */
  seconds = 8,
  nanos = 16,
}

/**
 * A session on the wire at the longest: 11 for the id, 4 counters of 9, 2 enums of 2 (request_status is 0: accepted), 2 times
 * of 15.
 */
export const SESSION_BYTES = 81;

const id = new BigUint64Array(1);
const idWords = new Uint32Array(id.buffer);

/** Writes at `start`, where there must be room for SESSION_BYTES. @returns where it ends */
export function writeSession(bytes: Uint8Array, start: number, info: SessionInfo): number {
  id[0] = info.id;
  let at = start;
  const low = idWords[0];
  const high = idWords[1];
  if (high !== 0) {
    bytes[at++] = Key.sessionId;
    at = varint64(bytes, at, low, high);
  } else {
    at = field(bytes, at, Key.sessionId, low);
  }
  at = field(bytes, at, Key.inPackets, info.inPackets);
  at = field(bytes, at, Key.outPackets, info.outPackets);
  at = field(bytes, at, Key.inBytes, info.inBytes);
  at = field(bytes, at, Key.outBytes, info.outBytes);
  at = field(bytes, at, Key.sessionState, info.state);
  at = field(bytes, at, Key.sessionCloseCode, info.closeCode);
  at = time(bytes, at, Key.startTime, info.startTime);
  return info.endTime === 0 ? at : time(bytes, at, Key.endTime, info.endTime);
}

/** `value`: a natural number of up to 2^53. */
function field(bytes: Uint8Array, start: number, key: number, value: number): number {
  if (value === 0) return start;
  bytes[start] = key;
  return varint(bytes, start + 1, value);
}

function varint(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x8000_0000) {
    const above = Math.floor(rest / 128);
    bytes[at++] = (rest - above * 128) | 0x80;
    rest = above;
  }
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

function varint64(bytes: Uint8Array, start: number, lowWord: number, highWord: number): number {
  let at = start;
  let low = lowWord;
  let high = highWord;
  while (high !== 0) {
    bytes[at++] = (low & 0x7f) | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  return varint(bytes, at, low);
}

/** Milliseconds since the epoch. */
function time(bytes: Uint8Array, start: number, key: number, ms: number): number {
  const seconds = Math.floor(ms / 1000);
  bytes[start] = key;
  let at = field(bytes, start + 2, Key.seconds, seconds);
  at = field(bytes, at, Key.nanos, Math.floor((ms - seconds * 1000) * 1e6));
  bytes[start + 1] = at - start - 2;
  return at;
}
