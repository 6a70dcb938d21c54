// The demonstration's device with a program file's tunnels, and `sluice tunnel` against it.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { device, type Ended, sluice } from "../command.js";

export interface Rig {
  readonly target: string;
  tunnel(...args: string[]): Promise<Ended>;
  /** Sends a program file. */
  program(...entries: string[]): Promise<Ended>;
}

interface Test {
  teardown(end: () => void): unknown;
  testdir(content: Record<string, string>): string;
}

export async function rig(t: Test, ...entries: string[]): Promise<Rig> {
  const { target } = await device(t);
  const directory = t.testdir({});
  const program = (...more: string[]): Promise<Ended> => {
    const file = join(directory, "program.yaml");
    writeFileSync(file, `tunnels:\n${more.map((entry) => `  - ${entry}\n`).join("")}`);
    return sluice("program", file, "--target", target);
  };
  if (entries.length > 0) {
    const { code, stderr } = await program(...entries);
    if (code !== 0) throw new Error(stderr);
  }
  return { target, program, tunnel: (...args) => sluice("tunnel", ...args, "--target", target) };
}

/** The tunnel of a Geneve encapsulation. */
export function geneve(vni: number, source: string, destination: string): string {
  return `geneve: { geneve_encap: { ${outer(source, destination)}, vni: ${vni} } }`;
}

export function vxlan(vni: number, source: string, destination: string): string {
  return `vxlan_encap: { ${outer(source, destination)}, vni: ${vni} }`;
}

function outer(source: string, destination: string): string {
  const pair = source.includes(":") ? "outer_ipv6_pair" : "outer_ipv4_pair";
  return `${pair}: { source_ip: "${source}", destination_ip: "${destination}" }`;
}

/** `match`: match_criteria. */
export function entry(id: number, next: string, match: string, tunnel: string): string {
  return `{ tunnel_id: ${id}, match_criteria: { ${match} }, next_action: ${next}, ${tunnel} }`;
}

/** Of match_criteria. */
export function to(address: string, prefix: number): string {
  return `${address.includes(":") ? "ipv6" : "ipv4"}_match: { destination_ip: "${address}", destination_ip_prefix: ${prefix} }`;
}
