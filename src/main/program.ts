// A program file for a replay: all of it goes in before the first packet, or the replay ends with what the device would refuse.

import type { Program } from "../control/program.js";
import { toSession } from "../control/translate.js";
import { toSettings } from "../control/tunnel-options.js";
import { BATCH, TunnelWriter } from "../control/tunnel-writer.js";
import { SluiceError } from "../errors.js";
import { AddStatus } from "../table/session-table.js";
import type { Core } from "./core.js";
import { sessionRules, tunnelNames } from "./rules.js";

export async function addProgram(program: Program, core: Core, now: number): Promise<void> {
  const refused = [...(await addTunnels(program, core, now)), ...addSessions(program, core, now)];
  if (refused.length > 0) throw new SluiceError("config", `the program does not fit this device:\n  ${refused.join("\n  ")}`);
}

async function addTunnels({ tunnels }: Program, { rules, sas, config }: Core, now: number): Promise<string[]> {
  const writer = new TunnelWriter({
    rules,
    names: tunnelNames(config, sas),
    ready: () => true,
    now: () => now,
    log: { warn: () => {} },
  });
  const refused: string[] = [];
  for (let from = 0; from < tunnels.length; from += BATCH) {
    const batch = tunnels.slice(from, from + BATCH);
    const outcomes = await writer.write(
      batch.map(({ request }) => request),
      false,
    );
    for (const [i, { id, fault }] of outcomes.entries()) {
      const { index, line, options } = batch[i] as (typeof batch)[number];
      let problem = fault?.message;
      if (problem === undefined && options !== undefined) {
        const changes = toSettings(options);
        const set = typeof changes === "string" ? changes : await writer.setSettings(id, changes);
        if (typeof set === "string") problem = `options: ${set}`;
      }
      if (problem !== undefined) refused.push(`line ${line}, tunnels[${index}]: ${problem}`);
    }
  }
  return refused;
}

function addSessions(program: Program, { sessions, config }: Core, now: number): string[] {
  const rules = sessionRules(config);
  return program.sessions.flatMap(({ index, line, request }) => {
    const session = toSession(request, rules);
    const problem = typeof session === "string" ? session : ADD_PROBLEM[sessions.add(session, now)];
    return problem === undefined ? [] : [`line ${line}, sessions[${index}]: ${problem}`];
  });
}

const ADD_PROBLEM: Record<AddStatus, string | undefined> = {
  [AddStatus.added]: undefined,
  [AddStatus.exists]: "its session_id or one of its two flows is taken by an earlier session",
  [AddStatus.full]: "the session table is full: raise sessions.capacity",
};
