// Frames made by scapy, which has its own idea of every header.

import { spawnSync } from "node:child_process";

export interface ScapyFrames {
  /** Why there are none. */
  readonly skip: string | false;
  readonly frames: ReadonlyMap<string, Uint8Array>;
}

/**
 * @param expressions name → Python expression of a packet, or of a list of packets ("name/0", "name/1", …)
 * @param preamble what they use besides scapy
 */
export function scapy(expressions: Readonly<Record<string, string>>, preamble = ""): ScapyFrames {
  const script = [
    "import json, sys, logging; logging.getLogger('scapy').setLevel(logging.ERROR)",
    "from scapy.all import *; from scapy.contrib.mpls import MPLS; from scapy.contrib.geneve import GENEVE, GeneveOptions; from scapy.layers.ipsec import AH, ESP, SecurityAssociation",
    preamble,
    "out = {}",
    "for name, text in json.load(sys.stdin).items():",
    "    made = eval(text)",
    "    if isinstance(made, (list, PacketList)):",
    "        for i, p in enumerate(made): out[f'{name}/{i}'] = bytes(p).hex()",
    "    else: out[name] = bytes(made).hex()",
    "print(json.dumps(out))",
  ].join("\n");
  const python = spawnSync("/usr/bin/python3", ["-c", script], {
    input: JSON.stringify(expressions),
    timeout: 60_000,
    maxBuffer: 1 << 28,
  });
  const said = python.stderr?.toString().trim().split("\n").at(-1) ?? "";
  if (python.error !== undefined || said.includes("No module named 'scapy'")) {
    return { skip: "needs /usr/bin/python3 with scapy (python3-scapy)", frames: new Map() };
  }
  if (python.status !== 0) throw new Error(`scapy: ${said}`);
  const hex = JSON.parse(python.stdout.toString()) as Record<string, string>;
  return { skip: false, frames: new Map(Object.entries(hex).map(([name, h]) => [name, Uint8Array.from(Buffer.from(h, "hex"))])) };
}
