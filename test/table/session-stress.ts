// What control and worker of the stress test agree on: flows whose frame length, interfaces and action follow from their
// number, so that a decision or a count that belongs to another flow shows.

import { Action, type NewSession } from "../../src/table/session.js";
import { frameOf } from "../stage/packet.js";

export const enum StressWord {
  ready,
  stop,
  count,
}

export interface Tally {
  /** By flow × 2 + direction. */
  readonly packets: Float64Array;
  readonly misses: number;
  readonly wrong: readonly string[];
}

/** Index of the port that frames of this direction arrive on; they leave by that of the other direction. */
export function ingress(flow: number, direction: number): number {
  return direction === 0 ? flow & 3 : (flow >>> 2) & 3;
}

export function action(flow: number): Action {
  return flow % 7 === 3 ? Action.drop : Action.forward;
}

export function session(flow: number, id: bigint, timeout: number): NewSession {
  const ipv6 = flow % 3 === 0;
  const address = (last: number) =>
    ipv6 ? Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]) : Uint8Array.from([10, 0, 0, last]);
  return {
    id,
    inLif: ingress(flow, 0) + 1,
    outLif: ingress(flow, 1) + 1,
    inVlan: 0,
    outVlan: 0,
    ipv6,
    // Neighbours share addresses and differ in ports only.
    source: address(1 + (flow >>> 4)),
    destination: address(200),
    sourcePort: 1000 + flow,
    destinationPort: 80,
    protocol: flow % 2 === 0 ? 17 : 6,
    action: action(flow),
    nextHop: 0,
    timeout,
  };
}

/** Of a length that no other flow has. */
export function flowFrame(flow: number, direction: number): Uint8Array {
  const { ipv6, source, destination, sourcePort, destinationPort, protocol } = session(flow, 0n, 1);
  const there = direction === 0;
  const overhead = (ipv6 ? 40 : 20) + (protocol === 17 ? 8 : 20);
  return frameOf({
    ipv6,
    udp: protocol === 17,
    source: there ? source : destination,
    destination: there ? destination : source,
    sourcePort: there ? sourcePort : destinationPort,
    destinationPort: there ? destinationPort : sourcePort,
    payload: 100 + flow - overhead,
  });
}

export function frameLength(flow: number): number {
  return 14 + 100 + flow;
}
