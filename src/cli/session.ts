// `sluice session …`: sessions of a running device, as a table or as JSON. Lists are written as they arrive.

import { once } from "node:events";
import type { SluiceClient } from "../control/client.js";
import { SessionCloseCode, type SessionResponse, SessionState } from "../control/gen/openoffload.js";
import { SluiceError } from "../errors.js";
import { json } from "./json.js";
import { type Column, Table, table } from "./table.js";

/** Rows that are aligned together and written at once. */
const PIECE = 1000;

const columns: readonly Column<SessionResponse>[] = [
  // No separators in a number that is typed in again.
  { title: "session", value: ({ sessionId }) => `${sessionId}` },
  { title: "state", value: ({ sessionState }) => word(SessionState[sessionState]) },
  { title: "in packets", value: ({ inPackets }) => inPackets },
  { title: "in bytes", value: ({ inBytes }) => inBytes },
  { title: "out packets", value: ({ outPackets }) => outPackets },
  { title: "out bytes", value: ({ outBytes }) => outBytes },
  { title: "since", value: ({ startTime }) => time(startTime) ?? "-" },
];

const closedColumns: readonly Column<SessionResponse>[] = [
  ...columns,
  { title: "until", value: ({ endTime }) => time(endTime) ?? "-" },
  { title: "closed by", value: ({ sessionCloseCode }) => word(SessionCloseCode[sessionCloseCode]) },
];

export async function listSessions(client: SluiceClient, asJson: boolean): Promise<void> {
  await printAll(client.sessions(), columns, asJson);
}

export async function closedSessions(client: SluiceClient, asJson: boolean): Promise<void> {
  await printAll(client.closedSessions(), closedColumns, asJson);
}

export async function getSession(client: SluiceClient, id: bigint, asJson: boolean): Promise<void> {
  print(await client.getSession(id), id, columns, asJson);
}

export async function deleteSession(client: SluiceClient, id: bigint, asJson: boolean): Promise<void> {
  print(await client.deleteSession(id), id, closedColumns, asJson);
}

async function printAll(
  sessions: AsyncIterable<SessionResponse>,
  shown: readonly Column<SessionResponse>[],
  asJson: boolean,
): Promise<void> {
  const aligned = new Table(shown);
  let written = 0;
  let piece: SessionResponse[] = [];
  const flush = async () => {
    if (piece.length === 0) return;
    const list = () => piece.map((session, i) => `${written + i > 0 ? "," : "["}\n${json(plain(session)).trimEnd()}`).join("");
    const text = asJson ? list() : aligned.rows(piece);
    written += piece.length;
    piece = [];
    if (!process.stdout.write(text)) await once(process.stdout, "drain");
  };
  for await (const session of sessions) {
    if (piece.push(session) === PIECE) await flush();
  }
  await flush();
  if (asJson) process.stdout.write(written === 0 ? "[]\n" : "\n]\n");
  else if (written === 0) process.stdout.write("no sessions\n");
}

function print(
  session: SessionResponse | undefined,
  id: bigint,
  shown: readonly Column<SessionResponse>[],
  asJson: boolean,
): void {
  if (session === undefined) throw new SluiceError("grpc", `the device has no session ${id}; \`sluice session list\` shows them`);
  process.stdout.write(asJson ? json(plain(session)) : table(shown, [session]));
}

/** With the field names of the API. */
function plain(session: SessionResponse): Record<string, unknown> {
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
