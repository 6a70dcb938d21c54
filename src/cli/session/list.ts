// `sluice session list`, and lists of sessions: written as they arrive, as one table or one JSON array.

import type { SluiceClient } from "../../control/client.js";
import type { SessionResponse } from "../../control/gen/openoffload.js";
import { json } from "../json.js";
import { write } from "../output.js";
import { type Column, Table } from "../table.js";
import { columns, plain } from "./record.js";
import { type Selection, select } from "./select.js";

/** Rows that are aligned together and written at once. */
const PIECE = 1000;

export async function listSessions(client: SluiceClient, selection: Selection, asJson: boolean): Promise<void> {
  await printAll(select(client.pages(), selection), columns, asJson);
}

export async function printAll(
  pages: AsyncIterable<SessionResponse[]>,
  shown: readonly Column<SessionResponse>[],
  asJson: boolean,
): Promise<void> {
  const aligned = new Table(shown);
  let written = 0;
  for await (const page of pages) {
    for (let from = 0; from < page.length; from += PIECE) {
      const piece = page.slice(from, from + PIECE);
      const list = () => piece.map((session, i) => `${written + i > 0 ? "," : "["}\n${json(plain(session)).trimEnd()}`).join("");
      await write(asJson ? list() : aligned.rows(piece));
      written += piece.length;
    }
  }
  if (asJson) await write(written === 0 ? "[]\n" : "\n]\n");
  else if (written === 0) await write("no sessions\n");
}
