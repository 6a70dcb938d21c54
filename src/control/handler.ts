// What every RPC handler has around it: a thrown error becomes a status. A cause that we did not foresee goes to the log
// and not to the client.

import { type handleUnaryCall, type ServerUnaryCall, type StatusObject, status } from "@grpc/grpc-js";
import type { BaseLogger } from "pino";

/** Answers a call with a status other than OK; the text says what the client can do. */
export class RpcError extends Error {
  constructor(
    readonly code: status,
    readonly details: string,
  ) {
    super(details);
    this.name = "RpcError";
  }
}

/** What a client is told about `cause`; what it is not told is logged. */
export function toStatus(cause: unknown, method: string, log: Pick<BaseLogger, "error">): Pick<StatusObject, "code" | "details"> {
  if (cause instanceof RpcError) {
    return { code: cause.code, details: cause.details };
  }
  log.error({ err: cause }, `${method} failed`);
  return { code: status.INTERNAL, details: "the device failed to answer; its log has the cause" };
}

export function unary<Request, Response>(
  method: string,
  log: Pick<BaseLogger, "error">,
  answer: (request: Request, call: ServerUnaryCall<Request, Response>) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return async (call, callback) => {
    let response: Response;
    try {
      response = await answer(call.request, call);
    } catch (cause) {
      callback(toStatus(cause, method, log));
      return;
    }
    callback(null, response);
  };
}
