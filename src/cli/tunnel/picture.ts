// A tree of tunnels in text. A tunnel is two lines: what it matches, then its id and what it does; what follows is hung below.
//
//   in 1, to 10.1.0.0/16
//   [1] geneve encap vni 5, 192.0.2.1 to 192.0.2.2
//   ├── geneve vni 5 with inner to 10.1.1.0/24             names tunnel 1
//   │   [2] vxlan encap vni 7, 198.51.100.1 to 198.51.100.2
//   │   └── straight out
//   ├┄┄ to 192.0.2.0/24                                    matches the outer header
//   │   [3] …
//   └── else forwarding logic

import type { Ipv4Order } from "../../control/translate.js";
import { matchPhrase, tunnelPhrase } from "./phrase.js";
import { MAX_TUNNELS, type Step } from "./tree.js";

const WIDTH = 80;

const EDGES = {
  tunnel_id: { inner: "├── ", last: "└── " },
  address: { inner: "├┄┄ ", last: "└┄┄ " },
};
const BESIDE = { inner: "│   ", last: "    " };

/** A line that hangs below: its edge, and what stands below that. */
interface Hanging {
  readonly edge: "tunnel_id" | "address";
  lines(indent: string, first: string): string[];
}

export function picture(step: Step, order: Ipv4Order): string {
  return `${linesOf(step, order, "", "").join("\n")}\n`;
}

/** @param first what stands before the first line, in place of `indent` */
function linesOf(step: Step, order: Ipv4Order, indent: string, first: string): string[] {
  const { tunnel, again, by, never } = step;
  const { request } = tunnel;
  const hanging = hangingOf(step, order);
  const stem = hanging.length > 0 ? "│ " : "";
  return [
    ...wrap(`${matchPhrase(request.matchCriteria, order, by === "start")}${never ? NEVER : ""}`, first, indent),
    ...wrap(`[${tunnel.id}] ${tunnelPhrase(request, order)}${AGAIN[again ?? "not"]}`, indent, `${indent}${stem}  `),
    ...hanging.flatMap(({ edge, lines }, i) => {
      const place = i === hanging.length - 1 ? "last" : "inner";
      return lines(`${indent}${BESIDE[place]}`, `${indent}${EDGES[edge][place]}`);
    }),
  ];
}

const NEVER = " (never: other ingress)";
const AGAIN = { cycle: ": a cycle, dropped", above: ": as above", not: "" };

function hangingOf({ next, more, end, again }: Step, order: Ipv4Order): Hanging[] {
  const hanging: Hanging[] = next.map((step) => ({
    edge: step.by === "address" ? "address" : "tunnel_id",
    lines: (indent, first) => linesOf(step, order, indent, first),
  }));
  const text = (line: string): Hanging => ({ edge: "tunnel_id", lines: (indent, first) => wrap(line, first, indent) });
  if (more > 0) hanging.push(text(`and ${more.toLocaleString("en")} more`));
  if (end === "dropped") hanging.push(text(`dropped, where one more matches: at most ${MAX_TUNNELS} tunnels`));
  else if (end !== undefined && again === undefined) hanging.push(text(next.length + more > 0 ? `else ${end}` : end));
  return hanging;
}

/** At spaces, where it would pass the width. */
function wrap(text: string, first: string, indent: string): string[] {
  const lines: string[] = [];
  let line = first;
  let begun = false;
  for (const word of text.split(" ")) {
    if (begun && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = `${indent}${word}`;
    } else {
      line += begun ? ` ${word}` : word;
    }
    begun = true;
  }
  return [...lines, line];
}
