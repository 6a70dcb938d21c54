#!/usr/bin/env node
// The sluice command: what it understands. What a command does is in a file of its own, loaded when it is asked for, so
// that `sluice --help` answers at once.

import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { SluiceClient } from "../control/client.js";
import { report } from "./failure.js";
import { inputs, type ReplayOptions } from "./replay-options.js";

const DEFAULT_TARGET = "127.0.0.1:3443";

interface RunFlags {
  config?: string;
  port?: string[];
  grpc?: string;
  workers?: number;
}

interface ReplayFlags {
  in: string[];
  config?: string;
  program?: string;
  out: string;
  seed: number;
  workers?: number;
  json?: true;
}

interface ClientFlags {
  target: string;
  json?: true;
}

// `sluice … | head` ends without a complaint.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const sluice = new Command("sluice")
  .description("A software SmartNIC: sessions programmed over gRPC decide what happens to packets.")
  .version(version())
  .option("--debug", "with a failure, show where in the program it arose")
  .configureOutput({ outputError: (text, write) => write(`sluice: ${text.replace(/^error: /, "")}`) })
  .showHelpAfterError("`sluice --help` lists the commands, `sluice COMMAND --help` their options.")
  .exitOverride();

sluice
  .command("run")
  .description("Runs a device. Without a configuration and ports: a demonstration that needs neither rights nor interfaces.")
  .option("-c, --config <file>", "configuration file (sluice.yaml)")
  .option("--port <settings>", "lif=1,driver=af_packet,interface=eth1,host=veth1; may be repeated", append)
  .option("--grpc <address>", "where the gRPC server listens, as host:port")
  .addOption(new Option("--workers <n>", "threads that forward packets").argParser(whole(1)))
  .action(async ({ config, port, grpc, workers }: RunFlags) => {
    const { run } = await import("./run.js");
    await run({ file: config, ports: port, grpc, workers });
  });

sluice
  .command("replay")
  .description("Sends captures through a device whose clock is theirs, and writes what comes out, with a report.")
  .requiredOption("--in <port=file>", "capture that arrives on a port, as in 1=a.pcap or host1=b.pcap; may be repeated", append)
  .option("-c, --config <file>", "configuration file; without one: uplinks 1 and 2 with host ports")
  .option("--program <file>", "sessions to add before the first packet")
  .requiredOption("--out <directory>", "where the captures of what was sent and report.json are written")
  .addOption(new Option("--seed <n>", "for everything random in a run").argParser(whole(0)).default(1))
  .addOption(
    new Option("--workers <n>", "threads; with one, the output is the same byte for byte (default: 1)").argParser(whole(1)),
  )
  .option("--json", "print the report as JSON instead of tables")
  .action(async (flags: ReplayFlags) => {
    const options: ReplayOptions = {
      inputs: inputs(flags.in),
      config: flags.config,
      program: flags.program,
      out: flags.out,
      seed: flags.seed,
      workers: flags.workers,
      json: flags.json === true,
    };
    const { replay } = await import("./replay.js");
    await replay(options);
  });

clientCommand(sluice, "program <file>", "Sends a program file (sessions) to a running device.")
  .addOption(
    new Option("--ipv4-order <order>", "the device's api.ipv4Order")
      .choices(["s_addr", "host"] as const)
      .default("s_addr" as const),
  )
  .action((file: string, { target, ipv4Order }: ClientFlags & { ipv4Order: "s_addr" | "host" }) =>
    withClient(target, async (client) => (await import("./program.js")).sendProgram(client, file, ipv4Order)),
  );

const session = sluice.command("session").description("Looks at the sessions of a running device, and deletes them.");

clientCommand(session, "list", "Lists all sessions, oldest first.", true).action(({ target, json }: ClientFlags) =>
  withClient(target, async (client) => (await import("./session.js")).listSessions(client, json === true)),
);
clientCommand(session, "get <id>", "Shows one session.", true).action((id: string, { target, json }: ClientFlags) =>
  withClient(target, async (client) => (await import("./session.js")).getSession(client, sessionId(id), json === true)),
);
clientCommand(session, "delete <id>", "Deletes a session and shows its final counters.", true).action(
  (id: string, { target, json }: ClientFlags) =>
    withClient(target, async (client) => (await import("./session.js")).deleteSession(client, sessionId(id), json === true)),
);
clientCommand(session, "closed", "Takes delivery of the sessions that closed and were not reported yet.", true).action(
  ({ target, json }: ClientFlags) =>
    withClient(target, async (client) => (await import("./session.js")).closedSessions(client, json === true)),
);

clientCommand(sluice, "stats", "Shows the device's counters.", true).action(({ target, json }: ClientFlags) =>
  withClient(target, async (client) => (await import("./stats.js")).showStats(client, json === true)),
);

try {
  await sluice.parseAsync();
} catch (error) {
  // commander has said what was wrong with the command line, or printed the help that was asked for.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
  report(error, sluice.opts<{ debug?: true }>().debug === true);
  process.exit(1);
}

function clientCommand(parent: Command, name: string, description: string, json = false): Command {
  const command = parent.command(name).description(description);
  command.option("--target <address>", "the device's gRPC server", DEFAULT_TARGET);
  return json ? command.option("--json", "print JSON") : command;
}

async function withClient(target: string, work: (client: SluiceClient) => Promise<void>): Promise<void> {
  const { SluiceClient } = await import("../control/client.js");
  const client = new SluiceClient(target);
  try {
    await work(client);
  } finally {
    client.close();
  }
}

function append(value: string, before: string[] = []): string[] {
  return [...before, value];
}

function whole(from: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < from || value > 0xffff_ffff) {
      throw new InvalidArgumentError(`Expected a whole number of at least ${from}.`);
    }
    return value;
  };
}

function sessionId(text: string): bigint {
  if (/^\d{1,20}$/.test(text) && BigInt(text) <= 0xffff_ffff_ffff_ffffn) return BigInt(text);
  return sluice.error(`error: ${text} is not a session id: expected a number`, { exitCode: 2 });
}

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as { version: string };
  return version;
}
