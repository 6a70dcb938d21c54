#!/usr/bin/env node
// The sluice command. What the command line understands is in command/, one file per command; what a command does is in a
// file beside this one, loaded when it is asked for, so that `sluice --help` answers at once.

import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { programCommand } from "./command/program.js";
import { replayCommand } from "./command/replay.js";
import { runCommand } from "./command/run.js";
import { saCommands } from "./command/sa.js";
import { sessionCommands } from "./command/session.js";
import { statsCommand } from "./command/stats.js";
import { tunnelCommands } from "./command/tunnel.js";
import { exitCode, report } from "./failure.js";

// `sluice … | head` ends without a complaint.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const sluice = new Command("sluice")
  .description("A software SmartNIC: sessions programmed over gRPC decide what happens to packets.")
  .version(version())
  .option("--debug", "with a failure, show where in the program it arose")
  .configureOutput({ outputError: (text, write) => write(`sluice: ${text.replace(/^error: /, "")}`) })
  .showHelpAfterError("`sluice --help` lists the commands, `sluice COMMAND --help` their options.")
  .exitOverride();

for (const addCommand of [runCommand, replayCommand, programCommand, sessionCommands, tunnelCommands, saCommands, statsCommand]) {
  addCommand(sluice);
}

try {
  await sluice.parseAsync();
} catch (error) {
  // commander has said what was wrong with the command line, or printed the help that was asked for.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
  report(error, sluice.opts<{ debug?: true }>().debug === true);
  process.exit(exitCode(error));
}

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as { version: string };
  return version;
}
