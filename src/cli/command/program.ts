import type { Command } from "commander";
import { type ClientFlags, clientCommand, withClient } from "../client-command.js";
import { type Ipv4OrderFlag, ipv4Order } from "./ipv4-order.js";

export function programCommand(sluice: Command): void {
  clientCommand(sluice, "program <file>", "Sends a program file (tunnels and sessions) to a running device.", false)
    .addOption(ipv4Order())
    .action((file: string, flags: ClientFlags & Ipv4OrderFlag) =>
      withClient(flags, async (client) => (await import("../program.js")).sendProgram(client, file, flags.ipv4Order)),
    );
}
