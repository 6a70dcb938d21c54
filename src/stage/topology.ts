// What the fast path needs to know of the device's ports, as arrays by port index.

export interface PortFacts {
  readonly role: "uplink" | "host" | "named";
  readonly lif: number;
  /** Other uplink of the pair, or -1; for a host port its uplink. */
  readonly peer: number;
  /** Host port of an uplink, or -1. */
  readonly host: number;
  /** Bytes that an IP packet may have that leaves here; absent: any. */
  readonly mtu?: number | undefined;
}

/** Bits of Topology.role. */
export const enum Role {
  uplink = 1,
  host = 2,
  named = 4,
}

/** More than any packet has. */
const UNLIMITED = 0x7fff_ffff;

export class Topology {
  readonly role: Int32Array;
  readonly lif: Int32Array;
  /** Where a miss goes: the host port, or the peer uplink where there is none; -1: nowhere. For a host port: its uplink. */
  readonly miss: Int32Array;
  /** Other uplink of the pair, or -1; for a host port its uplink. */
  readonly peer: Int32Array;
  readonly mtu: Int32Array;
  /** Whether any port has an MTU, and the smallest. */
  readonly limited: boolean;
  readonly leastMtu: number;

  constructor(ports: readonly PortFacts[]) {
    const roles = { uplink: Role.uplink, host: Role.host, named: Role.named };
    this.role = Int32Array.from(ports, (port) => roles[port.role]);
    this.lif = Int32Array.from(ports, (port) => port.lif);
    this.peer = Int32Array.from(ports, (port) => port.peer);
    this.mtu = Int32Array.from(ports, (port) => port.mtu ?? UNLIMITED);
    this.leastMtu = Math.min(UNLIMITED, ...this.mtu);
    this.limited = ports.some((port) => port.mtu !== undefined);
    this.miss = Int32Array.from(ports, (port) => (port.role === "uplink" && port.host >= 0 ? port.host : port.peer));
  }
}
