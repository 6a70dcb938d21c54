// The device and the sessions of benchmarks that need no interfaces: two uplinks on memory ports.

import type { Config, MemoryDriver, PortConfig } from "../config/config.js";
import { DEFAULTS } from "../config/defaults.js";
import { Action, type NewSession } from "../table/session.js";

/** `source`: frames that uplink 1 receives over and over. */
export function benchConfig(capacity: number, workers: number, source?: SharedArrayBuffer): Config {
  const port = (index: number, driver: MemoryDriver): PortConfig => ({
    index,
    name: String(index + 1),
    role: "uplink",
    lif: index + 1,
    peer: 1 - index,
    host: -1,
    driver,
  });
  return {
    ports: [
      port(0, source === undefined ? { driver: "memory" } : { driver: "memory", source, total: Number.POSITIVE_INFINITY }),
      port(1, { driver: "memory" }),
    ],
    nextHops: [],
    routes: [],
    tunnels: { ...DEFAULTS.tunnels, geneve: DEFAULTS.tunnel, vxlan: DEFAULTS.tunnel, ipsec: DEFAULTS.tunnel },
    ipsec: DEFAULTS.ipsec,
    mtu: DEFAULTS.mtu,
    reassembly: DEFAULTS.reassembly,
    grpc: DEFAULTS.grpc,
    api: { ipv4Order: "s_addr", missingSession: "response", revealKeys: false },
    workers,
    pin: [],
    maxFrame: 9216,
    sessions: { capacity, defaultTimeout: 10, duplicateFlow: "reject", tcpClose: "application", closedBacklog: 1 },
    log: { level: "error" },
  };
}

/** A session with this id and, in the lower three bytes of its source address, this number. */
export function benchSession(i: number, timeout = 86_400): NewSession {
  return {
    id: BigInt(i),
    inLif: 1,
    inVlan: 0,
    outLif: 2,
    outVlan: 0,
    ipv6: false,
    source: Uint8Array.of(10 + (i >>> 24), i >>> 16, i >>> 8, i),
    destination: Uint8Array.of(10, 255, 0, 1),
    sourcePort: 1024,
    destinationPort: 80,
    protocol: 17,
    action: Action.forward,
    nextHop: 0,
    timeout,
  };
}
