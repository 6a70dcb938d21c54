// `sluice session watch`: rates of sessions, again and again: in place on a terminal, else one block after the other.
//
// A round looks at every session of the device, or at those that are named. On a table of millions it takes seconds; then
// half an interval lies between two rounds.

import { setTimeout as sleep } from "node:timers/promises";
import type { SluiceClient } from "../../control/client.js";
import type { SessionResponse } from "../../control/gen/openoffload.js";
import { jsonLine } from "../json.js";
import { write } from "../output.js";
import { type Column, table } from "../table.js";
import { type RatedSession, Rates } from "./rates.js";
import { idColumn, plain, stateColumn, totalColumns } from "./record.js";
import { Screen } from "./screen.js";
import { type Filter, matches, Top } from "./select.js";

export interface WatchOptions extends Filter {
  /** Seconds. */
  readonly interval: number;
  /** Refreshes; undefined: without end. */
  readonly count?: number;
  /** Rows. */
  readonly limit: number;
}

interface Round {
  readonly rows: readonly RatedSession[];
  /** Sessions that match. */
  readonly found: number;
  /** Of all that match. */
  readonly packets: number;
  readonly bits: number;
  /** Named sessions that the device does not have. */
  readonly missing: readonly bigint[];
}

const columns: readonly Column<RatedSession>[] = [
  of(idColumn),
  of(stateColumn),
  { title: "in packets/s", value: ({ inPackets }) => Math.round(inPackets) },
  { title: "in bits/s", value: ({ inBits }) => Math.round(inBits) },
  { title: "out packets/s", value: ({ outPackets }) => Math.round(outPackets) },
  { title: "out bits/s", value: ({ outBits }) => Math.round(outBits) },
  ...totalColumns.map(of),
];

const digits = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export async function watchSessions(
  client: SluiceClient,
  ids: readonly bigint[],
  options: WatchOptions,
  asJson: boolean,
): Promise<void> {
  const { count = Number.POSITIVE_INFINITY, limit } = options;
  const interval = options.interval * 1000;
  const rates = new Rates();
  const screen = process.stdout.isTTY && !asJson ? new Screen(process.stdout) : undefined;
  let began = performance.now();
  await look(client, ids, options, rates, 0);
  for (let shown = 0; shown < count; shown++) {
    await sleep(Math.max(began + interval - performance.now(), interval / 2));
    began = performance.now();
    const round = await look(client, ids, options, rates, Math.min(limit, screen?.rows(FRAME) ?? limit));
    if (asJson) await write(jsonLine(plainRound(round)));
    else if (screen === undefined) await write(`${block(round)}\n`);
    else screen.show(block(round));
  }
}

/** Lines of a block beside those of its sessions. */
const FRAME = 4;

async function look(client: SluiceClient, ids: readonly bigint[], filter: Filter, rates: Rates, limit: number): Promise<Round> {
  const top = new Top<RatedSession>(limit, ({ inBits, outBits }) => inBits + outBits);
  const missing = new Set(ids);
  const round = { found: 0, packets: 0, bits: 0 };
  rates.begin(performance.now());
  for await (const page of ids.length === 0 ? client.pages() : named(client, ids)) {
    const at = performance.now();
    const now = Date.now();
    for (const session of page) {
      missing.delete(session.sessionId);
      const rated = rates.add(session, at);
      if (!matches(session, filter, now)) continue;
      top.add(rated);
      round.found++;
      round.packets += rated.inPackets + rated.outPackets;
      round.bits += rated.inBits + rated.outBits;
    }
  }
  return { ...round, rows: top.rows(), missing: [...missing] };
}

async function* named(client: SluiceClient, ids: readonly bigint[]): AsyncGenerator<SessionResponse[]> {
  for (const id of new Set(ids)) {
    const session = await client.getSession(id);
    if (session !== undefined) yield [session];
  }
}

function block({ rows, found, packets, bits, missing }: Round): string {
  const sessions = `${digits.format(found)} ${found === 1 ? "session" : "sessions"}`;
  const lines = [
    `${new Date().toISOString()}  ${sessions}, ${digits.format(packets)} packets/s, ${digits.format(bits)} bits/s\n`,
  ];
  if (rows.length > 0) lines.push(table(columns, rows));
  if (found > rows.length) lines.push(`and ${digits.format(found - rows.length)} more\n`);
  if (missing.length > 0) lines.push(`not on the device: ${missing.join(", ")}\n`);
  return lines.join("");
}

function plainRound({ rows, found, packets, bits, missing }: Round): object {
  return {
    time: new Date().toISOString(),
    packets_per_second: Math.round(packets),
    bits_per_second: Math.round(bits),
    sessions: rows.map(({ session, inPackets, inBits, outPackets, outBits }) => ({
      ...plain(session),
      in_packets_per_second: Math.round(inPackets),
      in_bits_per_second: Math.round(inBits),
      out_packets_per_second: Math.round(outPackets),
      out_bits_per_second: Math.round(outBits),
    })),
    more: found - rows.length,
    missing,
  };
}

function of(column: Column<SessionResponse>): Column<RatedSession> {
  return { title: column.title, value: ({ session }) => column.value(session) };
}
