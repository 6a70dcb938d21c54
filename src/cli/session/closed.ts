// `sluice session closed`: takes delivery of closed sessions, once or as they close.
//
// Delivery is at least once: the device forgets a record some seconds after it was sent on a stream that follows (api.md 6),
// so what was printed shortly before a stream broke comes again on the next.

import { setTimeout as sleep } from "node:timers/promises";
import type { SluiceClient } from "../../control/client.js";
import type { SessionResponse } from "../../control/gen/openoffload.js";
import { jsonLine } from "../json.js";
import { write } from "../output.js";
import { Table } from "../table.js";
import { printAll } from "./list.js";
import { closedColumns, plain } from "./record.js";

const PIECE = 1000;
/** Seconds before a broken stream is opened again; twice as many each time that it fails, up to the last. */
const BACK_OFF = { first: 0.5, last: 8 };

export async function closedSessions(client: SluiceClient, asJson: boolean): Promise<void> {
  await printAll(pieces(client.closedSessions()), closedColumns, asJson);
}

/** Until the process ends. A device that was never reached is a failure; one that was is waited for. */
export async function followClosedSessions(client: SluiceClient, asJson: boolean): Promise<void> {
  const aligned = new Table(closedColumns);
  let wait = BACK_OFF.first;
  let followed = false;
  let broken = false;
  const onFollowing = () => {
    if (broken) process.stderr.write("sluice: following again; some sessions may come a second time\n");
    wait = BACK_OFF.first;
    followed = true;
    broken = false;
  };
  for (;;) {
    let why = "the device ended the stream";
    try {
      for await (const session of client.closedSessions(true, onFollowing)) {
        await write(asJson ? jsonLine(plain(session)) : aligned.rows([session]));
      }
    } catch (error) {
      if (!followed) throw error;
      why = error instanceof Error ? error.message : String(error);
    }
    broken = true;
    process.stderr.write(`sluice: trying again in ${wait} s: ${why}\n`);
    await sleep(wait * 1000);
    wait = Math.min(wait * 2, BACK_OFF.last);
  }
}

async function* pieces(sessions: AsyncIterable<SessionResponse>): AsyncGenerator<SessionResponse[]> {
  let piece: SessionResponse[] = [];
  for await (const session of sessions) {
    if (piece.push(session) < PIECE) continue;
    yield piece;
    piece = [];
  }
  yield piece;
}
