// What holds where the user says nothing.

import { fileURLToPath } from "node:url";
import type { Options, PortOptions } from "./options.js";

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
/** MAC address of the application in it. */
const DEMO_APPLICATION = "02:00:00:00:00:aa";

/**
 * `sluice run` without a configuration or a port: needs no rights and no interface. Each uplink receives what the host
 * behind it sends in the capture, each host port what the application sends that way.
 */
export const EMBEDDED: Options = { ports: [demoPort(1, "02:00:00:00:00:01"), demoPort(2, "02:00:00:00:00:02")], workers: 1 };

/** `sluice replay` without a configuration: two uplinks with host ports, whose packets replay itself brings. */
export const REPLAY: Options = {
  ports: [
    { lif: 1, driver: "memory", host: { driver: "memory" } },
    { lif: 2, driver: "memory", host: { driver: "memory" } },
  ],
  workers: 1,
};

function demoPort(lif: number, host: string): PortOptions {
  const play = (filter: string) => ({ driver: "file" as const, in: DEMO_CAPTURE, loop: true, realtime: true, filter });
  return { lif, ...play(`ether src ${host}`), host: play(`ether src ${DEMO_APPLICATION} and ether dst ${host}`) };
}
