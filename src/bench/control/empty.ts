// The yardstick: the service as generated, with handlers that do nothing but keep to the protocol. Their rates are what grpc-js
// and the generated code leave possible.

import type { ServerWritableStream } from "@grpc/grpc-js";
import {
  AddSessionStatus,
  RequestStatus,
  type SessionRequestArgs,
  type SessionResponse,
  type SessionTableServer,
  SessionTableService,
} from "../../control/gen/openoffload.js";
import type { Service } from "../../control/server.js";
import { FIRST_ID } from "./frames.js";

const RESPONSE: SessionResponse = {
  sessionId: BigInt(FIRST_ID),
  inPackets: 1000n,
  outPackets: 900n,
  inBytes: 640_000n,
  outBytes: 320_000n,
  sessionState: 0,
  sessionCloseCode: 3,
  requestStatus: RequestStatus._ACCEPTED,
  startTime: { seconds: 1_790_000_000n, nanos: 123_000_000 },
  endTime: { seconds: 1_790_000_060n, nanos: 123_000_000 },
};

/** `state.closing`: how many records GetClosedSessions has. */
export function emptyService(state: { readonly closing: number }): Service {
  const handlers: SessionTableServer = {
    addSession: (call, callback) => {
      call.on("data", () => {});
      call.on("end", () =>
        callback(null, {
          requestStatus: AddSessionStatus._SESSION_ACCEPTED,
          errorStatus: 0n,
          startTime: RESPONSE.startTime,
          responseError: [],
        }),
      );
    },
    getSession: (_call, callback) => callback(null, RESPONSE),
    deleteSession: (_call, callback) => callback(null, RESPONSE),
    getAllSessions: (_call, callback) => callback(null, { sessionInfo: [], nextKey: 0n }),
    getClosedSessions: (call) => send(call, state.closing),
  };
  return { definition: SessionTableService, handlers, end: () => {} };
}

function send(call: ServerWritableStream<SessionRequestArgs, SessionResponse>, count: number): void {
  let left = count;
  function more(): void {
    while (left > 0) {
      left--;
      if (!call.write(RESPONSE)) {
        call.once("drain", more);
        return;
      }
    }
    call.end();
  }
  more();
}
