// What holds where the user says nothing.

import { fileURLToPath } from "node:url";
import type { Options } from "./options.js";

export const DEFAULTS = {
  grpc: {
    listen: "127.0.0.1:3443",
    maxMessageBytes: 4 << 20,
    maxStreams: 1_024,
    maxConnections: 1_024,
    keepaliveInterval: 30,
    keepaliveTimeout: 10,
  },
  ipv4Order: "s_addr",
  missingSession: "response",
  revealKeys: false,
  workers: 2,
  /** An Ethernet jumbo frame of 9,216 bytes. */
  maxFrame: 9_216,
  tunnels: { capacity: 65_536, failClosed: 60 },
  /** What tunnels begin with. Port 0: the protocol's own. */
  tunnel: {
    udpPort: 0,
    udpChecksum: "default",
    df: "copy",
    ttl: 64,
    dscp: "copy",
    ecn: "normal",
    innerVlan: "move",
    esn: false,
    replayWindow: 1024,
    nattSourcePort: 4500,
  },
  ipsec: { aead: "auto", capacity: 65_536, auditRate: 10 },
  mtu: { onExceed: "icmp", icmpRate: 100 },
  reassembly: { memory: 4 << 20, timeout: 30, perSource: 64 },
  sessions: {
    capacity: 1_048_576,
    defaultTimeout: 10,
    duplicateFlow: "reject",
    tcpClose: "application",
    closedBacklog: 1_048_576,
  },
  logLevel: "info",
  afPacket: {
    force: false,
    rxFrames: 8_192,
    rxFrameSize: 2_048,
    rxQueueBytes: 4 << 20,
  },
  file: { loop: false, realtime: false },
} as const;

/** From dist/src/config to the package. */
const DEMO_CAPTURE = fileURLToPath(new URL("../../../pcaps/demo.pcap", import.meta.url));

/** What plays one host's side of the demonstration, or the application's side towards it (pcaps/make-demo.mjs). */
function play(filter: string) {
  return { driver: "file" as const, in: DEMO_CAPTURE, loop: true, realtime: true, filter };
}

function demoPort(lif: number, host: string) {
  const application = "02:00:00:00:00:aa";
  return { lif, ...play(`ether src ${host}`), host: play(`ether src ${application} and ether dst ${host}`) };
}

/** `sluice run` without a configuration or a port: pcaps/demo.pcap over and over; needs no rights and no interface. */
export const EMBEDDED: Options = {
  ports: [demoPort(1, "02:00:00:00:00:01"), demoPort(2, "02:00:00:00:00:02")],
  workers: 1,
};

/** `sluice replay` without a configuration: two uplinks with host ports, whose packets replay itself brings. */
export const REPLAY: Options = {
  ports: [
    { lif: 1, driver: "memory", host: { driver: "memory" } },
    { lif: 2, driver: "memory", host: { driver: "memory" } },
  ],
  workers: 1,
};
