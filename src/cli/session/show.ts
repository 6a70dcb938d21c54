// `sluice session get` and `delete`: one session.

import type { SluiceClient } from "../../control/client.js";
import type { SessionResponse } from "../../control/gen/openoffload.js";
import { SluiceError } from "../../errors.js";
import { json } from "../json.js";
import { type Column, table } from "../table.js";
import { closedColumns, columns, plain } from "./record.js";

export async function getSession(client: SluiceClient, id: bigint, asJson: boolean): Promise<void> {
  print(await client.getSession(id), id, columns, asJson);
}

export async function deleteSession(client: SluiceClient, id: bigint, asJson: boolean): Promise<void> {
  print(await client.deleteSession(id), id, closedColumns, asJson);
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
