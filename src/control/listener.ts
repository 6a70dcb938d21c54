// The listening sockets of the control channel, below gRPC: plaintext or TLS (1.2 and 1.3, HTTP/2 by ALPN), with a bound on
// connections and on how long one may take until it speaks HTTP/2 (RFC 9113, section 3.4).
//
// They are ours and not grpc-js's, which has no bound on connections, no time limit on the handshake, says nothing of clients
// that it refuses, and takes new certificates through an experimental interface only. What it gets from here is a connection
// that it may serve as plaintext: Node's HTTP/2 does not mind that a TLS socket is under it.

import { lookup } from "node:dns/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import type { BaseLogger } from "pino";
import { parseListen } from "../config/listen.js";
import { SluiceError } from "../errors.js";
import type { Certificates } from "./certificates.js";

export interface ListenerOptions {
  /** "address:port"; port 0 takes a free one. */
  readonly listen: string;
  readonly maxConnections: number;
  /** Milliseconds for a TLS handshake, and again until the client has begun to speak HTTP/2. */
  readonly handshakeMs: number;
  /** undefined: plaintext. */
  readonly certificates: Certificates | undefined;
  readonly log: Pick<BaseLogger, "info">;
}

export interface Listener {
  readonly port: number;
  /** For handshakes from now on; connections go on. */
  renew(certificates: Certificates): void;
  /** No new connections; those in a handshake end. */
  close(): void;
  /** Ends what is left. */
  destroy(): void;
}

/** A client's preface: 24 bytes and the header of a SETTINGS frame. What is none is refused by nghttp2 before it has as many. */
const PREFACE_BYTES = 24 + 9;
const LOG_PERIOD_MS = 1000;

/** @param serve takes over a connection; it belongs to the listener again only for destroy() */
export async function startListener(options: ListenerOptions, serve: (socket: Socket) => void): Promise<Listener> {
  const connections = new Connections(options, serve);
  const servers: Server[] = [];
  const addresses = await resolve(options.listen);
  let { port } = addresses;
  let missing: unknown;
  for (const host of addresses.hosts) {
    const server = connections.createServer();
    try {
      port = await bind(server, host, port);
      servers.push(server);
    } catch (cause) {
      // localhost may stand for ::1 on a machine without IPv6.
      missing = cause;
      if (!isError(cause, "EADDRNOTAVAIL") || addresses.hosts.length === 1) {
        for (const open of servers) open.close();
        throw refused(options.listen, cause);
      }
    }
  }
  if (servers.length === 0) throw refused(options.listen, missing);
  return {
    port,
    renew: (certificates) => {
      for (const server of servers) (server as TlsServer).setSecureContext(secure(certificates));
    },
    close: () => {
      for (const server of servers) server.close();
      connections.close();
    },
    destroy: () => connections.destroy(),
  };
}

