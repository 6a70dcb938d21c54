// Session stage: what a session makes of its frames (datapath.md "Session stage").
//
// A hit counts (the bytes that it had on the wire) on this worker's lane, refreshes the timer, and takes the session's action.
// TCP SYN, FIN and RST go to the application whatever the action: they move the session's TCP state, but neither count nor
// refresh, and no collector gets a copy of them.

import { type Burst, Kind } from "../memory/burst.js";
import type { EventRing } from "../memory/event-ring.js";
import { Fate } from "../reason.js";
import { Action } from "../table/session.js";
import type { SessionLookup } from "../table/session-lookup.js";
import { Decision, Lane, Record } from "../table/session-memory.js";
import { TcpBit, tcpSegment } from "../table/tcp-state.js";
import { be16, be32 } from "../wire/bytes.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { Tcp, TcpFlag } from "../wire/tcp.js";
import type { Copies } from "./copy.js";

/**
 * Decides every frame whose flow a session holds; the others keep the fate and egress that parse gave them. `copies` takes
 * down which frames a collector gets.
 */
export function decide(burst: Burst, sessions: SessionLookup, closed: EventRing, copies: Copies): void {
  const { n, kind, ref, wire, time, fate, egress } = burst;
  const { records, lanes } = sessions;
  for (let i = 0; i < n; i++) {
    const hit = ref[i];
    if (hit < 0) continue;
    const slot = hit >>> 1;
    const direction = hit & 1;
    const base = slot << Record.shift;
    const k = kind[i];
    if ((k & Kind.control) !== 0 || ((k & Kind.tcp) !== 0 && (records[base + Record.tcp] & TcpBit.bothFins) !== 0)) {
      if (track(burst, i, records, base, direction)) closed.push(slot);
      if ((k & Kind.control) !== 0) {
        fate[i] = Fate.tcpControl;
        continue;
      }
    }
    const lane = slot << Lane.shift;
    const count = lane + (direction << 1);
    lanes[count] = lanes[count] + 1;
    lanes[count + 1] = lanes[count + 1] + wire[i];
    lanes[lane + Lane.lastSeen] = time[i];
    const decision = records[base + Record.decision];
    const action = decision >>> Decision.actionShift;
    if (action === Action.drop) {
      fate[i] = Fate.sessionDrop;
      continue;
    }
    if (action !== Action.forward) {
      copies.add(i, decision >>> Decision.nextHopShift);
      if ((action & Decision.actionMask) === Action.snoop) {
        fate[i] = Fate.snooped;
        continue;
      }
    }
    fate[i] = Fate.forwarded;
    egress[i] = (decision >>> (direction * Decision.directionShift)) & Decision.portMask;
  }
}

/** Moves the TCP state of a session by one segment. @returns whether it closed the connection */
function track(burst: Burst, i: number, records: Int32Array, base: number, direction: number): boolean {
  const bytes = burst.frames.bytes;
  const l3 = burst.l3[i];
  const l4 = burst.l4[i];
  const flags = bytes[l4 + Tcp.flags];
  const l4Length =
    (burst.kind[i] & Kind.ipv4) !== 0 ? be16(bytes, l3 + Ipv4.totalLength) - Ipv4.length : be16(bytes, l3 + Ipv6.payloadLength);
  const payload = l4Length - ((bytes[l4 + Tcp.dataOffset] >>> 4) << 2);
  const fin = (flags & TcpFlag.fin) !== 0 ? 1 : 0;
  const end = (be32(bytes, l4 + Tcp.sequence) + payload + fin) | 0;
  return tcpSegment(records, base, direction, flags, end, be32(bytes, l4 + Tcp.acknowledgment));
}
