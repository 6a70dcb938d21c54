// `sluice program FILE`: sends a program file to a running device.

import { readFileSync } from "node:fs";
import type { AddError, SluiceClient } from "../control/client.js";
import { AddSessionStatus } from "../control/gen/openoffload.js";
import { type Program, parseProgram } from "../control/program.js";
import type { Ipv4Order } from "../control/translate.js";
import { SluiceError } from "../errors.js";

export function readProgram(file: string, order: Ipv4Order): Program {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SluiceError("file", `reading the program file ${file} failed: ${why}`, { cause });
  }
  return parseProgram(text, file, order);
}

export async function sendProgram(client: SluiceClient, file: string, order: Ipv4Order): Promise<void> {
  const { sessions } = readProgram(file, order);
  const errors = await client.addSessions(sessions.map(({ request }) => request));
  process.stdout.write(`${sessions.length - errors.length} of ${sessions.length} sessions added\n`);
  if (errors.length > 0) throw new SluiceError("grpc", errorLines(file, sessions, errors));
}

/** Each error beside its entry. */
export function errorLines(file: string, sessions: Program["sessions"], errors: readonly AddError[]): string {
  const lines = errors.map(({ index, status, sentence }) => {
    const entry = sessions[index];
    const id = entry === undefined || entry.request.sessionId === 0n ? "" : ` (session_id ${entry.request.sessionId})`;
    return `${file}:${entry?.line ?? "?"}: sessions[${index}]${id}: ${AddSessionStatus[status] ?? status}: ${sentence}`;
  });
  const count = `${errors.length} ${errors.length === 1 ? "session was" : "sessions were"} not added`;
  return `${count}\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
