// Calls of a SessionTable client as promises.

import { type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type {
  AddSessionResponse,
  SessionRequest,
  SessionRequestArgs,
  SessionResponse,
  SessionResponses,
  SessionTableClient,
} from "../../src/control/gen/openoffload.js";

export interface AddAnswer extends AddSessionResponse {
  readonly trailer: Metadata;
}

export function add(client: SessionTableClient, requests: Iterable<SessionRequest>): Promise<AddAnswer> {
  return new Promise((resolve, reject) => {
    let response: AddSessionResponse;
    const call = client.addSession((error, answer) => {
      if (error) {
        reject(error);
      }
      response = answer;
    });
    call.on("status", ({ code, metadata }) => {
      if (code === status.OK) {
        resolve({ ...response, trailer: metadata });
      }
    });
    for (const request of requests) {
      call.write(request);
    }
    call.end();
  });
}

export function get(client: SessionTableClient, id: bigint): Promise<SessionResponse> {
  return new Promise((resolve, reject) => {
    client.getSession({ sessionId: id }, (error, value) => (error ? reject(error) : resolve(value)));
  });
}

export function del(client: SessionTableClient, id: bigint): Promise<SessionResponse> {
  return new Promise((resolve, reject) => {
    client.deleteSession({ sessionId: id }, (error, value) => (error ? reject(error) : resolve(value)));
  });
}

export function list(client: SessionTableClient, args: Partial<SessionRequestArgs> = {}): Promise<SessionResponses> {
  return new Promise((resolve, reject) => {
    client.getAllSessions({ pageSize: 0, page: 0, startSession: 0n, ...args }, (error, value) =>
      error ? reject(error) : resolve(value),
    );
  });
}

/** One poll of GetClosedSessions, to its end. */
export async function poll(client: SessionTableClient, pageSize = 0): Promise<number[]> {
  const ids: number[] = [];
  for await (const session of client.getClosedSessions({ pageSize, page: 0, startSession: 0n })) {
    ids.push(Number((session as SessionResponse).sessionId));
  }
  return ids;
}

export function ids(page: SessionResponses): number[] {
  return page.sessionInfo.map((session) => Number(session.sessionId));
}

/** Waits for what another process or thread brings about. */
export async function until(condition: () => boolean, ms = 5000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) {
      throw new Error("it did not happen in time");
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The code of a call that fails. */
export async function codeOf(call: Promise<unknown>): Promise<{ code: status; details: string }> {
  try {
    await call;
  } catch (error) {
    const { code, details } = error as ServiceError;
    return { code, details };
  }
  return { code: status.OK, details: "" };
}
