// The five RPCs of openoffload.v2.SessionTable.

import {
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerWritableStream,
  status,
} from "@grpc/grpc-js";
import type { SessionInfo } from "../table/session.js";
import { type AddSessionOptions, addSession } from "./add-session.js";
import { ClosedStreams, type ClosedStreamsOptions } from "./closed-streams.js";
import {
  type SessionId,
  type SessionRequest,
  type SessionRequestArgs,
  type SessionResponse,
  type SessionTableServer,
  SessionTableService,
} from "./gen/openoffload.js";
import { RpcError, unary } from "./handler.js";
import { Pager } from "./paging.js";
import type { Service } from "./server.js";
import { decodeSessionRequest } from "./session-request.js";
import { SESSION_BYTES, writeSession } from "./session-response.js";
import { missingSession, toResponse } from "./translate.js";

export interface SessionServiceOptions extends AddSessionOptions, ClosedStreamsOptions {
  readonly log: AddSessionOptions["log"] & ClosedStreamsOptions["log"];
  /** How an unknown session is answered: by an OK response that says so, or by NOT_FOUND. */
  readonly missingSession: "response" | "status";
}

/** `options.closed` must be fed by `options.sessions.onClosed`: that is wired where both are made. */
export function sessionService(options: SessionServiceOptions): Service {
  const { sessions, log } = options;
  const closedStreams = new ClosedStreams(options);
  const pager = new Pager(sessions);

  function missing(id: bigint): SessionResponse {
    if (options.missingSession === "status") {
      throw new RpcError(status.NOT_FOUND, `there is no session ${id}`);
    }
    return missingSession(id);
  }

  const handlers: Handlers = {
    addSession: addSession(options),
    getSession: unary<SessionId, SessionResponse>("GetSession", log, ({ sessionId }) => {
      const info = sessions.get(sessionId);
      return info === undefined ? missing(sessionId) : toResponse(info);
    }),
    deleteSession: unary<SessionId, SessionResponse>("DeleteSession", log, async ({ sessionId }) => {
      const info = await sessions.delete(sessionId, options.now());
      return info === undefined ? missing(sessionId) : toResponse(info);
    }),
    getAllSessions: unary<SessionRequestArgs, Buffer>("GetAllSessions", log, (args, call) =>
      pager.page(args, () => call.cancelled),
    ),
    getClosedSessions: (call: ServerWritableStream<SessionRequestArgs, SessionInfo>) => closedStreams.serve(call),
  };
  return { definition: DEFINITION, handlers, end: () => closedStreams.end() };
}

/** As generated, but for the two answers that can be long, which come encoded, and for the messages that come by the million. */
type Handlers = Omit<SessionTableServer, "addSession" | "getAllSessions" | "getClosedSessions"> & {
  addSession: handleClientStreamingCall<SessionRequest, Buffer>;
  getAllSessions: handleUnaryCall<SessionRequestArgs, Buffer>;
  getClosedSessions: handleServerStreamingCall<SessionRequestArgs, SessionInfo>;
};

const encoded = { responseSerialize: (message: Buffer) => message };
/** grpc-js copies what it is given before anything else runs. */
const record = Buffer.allocUnsafeSlow(SESSION_BYTES);

const DEFINITION = {
  ...SessionTableService,
  addSession: { ...SessionTableService.addSession, ...encoded, requestDeserialize: decodeSessionRequest },
  getAllSessions: { ...SessionTableService.getAllSessions, ...encoded },
  getClosedSessions: {
    ...SessionTableService.getClosedSessions,
    responseSerialize: (info: SessionInfo) => record.subarray(0, writeSession(record, 0, info)),
  },
};
