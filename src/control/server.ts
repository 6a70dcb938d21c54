// The listening gRPC server: plaintext in this issue.
//
// Stopping is graceful: no new calls (grpc-js answers UNAVAILABLE), streams that would not end themselves are ended, running
// calls finish, and what has not finished after the grace time is cut off.

import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { SluiceError } from "../errors.js";

export interface Service {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
  /** Ends the calls that would not end themselves. */
  end(): void;
}

export interface RunningServer {
  readonly port: number;
  /** Resolves when the last call is over, after `graceMs` at the latest. */
  stop(graceMs: number): Promise<void>;
}

/** Streams that one connection may have open; a client that opens more waits. */
const MAX_STREAMS = 1024;
/** A client that vanished without a word is noticed, and what was sent to it is given to the next. */
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;

/** `listen`: "address:port"; port 0 takes a free one. */
export async function startServer(options: { readonly listen: string }, services: readonly Service[]): Promise<RunningServer> {
  const server = new Server({
    "grpc.max_concurrent_streams": MAX_STREAMS,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
  });
  for (const { definition, handlers } of services) {
    server.addService(definition, handlers);
  }
  const port = await bind(server, options.listen);
  return {
    port,
    stop: (graceMs) =>
      new Promise((resolve) => {
        const force = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, graceMs);
        server.tryShutdown(() => {
          clearTimeout(force);
          resolve();
        });
        for (const service of services) {
          service.end();
        }
      }),
  };
}

function bind(server: Server, listen: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, ServerCredentials.createInsecure(), (cause, port) => {
      if (cause === null) {
        resolve(port);
      } else {
        reject(new SluiceError("grpc", `gRPC cannot listen on ${listen}: ${advice(cause.message)}`, { cause }));
      }
    });
  });
}

/** grpc-js hands the system's error on as text. */
function advice(message: string): string {
  if (message.includes("EADDRINUSE")) {
    return "another process listens there. End it, or choose another address with --grpc ADDR or grpc.listen";
  }
  if (message.includes("EACCES")) {
    return "ports below 1024 need the capability CAP_NET_BIND_SERVICE. Choose a higher one with --grpc ADDR or grpc.listen";
  }
  if (message.includes("EADDRNOTAVAIL")) {
    return "this machine has no such address. Choose one that `ip address` shows, or 0.0.0.0 for all, with --grpc ADDR or grpc.listen";
  }
  return `${message}. It takes ADDRESS:PORT, for example 127.0.0.1:3443, as --grpc ADDR or grpc.listen`;
}
