// `sluice tunnel get`, `stats ID` and `delete`: one tunnel.

import type { SluiceClient } from "../../control/client.js";
import { DontFragment, EcnMode, InnerVlan, type TunnelOptions, UdpChecksum } from "../../control/gen/sluice_tunnel.js";
import { Action, type GeneveOption, Operation } from "../../control/gen/tunneloffload.js";
import type { Ipv4Order } from "../../control/translate.js";
import { DSCP_COPY } from "../../control/tunnel-options.js";
import { SluiceError } from "../../errors.js";
import { Esp } from "../../wire/esp.js";
import { Geneve } from "../../wire/geneve.js";
import { Vxlan } from "../../wire/vxlan.js";
import { json } from "../json.js";
import { table } from "../table.js";
import {
  encapOf,
  hex,
  inUdp,
  ipsecOf,
  macPhrase,
  matchPhrase,
  modeText,
  outerOf,
  outerPhrase,
  procedureOf,
  spisOf,
  spiText,
  suiteText,
} from "./phrase.js";
import { type Counted, counterColumns, plain, plainStats, statsColumns } from "./record.js";
import { noTunnel, oneTunnel, type ShownTunnel } from "./shown.js";

type Line = readonly [name: string, value: string];

const digits = new Intl.NumberFormat("en");
const CRITICAL = 0x80;
const NEXT: Readonly<Record<number, string>> = {
  [Action.NONE]: "none: to the forwarding logic",
  [Action.FORWARD]: "forward: straight out",
  [Action.RECIRCULATE]: "recirculate: matched again",
};
const PROTOCOL: Readonly<Record<number, string>> = { 25944: "Ethernet", 2048: "IPv4", 34525: "IPv6" };

const STANDARD_PORT: Readonly<Record<string, number>> = { geneve: Geneve.port, vxlan: Vxlan.port, ipsec: Esp.port };

export async function getTunnel(client: SluiceClient, id: bigint, order: Ipv4Order, asJson: boolean): Promise<void> {
  const tunnel = await oneTunnel(client, id);
  const options = await client.tunnels.options(id);
  process.stdout.write(asJson ? json(plain(tunnel, order, options)) : tunnelText(tunnel, options, order));
}

export async function getStats(client: SluiceClient, id: bigint, asJson: boolean): Promise<void> {
  print(await countersOf(client, id), asJson);
}

/** With its counters as they were just before: the API gives none back. */
export async function deleteTunnel(client: SluiceClient, id: bigint, asJson: boolean): Promise<void> {
  const counted = await countersOf(client, id);
  const request = { tunnelId: id, matchCriteria: undefined, nextAction: Action.NONE, tunnel: undefined };
  const [result] = await client.tunnels.send([{ request: { ...request, operation: Operation._DELETE } }]);
  if (result?.sentence !== undefined) {
    throw new SluiceError("grpc", `tunnel ${id} was not deleted: ${result.sentence}`);
  }
  print(counted, asJson);
}

async function countersOf(client: SluiceClient, id: bigint): Promise<Counted> {
  const counters = (await client.tunnels.stats(id))?.tunnelCounters;
  if (counters === undefined) throw noTunnel(id);
  return { id, counters };
}

function print(counted: Counted, asJson: boolean): void {
  process.stdout.write(asJson ? json(plainStats(counted)) : table(statsColumns, [counted]));
}

function tunnelText(tunnel: ShownTunnel, options: TunnelOptions | undefined, order: Ipv4Order): string {
  const { id, request, counters, error } = tunnel;
  const lines: Line[] = [
    ["tunnel", `${id}`],
    ["kind", procedureOf(request)],
    ["matches", matchPhrase(request.matchCriteria, order)],
    ...(error === undefined ? [] : [["error", error] as const]),
    ...encapLines(request, order),
    ["next", NEXT[request.nextAction] ?? `${request.nextAction}`],
    ...(options === undefined ? [] : optionLines(options, request)),
    ...counterColumns.map(({ title, value }): Line => [title, digits.format(value(counters) as bigint)]),
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join("");
}

function encapLines(request: ShownTunnel["request"], order: Ipv4Order): Line[] {
  const encap = encapOf(request);
  if (request.tunnel?.$case === "ipsecTunnel") return ipsecLines(request, order);
  if (encap === undefined) return [];
  const lines: Line[] = [
    ["outer", outerPhrase(encap.ip, order)],
    ["vni", `${encap.vni}`],
    ...macPhrase(encap.innerMacPair).map((macs): Line => ["inner macs", macs]),
  ];
  if (!("geneveOption" in encap)) return lines;
  const { protocolType, controlPacket, geneveOption } = encap;
  return [
    ...lines,
    ["protocol", `${hex(protocolType, 4)}${PROTOCOL[protocolType] === undefined ? "" : ` (${PROTOCOL[protocolType]})`}`],
    ["control bit", controlPacket ? "set" : "clear"],
    ...geneveOption.map((option, i): Line => [`option ${i}`, optionText(option)]),
  ];
}

function ipsecLines(request: ShownTunnel["request"], order: Ipv4Order): Line[] {
  const ipsec = ipsecOf(request);
  if (ipsec === undefined) return [];
  const outer = outerOf(request);
  return [
    ...(outer === undefined ? [] : [["outer", outerPhrase(outer, order)] as const]),
    ["mode", modeText(ipsec.value.tunnelType)],
    ["suite", suiteText(ipsec.value.encryptionType)],
    ["spi", spisOf(request).map(spiText).join(", ") || "none"],
  ];
}

function optionText({ optionClass, type, data }: GeneveOption): string {
  const critical = (type & CRITICAL) === 0 ? "" : " (critical)";
  return `class ${hex(optionClass, 4)}, type ${hex(type, 2)}${critical}, ${data.length} bytes${data.length === 0 ? "" : `: ${data.toString("hex")}`}`;
}

function optionLines(options: TunnelOptions, request: ShownTunnel["request"]): Line[] {
  const { udpPort, udpChecksum, dontFragment, ttl, dscp, ecn, innerVlan, esn, replayWindow, nattSourcePort } = options;
  const [kind, direction] = procedureOf(request).split(" ");
  const udp: Line[] = [["udp port", `${udpPort || STANDARD_PORT[kind ?? ""]}`]];
  const esp: Line[] = [["sequence", esn ? "64 bits (extended)" : "32 bits"]];
  if (direction === "encrypt") udp.unshift(["source port", `${nattSourcePort ?? "-"}`]);
  if (direction === "decrypt") esp.push(["replay window", replayWindow === 0 ? "none" : `${replayWindow ?? "-"}`]);
  const plain = ipsecOf(request) !== undefined && !inUdp(request);
  return [
    ...(kind === "ipsec" ? esp : []),
    ...(plain ? [] : udp),
    ["udp checksum", word(UdpChecksum, udpChecksum, "UDP_CHECKSUM_")],
    ["don't fragment", word(DontFragment, dontFragment, "DONT_FRAGMENT_")],
    ["ttl", `${ttl ?? "-"}`],
    ["dscp", dscp === DSCP_COPY ? "copy" : `${dscp ?? "-"}`],
    ["ecn", word(EcnMode, ecn, "ECN_")],
    ["inner vlan", word(InnerVlan, innerVlan, "INNER_VLAN_")],
  ];
}

function word(names: Readonly<Record<number, string>>, value: number | undefined, prefix: string): string {
  if (value === undefined) return "-";
  return (names[value] ?? `${value}`).replace(prefix, "").toLowerCase();
}
