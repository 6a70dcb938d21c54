import { type Command, Option } from "commander";
import { append, whole } from "../values.js";

interface RunFlags {
  config?: string;
  port?: string[];
  grpc?: string;
  workers?: number;
}

export function runCommand(sluice: Command): void {
  sluice
    .command("run")
    .description("Runs a device. Without a configuration and ports: a demonstration that needs neither rights nor interfaces.")
    .option("-c, --config <file>", "configuration file (sluice.yaml)")
    .option("--port <settings>", "lif=1,driver=af_packet,interface=eth1,host=veth1; may be repeated", append)
    .option("--grpc <address>", "where the gRPC server listens, as host:port")
    .addOption(new Option("--workers <n>", "threads that forward packets").argParser(whole(1)))
    .action(async ({ config, port, grpc, workers }: RunFlags) => {
      const { run } = await import("../run.js");
      await run({ file: config, ports: port, grpc, workers });
    });
}
