// report.json of a replay: the same for the same captures, program and seed. Keys as in the .proto files; times are
// seconds since the epoch on the captures' clock.

import { SessionCloseCode, SessionState } from "../control/gen/openoffload.js";
import type { ReplayReport } from "../main/replay.js";
import type { RuleInfo } from "../table/rule-table.js";
import type { SessionInfo } from "../table/session.js";

export function replayReport(report: ReplayReport): object {
  return {
    totals: {
      in: report.totals.in,
      created: report.totals.created,
      out: report.totals.out,
      to_host: report.totals.toHost,
      dropped: report.totals.dropped,
      consumed: report.totals.consumed,
      offloaded: report.totals.offloaded,
    },
    ports: report.ports.map((port) => ({
      name: port.name,
      role: port.role,
      rx_packets: port.rxPackets,
      rx_bytes: port.rxBytes,
      created_packets: port.createdPackets,
      tx_packets: port.txPackets,
      tx_bytes: port.txBytes,
    })),
    reasons: report.fates
      .filter(({ packets }) => packets > 0)
      .map(({ name, kind, packets, sentence }) => ({ name, kind, packets, sentence })),
    sessions: report.sessions.map(sessionReport),
    closed_sessions: report.closedSessions.map(sessionReport),
    tunnels: report.tunnels.map(tunnelReport),
  };
}

function sessionReport(session: SessionInfo): object {
  return {
    session_id: session.id,
    in_packets: session.inPackets,
    out_packets: session.outPackets,
    in_bytes: session.inBytes,
    out_bytes: session.outBytes,
    session_state: SessionState[session.state],
    session_close_code: SessionCloseCode[session.closeCode],
    start_time: session.startTime / 1000,
    ...(session.endTime === 0 ? {} : { end_time: session.endTime / 1000 }),
  };
}

/** Counters as in tunneloffload.v2.Counters. */
function tunnelReport({ rule, counters }: RuleInfo): object {
  return {
    tunnel_id: rule.id,
    in_packets: counters.inPackets,
    out_packets: counters.outPackets,
    in_bytes: counters.inBytes,
    out_bytes: counters.outBytes,
    in_packets_drops: counters.inDrops,
    out_packets_drops: counters.outDrops,
    in_bytes_drops: counters.inDropBytes,
    out_bytes_drops: counters.outDropBytes,
  };
}
