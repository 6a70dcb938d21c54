import { Argument, type Command } from "commander";
import { type ClientFlags, clientCommand, withClient } from "../client-command.js";
import { tunnelId } from "../values.js";

export function saCommands(sluice: Command): void {
  const sa = sluice.command("sa").description("Shows the security associations (IPsec) of a running device.");
  clientCommand(sa, "list", "Lists security associations: what they did, what they refused, never their keys.", true)
    .addArgument(new Argument("[tunnel]", "those of this tunnel").argParser(tunnelId))
    .action((tunnel: bigint | undefined, flags: ClientFlags) =>
      withClient(flags, async (client) => (await import("../sa/list.js")).listSas(client, tunnel ?? 0n, flags.json === true)),
    );
}
