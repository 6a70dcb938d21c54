// gRPC messages encoded in advance, each behind its five bytes of length, so that a load generator costs next to nothing
// beside the server that is measured. One template per kind of message; numbers are written over it in varints of one length.

import { SessionId, SessionRequest } from "../../control/gen/openoffload.js";

/** Numbers from here to 2^32 - 1 are varints of five bytes: session ids, and IPv4 addresses, start here. */
export const FIRST_ID = 2 ** 28;
const PREFIX = 5;
/** Keys of the fields that differ (varints): session_id of both messages, source_ip. */
const SESSION_ID_KEY = 1 << 3;
const SOURCE_IP_KEY = 5 << 3;

/** AddSession requests of `count` flows: sessions FIRST_ID + first, … */
export function addFrames(first: number, count: number, timeout: number): Buffer {
  const message = SessionRequest.encode({
    sessionId: BigInt(FIRST_ID),
    inLif: 1,
    outLif: 2,
    ipVersion: 0,
    sourceIp: FIRST_ID,
    sourceIpv6: Buffer.alloc(0),
    sourcePort: 40_000,
    destinationIp: 0x0100000a,
    destinationIpv6: Buffer.alloc(0),
    destinationPort: 443,
    protocolId: 17,
    action: { actionType: 1, actionNextHop: 0, actionNextHopV6: Buffer.alloc(0) },
    cacheTimeout: timeout,
  }).finish();
  return repeated(message, count, (frames, at, i) => {
    varint5(frames, at + message.indexOf(SESSION_ID_KEY) + 1, FIRST_ID + first + i);
    varint5(frames, at + message.indexOf(SOURCE_IP_KEY) + 1, FIRST_ID + first + i);
  });
}

/** SessionId messages of the same sessions. */
export function idFrames(first: number, count: number): Buffer {
  const message = SessionId.encode({ sessionId: BigInt(FIRST_ID) }).finish();
  return repeated(message, count, (frames, at, i) => varint5(frames, at + 1, FIRST_ID + first + i));
}

/** Any message as one gRPC frame. */
export function frame(message: Uint8Array): Buffer {
  return repeated(message, 1, () => {});
}

function repeated(message: Uint8Array, count: number, change: (frames: Buffer, at: number, i: number) => void): Buffer {
  const size = PREFIX + message.length;
  const frames = Buffer.alloc(size * count);
  for (let i = 0; i < count; i++) {
    frames.writeUInt32BE(message.length, i * size + 1);
    frames.set(message, i * size + PREFIX);
    change(frames, i * size + PREFIX, i);
  }
  return frames;
}

function varint5(frames: Buffer, at: number, value: number): void {
  for (let k = 0, rest = value; k < 5; k++) {
    frames[at + k] = (rest & 0x7f) | (k < 4 ? 0x80 : 0);
    rest = rest >>> 7;
  }
}
