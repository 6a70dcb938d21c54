// The load generator: gRPC over node:http2 with messages that were encoded before the clock started. It has no gRPC library
// in it, so that a server is measured and not its client.

import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { SessionRequestArgs } from "../../control/gen/openoffload.js";
import { addFrames, FIRST_ID, frame, idFrames } from "./frames.js";
import type { LoadAnswer, LoadRequest } from "./messages.js";
import { serve } from "./process.js";

/** So that the server never waits for a window. */
const WINDOW = 32 * 1024 * 1024;
const PREFIX = 5;
/** One write on a long stream. */
const CHUNK = 64 * 1024;
const SERVICE = "/openoffload.v2.SessionTable/";

let session: ClientHttp2Session;

serve<LoadRequest, LoadAnswer>(async (request) => {
  switch (request.do) {
    case "connect":
      session = connect(`http://127.0.0.1:${request.port}`, { settings: { initialWindowSize: WINDOW } });
      await new Promise((resolve, reject) => session.once("remoteSettings", resolve).once("error", reject));
      session.setLocalWindowSize(WINDOW);
      return { seconds: 0, count: 0, parts: [] };
    case "add":
      return add(request);
    case "delete":
      return remove(request);
    case "list":
      return list(request.pageSize);
    case "closed":
      return closed(request.pageSize);
  }
});

function call(method: string): ClientHttp2Stream {
  return session.request({
    [constants.HTTP2_HEADER_METHOD]: "POST",
    [constants.HTTP2_HEADER_PATH]: `${SERVICE}${method}`,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
    [constants.HTTP2_HEADER_TE]: "trailers",
    [constants.HTTP2_HEADER_USER_AGENT]: "sluice-bench",
  });
}

/** Resolves with the last status of the call; `take` gets what arrives. */
function over(stream: ClientHttp2Stream, take: (data: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let status: unknown;
    let text: unknown;
    const seen = (headers: Record<string, unknown>) => {
      status ??= headers["grpc-status"];
      text ??= headers["grpc-message"];
    };
    stream.on("response", seen);
    stream.on("trailers", seen);
    stream.on("data", take);
    stream.once("error", reject);
    stream.once("close", () => (Number(status) === 0 ? resolve() : reject(new Error(`grpc-status ${status}: ${text}`))));
  });
}

async function add(request: Extract<LoadRequest, { do: "add" }>): Promise<LoadAnswer> {
  const { first, count, perStream, inFlight, parts = 1, timeout = 86_400 } = request;
  const times: number[] = [];
  let seconds = 0;
  for (let part = 0; part < parts; part++) {
    const share = count / parts;
    const frames = addFrames(first + part * share, share, timeout);
    const size = frames.length / share;
    const start = performance.now();
    let next = 0;
    await inParallel(inFlight, async () => {
      for (let at = next; at < share; at = next) {
        next = Math.min(share, at + perStream);
        await addOne(frames.subarray(at * size, next * size));
      }
    });
    times.push((performance.now() - start) / 1000);
    seconds += times.at(-1) as number;
  }
  return { seconds, count, parts: times };
}

async function addOne(frames: Buffer): Promise<void> {
  const stream = call("AddSession");
  let answer: Buffer = Buffer.alloc(0);
  const done = over(stream, (data) => {
    answer = answer.length === 0 ? data : Buffer.concat([answer, data]);
  });
  for (let at = 0; at < frames.length; at += CHUNK) {
    if (!stream.write(frames.subarray(at, at + CHUNK))) await new Promise((resolve) => stream.once("drain", resolve));
  }
  stream.end();
  await done;
  // request_status is field 1, and 0 when all are in: then it is not on the wire.
  if (answer[PREFIX] === 1 << 3) throw new Error(`AddSession: request_status ${answer[PREFIX + 1]}`);
}

async function remove(request: Extract<LoadRequest, { do: "delete" }>): Promise<LoadAnswer> {
  const { first, count, inFlight } = request;
  const frames = idFrames(first, count);
  const size = frames.length / count;
  const start = performance.now();
  let next = 0;
  await inParallel(inFlight, async () => {
    for (let i = next++; i < count; i = next++) {
      const stream = call("DeleteSession");
      stream.end(frames.subarray(i * size, (i + 1) * size));
      await over(stream, () => {});
    }
  });
  return { seconds: (performance.now() - start) / 1000, count, parts: [] };
}

async function list(pageSize: number): Promise<LoadAnswer> {
  const start = performance.now();
  let count = 0;
  for (let key = 0n; ; ) {
    const stream = call("GetAllSessions");
    stream.end(frame(SessionRequestArgs.encode({ pageSize, page: 0, startSession: key }).finish()));
    const chunks: Buffer[] = [];
    await over(stream, (data) => chunks.push(data));
    const page = sessionsIn(Buffer.concat(chunks));
    if (page.count === 0) break;
    count += page.count;
    key = page.nextKey;
  }
  return { seconds: (performance.now() - start) / 1000, count, parts: [] };
}

/** Counts session_info (field 1) of a SessionResponses and reads next_key (field 2), which come in this order. */
function sessionsIn(answer: Buffer): { count: number; nextKey: bigint } {
  let at = PREFIX;
  let count = 0;
  let nextKey = BigInt(FIRST_ID);
  while (at < answer.length) {
    if (answer[at] === ((1 << 3) | 2)) {
      // Shorter than 128 bytes: the length is one byte.
      at += 2 + (answer[at + 1] as number);
      count++;
    } else {
      nextKey = 0n;
      for (let k = 0; at + 1 + k < answer.length; k++) nextKey |= BigInt((answer[at + 1 + k] as number) & 0x7f) << BigInt(7 * k);
      at = answer.length;
    }
  }
  return { count, nextKey };
}

async function closed(pageSize: number): Promise<LoadAnswer> {
  const start = performance.now();
  const stream = call("GetClosedSessions");
  stream.end(frame(SessionRequestArgs.encode({ pageSize, page: 0, startSession: 0n }).finish()));
  let count = 0;
  let left: Buffer = Buffer.alloc(0);
  await over(stream, (data) => {
    const all = left.length === 0 ? data : Buffer.concat([left, data]);
    let at = 0;
    while (at + PREFIX <= all.length && at + PREFIX + all.readUInt32BE(at + 1) <= all.length) {
      at += PREFIX + all.readUInt32BE(at + 1);
      count++;
    }
    left = all.subarray(at);
  });
  return { seconds: (performance.now() - start) / 1000, count, parts: [] };
}

async function inParallel(n: number, run: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: n }, run));
}
