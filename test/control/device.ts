// A device without a data path, listening on a free port, and what tests send to it.

import { credentials } from "@grpc/grpc-js";
import { pino } from "pino";
import { type SessionRequest, SessionTableClient } from "../../src/control/gen/openoffload.js";
import { type RunningServer, type ServerOptions, startServer } from "../../src/control/server.js";
import { type SessionServiceOptions, sessionService } from "../../src/control/session-service.js";
import type { SessionRules } from "../../src/control/translate.js";
import { ClosedSessions } from "../../src/table/closed.js";
import { TestTable } from "./test-table.js";

export const RULES: SessionRules = {
  ipv4Order: "s_addr",
  defaultTimeout: 10,
  lifs: new Map([
    [1, 2],
    [2, 1],
    [3, 0],
  ]),
  nextHops: new Map([
    ["192.0.2.9", 0],
    ["2001:db8::9", 1],
  ]),
};

export interface TestDevice {
  readonly target: string;
  readonly sessions: TestTable;
  readonly closed: ClosedSessions;
  readonly server: RunningServer;
  readonly client: SessionTableClient;
  /** Written to by the service. */
  readonly log: string[];
  ready: boolean;
  stop(): Promise<void>;
}

interface TestOptions extends Partial<Omit<SessionServiceOptions, "sessions">> {
  readonly sessions?: TestTable;
  readonly capacity?: number;
  readonly backlog?: number;
  /** Of the server. */
  readonly limits?: Partial<ServerOptions>;
}

export async function startDevice(options: TestOptions = {}): Promise<TestDevice> {
  const { sessions = new TestTable(options.capacity ?? 1000) } = options;
  const closed = new ClosedSessions(options.backlog ?? 1000);
  sessions.onClosed = (info) => closed.push(info);
  const log: string[] = [];
  const state = { ready: true };
  const logger = pino({ base: null }, { write: (line) => void log.push(line) });
  const service = sessionService({
    closed,
    rules: RULES,
    missingSession: "response",
    ready: () => state.ready,
    now: Date.now,
    log: logger,
    ...options,
    sessions,
  });
  const server = await startServer({ listen: "127.0.0.1:0", ...options.limits }, [service], logger);
  const target = `127.0.0.1:${server.port}`;
  const client = new SessionTableClient(target, credentials.createInsecure());
  return {
    target,
    sessions,
    closed,
    server,
    client,
    log,
    get ready() {
      return state.ready;
    },
    set ready(ready) {
      state.ready = ready;
    },
    async stop() {
      client.close();
      await server.stop(500);
    },
  };
}

/** A valid request for a flow of its own: 10.x.y.z:1000 → 192.0.2.1:80 over TCP, from lif 1 to its pair. */
export function request(id: number | bigint, changes: Partial<SessionRequest> = {}): SessionRequest {
  const n = Number(id);
  return {
    sessionId: BigInt(id),
    inLif: 1,
    outLif: 0,
    ipVersion: 0,
    // 10.x.y.z as s_addr on a little-endian machine
    sourceIp: (10 | ((n & 0xff0000) >>> 8) | ((n & 0xff00) << 8) | ((n & 0xff) << 24)) >>> 0,
    sourceIpv6: Buffer.alloc(0),
    sourcePort: 1000,
    destinationIp: 0x010200c0,
    destinationIpv6: Buffer.alloc(0),
    destinationPort: 80,
    protocolId: 6,
    action: { actionType: 1, actionNextHop: 0, actionNextHopV6: Buffer.alloc(0) },
    cacheTimeout: 0,
    ...changes,
  };
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
