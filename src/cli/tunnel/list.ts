// `sluice tunnel list`, and `sluice tunnel stats`: written as they arrive, as one table or one JSON array.

import type { SluiceClient } from "../../control/client.js";
import type { Ipv4Order } from "../../control/translate.js";
import { writeAll } from "../pages.js";
import { type Counted, columns, plain, plainStats, statsColumns } from "./record.js";
import { completePages, type ShownTunnel, tunnelPages } from "./shown.js";

const NONE = "no tunnels\n";

export async function listTunnels(client: SluiceClient, order: Ipv4Order, asJson: boolean): Promise<void> {
  const shape = { columns: columns(order), plain: (tunnel: ShownTunnel) => plain(tunnel, order), none: NONE };
  await writeAll(asJson ? completePages(client) : tunnelPages(client), shape, asJson);
}

export async function listStats(client: SluiceClient, asJson: boolean): Promise<void> {
  await writeAll(statsPages(client), { columns: statsColumns, plain: plainStats, none: NONE }, asJson);
}

async function* statsPages(client: SluiceClient): AsyncGenerator<Counted[]> {
  for await (const page of client.tunnels.statsPages()) {
    yield page.flatMap(({ tunnelId: id, tunnelCounters: counters }) => (counters === undefined ? [] : [{ id, counters }]));
  }
}
