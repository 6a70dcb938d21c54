// probe.py from a test.

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Namespaces } from "./namespaces.js";

/** python3 scripts stay in test/: tsc copies none. */
export const script = (name: string) => fileURLToPath(new URL(`../../../test/e2e/${name}`, import.meta.url));
const PYTHON = "/usr/bin/python3";

/** `size`: bytes behind the ICMP header; none is fragmented. The first that is not answered is the last. */
export function answeredPings(net: Namespaces, part: string, address: string, count: number, size = 56): number {
  return Number(output(net, part, ["ping", address, `${count}`, `${size}`]));
}

/** Answers UDP datagrams until the namespaces go. */
export function startEcho(net: Namespaces, part: string, address: string, port: number): Promise<void> {
  return startScript(net, part, "probe.py", ["echo", address, `${port}`]);
}

/** A script that says when it is ready and runs until the namespaces go. */
export async function startScript(net: Namespaces, part: string, name: string, args: readonly string[]): Promise<void> {
  const child = net.spawn(part, [PYTHON, script(name), ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout?.on("data", (text) => {
    said += text;
  });
  for (let tries = 0; said !== "ready\n"; tries++) {
    if (tries === 500 || child.exitCode !== null) throw new Error(`${name} did not start`);
    await sleep(10);
  }
}

/** Microseconds of the round trips that came back, sorted. */
export async function roundTrips(
  net: Namespaces,
  part: string,
  { address, port, count, perSecond }: { address: string; port: number; count: number; perSecond: number },
): Promise<number[]> {
  return output(net, part, ["rtt", address, `${port}`, `${count}`, `${perSecond}`])
    .trim()
    .split(" ")
    .map(Number);
}

function output(net: Namespaces, part: string, args: readonly string[]): string {
  const done = net.run(part, [PYTHON, script("probe.py"), ...args]);
  if (done.status !== 0) throw new Error(`probe.py ${args.join(" ")}: ${done.stderr}`);
  return done.stdout;
}
