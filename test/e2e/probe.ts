// probe.py from a test.

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Namespaces } from "./namespaces.js";

/** python3 scripts stay in test/: tsc copies none. */
export const script = (name: string) => fileURLToPath(new URL(`../../../test/e2e/${name}`, import.meta.url));
export const PYTHON = "python3";
const PROBE = script("probe.py");

export function answeredPings(net: Namespaces, part: string, address: string, count: number): number {
  return Number(output(net, part, ["ping", address, `${count}`]));
}

/** Answers UDP datagrams until the namespaces go. */
export async function startEcho(net: Namespaces, part: string, address: string, port: number): Promise<void> {
  const child = net.spawn(part, [PYTHON, PROBE, "echo", address, `${port}`], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout?.on("data", (text) => {
    said += text;
  });
  for (let tries = 0; said !== "ready\n"; tries++) {
    if (tries === 500) throw new Error("the echo did not start");
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
  const done = net.run(part, [PYTHON, PROBE, ...args]);
  if (done.status !== 0) throw new Error(`probe.py ${args.join(" ")}: ${done.stderr}`);
  return done.stdout;
}