class Connections {
  /** Every one that is open, on the level of TCP. */
  readonly #open = new Set<Socket>();
  #closed = false;
  #unsaid = 0;
  #last = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly options: ListenerOptions,
    private readonly serve: (socket: Socket) => void,
  ) {}

  createServer(): Server {
    const { certificates, handshakeMs } = this.options;
    if (certificates === undefined) {
      return createServer({ noDelay: true }, (socket) => this.#accept(socket) && this.#pass(socket));
    }
    const server = createTlsServer({
      ...secure(certificates),
      noDelay: true,
      ALPNProtocols: ["h2"],
      handshakeTimeout: handshakeMs,
      requestCert: certificates.ca !== undefined,
      rejectUnauthorized: certificates.ca !== undefined,
    });
    server.prependListener("connection", (socket) => this.#accept(socket));
    server.on("secureConnection", (socket) => this.#pass(socket));
    server.on("tlsClientError", (error, socket) => this.#refuse(socket, reasonOf(error, socket)));
    return server;
  }

  close(): void {
    this.#closed = true;
  }

  destroy(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #accept(socket: Socket): boolean {
    // Whoever serves it may not be listening yet, or any more.
    socket.on("error", () => {});
    if (this.#open.size >= this.options.maxConnections) {
      this.#refuse(socket, `${this.options.maxConnections} are open (grpc.maxConnections)`);
      return false;
    }
    this.#open.add(socket);
    socket.on("close", () => this.#open.delete(socket));
    return true;
  }

  /** On to HTTP/2: `socket` carries what the client says in clear. */
  #pass(socket: Socket): void {
    if (this.#closed) {
      socket.destroy();
      return;
    }
    socket.on("error", () => {});
    const { handshakeMs } = this.options;
    const timer = setTimeout(() => {
      if (socket.bytesRead < PREFACE_BYTES) this.#refuse(socket, `it did not speak HTTP/2 within ${handshakeMs / 1000} s`);
    }, handshakeMs);
    timer.unref();
    socket.on("close", () => clearTimeout(timer));
    this.serve(socket);
  }

  /** At most one line a second: whoever knocks does not fill the log. */
  #refuse(socket: Socket, why: string): void {
    // A socket that is closed already does not know any more.
    const from = socket.remoteAddress === undefined ? "" : ` from ${socket.remoteAddress}`;
    socket.destroy();
    this.#unsaid++;
    const now = performance.now();
    if (now - this.#last < LOG_PERIOD_MS) return;
    const more = this.#unsaid > 1 ? ` (and ${this.#unsaid - 1} more before)` : "";
    this.options.log.info(`gRPC connection${from} refused: ${why}${more}`);
    this.#last = now;
    this.#unsaid = 0;
  }
}

function secure({ cert, key, ca }: Certificates): { cert: Buffer; key: Buffer; ca: Buffer | undefined } {
  return { cert, key, ca };
}

/** Why a handshake failed. OpenSSL's words are about the client's certificate or the protocol, never about our key. */
function reasonOf(error: Error, socket: TLSSocket): string {
  // Node has the type wrong: this is the code of the error.
  const verdict: unknown = socket.authorizationError;
  if (verdict) return `its certificate is not accepted: ${String(verdict)}`;
  const code = "code" in error ? String(error.code) : "";
  if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") return "it showed no certificate, which grpc.clientCa asks for";
  if (code === "ERR_SSL_HTTP_REQUEST" || code === "ERR_SSL_WRONG_VERSION_NUMBER") return "it does not speak TLS";
  if (code === "ERR_TLS_HANDSHAKE_TIMEOUT") return "it did not finish the TLS handshake in time";
  if (code === "ECONNRESET") return "it hung up in the TLS handshake. Does it trust the certificate?";
  return "reason" in error ? String(error.reason) : error.message;
}

async function resolve(listen: string): Promise<{ hosts: string[]; port: number }> {
  const parsed = parseListen(listen);
  if (parsed === undefined) throw refused(listen, new Error("it is no address"));
  try {
    const found = await lookup(parsed.host, { all: true, verbatim: true });
    return { hosts: [...new Set(found.map(({ address }) => address))], port: parsed.port };
  } catch (cause) {
    throw refused(listen, cause);
  }
}

function bind(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

const ADVICE: Record<string, string> = {
  EADDRINUSE: "another process listens there. End it, or choose another address with --grpc ADDR or grpc.listen",
  EACCES: "ports below 1024 need the capability CAP_NET_BIND_SERVICE. Choose a higher one with --grpc ADDR or grpc.listen",
  EADDRNOTAVAIL:
    "this machine has no such address. Choose one that `ip address` shows, or 0.0.0.0 for all, with --grpc ADDR or grpc.listen",
  ENOTFOUND: "no address is known by that name. Choose one that `ip address` shows, with --grpc ADDR or grpc.listen",
};

function refused(listen: string, cause: unknown): SluiceError {
  const known = Object.entries(ADVICE).find(([code]) => isError(cause, code));
  const why = cause instanceof Error ? cause.message : String(cause);
  const text = known?.[1] ?? `${why}. It takes ADDRESS:PORT, for example 127.0.0.1:3443, as --grpc ADDR or grpc.listen`;
  return new SluiceError("grpc", `gRPC cannot listen on ${listen}: ${text}`, { cause });
}

function isError(cause: unknown, code: string): boolean {
  return cause instanceof Error && "code" in cause && cause.code === code;
}
