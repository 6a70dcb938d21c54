// `sluice sa list`: written as they arrive, as one table or one JSON array.

import type { SluiceClient } from "../../control/client.js";
import type { Timestamp } from "../../control/gen/google/protobuf/timestamp.js";
import type { Sa } from "../../control/gen/sluice_tunnel.js";
import { writeAll } from "../pages.js";
import type { Column } from "../table.js";
import { modeText, spiText, suiteText } from "../tunnel/phrase.js";

export async function listSas(client: SluiceClient, tunnel: bigint, asJson: boolean): Promise<void> {
  const shape = { columns: columns(Date.now()), plain, none: "no security associations\n" };
  await writeAll(client.tunnels.sas(tunnel), shape, asJson);
}

/** @param now milliseconds since the epoch, for ages */
export function columns(now: number): readonly Column<Sa>[] {
  return [
    // No separators in numbers that are typed in again.
    { title: "tunnel", value: ({ tunnelId }) => `${tunnelId}` },
    { title: "spi", value: ({ spi }) => spiText(spi) },
    { title: "direction", value: ({ encrypts }) => directionText(encrypts) },
    { title: "mode", value: ({ tunnelType }) => modeText(tunnelType) },
    { title: "suite", value: ({ encryptionType }) => suiteText(encryptionType) },
    { title: "packets", value: ({ packets }) => packets },
    { title: "bytes", value: ({ bytes }) => bytes },
    { title: "sequence", value: ({ sequenceNumber }) => sequenceNumber },
    { title: "window", value: windowText },
    { title: "age", value: ({ created }) => ageText(created, now) },
    { title: "used", value: ({ lastUsed }) => (lastUsed === undefined ? "never" : `${ageText(lastUsed, now)} ago`) },
    { title: "failures", value: ({ failures }) => failureText(failures) },
  ];
}

export function plain(sa: Sa): Record<string, unknown> {
  return {
    tunnel_id: sa.tunnelId,
    spi: sa.spi,
    direction: directionText(sa.encrypts),
    tunnel_type: modeText(sa.tunnelType),
    encryption_type: suiteText(sa.encryptionType),
    esn: sa.esn,
    replay_window: sa.encrypts ? undefined : sa.replayWindow,
    packets: sa.packets,
    bytes: sa.bytes,
    sequence_number: sa.sequenceNumber,
    failures: sa.failures,
    created: dateText(sa.created),
    last_used: dateText(sa.lastUsed),
  };
}

function directionText(encrypts: boolean): string {
  return encrypts ? "encrypt" : "decrypt";
}

/** "1024 esn" */
function windowText({ encrypts, replayWindow, esn }: Sa): string {
  const window = encrypts ? "-" : replayWindow === 0 ? "none" : `${replayWindow}`;
  return esn ? `${window} esn` : window;
}

function failureText(failures: Sa["failures"]): string {
  const text = Object.entries(failures).map(([reason, packets]) => `${reason} ${packets}`);
  return text.length === 0 ? "-" : text.join(", ");
}

function milliseconds({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * 1000 + nanos / 1e6;
}

/** "3d 4h", "12m 5s", "9s": the two largest units. */
export function ageText(since: Timestamp | undefined, now: number): string {
  if (since === undefined) return "-";
  const seconds = Math.max(0, Math.floor((now - milliseconds(since)) / 1000));
  const units: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ];
  const first = units.findIndex(([value]) => value > 0);
  const shown = first < 0 ? units.slice(-1) : units.slice(first, first + 2);
  return shown.map(([value, unit]) => `${value}${unit}`).join(" ");
}

function dateText(time: Timestamp | undefined): string | undefined {
  return time === undefined ? undefined : new Date(milliseconds(time)).toISOString();
}
