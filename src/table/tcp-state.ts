// TCP state of a session (datapath.md "TCP control packets"): bits that any worker sets with Atomics, since the two
// directions of a connection may meet different workers. The state follows from the bits, so no order of two workers'
// updates can be lost: a FIN seen in each direction, each acknowledged, or a RST.

import { TcpFlag } from "../wire/tcp.js";
import { CloseCode, State } from "./session.js";
import { Record } from "./session-memory.js";

/** Bits of Record.tcp. Those of direction d are shifted by d. */
export const enum TcpBit {
  fin = 1,
  acked = 4,
  rst = 16,
  bothFins = 3,
  bothAcked = 12,
}

export function tcpState(bits: number): State {
  if ((bits & TcpBit.rst) !== 0 || (bits & TcpBit.bothAcked) === TcpBit.bothAcked) return State.closed;
  const fins = bits & TcpBit.bothFins;
  return fins === 0 ? State.established : fins === TcpBit.bothFins ? State.closing2 : State.closing1;
}

/** How TCP closed it, or notClosed. A RST after both FINs were acknowledged changes nothing. */
export function tcpCloseCode(bits: number): CloseCode {
  if ((bits & TcpBit.bothAcked) === TcpBit.bothAcked) return CloseCode.finAck;
  return (bits & TcpBit.rst) !== 0 ? CloseCode.rst : CloseCode.notClosed;
}

/**
 * One segment of a session in which a FIN or RST was seen, or which carries SYN, FIN or RST.
 * Order: the sequence number is stored before the bit that says it is there.
 * @param base index of the session's record in `records`
 * @param direction 0 as programmed, 1 reversed
 * @param end sequence number after the segment: sequence + payload + SYN + FIN
 * @returns whether this segment closed the connection
 */
export function tcpSegment(
  records: Int32Array,
  base: number,
  direction: number,
  flags: number,
  end: number,
  acknowledgment: number,
): boolean {
  const at = base + Record.tcp;
  const before = Atomics.load(records, at);
  // RST comes before SYN, as in RFC 9293 section 3.10.7.4.
  if ((flags & TcpFlag.rst) !== 0) {
    return tcpState(before) !== State.closed && tcpState(Atomics.or(records, at, TcpBit.rst)) !== State.closed;
  }
  if ((flags & TcpFlag.syn) !== 0) {
    // A bare SYN opens the next connection on the same ports; a SYN+ACK answers one.
    if ((flags & TcpFlag.ack) === 0) Atomics.store(records, at, 0);
    return false;
  }
  if (tcpState(before) === State.closed) return false;
  let set = 0;
  if ((flags & TcpFlag.fin) !== 0) {
    // A retransmission ends where the first one did; storing it again changes nothing.
    Atomics.store(records, base + Record.finIn + direction, end);
    set = TcpBit.fin << direction;
  }
  const other = 1 - direction;
  if ((flags & TcpFlag.ack) !== 0 && (before & (TcpBit.fin << other)) !== 0) {
    const fin = Atomics.load(records, base + Record.finIn + other);
    // Sequence numbers wrap: compare their distance.
    if (((acknowledgment - fin) | 0) >= 0) set |= TcpBit.acked << other;
  }
  if (set === 0) return false;
  const old = Atomics.or(records, at, set);
  return tcpState(old) !== State.closed && tcpState(old | set) === State.closed;
}
