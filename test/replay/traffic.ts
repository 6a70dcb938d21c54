// Packets of known flows at known times, as captures, and the program entries of their sessions.

import { writePcap } from "../port/rig.js";
import { frameOf, type TcpFields } from "../stage/packet.js";

/** Seconds since the epoch at which captures begin. */
export const T0 = 1_767_225_600;
const CLIENT = Uint8Array.of(10, 0, 0, 1);

export interface Sent {
  /** Milliseconds after T0; whole nanoseconds. */
  readonly ms: number;
  /** Number of the flow: client 10.0.0.1, port `flow` % 60000, server 10.1.x.y:80. */
  readonly flow: number;
  readonly udp?: boolean;
  readonly reverse?: boolean;
  readonly tcp?: TcpFields;
  readonly payload?: number;
}

function server(flow: number): Uint8Array {
  return Uint8Array.of(10, 1, (flow >> 8) & 0xff, flow & 0xff);
}

export function frame({ flow, udp = true, reverse = false, tcp, payload = 4 }: Sent): Uint8Array {
  const [a, b] = [CLIENT, server(flow)];
  return frameOf(
    {
      ipv6: false,
      udp,
      payload,
      source: reverse ? b : a,
      destination: reverse ? a : b,
      sourcePort: reverse ? 80 : 1 + (flow % 60_000),
      destinationPort: reverse ? 1 + (flow % 60_000) : 80,
    },
    tcp,
  );
}

export function capture(sent: readonly Sent[]): Buffer {
  return writePcap(
    sent.map((each) => {
      const sec = Math.floor(each.ms / 1000);
      return { sec: T0 + sec, nsec: Math.round((each.ms - sec * 1000) * 1e6), data: frame(each) };
    }),
  );
}

export interface Entry {
  readonly id: number;
  readonly flow: number;
  readonly udp?: boolean;
  /** Seconds. */
  readonly timeout: number;
}

export function program(entries: readonly Entry[]): string {
  const lines = entries.map(
    ({ id, flow, udp = true, timeout }) =>
      `  - { session_id: ${id}, in_lif: 1, source_ip: ${CLIENT.join(".")}, source_port: ${1 + (flow % 60_000)}, ` +
      `destination_ip: ${server(flow).join(".")}, destination_port: 80, protocol_id: ${udp ? "UDP" : "TCP"}, ` +
      `action: { action_type: FORWARD }, cache_timeout: ${timeout} }\n`,
  );
  return `sessions:\n${lines.join("")}`;
}

/** Park and Miller's generator: the same numbers in every run. @returns a function for a number below n */
export function random(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % n;
  };
}
