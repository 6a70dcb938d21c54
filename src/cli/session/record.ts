// A session as the commands show it: columns of a table, or an object with the field names of the API.

import { SessionCloseCode, type SessionResponse, SessionState } from "../../control/gen/openoffload.js";
import type { Column } from "../table.js";

export const idColumn: Column<SessionResponse> = {
  title: "session",
  // No separators in a number that is typed in again.
  value: ({ sessionId }) => `${sessionId}`,
};

export const stateColumn: Column<SessionResponse> = {
  title: "state",
  value: ({ sessionState }) => word(SessionState[sessionState]),
};

export const totalColumns: readonly Column<SessionResponse>[] = [
  { title: "in packets", value: ({ inPackets }) => inPackets },
  { title: "in bytes", value: ({ inBytes }) => inBytes },
  { title: "out packets", value: ({ outPackets }) => outPackets },
  { title: "out bytes", value: ({ outBytes }) => outBytes },
];

export const columns: readonly Column<SessionResponse>[] = [
  idColumn,
  stateColumn,
  ...totalColumns,
  { title: "since", value: ({ startTime }) => time(startTime) ?? "-" },
];

export const closedColumns: readonly Column<SessionResponse>[] = [
  ...columns,
  { title: "until", value: ({ endTime }) => time(endTime) ?? "-" },
  { title: "closed by", value: ({ sessionCloseCode }) => word(SessionCloseCode[sessionCloseCode]) },
];

export function plain(session: SessionResponse): Record<string, unknown> {
  return {
    session_id: session.sessionId,
    in_packets: session.inPackets,
    out_packets: session.outPackets,
    in_bytes: session.inBytes,
    out_bytes: session.outBytes,
    session_state: SessionState[session.sessionState],
    session_close_code: SessionCloseCode[session.sessionCloseCode],
    start_time: time(session.startTime),
    end_time: time(session.endTime),
  };
}

/** "_CLOSING_1" as "closing 1". */
function word(name: string | undefined): string {
  return (name ?? "unknown").replace(/^_/, "").replaceAll("_", " ").toLowerCase();
}

function time(stamp: SessionResponse["startTime"]): string | undefined {
  return stamp === undefined ? undefined : new Date(Number(stamp.seconds) * 1000 + stamp.nanos / 1e6).toISOString();
}
