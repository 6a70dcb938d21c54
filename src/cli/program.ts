// `sluice program FILE`: sends a program file to a running device.

import { readFileSync } from "node:fs";
import type { AddError, SluiceClient } from "../control/client.js";
import { AddSessionStatus } from "../control/gen/openoffload.js";
import { type Program, parseProgram } from "../control/program.js";
import type { Ipv4Order } from "../control/translate.js";
import type { TunnelResult } from "../control/tunnel-client.js";
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
  const { tunnels, sessions } = readProgram(file, order);
  const problems: string[] = [];
  if (tunnels.length > 0) {
    const results = await client.tunnels.send(tunnels);
    const failed = results.filter(({ sentence }) => sentence !== undefined).length;
    process.stdout.write(`${tunnels.length - failed} of ${tunnels.length} tunnel requests carried out\n`);
    if (failed > 0) problems.push(tunnelErrors(file, tunnels, results));
  }
  if (sessions.length > 0 || tunnels.length === 0) {
    const errors = await client.addSessions(sessions.map(({ request }) => request));
    process.stdout.write(`${sessions.length - errors.length} of ${sessions.length} sessions added\n`);
    if (errors.length > 0) problems.push(errorLines(file, sessions, errors));
  }
  if (problems.length > 0) throw new SluiceError("grpc", problems.join("\n"));
}

function tunnelErrors(file: string, tunnels: Program["tunnels"], results: readonly TunnelResult[]): string {
  const lines = results.flatMap(({ id, sentence }, i) => {
    const name = id === 0n ? "" : ` (tunnel_id ${id})`;
    return sentence === undefined ? [] : [`  ${file}:${tunnels[i]?.line ?? "?"}: tunnels[${i}]${name}: ${sentence}`];
  });
  const count = `${lines.length} ${lines.length === 1 ? "tunnel request was" : "tunnel requests were"} not carried out`;
  return [count, ...lines].join("\n");
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
