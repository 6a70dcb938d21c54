// What holds where the user says nothing.

import { fileURLToPath } from "node:url";
import type { Options } from "./options.js";

export const DEFAULTS = {
  listen: "127.0.0.1:3443",
  ipv4Order: "s_addr",
  missingSession: "response",
  workers: 2,
  /** An Ethernet jumbo frame of 9,216 bytes. */
  maxFrame: 9_216,
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
    rxFrames: 4_096,
    rxFrameSize: 2_048,
    rxQueueBytes: 4 << 20,
  },
  file: { loop: false, realtime: false },
} as const;

/** The capture of the embedded default, in the project and in the package alike. */
export const DEMO_CAPTURE = fileURLToPath(new URL("../../../pcaps/demo.pcap", import.meta.url));

/** `sluice run` without a configuration or a port: needs no rights and no interface. One end of the demo's flows each. */
export const EMBEDDED: Options = {
  ports: [
    {
      lif: 1,
      driver: "file",
      in: DEMO_CAPTURE,
      filter: "src net 10.0.0.0/16",
      ...replayed(),
      host: { driver: "file" },
    },
    {
      lif: 2,
      driver: "file",
      in: DEMO_CAPTURE,
      filter: "src net 10.1.0.0/16",
      ...replayed(),
      host: { driver: "file" },
    },
  ],
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

function replayed() {
  return { loop: true, realtime: true };
}
