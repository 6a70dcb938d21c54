// A grpc-js server with the certificates of a test; it answers SessionTable.GetSession with the id that was asked for.

import { readFileSync } from "node:fs";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { type SessionId, type SessionResponse, SessionTableService } from "../../src/control/gen/openoffload.js";
import { missingSession } from "../../src/control/translate.js";
import type { Identity } from "./certificates.js";

export interface TlsServer {
  readonly port: number;
  stop(): void;
}

/** `identity` undefined: plaintext. `clientCa`: clients must have a certificate that it signed. */
export async function startTlsServer(identity: Identity | undefined, clientCa?: string): Promise<TlsServer> {
  const server = new Server();
  server.addService(
    { getSession: SessionTableService.getSession },
    {
      getSession: (call: ServerUnaryCall<SessionId, SessionResponse>, done: sendUnaryData<SessionResponse>) =>
        done(null, { ...missingSession(call.request.sessionId), requestStatus: 0 }),
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", serverCredentials(identity, clientCa), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
  return { port, stop: () => server.forceShutdown() };
}

function serverCredentials(identity: Identity | undefined, clientCa: string | undefined): ServerCredentials {
  if (identity === undefined) return ServerCredentials.createInsecure();
  const pair = { private_key: readFileSync(identity.key), cert_chain: readFileSync(identity.cert) };
  return ServerCredentials.createSsl(clientCa === undefined ? null : readFileSync(clientCa), [pair], clientCa !== undefined);
}
