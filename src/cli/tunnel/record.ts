// A tunnel as the commands show it: columns of a table, or an object with the field names of the API in which `ip_tunnel` is
// an entry of a program file.

import type { TunnelOptions } from "../../control/gen/sluice_tunnel.js";
import type { Counters } from "../../control/gen/tunneloffload.js";
import type { Ipv4Order } from "../../control/translate.js";
import type { Column } from "../table.js";
import { toEntry } from "./entry.js";
import { actionWord, matchPhrase, procedureOf } from "./phrase.js";
import type { ShownTunnel } from "./shown.js";

export function columns(order: Ipv4Order): readonly Column<ShownTunnel>[] {
  return [
    idColumn(),
    { title: "kind", value: ({ request }) => procedureOf(request) },
    { title: "next", value: ({ request }) => actionWord(request.nextAction) },
    { title: "in packets", value: ({ counters }) => counters.inPackets },
    { title: "out packets", value: ({ counters }) => counters.outPackets },
    { title: "dropped", value: ({ counters }) => counters.inPacketsDrops + counters.outPacketsDrops },
    { title: "matches", value: ({ request, error }) => withError(matchPhrase(request.matchCriteria, order), error) },
  ];
}

export type Counted = Pick<ShownTunnel, "id" | "counters" | "error">;

export const counterColumns: readonly Column<Counters>[] = [
  { title: "in packets", value: ({ inPackets }) => inPackets },
  { title: "in bytes", value: ({ inBytes }) => inBytes },
  { title: "out packets", value: ({ outPackets }) => outPackets },
  { title: "out bytes", value: ({ outBytes }) => outBytes },
  { title: "in drops", value: ({ inPacketsDrops }) => inPacketsDrops },
  { title: "in drop bytes", value: ({ inBytesDrops }) => inBytesDrops },
  { title: "out drops", value: ({ outPacketsDrops }) => outPacketsDrops },
  { title: "out drop bytes", value: ({ outBytesDrops }) => outBytesDrops },
];

export const statsColumns: readonly Column<Counted>[] = [
  idColumn(),
  ...counterColumns.map(({ title, value }): Column<Counted> => ({ title, value: ({ counters }) => value(counters) })),
];

export function plain(tunnel: ShownTunnel, order: Ipv4Order, options?: TunnelOptions): Record<string, unknown> {
  const { id, request, error } = tunnel;
  return { tunnel_id: id, ip_tunnel: toEntry(request, order, options), ...plainCounters(tunnel), error };
}

export function plainStats(counted: Counted): Record<string, unknown> {
  return { tunnel_id: counted.id, ...plainCounters(counted), error: counted.error };
}

function plainCounters({ counters }: Counted): Record<string, unknown> {
  return {
    tunnel_counters: {
      in_packets: counters.inPackets,
      out_packets: counters.outPackets,
      in_bytes: counters.inBytes,
      out_bytes: counters.outBytes,
      in_packets_drops: counters.inPacketsDrops,
      out_packets_drops: counters.outPacketsDrops,
      in_bytes_drops: counters.inBytesDrops,
      out_bytes_drops: counters.outBytesDrops,
    },
  };
}

function idColumn(): Column<{ readonly id: bigint }> {
  // No separators in a number that is typed in again.
  return { title: "tunnel", value: ({ id }) => `${id}` };
}

function withError(text: string, error: string | undefined): string {
  return error === undefined ? text : `${text} (error: ${error})`;
}
