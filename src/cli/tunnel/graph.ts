// `sluice tunnel graph`: the chains of tunnels, as pictures in text or as a JSON tree for each.

import type { SluiceClient } from "../../control/client.js";
import type { Ipv4Order } from "../../control/translate.js";
import { json } from "../json.js";
import { write } from "../output.js";
import { Chains, STARTS, type Start } from "./chains.js";
import { actionWord, matchPhrase, tunnelPhrase } from "./phrase.js";
import { picture } from "./picture.js";
import { completePages, noTunnel, type ShownTunnel } from "./shown.js";
import { type Step, Trees } from "./tree.js";

export interface GraphOptions {
  /** Undefined: from wherever packets enter. */
  readonly from: bigint | undefined;
  /** Steps drawn. */
  readonly limit: number;
  readonly ipv4Order: Ipv4Order;
}

interface Tree {
  /** Undefined: by the tunnel before it, which is not drawn. */
  readonly how: Start | undefined;
  readonly step: Step;
}

const TITLES: Record<Start, string | undefined> = {
  entry: undefined,
  orphan: "✗ orphans: they match nothing until the tunnel before them is created again",
  stopped: "✗ never reached: the tunnel before them does not recirculate",
  circle: "✗ never reached: they follow each other in a cycle",
};
const LEGEND = "┄┄  may follow, as it matches the outer header; ── names the tunnel before it";

export async function showGraph(client: SluiceClient, options: GraphOptions, asJson: boolean): Promise<void> {
  const { from, limit, ipv4Order } = options;
  const all: ShownTunnel[] = [];
  for await (const page of completePages(client)) all.push(...page);
  const chains = new Chains(all, ipv4Order);
  const trees = new Trees(chains, limit);
  const drawn = [...(from === undefined ? everywhere(chains, trees) : begin(chains, trees, from))];
  if (asJson) await write(json(drawn.map(({ how, step }) => ({ start: how, ...plain(step, ipv4Order) }))));
  else await draw(drawn, ipv4Order);
  if (trees.cut) {
    const count = chains.size.toLocaleString("en");
    process.stderr.write(
      `the picture ends after ${limit} steps, the device has ${count} tunnels: --limit N draws more, an ID begins there\n`,
    );
  }
}

function* everywhere(chains: Chains, trees: Trees): Generator<Tree> {
  for (const how of STARTS) {
    for (const start of chains.starts(how)) {
      const step = trees.from(start);
      if (step === undefined) return;
      yield { how, step };
    }
  }
}

function* begin(chains: Chains, trees: Trees, id: bigint): Generator<Tree> {
  const start = chains.get(id);
  if (start === undefined) throw noTunnel(id);
  const step = trees.from(start);
  if (step !== undefined) yield { how: STARTS.find((how) => chains.starts(how).includes(start)), step };
}

async function draw(trees: readonly Tree[], order: Ipv4Order): Promise<void> {
  for (const [i, { how, step }] of trees.entries()) {
    const title = how === undefined || how === trees[i - 1]?.how ? undefined : TITLES[how];
    await write(`${i === 0 ? "" : "\n"}${title === undefined ? "" : `${title}\n\n`}${picture(step, order)}`);
  }
  if (trees.length === 0) await write("no tunnels\n");
  else if (trees.some(({ step }) => hints(step))) await write(`\n${LEGEND}\n`);
}

function hints({ next, by }: Step): boolean {
  return by === "address" || next.some(hints);
}

function plain({ tunnel, by, never, again, next, more, end }: Step, order: Ipv4Order): Record<string, unknown> {
  const { request, error } = tunnel;
  return {
    tunnel_id: tunnel.id,
    by: by === "start" ? undefined : by,
    matches: matchPhrase(request.matchCriteria, order),
    tunnel: tunnelPhrase(request, order),
    next_action: actionWord(request.nextAction),
    error,
    never: never || undefined,
    again,
    next: next.map((step) => plain(step, order)),
    more: more || undefined,
    end,
  };
}
