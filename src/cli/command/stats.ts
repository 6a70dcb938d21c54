import type { Command } from "commander";
import { type ClientFlags, clientCommand, withClient } from "../client-command.js";

export function statsCommand(sluice: Command): void {
  clientCommand(sluice, "stats", "Shows the device's counters.", true).action((flags: ClientFlags) =>
    withClient(flags, async (client) => (await import("../stats.js")).showStats(client, flags.json === true)),
  );
}
