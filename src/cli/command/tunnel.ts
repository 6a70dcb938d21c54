import { Argument, type Command, Option } from "commander";
import { type ClientFlags, clientCommand, withClient } from "../client-command.js";
import { tunnelId, whole } from "../values.js";
import { type Ipv4OrderFlag, ipv4Order } from "./ipv4-order.js";

type Flags = ClientFlags & Ipv4OrderFlag;

export function tunnelCommands(sluice: Command): void {
  const tunnel = sluice.command("tunnel").description("Shows and deletes tunnels of a running device.");
  list(tunnel);
  one(tunnel);
  graph(tunnel);
}

function list(tunnel: Command): void {
  clientCommand(tunnel, "list", "Lists tunnels, oldest first.", true)
    .addOption(ipv4Order())
    .action((flags: Flags) =>
      withClient(flags, async (client) =>
        (await import("../tunnel/list.js")).listTunnels(client, flags.ipv4Order, flags.json === true),
      ),
    );
  clientCommand(tunnel, "stats", "Shows the counters of all tunnels, or of one.", true)
    .addArgument(new Argument("[id]").argParser(tunnelId))
    .action((id: bigint | undefined, flags: ClientFlags) =>
      withClient(flags, async (client) => {
        const asJson = flags.json === true;
        if (id === undefined) await (await import("../tunnel/list.js")).listStats(client, asJson);
        else await (await import("../tunnel/show.js")).getStats(client, id, asJson);
      }),
    );
}

function one(tunnel: Command): void {
  const id = () => new Argument("<id>").argParser(tunnelId);
  clientCommand(tunnel, "get", "Shows all of one tunnel: match, headers, options, counters.", true)
    .addArgument(id())
    .addOption(ipv4Order())
    .action((id: bigint, flags: Flags) =>
      withClient(flags, async (client) =>
        (await import("../tunnel/show.js")).getTunnel(client, id, flags.ipv4Order, flags.json === true),
      ),
    );
  clientCommand(tunnel, "delete", "Deletes a tunnel and shows the counters that it had.", true)
    .addArgument(id())
    .action((id: bigint, flags: ClientFlags) =>
      withClient(flags, async (client) => (await import("../tunnel/show.js")).deleteTunnel(client, id, flags.json === true)),
    );
}

function graph(tunnel: Command): void {
  clientCommand(tunnel, "graph", "Draws which tunnel follows which, from the packets that enter on.", true)
    .addArgument(new Argument("[id]", "from this tunnel on").argParser(tunnelId))
    .addOption(new Option("--limit <n>", "tunnels drawn").argParser(whole(1)).default(200))
    .addOption(ipv4Order())
    .action((id: bigint | undefined, flags: Flags & { limit: number }) =>
      withClient(flags, async (client) =>
        (await import("../tunnel/graph.js")).showGraph(client, { from: id, ...flags }, flags.json === true),
      ),
    );
}
