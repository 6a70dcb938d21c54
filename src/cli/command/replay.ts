import { type Command, Option } from "commander";
import { inputs, type ReplayOptions } from "../replay-options.js";
import { append, whole } from "../values.js";

interface ReplayFlags {
  in: string[];
  config?: string;
  program?: string;
  out: string;
  seed?: number;
  workers?: number;
  json?: true;
}

export function replayCommand(sluice: Command): void {
  sluice
    .command("replay")
    .description("Sends captures through a device whose clock is theirs, and writes what comes out, with a report.")
    .requiredOption("--in <port=file>", "capture that arrives on a port, as in 1=a.pcap or host1=b.pcap; may be repeated", append)
    .option("-c, --config <file>", "configuration file; without one: uplinks 1 and 2 with host ports")
    .option("--program <file>", "tunnels and sessions to add before the first packet")
    .requiredOption("--out <directory>", "where the captures of what was sent and report.json are written")
    .addOption(
      new Option(
        "--seed <n>",
        "for everything random in a run (default: 1, but for the IVs of IPsec: two replays of one seed and one key repeat them)",
      ).argParser(whole(0)),
    )
    .addOption(
      new Option(
        "--workers <n>",
        "threads; with one, the output is the same byte for byte, what IPsec encrypts with --seed (default: 1)",
      ).argParser(whole(1)),
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
      const { replay } = await import("../replay.js");
      await replay(options);
    });
}
