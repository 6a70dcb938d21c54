// The gRPC server of the device: services behind a listener of ours, with the limits of `grpc` in the configuration.
//
// Stopping is graceful: no new calls (grpc-js answers UNAVAILABLE), streams that would not end themselves are ended, running
// calls finish, and what has not finished after the grace time is cut off.

import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { BaseLogger } from "pino";
import type { GrpcConfig } from "../config/config.js";
import { DEFAULTS } from "../config/defaults.js";
import { type Certificates, readCertificates } from "./certificates.js";
import { startListener } from "./listener.js";

export interface Service {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
  /** Ends the calls that would not end themselves. */
  end(): void;
}

export interface RunningServer {
  readonly port: number;
  /** Reads the certificates again, for new connections; when they are not right, the log says so and the old ones stay. */
  reload(): void;
  /** Resolves when the last call is over, after `graceMs` at the latest. */
  stop(graceMs: number): Promise<void>;
}

/** What the configuration says, or parts of it: the rest is as its defaults. */
export interface ServerOptions extends Partial<GrpcConfig> {
  readonly listen: string;
  /** Milliseconds for a TLS handshake, and again until the client speaks HTTP/2. */
  readonly handshakeMs?: number;
}

type Log = Pick<BaseLogger, "info" | "warn" | "error">;

const HANDSHAKE_MS = 10_000;
const SECOND = 1000;
const SILENT: Log = { info: () => {}, warn: () => {}, error: () => {} };

export async function startServer(options: ServerOptions, services: readonly Service[], log = SILENT): Promise<RunningServer> {
  const { tls, handshakeMs = HANDSHAKE_MS, ...grpc } = { ...DEFAULTS.grpc, ...options };
  const certificates = tls && readCertificates(tls, Date.now());
  if (certificates !== undefined) tell(certificates, log);
  const server = new Server({
    "grpc.max_receive_message_length": grpc.maxMessageBytes,
    "grpc.max_concurrent_streams": grpc.maxStreams,
    // A client that vanished without a word is noticed, and what was sent to it is given to the next.
    "grpc.keepalive_time_ms": grpc.keepaliveInterval * SECOND,
    "grpc.keepalive_timeout_ms": grpc.keepaliveTimeout * SECOND,
  });
  for (const { definition, handlers } of services) {
    server.addService(definition, inTime(definition, handlers));
  }
  // Plaintext for grpc-js: TLS ends in the listener.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const { listen, maxConnections } = grpc;
  const listener = await startListener({ listen, maxConnections, handshakeMs, certificates, log }, (socket) =>
    injector.injectConnection(socket),
  );
  return {
    port: listener.port,
    reload() {
      if (tls === undefined) {
        log.info("there are no certificates to read again: gRPC is in plaintext (grpc.cert and grpc.key are not set)");
        return;
      }
      try {
        const renewed = readCertificates(tls, Date.now());
        listener.renew(renewed);
        tell(renewed, log);
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        log.error(`the certificates that were read before stay in use: ${why}`);
      }
    },
    stop: (graceMs) =>
      new Promise((resolve) => {
        listener.close();
        const force = setTimeout(() => {
          server.forceShutdown();
          listener.destroy();
          resolve();
        }, graceMs);
        server.tryShutdown(() => {
          clearTimeout(force);
          listener.destroy();
          resolve();
        });
        for (const service of services) {
          service.end();
        }
      }),
  };
}

function tell({ summary, warnings, ca }: Certificates, log: Log): void {
  log.info(`gRPC shows the certificate ${summary}${ca === undefined ? "" : ", and asks clients for theirs"}`);
  for (const warning of warnings) {
    log.warn(warning);
  }
}

/** "openoffload.v2.SessionTable" */
export function serviceName({ definition }: Pick<Service, "definition">): string {
  const [method] = Object.values(definition);
  return method?.path.split("/")[1] ?? "";
}

/**
 * A busy thread reads the end of a request before it looks at its timers: grpc-js then calls the handler although the deadline
 * has passed. Streams of requests look at it themselves (add-session.ts): their handlers run from the first byte on.
 */
function inTime(definition: ServiceDefinition, handlers: UntypedServiceImplementation): UntypedServiceImplementation {
  const guarded: UntypedServiceImplementation = {};
  for (const [name, { originalName, requestStream, responseStream }] of Object.entries(definition)) {
    const handler = handlers[name] ?? handlers[originalName ?? name];
    if (handler === undefined) continue;
    if (requestStream) guarded[name] = handler;
    else guarded[name] = responseStream ? streaming(handler as Streaming) : unary(handler as Unary);
  }
  return guarded;
}

type Unary = handleUnaryCall<unknown, unknown>;
type Streaming = handleServerStreamingCall<unknown, unknown>;

function unary(handler: Unary): Unary {
  return (call, callback) => {
    if (Date.now() < Number(call.getDeadline())) handler(call, callback);
  };
}

function streaming(handler: Streaming): Streaming {
  return (call) => {
    if (Date.now() < Number(call.getDeadline())) handler(call);
  };
}
