import { Argument, type Command, Option } from "commander";
import { type ClientFlags, clientCommand, withClient } from "../client-command.js";
import type { AddFlags } from "../session/add.js";
import { type Filter, type Selection, SORTS, STATES } from "../session/select.js";
import { endpoint, idRange, lif, seconds, sessionId, sessionIds, whole } from "../values.js";
import { type Ipv4OrderFlag, ipv4Order } from "./ipv4-order.js";

interface WatchFlags extends ClientFlags, Filter {
  readonly interval: number;
  readonly count?: number;
  readonly limit: number;
}

export function sessionCommands(sluice: Command): void {
  const session = sluice.command("session").description("Adds, shows and deletes sessions of a running device.");
  add(session);
  list(session);
  watch(session);
  one(session);
  closed(session);
}

function add(session: Command): void {
  clientCommand(session, "add", "Adds a session and shows its id, or says why the device did not take it.", true)
    .addOption(new Option("--id <id>", "session id (default: the device assigns one)").argParser(sessionId))
    .addOption(new Option("--in <lif>", "logical interface, or 1.100 for VLAN 100 on 1").argParser(lif).makeOptionMandatory())
    .addOption(new Option("--out <lif>", "the same (default: the pair of --in)").argParser(lif))
    .addOption(new Option("--source <addr:port>", "IPv6 in brackets").argParser(endpoint).makeOptionMandatory())
    .addOption(new Option("--destination <addr:port>", "IPv6 in brackets").argParser(endpoint).makeOptionMandatory())
    .addOption(new Option("--protocol <name>").choices(["tcp", "udp"]).makeOptionMandatory())
    .addOption(new Option("--action <name>").choices(["forward", "drop", "mirror", "snoop"]).makeOptionMandatory())
    .option("--next-hop <addr>", "mirror, snoop: the collector, as in the device's nextHops")
    .addOption(
      new Option("--timeout <seconds>", "silence after which it ages (default: as the device has it)").argParser(whole(1)),
    )
    .addOption(ipv4Order())
    .action((flags: ClientFlags & AddFlags & Ipv4OrderFlag) =>
      withClient(flags, async (client) => (await import("../session/add.js")).addSession(client, flags, flags.json === true)),
    );
}

function list(session: Command): void {
  filters(clientCommand(session, "list", "Lists sessions, oldest first.", true))
    .addOption(new Option("--sort <by>", "most packets, most bytes, or latest start first").choices(SORTS))
    .addOption(new Option("--limit <n>", "at most so many").argParser(whole(1)))
    .action((flags: ClientFlags & Selection) =>
      withClient(flags, async (client) => (await import("../session/list.js")).listSessions(client, flags, flags.json === true)),
    );
}

function watch(session: Command): void {
  filters(clientCommand(session, "watch", "Shows packets/s and bits/s of sessions again and again, the busiest first.", true))
    .addArgument(new Argument("[id...]", "only these sessions").argParser(sessionIds))
    .addOption(new Option("--interval <seconds>", "between refreshes").argParser(seconds(0.1, 3600)).default(1))
    .addOption(new Option("--count <n>", "end after so many refreshes").argParser(whole(1)))
    .addOption(new Option("--limit <n>", "rows").argParser(whole(1)).default(20))
    .action((ids: bigint[] | undefined, flags: WatchFlags) =>
      withClient(flags, async (client) =>
        (await import("../session/watch.js")).watchSessions(client, ids ?? [], flags, flags.json === true),
      ),
    );
}

function one(session: Command): void {
  const id = () => new Argument("<id>").argParser(sessionId);
  clientCommand(session, "get", "Shows one session.", true)
    .addArgument(id())
    .action((id: bigint, flags: ClientFlags) =>
      withClient(flags, async (client) => (await import("../session/show.js")).getSession(client, id, flags.json === true)),
    );
  clientCommand(session, "delete", "Deletes a session and shows its final counters.", true)
    .addArgument(id())
    .action((id: bigint, flags: ClientFlags) =>
      withClient(flags, async (client) => (await import("../session/show.js")).deleteSession(client, id, flags.json === true)),
    );
}

function closed(session: Command): void {
  clientCommand(session, "closed", "Takes delivery of the sessions that closed and were not reported yet.", true)
    .option(
      "--follow",
      "go on with each session as it closes, until ^C; what was printed in the last 10 s before that is delivered again",
    )
    .action((flags: ClientFlags & { follow?: true }) =>
      withClient(flags, async (client) => {
        const { closedSessions, followClosedSessions } = await import("../session/closed.js");
        await (flags.follow ? followClosedSessions : closedSessions)(client, flags.json === true);
      }),
    );
}

/** Which sessions. */
function filters(command: Command): Command {
  return command
    .addOption(new Option("--state <state>", "in this TCP state").choices(Object.keys(STATES)))
    .addOption(new Option("--ids <from-to>", "with an id in this range").argParser(idRange))
    .option("--unused", "without a packet in either direction")
    .addOption(new Option("--min-packets <n>", "with so many in both directions together").argParser(whole(0)))
    .addOption(
      new Option("--min-bytes <n>", "with so many in both directions together").argParser(whole(0, Number.MAX_SAFE_INTEGER)),
    )
    .addOption(new Option("--older-than <seconds>", "started before then").argParser(whole(0)))
    .addOption(new Option("--younger-than <seconds>", "started after then").argParser(whole(0)));
}
