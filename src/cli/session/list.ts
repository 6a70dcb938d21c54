// `sluice session list`, and lists of sessions: written as they arrive, as one table or one JSON array.

import type { SluiceClient } from "../../control/client.js";
import type { SessionResponse } from "../../control/gen/openoffload.js";
import { writeAll } from "../pages.js";
import type { Column } from "../table.js";
import { columns, plain } from "./record.js";
import { type Selection, select } from "./select.js";

export async function listSessions(client: SluiceClient, selection: Selection, asJson: boolean): Promise<void> {
  await printAll(select(client.pages(), selection), columns, asJson);
}

export async function printAll(
  pages: AsyncIterable<SessionResponse[]>,
  shown: readonly Column<SessionResponse>[],
  asJson: boolean,
): Promise<void> {
  await writeAll(pages, { columns: shown, plain, none: "no sessions\n" }, asJson);
}
